"""What stands between the network and the API: limits, the host's name, figures, and errors as problems.

A page of another site can make a browser send requests to a server on this machine, under a name that it made point
here. So a request must name a host that the server goes by.
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
            self._metrics.requests.labels(operation).observe(took)
            self._metrics.answers.labels(operation, str(status)).inc()
            log.debug("%s %s %d %.6f", scope["method"], scope["path"], status, took)

    def _check_host(self, scope: Scope) -> None:
        hosts = self._limits.hosts
        if not hosts:
            return
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        name = given if given.endswith("]") else given.rpartition(":")[0] or given
        if name.lower() not in hosts:
            raise RequestError(421, f"this server does not go by the name {name!r}", todo=f"use {hosts[0]}")
