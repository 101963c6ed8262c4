"""What is seen of calls of Flight: figures, spans, the log; and how many jobs run at a time."""

import logging
import threading
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from pyarrow import flight
from tests.server.conftest import made

import asof
from asof.errors import TransientError
from asof.server.access import Access
from asof.server.admission import Admission
from asof.server.flight import FlightServer
from asof.server.limits import Limits
from asof.server.shared import shared
from asof.server.watched import CallMiddleware
from asof.wire.failures import unpacked_error
from asof.wire.values import pack, unpack

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Served:
    """Flight over a store, a client, and what was seen."""

    def __init__(self, store, monkeypatch):
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        tracer = provider.get_tracer("asof.server")
        monkeypatch.setattr("asof.server.flight.tracer_of", lambda: tracer)
        self.access = Access(store.keys)
        limits = Limits(jobs=1)
        self.shared = shared(store, limits)
        self.server = FlightServer(store, limits=limits, admit=Admission(store, self.access), with_http=self.shared)
        self.client = flight.connect(f"grpc://127.0.0.1:{self.server.port}")

    def act(self, verb, request=None, **headers):
        options = flight.FlightCallOptions(headers=[(name.encode(), value.encode()) for name, value in headers.items()])
        results = self.client.do_action(flight.Action(verb, pack(request or {})), options)
        return [unpack(each.body.to_pybytes()) for each in results][-1][1]

    def read(self, group="spending"):
        return self.client.do_get(flight.Ticket(pack(["read", pack({"group": group})])))

    def figures(self, wanted):
        """Return the figures, once the one that is wanted is there: a call ends a moment after its answer."""
        end = time.monotonic() + 10
        while True:
            lines = self.shared.metrics.text().decode().splitlines()
            if any(wanted in line for line in lines):
                return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
            assert time.monotonic() < end, lines
            time.sleep(0.01)

    def span(self):
        end = time.monotonic() + 10
        while not self.exporter.get_finished_spans() and time.monotonic() < end:
            time.sleep(0.01)
        (span,) = self.exporter.get_finished_spans()
        self.exporter.clear()
        return span

    def stop(self):
        self.client.close()
        self.server.stop(10)
        self.access.close()


@pytest.fixture
def store(tmp_path):
    with asof.open(made(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def served(store, monkeypatch):
    serving = Served(store, monkeypatch)
    yield serving
    serving.stop()


def test_calls_are_counted_by_verb_and_outcome(served, caplog):
    caplog.set_level(logging.DEBUG, logger="asof.server")
    for _ in range(3):
        served.act("catalog.tags")
    assert len(served.read().read_all()) == 10
    for call in (lambda: served.act("nonsense"), lambda: served.read("nobody").read_all()):
        with pytest.raises(flight.FlightError):
            call()
    figures = served.figures('outcome="NotFoundError",verb="read"')
    assert figures['asof_calls_total{outcome="ok",verb="catalog.tags"}'] == "3.0"
    assert figures['asof_calls_total{outcome="ok",verb="read"}'] == "1.0"
    assert figures['asof_calls_total{outcome="NotFoundError",verb="read"}'] == "1.0"
    assert figures['asof_calls_total{outcome="NotFoundError",verb="unknown"}'] == "1.0"
    assert figures['asof_call_seconds_count{verb="catalog.tags"}'] == "3.0"
    assert any(line.startswith("flight read ok ") for line in caplog.messages)


def test_a_call_is_a_span_named_by_its_verb(served):
    served.act("catalog.tags", traceparent=f"00-{TRACE}-{PARENT}-01")
    span = served.span()
    assert (span.name, span.kind, f"{span.context.trace_id:032x}") == ("catalog.tags", SpanKind.SERVER, TRACE)
    assert f"{span.parent.span_id:016x}" == PARENT
    attributes = dict(span.attributes)
    assert "grpc" in attributes.pop("user_agent.original")
    assert attributes == {
        "rpc.system": "grpc", "rpc.service": "arrow.flight.protocol.FlightService", "rpc.method": "DO_ACTION",
        "asof.verb": "catalog.tags", "client.address": "127.0.0.1",
    }  # fmt: skip
    assert span.status.status_code == StatusCode.UNSET
    with pytest.raises(flight.FlightError):
        served.read("nobody").read_all()
    span = served.span()
    assert (span.name, span.attributes["error.type"], span.status.status_code) == ("read", "NotFoundError", StatusCode.UNSET)  # fmt: skip


def test_jobs_beyond_the_limit_wait_a_little_and_are_refused(served, monkeypatch):
    job = served.shared.jobs.begin()  # HTTP has one under way
    monkeypatch.setattr("asof.server.jobs.PLACE_SECONDS", 0.05)
    for call in (lambda: served.read().read_all(), lambda: served.act("verify", {"view": "risk"})):
        with pytest.raises(flight.FlightUnavailableError) as refused:
            call()
        error = unpacked_error(refused.value.extra_info)
        assert isinstance(error, TransientError)
        assert "1 jobs over history are under way" in error.what
    assert served.act("catalog.tags") == []
    figures = served.figures('outcome="TransientError",verb="verify"')
    assert figures['asof_calls_total{outcome="TransientError",verb="read"}'] == "1.0"
    span = next(each for each in served.exporter.get_finished_spans() if each.name == "verify")
    assert span.status.status_code == StatusCode.ERROR
    monkeypatch.setattr("asof.server.jobs.PLACE_SECONDS", 10.0)
    threading.Timer(0.1, job.end).start()
    assert len(served.read().read_all()) == 10


def test_a_client_that_takes_no_rows_holds_no_place(served):
    idle = served.read()
    assert len(served.read().read_all()) == 10
    assert len(idle.read_all()) == 10


def test_a_call_whose_rows_were_not_all_taken_was_left(served):
    call = CallMiddleware("DO_GET", {}, served.shared.metrics, None)
    call.named("read", "")
    call.streams = True
    call.call_completed(None)
    assert served.figures('asof_calls_total{outcome="left",verb="read"} 1.0')
