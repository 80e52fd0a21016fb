"""Runs a command in a pseudo-terminal.

    pseudo_terminal.py COLUMNS ROWS COMMAND…

Standard input has lines of JSON: {"keys": "q"}, {"size": [columns, rows]}, {"signal": 15}. Standard output has lines of JSON:
{"out": "what the command wrote"}, and at the end {"code": 0, "echo": true}, echo being whether the terminal echoes again.
"""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios


def resize(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def tell(**message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


master, slave = pty.openpty()
resize(slave, int(sys.argv[1]), int(sys.argv[2]))
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.closerange(3, 256)
    os.execvp(sys.argv[3], sys.argv[3:])

pending = b""
partial = b""
inputs = [master, 0]
code = None
while code is None:
    ready, _, _ = select.select(inputs, [], [], 0.05)
    if master in ready:
        partial += os.read(master, 65536)
        # A character may be cut in two.
        text = partial.decode("utf-8", "ignore")
        partial = b"" if text.encode() == partial else partial[len(text.encode()):]
        tell(out=text)
        continue
    if 0 in ready:
        data = os.read(0, 65536)
        if not data:
            os.kill(child, signal.SIGKILL)
            inputs.remove(0)
        pending += data
        *lines, pending = pending.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "keys" in message:
                os.write(master, message["keys"].encode())
            if "size" in message:
                resize(master, *message["size"])
            if "signal" in message:
                os.kill(child, message["signal"])
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        code = os.waitstatus_to_exitcode(status)
while select.select([master], [], [], 0)[0]:
    tell(out=os.read(master, 65536).decode("utf-8", "replace"))
tell(code=code, echo=bool(termios.tcgetattr(slave)[3] & termios.ECHO))
