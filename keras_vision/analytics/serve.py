"""A page on a loopback address, for browsers on the same machine alone."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOSTS = ("localhost", "127.0.0.1")


def page_server(content: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of one page at `http://127.0.0.1:port/`; call its `serve_forever`.

    Requests in the name of another host are refused, so that no foreign page can read this one.

    Args:
        content: of the page.
        port: 0 for a free one; `server.server_port` says which.
    """
    body = content.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in _HOSTS:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *values: object) -> None:
            """Silent."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
