#!/usr/bin/env python3
"""The other end of a connection, written against the kernel and nothing else.

    peer.py listen  ADDRESS PORT  mptcp|tcp  BEHAVIOUR [BYTES]
    peer.py connect ADDRESS PORT  mptcp|tcp  BEHAVIOUR [BYTES]

It writes one JSON object a line: {"event": "listening", "port"}, then for each connection {"event": "connected", "mptcp"}
and {"event": "done", ...} with what went through it and what the kernel on this side says of it. It ends with its
standard input.

Behaviours:
    echo    sends back what comes, and closes after the end of the stream
    sink    reads to the end of the stream, and closes
    send    sends BYTES bytes and FIN, and reads all the while
    reset   reads BYTES bytes, then aborts the connection (RST; MP_FASTCLOSE over MPTCP)
    mute    neither reads nor writes, and does not close
"""

import array
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import socket
import struct
import sys
import termios
import threading
import time

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MPTCP_INFO = 1
MPTCP_TCPINFO = 2
TCP_INFO_SIZE = 232
MAX_PATHS = 16
BLOCK = 1 << 16

libc = ctypes.CDLL(None, use_errno=True)
output = threading.Lock()


def tell(**fields):
    with output:
        print(json.dumps(fields), flush=True)


def mptcp_info(sock):
    """struct mptcp_info, or None where the kernel says that this is no MPTCP connection."""
    try:
        return sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 256)
    except OSError:
        return None


def paths(sock):
    """The bytes that each subflow carried. Python's getsockopt passes nothing in, so this asks libc."""
    buffer = ctypes.create_string_buffer(
        struct.pack("=IIII", 16, 0, 0, TCP_INFO_SIZE) + bytes(TCP_INFO_SIZE * MAX_PATHS)
    )
    length = ctypes.c_uint32(len(buffer))
    if libc.getsockopt(sock.fileno(), SOL_MPTCP, MPTCP_TCPINFO, buffer, ctypes.byref(length)) < 0:
        return []
    _, count, _, size = struct.unpack_from("=IIII", buffer)
    rows = []
    for index in range(min(count, MAX_PATHS)):
        acked, received = struct.unpack_from("=QQ", buffer, 16 + index * size + 120)
        rows.append({"sent": acked, "received": received})
    return rows


def facts(sock):
    info = mptcp_info(sock)
    return {"mptcp": info is not None, "paths": [] if info is None else paths(sock)}


def pattern():
    """Bytes that differ from block to block, so that none can take another's place."""
    block = bytearray(os.urandom(BLOCK))
    number = 0
    while True:
        struct.pack_into("<Q", block, 0, number)
        number += 1
        yield bytes(block)


def await_acknowledged(sock):
    """Until the peer has everything: only then are the subflows' counts complete."""
    left = array.array("i", [1])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        fcntl.ioctl(sock, termios.TIOCOUTQ, left)
        if left[0] == 0:
            return
        time.sleep(0.001)


class Conversation:
    def __init__(self, sock):
        self.sock = sock
        self.sent = 0
        self.received = 0
        self.sent_hash = hashlib.sha256()
        self.received_hash = hashlib.sha256()
        self.error = None
        self.facts = None

    def write(self, data):
        self.sock.sendall(data)
        self.sent += len(data)
        self.sent_hash.update(data)

    def read(self, most=BLOCK):
        data = self.sock.recv(most)
        self.received += len(data)
        self.received_hash.update(data)
        return data

    def echo(self, _):
        while data := self.read():
            self.write(data)
        await_acknowledged(self.sock)
        self.facts = facts(self.sock)

    def sink(self, _):
        while self.read():
            pass
        self.facts = facts(self.sock)

    def send(self, count):
        def write_all():
            blocks = pattern()
            left = count
            try:
                while left > 0:
                    self.write(next(blocks)[:left])
                    left = count - self.sent
                await_acknowledged(self.sock)
                self.facts = facts(self.sock)
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self.error = errno.errorcode[error.errno]

        writer = threading.Thread(target=write_all)
        writer.start()
        try:
            while self.read():
                pass
        finally:
            writer.join()

    def reset(self, count):
        while self.received < count and self.read(count - self.received):
            pass
        self.facts = facts(self.sock)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def mute(self, _):
        threading.Event().wait()

    def run(self, behaviour, count):
        tell(event="connected", mptcp=mptcp_info(self.sock) is not None)
        try:
            getattr(self, behaviour)(count)
        except OSError as error:
            self.error = errno.errorcode[error.errno]
        self.facts = self.facts or facts(self.sock)
        self.sock.close()
        tell(
            event="done",
            sent=self.sent,
            sentSha256=self.sent_hash.hexdigest(),
            received=self.received,
            receivedSha256=self.received_hash.hexdigest(),
            error=self.error,
            **self.facts,
        )


def end_with_input():
    while os.read(0, BLOCK):
        pass
    os._exit(0)


def main(role, address, port, protocol, behaviour, count="0"):
    threading.Thread(target=end_with_input, daemon=True).start()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if protocol == "mptcp" else 0)
    if role == "connect":
        sock.connect((address, int(port)))
        Conversation(sock).run(behaviour, int(count))
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, int(port)))
    sock.listen()
    tell(event="listening", port=sock.getsockname()[1])
    while True:
        accepted, _ = sock.accept()
        conversation = Conversation(accepted)
        threading.Thread(target=conversation.run, args=(behaviour, int(count)), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
