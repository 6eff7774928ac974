"""Where alerts arrive in a test: real servers on free ports of this machine that keep what they are sent."""

import email
import json
import queue
import socketserver
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(server):
    """The server in a thread, until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Inbox(ThreadingHTTPServer):
    """An HTTP sink: keeps every body with its headers, and answers with `status` and `reply`.

    With `certificates`, a server's TLS context, it is a proxy besides, that stands in for any host
    a client asks it to connect to.
    """

    def __init__(self, reply=b"", certificates=None):
        super().__init__(("127.0.0.1", 0), Keep)
        self.received, self.status, self.reply = queue.Queue(), 200, reply
        self.certificates = certificates

    @property
    def url(self):
        """Where to post."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class Keep(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((json.loads(body), dict(self.headers)))
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.request = self.server.certificates.wrap_socket(self.request, server_side=True)
        self.setup()
        self.handle_one_request()
        self.wfile.flush()
        self.request.close()
        self.close_connection = True

    def log_message(self, *_):
        pass


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP sink: keeps the message of each connection."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Letter)
        self.received = queue.Queue()

    @property
    def port(self):
        """Where it listens."""
        return self.server_address[1]


class _Letter(socketserver.StreamRequestHandler):
    """Takes one message."""

    def handle(self):
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            name = line[:4].upper()
            if name == b"DATA":
                self.wfile.write(b"354 go\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.received.put(email.message_from_bytes(b"".join(lines)))
            self.wfile.write(b"221 bye\r\n" if name == b"QUIT" else b"250 ok\r\n")
