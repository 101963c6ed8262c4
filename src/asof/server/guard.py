"""What stands between the network and the API: limits, the host's name, figures, and errors as problems.

A page of another site can make a browser send requests to a server on this machine, also under a name that it made
point here. So a request must name a host that the server goes by, and come from no page of another one.
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asof.server.limits import Limits
from asof.server.metrics import Metrics
from asof.server.problems import RequestError, response_of

log = logging.getLogger("asof.server")


class Guard:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: Metrics) -> None:
        """Keep what is inside."""
        self._app = app
        self._limits = limits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check_host(scope)
            await self._app(scope, receive, watched)
        except RequestError as error:
            await response_of(error)(scope, receive, watched)
        finally:
            took = time.perf_counter() - begun
            operation = scope.get("asof.operation", "unknown")
            self._metrics.requests(operation).observe(took)
            self._metrics.answers(operation, str(status)).inc()
            log.debug("%s %s %d %.6f", scope["method"], scope["path"], status, took)

    def _check_host(self, scope: Scope) -> None:
        """Refuse other names of the server, and requests that a page of another host makes."""
        hosts = self._limits.hosts
        if not hosts:
            return
        headers = dict(scope["headers"])
        given = _host(headers.get(b"host", b""))
        if given not in hosts:
            raise RequestError(421, f"this server does not go by the name {given!r}", todo=f"use {hosts[0]}")
        origin = headers.get(b"origin")
        if origin is not None and _host(origin.partition(b"://")[2]) not in hosts:
            raise RequestError(403, f"a page of {origin.decode('latin-1')!r} may not ask this server")


def _host(authority: bytes) -> str:
    """Return the name of a host, without its port."""
    text = authority.decode("latin-1").lower()
    return text if text.endswith("]") else text.rpartition(":")[0] or text
