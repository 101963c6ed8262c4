"""A feature store whose online store is a server: what it serves, and what it says when the server fails."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import TransientError

pytestmark = pytest.mark.slow


def row(origin, temp, minute=0):
    from datetime import UTC, datetime

    return {"origin": origin, "at": datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=minute), "temp": temp}


def temp(store, origin="JFK"):
    return store.online("weather", {"origin": origin}).values["temp"]


def test_what_is_written_and_pushed_is_served_replayed_and_outlives_a_restart(store, backend, features):
    store.write("weather", [row("JFK", 3.0, 1)])
    store.push("weather", [row("LGA", 4.0, 1)])
    vectors = store.online("weather", [{"origin": "JFK"}, {"origin": "LGA"}, {"origin": "EWR"}])
    assert [v.values["temp"] for v in vectors] == [3.0, 4.0, None]
    assert [v.statuses["temp"] for v in vectors] == ["PRESENT", "PRESENT", "MISSING"]
    for vector in vectors:
        replayed = store.replay(vector.receipt)
        assert (replayed.values, replayed.statuses) == (vector.values, vector.statuses)
    backend.server.stop()
    backend.server.start()
    assert (temp(store), temp(store, "LGA")) == (3.0, 4.0)
    store.push("weather", [row("JFK", 5.0, 2)])
    assert temp(store) == 5.0
    assert store.quality.doctor().healthy
    assert not store.verify("weather").differences
    store.close()
    with asof.open(features) as again:
        assert temp(again) == 5.0
        assert again.quality.doctor().healthy


def test_a_killed_server_has_all_that_was_answered(store, backend):
    for minute in range(1, 30):
        store.push("weather", [row("JFK", float(minute), minute)])
    backend.server.kill()
    backend.server.start()
    assert temp(store) == 29.0
    assert store.quality.doctor().healthy


def test_without_the_server_reads_and_writes_say_so_and_nothing_is_lost(store, backend):
    backend.server.kill()
    start = time.monotonic()
    with pytest.raises(TransientError, match="cannot be reached") as refused:
        temp(store)
    assert time.monotonic() - start < 10, "tries are bounded"
    assert str(backend.server.port) in refused.value.where
    assert "try again" in refused.value.todo
    with pytest.raises(TransientError, match=r"weather@1:2 is stored in history, but not readable online yet"):
        store.push("weather", [row("JFK", 9.0, 1)])
    backend.server.start()
    assert temp(store) == 1.0, "an older answer, and its receipt says so"
    assert store.online("weather", {"origin": "JFK"}).receipt.commits == {"weather@1": 1}
    store.push("weather", [row("LGA", 8.0, 1)])
    assert (temp(store), temp(store, "LGA")) == (9.0, 8.0), "the next write brings what was missing"
    assert store.quality.doctor().healthy


def test_an_emptied_server_serves_missing_until_the_next_write(store, backend):
    backend.empty()
    vector = store.online("weather", {"origin": "JFK"})
    assert (vector.statuses["temp"], vector.receipt.commits) == ("MISSING", {"weather@1": 0})
    assert not store.quality.doctor().healthy
    store.push("weather", [row("LGA", 8.0, 1)])
    assert (temp(store), temp(store, "LGA")) == (1.0, 8.0)
    assert store.quality.doctor().healthy


def test_an_emptied_server_is_repaired_by_the_doctor_and_by_opening(store, backend, features):
    backend.empty()
    assert store.quality.doctor(repair=True).healthy
    assert temp(store) == 1.0
    backend.empty()
    with asof.open(features) as again:
        assert temp(again) == 1.0


def test_a_server_that_lost_its_last_commits_says_which_it_has_and_gets_them_again(store, backend):
    backend.save()
    store.push("weather", [row("JFK", 7.0, 1)])
    retracted = store.write("weather", [row("LGA", 8.0, 1)])
    store.retract(retracted, reason="a mistake")
    assert (temp(store), temp(store, "LGA")) == (7.0, 2.0)
    backend.go_back()
    vector = store.online("weather", {"origin": "JFK"})
    assert (vector.values["temp"], vector.receipt.commits) == (1.0, {"weather@1": 1})
    assert store.replay(vector.receipt).values == {"temp": 1.0}
    store.push("weather", [row("EWR", 6.0, 1)])
    assert [temp(store, origin) for origin in ("JFK", "LGA", "EWR")] == [7.0, 2.0, 6.0]
    assert store.quality.doctor().healthy


def test_a_connection_that_was_cut_is_made_anew_without_a_word(store, backend):
    for minute in (1, 2, 3):
        backend.disconnect_all()
        assert temp(store, "LGA") == 2.0
        backend.disconnect_all()
        store.push("weather", [row("JFK", float(minute), minute)])
        assert temp(store) == float(minute)
    assert store.quality.doctor().healthy


def test_a_key_from_another_answer_is_of_the_same_state(store):
    flights = FeatureGroup(
        "flights",
        entity=Entity("flight", keys={"flight": "string"}),
        event_time="at",
        features=[Feature("origin", "string"), Feature("planned", "float64")],
        online=True,
    )
    weather = store.catalog.groups()[0].definition
    view = FeatureView("chained", features=[flights["planned"], weather.on(origin=flights["origin"])["temp"]])
    store.apply(flights, view)
    done = threading.Event()

    def read():
        reads = 0
        while not done.is_set() or not reads:
            vector = store.online("chained", {"flight": "AA1"})
            assert vector.values["planned"] == vector.values["temp"], vector
            assert vector.statuses == store.replay(vector.receipt).statuses
            reads += 1
        return reads

    def write(minute):
        at = row("JFK", 0.0, minute)["at"]
        with store.together() as tx:
            tx.write("flights", [{"flight": "AA1", "at": at, "origin": "JFK", "planned": float(minute)}])
            tx.write("weather", [row("JFK", float(minute), minute)])

    write(1)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for minute in range(2, 25):
                write(minute)
        finally:
            done.set()
        assert all(reader.result(timeout=60) for reader in readers)


def test_a_forked_process_has_connections_of_its_own(store):
    assert temp(store) == 1.0
    child = os.fork()
    if not child:
        signal.alarm(60)  # a child that hangs is a failure, and no run without end
        code = 1
        try:
            code = 0 if [temp(store, origin) for origin in ("JFK", "LGA") * 50] == [1.0, 2.0] * 50 else 2
        finally:
            os._exit(code)
    assert [temp(store, origin) for origin in ("LGA", "JFK") * 50] == [2.0, 1.0] * 50
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
