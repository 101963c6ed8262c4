"""Groups that are made of another group's events: declared, refused, served, verified, repaired, forgotten."""

import math
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from itertools import count

import pyarrow as pa
import pytest

import asof
import asof.wire.definitions
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Custom, LastK, Mean, Quantile, Sum, TopK, col, hop, lifetime, sawtooth, session
from asof.clock import from_us
from asof.errors import ConflictError, DataError, NotFoundError, UnsupportedError, UsageError
from asof.ingest import grow
from asof.testing.played import Clock
from asof.windows.users import users_function

T = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FLIGHT = Entity("flight", keys={"flight": "int64"})
CARRIER = Entity("carrier", keys={"carrier": "string"})
AIRPORT = Entity("airport", keys={"airport": "string"})


def arrivals(**options):
    features = [Feature("carrier", "string"), Feature("dest", "string"), Feature("delay", "float64")]
    return FeatureGroup("arrivals", entity=FLIGHT, features=features, event_time="at", online=True, **options)


def by_carrier(source, *features, **options):
    return FeatureGroup("by_carrier", entity=CARRIER, source=source, features=features, online=True, **options)


def rows(*events):
    flights, hours, carriers, dests, delays = zip(*events, strict=True)
    return pa.table(
        {
            "flight": pa.array(flights),
            "at": pa.array([T + each * HOUR for each in hours], pa.timestamp("us", "UTC")),
            "carrier": pa.array(carriers, pa.string()),
            "dest": pa.array(dests, pa.string()),
            "delay": pa.array(delays, pa.float64()),
        }
    )


EVENTS = rows((1, 0, "AA", "JFK", 0.1), (2, 0.5, "AA", "LAX", 0.2), (3, 2, "UA", "JFK", 5.0), (4, 2, None, "JFK", 1.0))


@pytest.fixture
def clock():
    return Clock(int((T + 3 * HOUR).timestamp() * 1_000_000))


@pytest.fixture
def store(tmp_path, clock):
    with asof.open(tmp_path / "s", clock=clock) as opened:
        yield opened


