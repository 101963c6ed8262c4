"""A span for each request or call, for OpenTelemetry. Where nobody set up its SDK before the server began is none.

The span's name is the operation's, or the verb's; its parent comes with the request (`traceparent`). Attributes are
those of OpenTelemetry's conventions for HTTP servers, and for RPC; no values and no keys.
"""

from collections.abc import Mapping, Sequence

from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.trace import ProxyTracerProvider, SpanKind, Status, StatusCode, Tracer, TracerProvider
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import asof
from asof.server.openapi import Operation
from asof.server.problems import problem_of

FLIGHT = "arrow.flight.protocol.FlightService"

FAILED = 500
"""Statuses from here on are the server's own failures."""


def traced(app: ASGIApp, operations: Sequence[Operation], provider: TracerProvider | None = None) -> ASGIApp:
    """Return an application whose requests have spans; the application itself if nobody collects them."""
    provider = trace.get_tracer_provider() if provider is None else provider
    return app if isinstance(provider, ProxyTracerProvider) else Spans(app, operations, provider)


def tracer_of(provider: TracerProvider | None = None) -> Tracer | None:
    """Return what makes spans; None if nobody collects them."""
    provider = trace.get_tracer_provider() if provider is None else provider
    return None if isinstance(provider, ProxyTracerProvider) else provider.get_tracer("asof.server", asof.__version__)


class CallSpan:
    """The span of one call of Flight."""

    def __init__(self, tracer: Tracer, method: str, headers: Mapping[str, str]) -> None:
        """Begin."""
        given = {"rpc.system": "grpc", "rpc.service": FLIGHT, "rpc.method": method}
        if "user-agent" in headers:
            given["user_agent.original"] = headers["user-agent"]
        self._span = tracer.start_span(
            method, context=extract(dict(headers)), kind=SpanKind.SERVER, attributes=dict(given)
        )

    def named(self, verb: str, peer: str) -> None:
        """Say which verb it is, and from where it comes."""
        self._span.update_name(verb)
        self._span.set_attributes({"asof.verb": verb, "client.address": peer})

    def failed(self, error: Exception) -> None:
        """Say why it fails; what its client can mend is no failure of the server."""
        if problem_of(error).status >= FAILED:
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self, outcome: str) -> None:
        """End."""
        if outcome != "ok":
            self._span.set_attribute("error.type", outcome)
        self._span.end()


class Spans:
    """The layer that makes a span for each request."""

    def __init__(self, app: ASGIApp, operations: Sequence[Operation], provider: TracerProvider) -> None:
        """Keep what is inside."""
        self._app = app
        self._routes = {each.name: each.path for each in operations}
        self._tracer = provider.get_tracer("asof.server", asof.__version__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within its span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = _attributes(scope, headers)
        parent, status = extract(headers), FAILED

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._tracer.start_as_current_span(
            scope["method"], context=parent, kind=SpanKind.SERVER, attributes=given
        ) as span:
            try:
                await self._app(scope, receive, watched)
            finally:
                operation = scope.get("asof.operation")
                if operation is not None:
                    span.update_name(operation)
                if operation in self._routes:  # pages have none
                    span.set_attribute("http.route", self._routes[operation])
                span.set_attribute("http.response.status_code", status)
                if status >= FAILED:
                    span.set_attribute("error.type", str(status))
                    span.set_status(Status(StatusCode.ERROR))


def _attributes(scope: Scope, headers: dict[str, str]) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "http.request.method": scope["method"],
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
        "network.protocol.version": scope["http_version"],
    }
    if scope.get("server"):
        found["server.address"], found["server.port"] = scope["server"]
    if scope.get("client"):
        found["client.address"] = scope["client"][0]
    if "user-agent" in headers:
        found["user_agent.original"] = headers["user-agent"]
    return found
