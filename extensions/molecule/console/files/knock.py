# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what a browser gets that asks for a console with a token: the status, and the first bytes of the display.

knock.py HOST PORT CERTIFICATE DISPLAY-PORT [TOKEN]; the display is this program's own.
"""

import base64
import socket
import ssl
import sys
import threading

HOST, PORT, CERTIFICATE, DISPLAY = sys.argv[1:5]
QUERY = f"?token={sys.argv[5]}" if len(sys.argv) > 5 else ""
GREETING = b"RFB 003.008\n"  # how a VNC display begins (RFC 6143, 7.1.1)
ASKED = (
    f"GET /websockify{QUERY} HTTP/1.1\r\nHost: [{HOST}]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n")


def serve(display: socket.socket) -> None:
    """Greet the one who comes."""
    connection, _peer = display.accept()
    connection.sendall(GREETING)


def read_answer(connection: ssl.SSLSocket) -> bytes:
    """Read until the display has greeted, the connection ends, or nothing comes any more."""
    answer = b""
    try:
        while GREETING not in answer and (part := connection.recv(4096)):
            answer += part
    except TimeoutError:
        pass
    return answer


display = socket.create_server(("127.0.0.1", int(DISPLAY)))
threading.Thread(target=serve, args=(display,), daemon=True).start()
trusting = ssl.create_default_context(cafile=CERTIFICATE)
with trusting.wrap_socket(socket.create_connection((HOST, int(PORT)), 20), server_hostname=HOST) as opened:
    opened.sendall(ASKED.encode())
    got = read_answer(opened)
print(got.split()[1].decode(), "display" if GREETING in got else "nothing", opened.version() or "")
