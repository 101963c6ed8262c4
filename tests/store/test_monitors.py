"""Monitors find what drifted, what is missing and what is late, and keep what they found."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import numpy as np
import pytest

from asof import Entity, Feature, FeatureGroup
from asof.definitions.monitor import Monitor, monitors_from
from asof.errors import NotFoundError, UsageError
from asof.quality.monitors import Alert, MonitorRun, post

flight = Entity("flight", keys={"flight": "int64"})
flights = FeatureGroup(
    "flights",
    entity=flight,
    event_time="t",
    features=[Feature("delay", "float64"), Feature("carrier", "string")],
    known="event",
)
YEAR = datetime(2023, 1, 1, tzinfo=UTC)


def month(number, delay=10.0, empty=0.0, rows=500):
    random = np.random.default_rng(number)
    return [
        {
            "flight": n,
            "t": YEAR + timedelta(days=30 * number, minutes=n),
            "delay": None if random.random() < empty else round(random.normal(delay, 8.0), 1),
            "carrier": ["UA", "AA", "DL"][random.integers(3)],
        }
        for n in range(rows)
    ]


@pytest.fixture
def year(store, clock):
    """Give a store with a commit a week, each of another file."""
    store.apply(flights)
    for number in range(1, 5):
        store.write("flights", month(number), meta={"file": f"2023-{number:02}.csv"})
        clock.move(days=7)
    return store


def test_a_month_that_drifted_is_found_with_its_cause(year, clock):
    monitor = Monitor("weekly", "flights", baseline="previous 7d", current="last 7d")
    clock.move(hours=-1)
    assert year.quality.monitor(monitor).alerts == ()
    clock.move(hours=1)
    year.write("flights", month(5, delay=40.0), meta={"file": "2023-05.csv"})
    clock.move(days=6)
    found = year.quality.monitor(monitor)
    assert [(alert.what, alert.of, alert.commit) for alert in found.alerts] == [("drift", "delay", "flights@1:5")]
    assert "file=2023-05.csv" in found.alerts[0].told
    assert "1 alert" in str(found)
    assert {each.feature: each.verdict for each in found.features} == {"delay": "drifted", "carrier": "same"}
    assert year.quality.monitor_runs("flights")[-1] == found
    assert [len(each.alerts) for each in year.quality.monitor_runs("flights", monitor="weekly")] == [0, 1]
    assert year.quality.monitor_runs("flights", limit=1) == [found]
    assert year.quality.monitor_runs("flights", monitor="other") == []


def test_missing_values_few_rows_and_age_are_alarms(year, clock):
    year.write("flights", month(5, empty=0.3, rows=100))
    monitor = Monitor(
        "bounds", "flights", baseline="flights:1", current="flights:5", max_missing=0.2, min_rows=400, max_age="30d"
    )
    found = year.quality.monitor(monitor)
    assert {alert.what for alert in found.alerts} == {"drift", "missing", "rows", "age"}
    assert "the newest is of 2023-05-31" in found.alerts[-1].told
    young = Monitor("age", "flights", max_age="500d")
    assert year.quality.monitor(young).alerts == ()
    clock.move(days=500)
    (alert,) = year.quality.monitor(young).alerts
    assert (alert.what, alert.of) == ("age", "flights@1")


def carried(number, delays, rows=600):
    """Rows whose delay has another mean for each carrier."""
    random = np.random.default_rng(number)
    rows = month(number, rows=rows)
    return [row | {"delay": round(random.normal(delays.get(row["carrier"], 10.0), 8.0), 1)} for row in rows]


BY = Monitor("by_carrier", "flights", baseline="flights:1", current="flights:2", features=("delay",), by="carrier")


@pytest.fixture
def carriers(store):
    store.apply(flights)
    store.write("flights", carried(1, {}))
    store.write("flights", carried(2, {"UA": 30.0}))
    return store


def test_a_segment_that_drifted_is_named_where_all_rows_are_quiet(carriers):
    found = carriers.quality.monitor(BY)
    (alert,) = found.alerts
    assert (alert.what, alert.of, alert.segment, alert.commit) == ("drift", "delay", "UA", "")
    assert alert.told.startswith("delay [UA]: drifted: psi")
    assert "delay [UA]" in str(found)
    assert found.by == "carrier"
    assert {each.segment: each.verdict for each in found.features} == {"UA": "drifted", "AA": "same", "DL": "same"}
    assert carriers.quality.monitor_runs("flights") == [found]


def test_bounds_are_those_of_each_segment(carriers):
    found = carriers.quality.monitor(replace(BY, psi=9.0, max_missing=0.0, min_rows=200))
    short = {each.segment for each in found.features if each.rows < 200}
    assert short
    assert {alert.segment for alert in found.alerts} == short
    assert all(f"{alert.of} [{alert.segment}]" in alert.told for alert in found.alerts)


def test_a_run_from_before_there_were_segments_is_read(carriers):
    run = carriers.quality.monitor(replace(BY, by=""))
    body = msgspec.to_builtins(run)
    for each in (*body["features"], *body["alerts"]):
        assert each.pop("segment") is None
    assert body.pop("by") == ""
    assert msgspec.convert(body, MonitorRun) == run


@pytest.mark.embedded("it looks into the registry's file")
def test_forget_leaves_no_name_of_a_segment_in_what_was_kept(carriers):
    carriers.quality.monitor(BY)
    run = carriers.quality.monitor(replace(BY, features=("carrier",), by="flight"))
    assert {each.segment for each in run.features} >= {"7", "8"}
    carriers.forget("flight", [{"flight": 7}])
    kept, numbered = carriers.quality.monitor_runs("flights")
    (alert,) = kept.alerts
    assert alert.segment in ("segment 1", "segment 2", "segment 3")
    assert alert.told.startswith(f"delay [{alert.segment}]: drifted")
    assert all(each.segment.startswith("segment ") for run in (kept, numbered) for each in run.features)
    assert len(numbered.features) == len(run.features)


@pytest.mark.parametrize(
    ("by", "error", "told"),
    [
        ("carier", NotFoundError, "did you mean 'carrier'"),
        ("delay", UsageError, "makes no segments"),
    ],
)
def test_a_column_that_makes_no_segments_is_refused(carriers, by, error, told):
    with pytest.raises(error, match=told):
        carriers.quality.monitor(replace(BY, features=(), by=by))
    assert carriers.quality.monitor_runs("flights") == []


def test_a_monitor_of_what_is_not_there_is_refused(year):
    with pytest.raises(NotFoundError):
        year.quality.monitor(Monitor("x", "flighs", max_age="1d"))
    with pytest.raises(NotFoundError):
        year.quality.monitor(Monitor("x", "flights", baseline="nowhere", current="last 7d"))
    with pytest.raises(NotFoundError):
        year.quality.monitor_runs("flighs")
    assert year.quality.monitor_runs("flights") == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"view": "v"}, "looks at nothing"),
        ({"view": "v", "baseline": "a"}, "one of baseline and current"),
        ({"view": "v", "max_age": "soon"}, "no length of time"),
        ({"view": "v", "max_age": "1d", "min_rows": 3}, "of what is compared"),
        ({"view": "v", "max_age": "1d", "by": "carrier"}, "by are of what is compared"),
        ({"view": "v", "baseline": "a", "current": "b", "by": ["carrier"]}, "Expected `str`"),
        ({"view": "v", "max_age": "1d", "webhook": "ftp://x"}, "webhook"),
        ({"view": "v", "max_age": "1d", "psy": 1}, "unknown key 'psy'"),
        ({"view": "v", "max_age": 3}, "Expected `str`"),
        ({"max_age": "3h"}, "view"),
        ("v", "is no monitor"),
    ],
)
def test_monitors_that_make_no_sense_are_refused(given, told):
    with pytest.raises(UsageError, match=told):
        monitors_from({"m": given})


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answer)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.told, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_alerts_are_posted_and_failures_told(hook, monkeypatch):
    found = MonitorRun("weekly", "flights", 0, alerts=(Alert("drift", "delay", "delay moved", "flights@1:5"),))
    url = f"http://127.0.0.1:{hook.server_port}/secret"
    assert post(url, found) == ""
    assert hook.told[0]["alerts"][0]["commit"] == "flights@1:5"
    assert "delay moved" in hook.told[0]["text"]
    for hook.answer in (500, 302):
        assert post(url, found) == f"the webhook at 127.0.0.1 failed: answered {hook.answer}"
    assert "failed" in post("http://127.0.0.1:9/secret", found)
    with pytest.raises(UsageError, match="http"):
        post("file:///etc/passwd", found)
    monkeypatch.setenv("CHAT", url)
    assert Monitor("m", "v", max_age="1d", webhook="$CHAT").url() == url
    monkeypatch.setenv("CHAT", "file:///x")
    with pytest.raises(UsageError, match="CHAT"):
        Monitor("m", "v", max_age="1d", webhook="$CHAT").url()
