"""A file server on this machine whose faults can be chosen, and what tests of downloads look at."""

import hashlib
import http.server
from collections import namedtuple
from pathlib import Path

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A file server whose faults can be chosen; `asked` holds the Range and If-Range of each request."""

    def __init__(self, content=CONTENT):
        self.content = content
        self.asked = []
        self.etag = '"first"'
        self.ranges = True
        self.shift = 0  # answers a Range this many bytes too late
        self.drops = []  # bytes after which the connection is cut, one entry for each request
        self.statuses = []  # HTTP errors to answer first, one for each request
        self.length = True
        self.location = None  # redirects there
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}/file.bin"

    def answer(self, handler):
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.asked.append((wanted, condition))
        if self.location:
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.end_headers()
            return
        if self.statuses:
            handler.send_error(self.statuses.pop(0))
            return
        start = int(wanted[6:-1]) if wanted and self.ranges and condition in {None, self.etag} else 0
        if start >= len(self.content) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        self._head(handler, start + self.shift if start else 0)
        body = self.content[start:]
        handler.wfile.write(body[: self.drops.pop(0)] if self.drops else body)

    def _head(self, handler, start):
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(self.content) - start))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()

    def _handler(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *args):
                pass

        return Handler


Usage = namedtuple("Usage", "total used free")


def names(folder):
    return sorted(p.name for p in Path(folder).iterdir())


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message
