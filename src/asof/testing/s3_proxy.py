"""A proxy before object storage on loopback that answers late, or badly; signed links end there, as moto's never do.

    with S3Proxy(server.port) as proxy:
        proxy.delay_seconds = 0.02
        proxy.fault = lambda method, path: "busy" if method == "PUT" else None
        ...                     # AWS_ENDPOINT_URL = proxy.endpoint

`python -m asof.testing.s3_proxy PORT SECONDS` is one that only delays, in a process of its own, for measurements.
"""

import http.client
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Literal, Self
from urllib.parse import parse_qs, urlsplit

from asof.clock import system_clock

Fault = Literal["busy", "broken", "cut", "lost", "half", "hang"]
"""SlowDown; an internal error; the wire is cut before the request gets there; after it; in the middle of the answer; no
answer for `HANG_SECONDS`."""

HANG_SECONDS = 3.0

ERRORS = {"busy": (503, "SlowDown", "Please reduce your request rate."), "broken": (500, "InternalError", "Try again.")}


class S3Proxy:
    """A proxy in a thread of this process.

    Attributes:
        delay_seconds: How long each request takes to get there.
        bytes_per_second: How fast bodies of requests get there; 0 for no limit.
        fault: Told method and path of each request, says what is to go wrong.
        requests: What was asked: method and path.
        faults: How often something went wrong.
    """

    def __init__(self, port: int, *, listen: int = 0) -> None:
        """Stand before a server on a port of loopback."""
        self.delay_seconds = 0.0
        self.bytes_per_second = 0
        self.fault: Callable[[str, str], Fault | None] = lambda _method, _path: None
        self.requests: list[tuple[str, str]] = []
        self.faults = 0
        handler = type("Handler", (_Handler,), {"proxy": self, "behind": port})
        self._server = ThreadingHTTPServer(("127.0.0.1", listen), handler)
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    proxy: ClassVar[S3Proxy]
    behind: ClassVar[int]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Serve a connection; one that ends is nobody's error."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def forward(self) -> None:
        proxy = self.proxy
        length = int(self.headers.get("Content-Length") or 0)
        if proxy.bytes_per_second:
            time.sleep(length / proxy.bytes_per_second)
        body = self.rfile.read(length)
        time.sleep(proxy.delay_seconds)
        proxy.requests.append((self.command, self.path))
        if _has_ended(self.path):
            self.answer(403, "AccessDenied", "Request has expired")
            return
        fault = proxy.fault(self.command, self.path)
        if fault is not None:
            proxy.faults += 1
        if fault in ERRORS:
            self.answer(*ERRORS[fault])
            return
        if fault == "hang":
            time.sleep(HANG_SECONDS)
        if fault not in ("cut", "hang"):
            self.passed_on(body, fault)
        if fault is not None:
            self.close_connection = True

    def passed_on(self, body: bytes, fault: Fault | None) -> None:
        """Ask the server, and give its answer, or a part of it."""
        server = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=60)
        try:
            server.request(self.command, self.path, body, dict(self.headers))
            answer = server.getresponse()
            content = answer.read()
        finally:
            server.close()
        if fault == "lost":
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        # The answer to HEAD tells the length of what it does not send.
        told = answer.getheader("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "half" else content)

    def answer(self, status: int, code: str, message: str) -> None:
        """Give an error of S3."""
        content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward  # noqa: N815 - names that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 - http.server's own names
        """Say nothing."""


def _has_ended(path: str) -> bool:
    """Return whether a path is that of a signed link which does not hold any more."""
    asked = parse_qs(urlsplit(path).query)
    if "X-Amz-Date" not in asked:
        return False
    begun = datetime.strptime(asked["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return system_clock() >= begun + timedelta(seconds=int(asked["X-Amz-Expires"][0]))


if __name__ == "__main__":
    with S3Proxy(int(sys.argv[1])) as served:
        served.delay_seconds = float(sys.argv[2])
        print(served.endpoint, flush=True)  # noqa: T201 - whoever starts it reads it
        threading.Event().wait()