def test_each_window_makes_a_feature_named_after_it():
    made = by_carrier(
        arrivals(),
        Count(over=["1h", "24h", timedelta(days=7)]),
        Mean("delay", over=[hop("6h", every="1h"), sawtooth("6h", every="1h"), lifetime(), session(gap="30m")]),
        LastK("dest", 5, over="1h"),
        Quantile("delay", 0.95, over="1h"),
        Sum("delay", over="1h", where=col("dest") == "JFK", name="jfk_delay", unit="min", description="to JFK"),
    )
    assert [feature.name for feature in made.features] == [
        "count_1h",
        "count_24h",
        "count_7d",
        "delay_mean_6h_hop_1h",
        "delay_mean_6h_sawtooth_1h",
        "delay_mean_lifetime",
        "delay_mean_session_30m",
        "dest_last_5_1h",
        "delay_q0_95_1h",
        "jfk_delay",
    ]
    assert [str(made[name].feature.dtype) for name in ("count_1h", "dest_last_5_1h")] == ["int64", "list<string>"]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: by_carrier(arrivals(), Mean("dest", over="1h")), UsageError, "mean takes numbers, and dest is string"),
        (lambda: by_carrier(arrivals(), Mean("dely", over="1h")), NotFoundError, "did you mean 'delay'"),
        (lambda: by_carrier(arrivals(), Count(over=[])), UsageError, "over no window"),
        (lambda: by_carrier(arrivals(), Count(over="soon")), UsageError, "no length of time"),
        (lambda: by_carrier(arrivals(), Count(over=["1h", "2h"], name="n")), UsageError, "for 2 windows"),
        (lambda: by_carrier(arrivals(), Feature("x", "int64")), UsageError, "is no aggregate"),
        (lambda: by_carrier(arrivals(), Count(over="1h", where=col("dst") == "JFK")), NotFoundError, "'dest'"),
        (lambda: by_carrier(arrivals(), Count(over="1h", where=col("dest") > 1)), UsageError, "string"),
        (lambda: by_carrier(arrivals(), Count(over="1h"), ttl="1h"), UsageError, "ttl= says something of rows"),
        (lambda: by_carrier(arrivals(), Count(over="1h"), event_time="at"), UsageError, "event_time="),
        (lambda: by_carrier(arrivals(), Count(over="1h"), source_keys={"carier": "x"}), NotFoundError, "'carrier'"),
        (lambda: by_carrier(arrivals(), Count(over="1h"), source_keys={"carrier": "flight"}), UsageError, "is int64"),
        (
            lambda: FeatureGroup("g", entity=AIRPORT, source=arrivals(), features=[Count(over="1h")]),
            NotFoundError,
            "unknown column 'airport'",
        ),
        (
            lambda: FeatureGroup("g", entity=CARRIER, features=[Count(over="1h")]),
            UsageError,
            "of the events of which group",
        ),
        (
            lambda: by_carrier(by_carrier(arrivals(), Count(over="1h")), Count(over="1h")),
            UsageError,
            "the source 'by_carrier'",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_declared(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_a_null_key_is_nobodys_and_an_unknown_key_has_had_no_event(store):
    source = arrivals()
    made = by_carrier(source, Count(over="24h"), Mean("delay", over="24h"))
    store.apply(source, made)
    store.write("arrivals", EVENTS)
    spine = pa.table({"carrier": ["AA", "zz", None]})
    frame = store.historical("by_carrier", spine, time=T + 3 * HOUR, known="event", statuses=True).to_arrow()
    assert frame.column("count_24h").to_pylist() == [2, 0, None]
    assert frame.column("count_24h__status").to_pylist() == ["PRESENT", "PRESENT", "MISSING"]
    assert frame.column("delay_mean_24h__status").to_pylist() == ["PRESENT", "NULL", "MISSING"]
    vectors = store.online("by_carrier", [{"carrier": key} for key in ("AA", "zz", None)])
    assert [vector.values["count_24h"] for vector in vectors] == [2, 0, None]
    assert [vector.statuses["delay_mean_24h"] for vector in vectors] == ["PRESENT", "NULL", "MISSING"]
    assert vectors[0].event_times["count_24h"] == T + 0.5 * HOUR
    assert vectors[1].event_times["count_24h"] is None


def test_the_event_that_is_scored_is_counted_and_the_report_says_so(store):
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="1h")))
    store.backfill("arrivals", EVENTS)
    report = store.historical("by_carrier", pa.table({"carrier": ["AA", "AA"]}), time=T, known="event").report
    assert report.coincide == {"by_carrier": 2}


def test_windows_move_with_the_clock_though_nothing_is_written(store, clock):
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="1h"), TopK("dest", 2, over="24h")))
    store.write("arrivals", EVENTS)
    assert store.online("by_carrier", {"carrier": "UA"}).values["count_1h"] == 0
    store.push("arrivals", [{"flight": 9, "at": T + 3 * HOUR, "carrier": "UA", "dest": "SFO", "delay": None}])
    assert store.online("by_carrier", {"carrier": "UA"}).values == {
        "count_1h": 1,
        "dest_top_2_24h": [{"value": "JFK", "count": 1}, {"value": "SFO", "count": 1}],
    }
    clock.now_us += 3_600_000_000
    assert store.online("by_carrier", {"carrier": "UA"}).values["count_1h"] == 0


def test_many_events_of_one_entity_are_a_tree_of_nodes(store, clock):
    source = arrivals()
    made = by_carrier(source, Count(over=["1h", "24h"]), Sum("delay", over=["1h", "24h", lifetime()]))
    store.apply(source, made)
    for start in (0, 2000, 1000):  # the last one comes late
        store.write("arrivals", rows(*((n, n / 1000, "AA", "JFK", n / 10) for n in range(start, start + 1000))))
    answer = store.online("by_carrier", {"carrier": "AA"})
    frame = store.historical(
        "by_carrier", pa.table({"carrier": ["AA"]}), time=asof.clock.from_us(answer.receipt.clock_us), known="event"
    )
    assert answer.values == {name: column[0] for name, column in frame.to_arrow().drop(["carrier"]).to_pydict().items()}
    assert answer.values["count_24h"] == 3000
    assert store.replay(answer.receipt).values == answer.values
    assert not store.quality.doctor().findings


def test_further_features_are_served_at_once(store):
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="24h")))
    store.write("arrivals", EVENTS)
    store.apply(source, by_carrier(source, Count(over="24h"), Sum("delay", over=lifetime())))
    values = store.online("by_carrier", {"carrier": "AA"}).values
    assert (values["count_24h"], round(values["delay_sum_lifetime"], 9)) == (2, 0.3)


