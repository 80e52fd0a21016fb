"""A TLS server over MPTCP that reads late, and tells for each client how its stream ended: strict_tls_server.py CERT KEY"""

import socket
import ssl
import sys
import time

IPPROTO_MPTCP = 262

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*sys.argv[1:])
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
listener.bind(("127.0.0.1", 0))
listener.listen()
print(listener.getsockname()[1], flush=True)

while True:
    client, _ = listener.accept()
    count = 0
    with context.wrap_socket(client, server_side=True, suppress_ragged_eofs=False) as stream:
        time.sleep(0.03)  # so that the client fills what lies in between
        try:
            while data := stream.recv(1 << 16):
                count += len(data)
            print(f"{count} bytes, and the end", flush=True)
        except ssl.SSLError as error:
            print(f"{count} bytes, and then {error}", flush=True)
