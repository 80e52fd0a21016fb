#!/usr/bin/env python3
"""An HTTP/1.1 server over MPTCP: Python's own, on a socket of the kernel's.

    http_server.py ADDRESS [PEM]

`GET /N` gives N bytes; any other method swallows a body, sent as a whole or in chunks, and answers with 204. For each request
it writes one line: {"event": "done", "bytes", "sha256"} with what the kernel on this side says of the connection. PEM is a
file with a certificate and its key, for HTTPS. It ends with its standard input.
"""

import hashlib
import http.server
import socket
import ssl
import sys
import threading

from peer import IPPROTO_MPTCP, await_acknowledged, end_with_input, facts, pattern, tell


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def done(self, digest, count):
        tell(event="done", bytes=count, sha256=digest.hexdigest(), **facts(self.connection))

    def do_GET(self):
        left = count = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(count))
        self.end_headers()
        digest = hashlib.sha256()
        for block in pattern():
            part = block[:left]
            digest.update(part)
            self.wfile.write(part)
            left -= len(part)
            if left == 0:
                break
        await_acknowledged(self.connection)
        self.done(digest, count)

    def pieces(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers["Content-Length"]))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def do_PUT(self):
        digest = hashlib.sha256()
        count = 0
        for piece in self.pieces():
            digest.update(piece)
            count += len(piece)
        self.done(digest, count)
        self.send_response(204)
        self.end_headers()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(self.address_family, socket.SOCK_STREAM, IPPROTO_MPTCP)
        self.server_bind()
        self.server_activate()

    def server_bind(self):
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # it would look its name up

    def handle_error(self, *_):
        tell(event="error", error=repr(sys.exc_info()[1]))


def main(address, pem=None):
    threading.Thread(target=end_with_input, daemon=True).start()
    server = Server(address)
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    tell(event="listening", port=server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
