"""A server of the standard library, a thread for each request: threaded.py PORT."""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import orders


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        for part in orders.application({"PATH_INFO": self.path}, self.begin):
            self.wfile.write(part)

    def begin(self, _, headers):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def end(*_):
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
    server.serve_forever()
