"""What `/metrics` tells Prometheus. With several worker processes, each worker's figures are added up.

asof_request_seconds{operation}            latency of requests, as histograms
asof_requests_total{operation, status}     requests by HTTP status
asof_call_seconds{verb}                    latency of calls of Flight to their end, as histograms
asof_calls_total{verb, outcome}            calls of Flight: "ok", "left" by the client, or the error
asof_online_seconds{view}                  latency of online answers within the server, as histograms
asof_online_values_total{view, status}     values by status, of one answer in ten
asof_predict_seconds{model}                latency of predictions within the server, as histograms
asof_predictions_total{model}              key sets that were predicted
asof_rows_total{group}                     records that were pushed
asof_last_commit_age_seconds{group}        since the newest commit: how fresh the store is
asof_log_waiting{view}                     answers that wait for the serving log
asof_log_lost_total{view}                  answers that the serving log dropped, or failed to write
"""

import os
import struct
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from random import random
from typing import Any, cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from asof.clock import system_us
from asof.definitions.references import are_references
from asof.parts.question import BY_REFERENCE
from asof.server import SHARED_FOLDER
from asof.serving.online import Vector, Vectors
from asof.store import Store

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)

CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600)

SAMPLED = 0.1
"""Share of the answers whose statuses are counted: counting takes as long as answering."""


class Metrics:
    """The figures of this worker, and the way to those of all. Each is a function of its labels: `requests("push")`."""

    def __init__(self, store: Store) -> None:
        """Begin at nought."""
        self._registry = CollectorRegistry()
        by = partial(_histogram, self._registry)
        counted = partial(_counter, self._registry)
        self.requests = by("asof_request_seconds", "Latency of requests.", ["operation"])
        self.answers = counted("asof_requests", "Requests.", ["operation", "status"])
        self.calls = by("asof_call_seconds", "Latency of calls of Flight to their end.", ["verb"], CALL_SECONDS)
        self.outcomes = counted("asof_calls", "Calls of Flight.", ["verb", "outcome"])
        self.online = by("asof_online_seconds", "Latency of online answers within the server.", ["view"])
        self.values = counted("asof_online_values", "Values by status, of one answer in ten.", ["view", "status"])
        self.predicting = by("asof_predict_seconds", "Latency of predictions within the server.", ["model"])
        self.predictions = counted("asof_predictions", "Key sets that were predicted.", ["model"])
        self.rows = counted("asof_rows", "Records that were pushed.", ["group"])
        self._of_store = _OfStore(store)

    def count_values(self, view: str, found: Vector | Vectors) -> None:
        """Count the values of one answer in ten by their status."""
        if random() >= SAMPLED:  # noqa: S311 - a sample
            return
        vectors: Iterable[Vector] = [found] if isinstance(found, Vector) else found
        for status, count in Counts(status for each in vectors for status in each.statuses.values()).items():
            self.values(label_of(view), status).inc(count)

    def text(self) -> bytes:
        """Return what Prometheus reads of the server."""
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        asked = CollectorRegistry()
        asked.register(_OfWorkers(os.environ[SHARED_FOLDER]))
        return generate_latest(asked)

    def text_of_store(self) -> bytes:
        """Return what Prometheus reads of the store, which asks the registry."""
        asked = CollectorRegistry(auto_describe=False)
        asked.register(self._of_store)
        return generate_latest(asked)


CONTENT_TYPE = CONTENT_TYPE_LATEST


_merged: Callable[[list[str]], Iterable[Metric]] = cast("Any", MultiProcessCollector).merge


class _OfWorkers(Collector):
    """The figures of all workers, also of those that ended."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterable[Metric]:
        """Return the figures; but for files that a worker is just making, or was killed while it did."""
        return _merged([str(file) for file in self._folder.glob("*.db") if _is_whole(file)])


def _is_whole(file: Path) -> bool:
    try:
        _merged([str(file)])
    except (struct.error, RuntimeError, ValueError, OSError):
        return False
    return True


class _OfStore(Collector):
    """What the store itself tells when it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Return the figures."""
        now_us = system_us()
        age = GaugeMetricFamily("asof_last_commit_age_seconds", "Since the newest commit.", labels=["group"])
        for group in self._store.catalog.groups():
            for commit in self._store.catalog.commits(group.ref, limit=1):
                age.add_metric([group.ref], max(now_us - commit.committed_at_us, 0) / 1e6)
        yield age
        waiting = GaugeMetricFamily("asof_log_waiting", "Answers that wait for the serving log.", labels=["view"])
        lost = CounterMetricFamily("asof_log_lost", "Answers that the serving log lost.", labels=["view"])
        for view in self._store.catalog.views():
            if view.definition.log:
                counts = self._store.quality.serving_log(view.definition.name)
                waiting.add_metric([view.ref], counts.waiting)
                lost.add_metric([view.ref], counts.dropped + counts.failed)
        yield waiting
        yield lost


def _histogram(
    registry: CollectorRegistry, name: str, about: str, labels: Sequence[str], seconds: Sequence[float] = SECONDS
) -> Callable[..., Histogram]:
    made = Histogram(name, about, labels, buckets=seconds, registry=registry)
    return cache(made.labels)  # which takes as long as counting


def _counter(registry: CollectorRegistry, name: str, about: str, labels: Sequence[str]) -> Callable[..., Counter]:
    return cache(Counter(name, about, labels, registry=registry).labels)


def label_of(view: str) -> str:
    """Return what figures call a view: all lists of features are one, as callers may combine them at will."""
    return BY_REFERENCE if are_references(view) else view
