"""A feature store whose registry lies on a server: what it answers, what it erases, and what it says of a failure."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import TransientError

pytestmark = pytest.mark.slow

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
WEATHER = FeatureGroup(
    "weather",
    entity=Entity("airport", keys={"origin": "string"}),
    event_time="at",
    features=[Feature("temp", "float64"), Feature("note", "string")],
    online=True,
)
FLIGHTS = FeatureGroup(
    "flights",
    entity=Entity("flight", keys={"flight": "string"}),
    event_time="at",
    features=[Feature("delay", "float64")],
    online=True,
)
VIEW = FeatureView("departure", features=[WEATHER["temp"], FLIGHTS["delay"]])


class Clock:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


def row(origin, temp, minute=0, note="n"):
    return {"origin": origin, "at": NOON - timedelta(hours=20) + timedelta(minutes=minute), "temp": temp, "note": note}


def store_in(folder, url):
    folder.mkdir(exist_ok=True)
    (folder / "asof.toml").write_text(f'format = 1\nregistry = "{url}"\n')
    store = asof.open(folder, clock=Clock())
    store.apply(WEATHER, FLIGHTS, VIEW)
    store.backfill("weather", [row("JFK", 1.0), row("LGA", 2.0)])
    return store


def temp(store, origin="JFK"):
    return store.online("weather", {"origin": origin}).values["temp"]


def test_a_store_does_all_that_it_does_with_a_file(backend, tmp_path, monkeypatch):
    with store_in(tmp_path / "features", backend.url) as store:
        store.write("weather", [row("JFK", 3.0, 1)], idempotency_key="once")
        assert store.write("weather", [row("JFK", 3.0, 1)], idempotency_key="once").repeated
        store.push("weather", [row("LGA", 4.0, 1)])
        with store.together() as tx:
            tx.write("weather", [row("EWR", 5.0, 1)])
            tx.write("flights", [{"flight": "AA1", "at": NOON - timedelta(hours=20), "delay": 7.0}])
        store.catalog.tag("before")
        wrong = store.write("weather", [row("EWR", 500.0, 2)])
        store.retract(wrong, reason="a slip")
        assert [temp(store, origin) for origin in ("JFK", "LGA", "EWR")] == [3.0, 4.0, 5.0]
        spine = {"origin": ["JFK", "EWR"], "flight": ["AA1", None], "t": [NOON + timedelta(hours=1)] * 2}
        asked = store.historical("departure", spine, time="t").to_arrow().to_pylist()
        assert [(each["temp"], each["delay"]) for each in asked] == [(3.0, 7.0), (5.0, None)]
        vector = store.online("departure", {"origin": "JFK", "flight": "AA1"})
        assert store.replay(vector.receipt).values == vector.values == {"temp": 3.0, "delay": 7.0}
        store.compact()
        assert store.historical("departure", spine, time="t").to_arrow().to_pylist() == asked
        assert len(store.read("weather", commits="before")) == 5
        assert store.catalog.commits(matching="slip")[0].kind == "retract"
        assert store.quality.doctor().healthy
        assert not store.verify("departure").differences
    assert not (tmp_path / "features" / "registry.db").exists()
    # The variable comes first, as the place for users and passwords.
    (tmp_path / "features" / "asof.toml").write_text("format = 1\n")
    monkeypatch.setenv("ASOF_REGISTRY", backend.url)
    asked = [sys.executable, "-c", "from asof.cli import main; main()", "ls", str(tmp_path / "features"), "--json"]
    told = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    assert "weather" in json.dumps(told)
    with asof.open(tmp_path / "features") as again:
        assert temp(again) == 3.0


def test_what_is_forgotten_is_in_no_table_of_the_server(own_backend, tmp_path):
    needle = "a-secret-of-somebody"
    with store_in(tmp_path / "features", own_backend.url) as store:
        for minute in range(50):
            store.push("weather", [row("SECRETPORT", float(minute), minute, note=f"{needle}-{minute}")])
            store.push("weather", [row("JFK", float(minute), minute, note=f"kept-{minute}")])
        settle(own_backend)
        assert found(own_backend, needle)
        store.forget("airport", {"origin": "SECRETPORT"}, reason="asked")
        settle(own_backend)
        assert not found(own_backend, needle)
        assert not found(own_backend, "SECRETPORT")
        assert len(store.read("weather")) == 52
        assert store.quality.doctor().healthy


def settle(backend):
    """Have the server write its tables to its files."""
    if backend.scheme == "postgresql":
        backend.ask("CHECKPOINT")
    else:
        backend.ask("SET GLOBAL innodb_max_dirty_pages_pct = 0")
        backend.ask("SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0.001")
        backend.ask(f"FLUSH TABLES {backend.name}.journal, {backend.name}.erasure FOR EXPORT")


def found(backend, text):
    """Whether the server's tables hold a text; its logs of changes are its own, and go round."""
    data = backend.server.folder / "data"
    files = (data / "base").rglob("*") if backend.scheme == "postgresql" else (data / backend.name).rglob("*")
    return any(text.encode() in path.read_bytes() for path in files if path.is_file())


def test_without_the_server_calls_say_so_and_go_on_when_it_is_back(own_backend, tmp_path, monkeypatch):
    monkeypatch.setattr("asof.serving.cached.REFRESH_SECONDS", 0.1)
    with store_in(tmp_path / "features", own_backend.url) as store:
        assert temp(store) == 1.0
        own_backend.server.kill()
        start = time.monotonic()
        for call in (
            lambda: store.push("weather", [row("JFK", 9.0, 1)]),
            lambda: store.write("weather", [row("JFK", 9.0, 2)]),
            lambda: store.read("weather"),
            lambda: store.catalog.groups(),
        ):
            with pytest.raises(TransientError, match="cannot be reached") as refused:
                call()
            assert str(own_backend.server.port) in refused.value.where
        assert time.monotonic() - start < 60, "tries are bounded"
        for _ in range(3):
            assert temp(store) == 1.0, "what is served does not need it"
            time.sleep(0.2)
        own_backend.server.start()
        store.push("weather", [row("JFK", 9.0, 1)])
        assert temp(store) == 9.0
        assert len(store.read("weather")) == 3
        assert {each.where for each in store.quality.doctor().findings} <= {"upkeep"}, "what it could not merge then"


def test_two_stores_in_two_registries_of_one_server_do_not_meet(backend, tmp_path):
    with store_in(tmp_path / "one", backend.url) as one, store_in(tmp_path / "two", backend.another()) as two:
        one.push("weather", [row("JFK", 9.0, 1)])
        assert (temp(one), temp(two)) == (9.0, 1.0)
        assert one.quality.doctor().healthy
        assert two.quality.doctor().healthy
