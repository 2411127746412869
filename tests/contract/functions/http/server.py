"""The standard handler of tests/contract/contract.py as a web server of its own, behind the watchdog in
http mode: python3 server.py PORT."""

import http.server
import os
import sys
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        path, _, query = self.path.partition("?")
        body = self.read_body()
        status = 200
        if path == "/hold":
            while not os.path.exists(urllib.parse.parse_qs(query)["file"][0]):
                time.sleep(0.005)
            body = b"held"
        elif path == "/fail":
            status, body = 500, b"asked to fail"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() != b"\r\n":
            pass
        return body

    def log_message(self, *_):
        pass


# On SIGTERM the calls in flight are finished before the watchdog ends, and this with it.
import signal  # noqa: E402

signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
server.serve_forever()
