"""An FTP server of Debian's python3-pyftpdlib: pyftpdlib_server.py PORT FOLDER [CERT KEY], user "u" with password "p"."""

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

port, folder, *certificate = sys.argv[1:]
logging.basicConfig(level=logging.ERROR)
handler = FTPHandler
if certificate:
    from pyftpdlib.handlers import TLS_FTPHandler as handler

    handler.certfile, handler.keyfile = certificate
    handler.tls_control_required = handler.tls_data_required = True
handler.authorizer = DummyAuthorizer()
handler.authorizer.add_user("u", "p", folder, perm="elradfmwMT")
handler.permit_foreign_addresses = False
server = FTPServer(("0.0.0.0", int(port)), handler)
print("listening", flush=True)
server.serve_forever(handle_exit=False)
