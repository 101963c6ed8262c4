"""What is seen of each call of Flight: a figure by verb and outcome, a span, a line in the log.

gRPC tells the middleware when a call begins, and when it has ended, whatever became of it and of its client. The call
itself says which verb it is, and how it failed.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.trace import Tracer
from pyarrow import flight

from asof.errors import AsofError
from asof.server.metrics import Metrics
from asof.server.spans import CallSpan
from asof.server.verbs import VERBS

OK, LEFT, INTERNAL = "ok", "left", "InternalError"

log = logging.getLogger("asof.server")

Foreign = Any
"""Something of pyarrow.flight, which has no types."""


class CallMiddleware(flight.ServerMiddleware):
    """One call.

    Attributes:
        authorization: What its client sent as `Authorization`; None if nothing.
        verb: Its verb; "unknown" until that is known, and for what is none.
        streams: Whether there are rows to come.
    """

    def __init__(self, method: str, headers: Mapping[str, str], metrics: Metrics, tracer: Tracer | None) -> None:
        """Begin."""
        self.authorization = headers.get("authorization")
        self.verb = "unknown"
        self.streams = False
        self._outcome = OK
        self._metrics = metrics
        self._span = None if tracer is None else CallSpan(tracer, method, headers)
        self._begun = time.perf_counter()

    def named(self, verb: str, peer: str) -> None:
        """Say which verb it is, and who asks."""
        if verb in VERBS:
            self.verb = verb
        if self._span is not None:
            self._span.named(self.verb, peer)

    def failed(self, error: Exception) -> None:
        """Say why it fails."""
        self._outcome = type(error).__name__ if isinstance(error, AsofError) else INTERNAL
        if self._span is not None:
            self._span.failed(error)

    def call_completed(self, exception: Foreign) -> None:
        """End. If nothing failed here, and yet it did not come to its end, the client left."""
        if self._outcome == OK and (exception is not None or self.streams):
            self._outcome = LEFT
        took = time.perf_counter() - self._begun
        self._metrics.calls(self.verb).observe(took)
        self._metrics.outcomes(self.verb, self._outcome).inc()
        if self._span is not None:
            self._span.end(self._outcome)
        log.debug("flight %s %s %.6f", self.verb, self._outcome, took)


class CallMiddlewareFactory(flight.ServerMiddlewareFactory):
    """Sees each call begin."""

    def __init__(self, metrics: Metrics, tracer: Tracer | None) -> None:
        """Keep where figures and spans go; without a tracer there are no spans."""
        self._metrics = metrics
        self._tracer = tracer

    def start_call(self, info: Foreign, headers: Mapping[str, list[str]]) -> CallMiddleware:
        """Return the call."""
        first = {name.lower(): values[0] for name, values in headers.items() if values}
        return CallMiddleware(info.method.name, first, self._metrics, self._tracer)