def test_a_view_reads_both_events_and_what_is_made_of_them(store):
    source = arrivals()
    made = by_carrier(source, Count(over="24h"))
    at_dest = FeatureGroup(
        "at_dest", entity=AIRPORT, source=source, source_keys={"airport": "dest"}, online=True,
        features=[Mean("delay", over="24h")],
    )  # fmt: skip
    view = FeatureView("v", features=[source["delay"], made.on(carrier=source["carrier"])["count_24h"], at_dest])
    store.apply(source, made, at_dest, view)
    store.write("arrivals", EVENTS)
    answer = store.online("v", {"flight": 3, "airport": "JFK"})
    assert answer.values == {"delay": 5.0, "count_24h": 1, "delay_mean_24h": (0.1 + 5.0 + 1.0) / 3}
    assert store.replay(answer.receipt).values == answer.values
    frame = store.historical("v", pa.table({"flight": [3], "airport": ["JFK"]}), time=T + 3 * HOUR, known="event")
    assert frame.to_arrow().to_pylist()[0] == {"flight": 3, "airport": "JFK", **answer.values}
    assert frame.commits == {"arrivals@1": 1, "by_carrier@1": 1, "at_dest@1": 1}


def test_it_has_no_rows_to_write_or_read(store):
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="1h")))
    keys = pa.table({"carrier": ["AA"]})
    for call in (
        lambda: store.write("by_carrier", keys),
        lambda: store.backfill("by_carrier", keys),
        lambda: store.push("by_carrier", [{"carrier": "AA"}]),
        lambda: store.retire("by_carrier", keys),
        lambda: store.read("by_carrier"),
    ):
        with pytest.raises(UsageError, match="made of the events of arrivals@1"):
            call()


def test_windows_that_reach_before_what_retention_left_are_refused(store, clock):
    source = arrivals(retention="1d")
    store.apply(source, by_carrier(source, Count(over=["1h", "7d"])))
    store.backfill("arrivals", EVENTS)
    clock.now_us += 28 * 3_600_000_000
    store.backfill("arrivals", rows((1, 30, "AA", "JFK", 0.1)))
    clock.now_us += 44 * 3_600_000_000
    store.compact("arrivals")
    with pytest.raises(DataError, match="a window reaches further back"):
        store.historical("by_carrier", pa.table({"carrier": ["AA"]}), time=T + 74 * HOUR, known="event")


def test_verify_holds_online_to_history(store):
    source = arrivals()
    made = by_carrier(
        source, Count(over="1h"), Mean("delay", over=lifetime()), LastK("dest", 2, over=session(gap="1h"))
    )
    store.apply(source, made)
    store.write("arrivals", EVENTS)
    store.push("arrivals", [{"flight": 1, "at": T, "carrier": "UA", "dest": "SFO", "delay": 7.0}])
    commit = store.backfill("arrivals", rows((9, 1, "AA", "LGA", 1.0)))
    store.retract(commit, reason="wrong")
    verified = store.verify("by_carrier")
    assert not verified.differences, verified
    assert verified.compared


def test_doctor_finds_and_repairs_trees_that_are_not_those_of_history(store):
    source = arrivals()
    made = by_carrier(source, Count(over="24h"))
    store.apply(source, made)
    store.write("arrivals", EVENTS)
    assert not store.quality.doctor().findings
    group = store.catalog.find("by_carrier")
    store._parts.online.erase(group.id, [asof.parts.trees.Trees(group).key(b"AA\0\0")])
    found = store.quality.doctor(repair=True)
    assert "1 of 2 keys differ from history" in str(found)
    assert not store.quality.doctor().findings
    assert store.online("by_carrier", {"carrier": "AA"}).values["count_24h"] == 2


def test_a_forgotten_event_counts_no_more_and_leaves_no_byte(store, tmp_path):
    needle = "NEEDLE-7391"
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="24h"), LastK("dest", 3, over="24h")))
    store.write("arrivals", EVENTS)
    store.push("arrivals", [{"flight": 9, "at": T + HOUR, "carrier": "AA", "dest": needle, "delay": 1.0}])
    assert store.online("by_carrier", {"carrier": "AA"}).values["dest_last_3_24h"][-1] == needle
    store.forget("flight", {"flight": 9}, reason="asked")
    assert store.online("by_carrier", {"carrier": "AA"}).values == {"count_24h": 2, "dest_last_3_24h": ["JFK", "LAX"]}
    store.close()
    for path in (tmp_path / "s").rglob("*"):
        assert not path.is_file() or needle.encode() not in path.read_bytes(), path


