"""What a run of a stream tells Prometheus, at an address of its own.

asof_stream_messages_total{group, stream}              messages taken
asof_stream_rows_total{group, stream}                  rows stored
asof_stream_quarantined_total{group, stream, reason}   messages, or rows of them, that could not be stored
asof_stream_commits_total{group, stream}               micro-batches stored
asof_stream_retries_total{group, stream}               how often something was tried again
asof_stream_partitions{group, stream}                  partitions held
asof_stream_lag_messages{group, stream}                messages that wait with the broker, if it says so
asof_stream_newest_event_age_seconds{group, stream}    how old the newest event that can be read is now
asof_stream_batch_seconds{group, stream}               from a batch being there to being readable, as histograms
asof_stream_servable_seconds{group, stream}            from a batch's newest event to being readable, as histograms
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast, get_args

from asof.errors import MissingDependencyError, UsageError
from asof.streams.figures import Batch, Figures
from asof.streams.intake import Reason

try:
    from prometheus_client import CollectorRegistry, Histogram, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingDependencyError("prometheus-client", extra="metrics") from error

BATCH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SERVABLE_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400)

LABELS = ("group", "stream")

MOST_PORT = 65_535


class Metrics:
    """The figures of one run.

    Args:
        group: The group version.
        stream: The stream's name.
        now_us: The store's clock.
    """

    def __init__(self, group: str, stream: str, *, now_us: Callable[[], int]) -> None:
        """Begin at nought."""
        self._labels = (group, stream)
        self._now_us = now_us
        self._registry = CollectorRegistry()
        self._batch = self._histogram(
            "asof_stream_batch_seconds", "From a batch being there to being readable.", BATCH_SECONDS
        )
        self._servable = self._histogram(
            "asof_stream_servable_seconds", "From the newest event of a batch to being readable.", SERVABLE_SECONDS
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, LABELS, buckets=buckets, registry=self._registry).labels(*self._labels)

    def stored(self, batch: Batch) -> None:
        """Count a batch."""
        self._batch.observe(batch.seconds)
        if batch.age_seconds is not None:
            self._servable.observe(batch.age_seconds)

    @contextmanager
    def served(self, address: str, figures: Callable[[], Figures]) -> Generator[None]:
        """Answer Prometheus as long as the block runs.

        Args:
            address: HOST:PORT.
            figures: Gives the figures of the run.

        Raises:
            UsageError: This is no address, or nobody may listen there.
        """
        host, port = listening(address)
        self._registry.register(_OfRun(self._labels, figures, self._now_us))
        try:
            server, thread = start_http_server(port, host, registry=self._registry)
        except OSError as error:
            todo = "pass another HOST:PORT; each run needs one of its own"
            raise UsageError(f"cannot listen at {address}: {error}", where="metrics", todo=todo) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def listening(address: str) -> tuple[str, int]:
    """Return the host and the port of "HOST:PORT"; an IPv6 address stands in brackets.

    Raises:
        UsageError: It is none.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) <= MOST_PORT):
        raise UsageError(f"{address!r} is no HOST:PORT", where="metrics", todo="pass such as 127.0.0.1:9464")
    return host, int(port)


class _OfRun(Collector):
    """What the run itself tells when it is asked."""

    def __init__(self, labels: tuple[str, str], figures: Callable[[], Figures], now_us: Callable[[], int]) -> None:
        self._labels = labels
        self._figures = figures
        self._now_us = now_us

    def collect(self) -> Iterator[Metric]:
        """Return the figures."""
        figures = self._figures()
        yield self._counter("messages", "Messages taken.", figures.messages)
        yield self._counter("rows", "Rows stored.", figures.rows)
        yield self._counter("commits", "Micro-batches stored.", figures.batches)
        yield self._counter("retries", "How often something was tried again.", figures.retries)
        letters = CounterMetricFamily(
            "asof_stream_quarantined", "What could not be stored.", labels=[*LABELS, "reason"]
        )
        for reason in cast("tuple[Reason, ...]", get_args(Reason)):
            letters.add_metric([*self._labels, reason], figures.reasons.get(reason, 0))
        yield letters
        yield self._gauge("partitions", "Partitions held.", figures.partitions)
        if figures.lag is not None:
            yield self._gauge("lag_messages", "Messages that wait with the broker.", figures.lag)
        if figures.newest_event_us is not None:
            age = max(self._now_us() - figures.newest_event_us, 0) / 1e6
            yield self._gauge("newest_event_age_seconds", "How old the newest event that can be read is.", age)

    def _counter(self, name: str, text: str, value: int) -> Metric:
        return self._added(CounterMetricFamily(f"asof_stream_{name}", text, labels=LABELS), value)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        return self._added(GaugeMetricFamily(f"asof_stream_{name}", text, labels=LABELS), value)

    def _added(self, family: Any, value: float) -> Metric:  # noqa: ANN401 - of either kind
        family.add_metric(self._labels, value)
        return family
