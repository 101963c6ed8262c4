"""Views with a budget, over servers that hang, are away, answer drop by drop, or go on."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.online_servers.conftest import NOON, WEATHER, Clock, row

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView, Request, on_demand
from asof.aggregates import Count, Mean
from asof.errors import NotFoundError, TransientError, UsageError
from asof.online.deadlines import MOST_CONNECTING
from asof.online.last_rows import ANSWER_BYTES, Last, LastRows
from asof.online.port import Applied
from asof.parts import open_online
from asof.serving import patience
from asof.testing.wire import Proxy

pytestmark = pytest.mark.slow

BUDGET = timedelta(milliseconds=150)
MARGIN_SECONDS = 2.0
"""Of a machine under load; alone it is some milliseconds."""

JFK = {"origin": "JFK"}


AGING = FeatureGroup(
    "weather", entity=Entity("airport", keys={"origin": "string"}), event_time="at",
    features=[Feature("temp", "float64")], online=True, ttl="25h",
)  # fmt: skip


@on_demand(inputs=[AGING["temp"], Request("more", "float64")], output="float64")
def warmer(temp, more):
    """Make a feature of a stored one and of the request."""
    return None if temp is None else temp + more


@on_demand(inputs=[Request("more", "float64")], output="float64")
def twice(more):
    """Make a feature of the request alone."""
    return 2 * more


def view(name="seen", on_slow="stale", features=(WEATHER,), budget=BUDGET, **parts):
    return FeatureView(name, features=list(features), budget=budget, on_slow=on_slow, **parts)


@pytest.fixture
def slow_views(store):
    """Give the store with a view of each kind, each read once."""
    for on_slow in ("fail", "stale", "default"):
        store.apply(view(f"by_{on_slow}", on_slow))
        assert store.online(f"by_{on_slow}", JFK).values == {"temp": 1.0}
    return store


@pytest.fixture
def hanging(backend, slow_views):
    """Give the store while its server takes connections and answers none."""
    backend.server.pause()
    yield slow_views
    backend.server.resume()


def timed(work):
    begun = time.monotonic()
    try:
        found = work()
    except TransientError as error:
        found = error
    return found, time.monotonic() - begun


def in_time(store, name, keys=JFK):
    found, seconds = timed(lambda: store.online(name, keys))
    assert seconds < BUDGET.total_seconds() + MARGIN_SECONDS
    return found


# ---- while the server hangs


def test_a_view_that_fails_says_its_budget_and_what_was_slow(hanging, backend):
    error = in_time(hanging, "by_fail")
    assert isinstance(error, TransientError)
    assert "no answer within the budget of 150ms: the online store gave no answer in time" in str(error)
    assert "by_fail@1" in str(error)
    assert str(backend.server.port) in str(error)
    assert isinstance(in_time(hanging, "by_fail", [JFK]), TransientError)


def test_a_view_of_defaults_answers_null_and_says_so(hanging):
    vector = in_time(hanging, "by_default")
    assert (vector.values, vector.statuses) == ({"temp": None}, {"temp": "UNAVAILABLE"})
    assert vector.event_times == {"temp": None}
    assert vector.receipt.commits == {}
    assert vector.receipt.late.how == "default"
    with pytest.raises(UsageError, match="nothing was read for this answer: the online store was slow"):
        hanging.replay(vector.receipt)


def test_a_stale_view_answers_what_it_read_last_and_replays(hanging):
    vector = in_time(hanging, "by_stale")
    assert (vector.values, vector.statuses) == ({"temp": 1.0}, {"temp": "STALE"})
    assert vector.event_times == {"temp": NOON - timedelta(days=1)}
    receipt = vector.receipt
    assert receipt.commits == {"weather@1": 1}
    assert receipt.late.how == "stale"
    assert receipt.late.read_us < receipt.clock_us
    for each in (receipt, receipt.to_dict()):
        again = hanging.replay(each)
        assert (again.values, again.statuses, again.event_times) == (vector.values, vector.statuses, vector.event_times)


def test_a_stale_view_answers_null_for_keys_that_it_never_read(hanging):
    vectors = in_time(hanging, "by_stale", [JFK, {"origin": "LGA"}, {"origin": None}])
    assert [vector.values["temp"] for vector in vectors] == [1.0, None, None]
    assert [vector.statuses["temp"] for vector in vectors] == ["STALE", "UNAVAILABLE", "UNAVAILABLE"]
    assert vectors.to_arrow()["temp"].to_pylist() == [1.0, None, None]
    assert vectors.columns()[1].tobytes() == b"SUU"
    assert [vector.statuses["temp"] for vector in vectors[1:]] == ["UNAVAILABLE"] * 2
    assert [vector.receipt.commits for vector in vectors] == [{"weather@1": 1}, {}, {}]


def test_after_some_failures_the_budget_is_not_waited_for(hanging):
    for _ in range(patience.FAILURES):
        in_time(hanging, "by_stale")
    found, seconds = timed(lambda: [hanging.online("by_stale", JFK) for _ in range(50)])
    assert {vector.statuses["temp"] for vector in found} == {"STALE"}
    assert seconds < 50 * BUDGET.total_seconds() / 5
    for _ in range(patience.FAILURES):
        in_time(hanging, "by_fail")
    error, _ = timed(lambda: hanging.online("by_fail", JFK))
    assert f"the last {patience.FAILURES} reads failed, it is asked again in" in str(error)


def test_wrong_keys_are_refused_also_where_the_server_is_not_asked(hanging):
    for _ in range(patience.FAILURES + 1):
        in_time(hanging, "by_default")
    with pytest.raises(asof.errors.AsofError, match="origin"):
        hanging.online("by_default", {"origin": 7})


def test_many_readers_of_a_server_that_hangs_leave_no_threads(hanging):
    before = threading.active_count()
    with ThreadPoolExecutor(20) as pool:
        for found in pool.map(lambda _: in_time(hanging, "by_stale"), range(100)):
            assert found.statuses == {"temp": "STALE"}
        assert threading.active_count() <= before + 20 + MOST_CONNECTING + 2


def test_when_the_server_goes_on_the_view_does(backend, slow_views):
    backend.server.pause()
    for _ in range(patience.FAILURES + 1):
        assert in_time(slow_views, "by_stale").statuses == {"temp": "STALE"}
    backend.server.resume()
    end = time.monotonic() + 30
    while slow_views.online("by_stale", JFK).statuses != {"temp": "PRESENT"}:
        assert time.monotonic() < end
        time.sleep(0.05)
    slow_views.push("weather", row("JFK", 3.0, minute=1))
    assert slow_views.online("by_stale", JFK).values == {"temp": 3.0}


def test_without_a_connection_a_read_waits_no_longer(backend, features):
    with asof.open(features, clock=Clock()) as store:
        store.apply(WEATHER, view("by_default", "default"))
        store.backfill("weather", [row("JFK", 1.0)])
        backend.disconnect_all()
        backend.server.pause()
        try:
            for _ in range(MOST_CONNECTING + 2):
                assert in_time(store, "by_default").statuses == {"temp": "UNAVAILABLE"}
        finally:
            backend.server.resume()


# ---- other troubles


def test_a_server_that_is_down_is_told_at_once_or_in_time(backend, slow_views):
    backend.server.kill()
    assert in_time(slow_views, "by_stale").statuses == {"temp": "STALE"}
    assert in_time(slow_views, "by_default").statuses == {"temp": "UNAVAILABLE"}
    assert isinstance(in_time(slow_views, "by_fail"), TransientError)
    backend.server.start()


class Dripping(Proxy):
    """Lets answers through a byte at a time, when it is told to."""

    drips = False

    def _answers(self, front, back):
        try:
            while data := back.recv(1 << 16):
                for at in range(0, len(data), 1 if self.drips else len(data)):
                    front.sendall(data[at : at + (1 if self.drips else len(data))])
                    time.sleep(0.03 if self.drips else 0)
        except OSError:
            pass


def test_an_answer_that_comes_drop_by_drop_is_late_too(backend, tmp_path):
    proxy = Dripping(backend.server.port)
    online = open_online(backend.url.replace(str(backend.server.port), str(proxy.port)), root=str(tmp_path))
    try:
        with online.snapshot() as snapshot:
            assert snapshot.get([(1, b"k")]) == [None]
        proxy.drips = True
        begun = time.monotonic()
        with online.snapshot(begun + 0.2) as snapshot, pytest.raises(TransientError, match="gave no answer in time"):
            snapshot.get([(1, b"k" * 500)] * 50)
        assert time.monotonic() - begun < 0.2 + MARGIN_SECONDS
        proxy.drips = False
        with online.snapshot(time.monotonic() + 10) as snapshot:
            assert snapshot.get_many([(1, [b"k", b"l"])]) == [[None, None]]
    finally:
        online.close()
        proxy.close()


def test_the_time_before_the_first_read_counts(online):
    with (
        online.snapshot(time.monotonic() - 1) as snapshot,
        pytest.raises(TransientError, match="gave no answer in time"),
    ):
        snapshot.get([(1, b"k")])


# ---- what is stale


def test_a_stale_value_expires(backend, features):
    clock, group = Clock(), AGING
    parts = [group, warmer, twice]
    request = {"more": 1.0}
    with asof.open(features, clock=clock) as store:
        store.apply(group, view("seen", features=parts, log=1.0))
        store.backfill("weather", [row("JFK", 1.0)])
        store.online("seen", JFK, request=request)
        backend.server.pause()
        try:
            fresh = store.online("seen", JFK, request=request)
            clock.now += timedelta(hours=2)
            old = store.online("seen", JFK, request=request)
            unknown = store.online("seen", {"origin": "LGA"}, request=request)
        finally:
            backend.server.resume()
        assert fresh.values == {"temp": 1.0, "warmer": 2.0, "twice": 2.0}
        assert fresh.statuses == {"temp": "STALE", "warmer": "STALE", "twice": "PRESENT"}
        assert old.values == {"temp": None, "warmer": None, "twice": 2.0}
        assert old.statuses == {"temp": "EXPIRED", "warmer": "STALE", "twice": "PRESENT"}
        assert unknown.statuses == {"temp": "UNAVAILABLE", "warmer": "UNAVAILABLE", "twice": "PRESENT"}
        for vector in (fresh, old):
            again = store.replay(vector.receipt)
            assert (again.values, again.statuses) == (vector.values, vector.statuses)
        found = store.verify("seen", instants=2, keys=2)
        assert not found.differences
        served = next(stage for stage in found.stages if stage.name == "served")
        assert served.compared == 9, "three answers of three features"
        assert served.skipped == {"unavailable": 1}
        store._log.flush()
        kept = sorted(store.read("seen_log").to_arrow().to_pylist(), key=lambda each: each["answer"])
        assert [each["statuses"] for each in kept] == ["PPP", "SSP", "ESP", "UUP"]
        assert [each["late"] for each in kept] == [None, "stale", "stale", "default"]
        assert [each["read_at"] is None for each in kept] == [True, False, False, True]
        assert store.replay(kept[1]).values == fresh.values


def test_windows_that_are_stale_are_those_of_the_time_when_they_were_read(backend, features):
    clock = Clock()
    trips = FeatureGroup(
        "trips", entity=Entity("trip", keys={"trip": "int64"}), event_time="at",
        features=[Feature("origin", "string"), Feature("delay", "float64")], online=True,
    )  # fmt: skip
    recent = FeatureGroup(
        "recent", entity=Entity("airport", keys={"origin": "string"}), source=trips,
        features=[Count(over="1h"), Mean("delay", over="1h")], online=True,
    )  # fmt: skip
    with asof.open(features, clock=clock) as store:
        store.apply(trips, recent, view("seen", features=[recent]))
        store.push("trips", [{"trip": 1, "origin": "JFK", "at": NOON, "delay": 4.0}])
        before = store.online("seen", JFK)
        assert before.values == {"count_1h": 1, "delay_mean_1h": 4.0}
        backend.server.pause()
        try:
            clock.now += timedelta(hours=3)
            vector = store.online("seen", JFK)
        finally:
            backend.server.resume()
        assert vector.values == before.values
        assert set(vector.statuses.values()) == {"STALE"}
        again = store.replay(vector.receipt)
        assert (again.values, again.statuses) == (vector.values, vector.statuses)


def test_what_was_read_before_is_nothing_once_it_is_forgotten(backend, slow_views):
    slow_views.forget("airport", [JFK], reason="asked")
    backend.server.pause()
    try:
        vector = in_time(slow_views, "by_stale")
    finally:
        backend.server.resume()
    assert (vector.values, vector.statuses) == ({"temp": None}, {"temp": "UNAVAILABLE"})


def test_another_process_forgets_when_it_looks_the_view_up_again(backend, features, slow_views):
    with asof.open(features, clock=Clock()) as other:
        other.online("by_stale", JFK)
        slow_views.forget("airport", [JFK], reason="asked")
        other._online.forget_plans()  # it does so every five seconds
        backend.server.pause()
        try:
            assert in_time(other, "by_stale").statuses == {"temp": "UNAVAILABLE"}
        finally:
            backend.server.resume()


def test_a_stale_receipt_of_forgotten_keys_replays_as_erased(backend, slow_views):
    backend.server.pause()
    try:
        receipt = in_time(slow_views, "by_stale").receipt
    finally:
        backend.server.resume()
    slow_views.forget("airport", [JFK], reason="asked")
    with pytest.raises(NotFoundError, match="was erased"):
        slow_views.replay(receipt)


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["push", "read", "hang", "go on", "later"]), st.sampled_from(["JFK", "LGA"])),
        max_size=12,
    )
)
def test_every_stale_answer_is_that_of_history_when_its_rows_were_read(redis_server, tmp_path_factory, steps):
    folder, clock, numbers = tmp_path_factory.mktemp("store"), Clock(), count()
    proxy = Proxy(redis_server.port)
    (folder / "asof.toml").write_text(f'format = 1\nonline = "redis://127.0.0.1:{proxy.port}/0"\n')
    ages = FeatureGroup(
        "weather", entity=Entity("airport", keys={"origin": "string"}), event_time="at",
        features=[Feature("temp", "float64")], online=True, ttl="3h",
    )  # fmt: skip
    answers, hangs = [], False
    with asof.open(folder, clock=clock) as store:
        store.apply(ages, view("seen", features=[ages], budget="60ms"))
        for step, origin in steps:
            match step:
                case "push" if not hangs:
                    store.push("weather", {"origin": origin, "at": clock.now, "temp": float(next(numbers))})
                case "read":
                    answers.append(store.online("seen", {"origin": origin}))
                case "hang":
                    proxy.hold()
                    hangs = True
                case "go on":
                    proxy.let_go()
                    hangs = False
                    store._online._patience.clear()
                case "later":
                    clock.now += timedelta(hours=1)
        proxy.let_go()
        for vector in answers:
            if vector.receipt.late is not None and vector.receipt.late.how == "default":
                assert vector.statuses == {"temp": "UNAVAILABLE"}
                continue
            again = store.replay(vector.receipt)
            assert (again.values, again.statuses) == (vector.values, vector.statuses)
    proxy.close()


# ---- what is kept


def test_the_last_rows_are_bounded_by_number_and_by_bytes():
    def found(size):
        return Last([b"r" * size], {1: Applied(1, 1)}, 1)

    few = LastRows(most=2)
    for key in "abc":
        few.put(key, found(10), 0)
        few.get("a")
    assert [few.get(key) is not None for key in "abc"] == [True, False, True]
    small = LastRows(most_bytes=3 * ANSWER_BYTES)
    for key in range(100):
        small.put(key, found(key), 0)
        assert small.size_bytes <= 3 * ANSWER_BYTES
    assert 1 <= len(small) <= 3
    small.put("large", found(10**6), 0)
    assert len(small) == 0
    assert small.size_bytes == 0


def test_what_was_read_before_all_was_forgotten_is_not_kept():
    last = LastRows()
    before = last.generation
    last.forget()
    last.put("a", Last([], {}, 1), before)
    assert last.get("a") is None


def test_a_registry_that_hangs_holds_up_no_view_with_a_budget(own_redis, own_postgres, tmp_path, monkeypatch):
    monkeypatch.setattr("asof.serving.cached.REFRESH_SECONDS", 0.5)
    folder = tmp_path / "features"
    folder.mkdir()
    registry = own_postgres.registry_url("slow_views")
    (folder / "asof.toml").write_text(f'format = 1\nonline = "{own_redis.url}"\nregistry = "{registry}"\n')
    with asof.open(folder, clock=Clock()) as store:
        store.apply(WEATHER, view("seen"))
        store.push("weather", row("JFK", 1.0))
        store.online("seen", JFK)
        own_postgres.pause()
        try:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                assert in_time(store, "seen").statuses == {"temp": "PRESENT"}
                time.sleep(0.05)
        finally:
            own_postgres.resume()
        assert in_time(store, "seen").values == {"temp": 1.0}