def test_a_forgotten_entity_of_events_is_named_in_the_certificate(store):
    source = arrivals()
    store.apply(source, by_carrier(source, Count(over="24h")))
    store.write("arrivals", EVENTS)
    certificate = store.forget("carrier", {"carrier": "AA"}, reason="asked")
    assert "made of events, forget those: by_carrier@1 (of arrivals@1)" in str(certificate)


def test_logged_answers_are_held_to_history_and_a_late_event_is_no_defect(store, clock):
    source = arrivals()
    made = by_carrier(source, Count(over="24h"), LastK("dest", 2, over="24h"))
    view = FeatureView("v", features=[made], log=1.0)
    store.apply(source, made, view)
    store.write("arrivals", EVENTS)
    for key in ("AA", "UA", "zz", None):
        store.online("v", {"carrier": key})
    clock.now_us += 60_000_000
    store.backfill("arrivals", rows((9, 1, "AA", "LGA", 1.0)), available_at=None)
    verified = store.verify("v")
    assert not verified.defects, verified
    assert {stage.name: stage.compared > 0 for stage in verified.stages}["served"]


def test_a_static_group_is_no_source_and_two_keys_are_no_one_column():
    static = FeatureGroup("planes", entity=FLIGHT, features=[Feature("carrier", "string")])
    with pytest.raises(UsageError, match="is static"):
        by_carrier(static, Count(over="1h"))
    pair = Entity("pair", keys={"a": "string", "b": "string"})
    with pytest.raises(UsageError, match="two keys are one column"):
        FeatureGroup(
            "p", entity=pair, source=arrivals(), source_keys={"a": "dest", "b": "dest"}, features=[Count(over="1h")]
        )


def test_a_server_and_its_clients_know_it(tmp_path, store, clock):
    source = arrivals()
    made = by_carrier(source, Count(over="24h", where=col("delay") > 1), LastK("dest", 2, over=session(gap="1h")))
    message = asof.wire.definitions.declared(made)
    assert asof.wire.definitions.definition_of(message) == made
    store.apply(source, made)
    registered = store.catalog.find("by_carrier")
    assert asof.wire.definitions.group_of(asof.wire.definitions.known_group(registered)) == registered


MEAN = """
import math
from asof.windows.exact import UNIT, rounded, units_of
from asof.windows.functions import Function

geometric = Function(
    "geometric mean",
    (0, 0),
    prepare=lambda event: (1, units_of(math.log(event.value))) if event.value else None,
    merge=lambda one, other: (one[0] + other[0], one[1] + other[1]),
    finish=lambda state, _: math.exp(rounded(state[1], state[0] * UNIT)) if state[0] else None,
    gives="float64",
)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give what writes a module with a function of a user, as a process that starts anew finds it."""
    monkeypatch.syspath_prepend(tmp_path)
    seconds = count(1_700_000_000)

    def written(text=MEAN):
        (tmp_path / "my_means.py").write_text(text)
        os.utime(tmp_path / "my_means.py", (next(seconds),) * 2)
        forgotten()

    def forgotten():
        sys.modules.pop("my_means", None)
        users_function.cache_clear()

    written()
    yield written
    forgotten()


def test_a_function_of_a_user_is_served_as_it_is_trained_on(store, clock, module):
    source = arrivals()
    made = by_carrier(source, Custom("my_means:geometric", "delay", over=["1h", "24h"], where=col("dest") != "SFO"))
    assert [f.name for f in made.features] == ["delay_my_means_geometric_1h", "delay_my_means_geometric_24h"]
    store.apply(source, made)
    store.write("arrivals", EVENTS)
    many = [(number, number / 100, "AA", "JFK", 1.0 + number % 7) for number in range(10, 110)]
    store.write("arrivals", rows(*many))
    served = store.online("by_carrier", {"carrier": "AA"})
    within = [each for *_, each in many] + [0.1, 0.2]
    expected = math.exp(math.fsum(map(math.log, within)) / len(within))
    assert served.values["delay_my_means_geometric_24h"] == pytest.approx(expected, rel=1e-15)
    trained = store.historical("by_carrier", pa.table({"carrier": ["AA"]}), time=from_us(clock.now_us), known="event")
    assert trained.to_arrow().select([*served.values]).to_pylist() == [served.values]
    assert store.replay(served.receipt).values == served.values
    assert not store.verify("by_carrier").differences
    assert store.quality.doctor().healthy
    assert "my_means:geometric of delay where" in str(store.catalog.describe("by_carrier"))


