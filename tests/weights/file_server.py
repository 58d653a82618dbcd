"""A server on loopback that sends one file, whole or in every way in which a download goes wrong."""

import http.server
import socket
import struct
import threading

import numpy as np

CONTENT = np.random.default_rng(0).bytes(300_000)
HALF = len(CONTENT) // 2


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `answers` say, one per request; after the last, with the file or the range asked for."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.seen.append(dict(self.headers))
        (self.server.answers.pop(0) if self.server.answers else whole)(self)

    def start(self, status=200, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if self.server.etag:
            self.send_header("ETag", self.server.etag)
        self.end_headers()

    def body(self):
        """Start an answer; return what is still to be sent."""
        content, asked = self.server.content, self.headers["Range"]
        current = self.headers["If-Range"] in (None, self.server.etag)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and current and self.server.ranges else 0
        if first >= len(content):
            self.start(416, Content_Range=f"bytes */{len(content)}")
            return b""
        headers = {"Content_Range": f"bytes {first}-{len(content) - 1}/{len(content)}"} if first else {}
        self.start(206 if first else 200, Content_Length=len(content) - first, **headers)
        return content[first:]


class Server(http.server.ThreadingHTTPServer):
    content, etag, ranges = CONTENT, '"1"', True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.seen, self.go_on = [], [], threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/w.npz"

    def handle_error(self, *args):
        """The client left, as many tests want it to."""


def whole(handler):
    handler.wfile.write(handler.body())


def cut(size):
    """The first `size` bytes of an answer, then its end."""
    return lambda handler: handler.wfile.write(handler.body()[:size])


def stall(size):
    """The first `size` bytes of an answer; the rest when the test says so."""

    def answer(handler):
        body = handler.body()
        handler.wfile.write(body[:size])
        handler.server.go_on.wait(20)
        handler.wfile.write(body[size:])

    return answer


def silent(handler):
    handler.server.go_on.wait(20)


def status(code, **headers):
    return lambda handler: handler.start(code, Content_Length=0, **headers)


def reset(handler):
    handler.wfile.write(handler.body()[:1000])
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def no_http(handler):
    handler.wfile.write(b"220 smtp.example.org\r\n")


def without_length(size):
    def answer(handler):
        handler.start()
        handler.wfile.write(handler.server.content[:size])

    return answer


def too_long(handler):
    handler.wfile.write(handler.body() + b"surplus")


def chunked(size):
    """The file in one chunk, of which only `size` bytes come."""

    def answer(handler):
        handler.protocol_version = "HTTP/1.1"
        handler.start(Transfer_Encoding="chunked")
        handler.wfile.write((b"%x\r\n%s\r\n0\r\n\r\n" % (len(CONTENT), CONTENT))[: size + 7])

    return answer