def test_other_source_of_a_users_function_is_another_version(store, module, tmp_path):
    source = arrivals()
    store.apply(source, by_carrier(source, Custom("my_means:geometric", "delay", over="24h")))
    store.write("arrivals", EVENTS)
    before = store.online("by_carrier", {"carrier": "UA"}).values
    module(MEAN.replace("math.exp(", "2 * math.exp("))
    with asof.open(tmp_path / "s", clock=store._parts.clock) as other:
        assert [each.version for each in other.catalog.groups() if each.definition.name == "by_carrier"] == [1]
        with pytest.raises(ConflictError, match="not what it was when it was applied"):
            other.online("by_carrier", {"carrier": "UA"})
        other.push("arrivals", [{"flight": 7, "at": T, "carrier": "AA", "dest": "SFO", "delay": 7.0}])
        other.compact("arrivals")
        assert "not what it was" in str(other.quality.doctor().findings)
        other.apply(source, by_carrier(source, Custom("my_means:geometric", "delay", over="24h")))
        (now,) = other.online("by_carrier", {"carrier": "UA"}).values.values()
        assert [2 * value for value in before.values()] == [now]
        with pytest.raises(ConflictError, match="not what it was when it was applied"):
            other.historical("by_carrier@1", pa.table({"carrier": ["UA"]}), time=T, known="event")


def test_a_definition_is_known_where_the_module_of_a_users_function_is_not(store, module, tmp_path):
    source = arrivals()
    store.apply(source, by_carrier(source, Custom("my_means:geometric", "delay", over="24h")))
    message = asof.wire.definitions.declared(store.catalog.find("by_carrier").definition)
    (tmp_path / "my_means.py").unlink()
    sys.modules.pop("my_means")
    users_function.cache_clear()
    with asof.open(tmp_path / "s", clock=store._parts.clock) as other:
        assert "my_means:geometric" in str(other.catalog.describe("by_carrier"))
        with pytest.raises(NotFoundError, match=r"cannot import my_means.*install it here too"):
            other.historical("by_carrier", pa.table({"carrier": ["UA"]}), time=T, known="event")
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        asof.wire.definitions.definition_of(message)
    assert "my_means" not in sys.modules


@pytest.mark.parametrize("name", ["geometric", "os.path", "a b:c", "sum", ""])
def test_what_is_no_function_of_a_user_is_refused(name):
    with pytest.raises(UsageError, match="module:name"):
        Custom(name, "delay", over="1h")


def test_trees_are_built_some_time_of_the_events_after_the_other(store, monkeypatch):
    chance = random.Random(7)
    monkeypatch.setattr(grow, "STEP_ROWS", 10)
    source = arrivals()
    store.apply(source)
    many = [(n, chance.uniform(-30, 2), chance.choice(["AA", "UA", None]), "JFK", n / 7) for n in range(300)]
    store.backfill("arrivals", rows(*many))
    store.backfill("arrivals", rows(*((n, hour, "UA", dest, delay) for n, hour, _, dest, delay in many[:40])))
    wrong = store.backfill("arrivals", rows(*((n, hour, "AA", dest, -1.0) for n, hour, _, dest, _ in many[20:80])))
    store.retract(wrong, reason="wrong")
    for flight, hour, *_ in many[100:105]:
        store.retire("arrivals", [{"flight": flight}], event_time=T + hour * HOUR)
    windows = ["1h", "24h", sawtooth("12h", every="1h"), session(gap="20m")]
    store.apply(
        source, by_carrier(source, Count(over=windows), Sum("delay", over=windows), LastK("delay", 3, over="24h"))
    )
    assert not store.verify("by_carrier").differences
    assert store.quality.doctor().healthy
