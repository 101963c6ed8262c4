"""Loads in parts that are compared with history, or retire what they lack: as in memory, and as if all were stored."""

import subprocess
import sys
from dataclasses import replace
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import asof
from asof import Entity, Feature, FeatureGroup
from asof.erasure.history import erase_in_history
from asof.erasure.target import Target
from asof.errors import DataError, PermanentError, TransientError, UsageError
from asof.ingest import feed, load, unchanged, write
from asof.parts import pinned_rows

KEYS = [f"K{n:02}" for n in range(12)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Let a part have four rows, and compare and put few at once."""
    monkeypatch.setattr(write, "PART_ROWS", 4)
    monkeypatch.setattr(load, "PART_ROWS", 4)
    monkeypatch.setattr(load, "SLICE_HASHES", 8)
    monkeypatch.setattr(unchanged, "CHUNK_ROWS", 3)
    monkeypatch.setattr(feed, "STEP_ROWS", 3)


@pytest.fixture
def skipping(store, weather):
    store.apply(weather(on_unchanged="skip", ttl=None, known="event"))
    return store


def rows(at, hour, keys=KEYS, **changed):
    """Give a full load: temp is the number of the key unless it changed."""
    return pa.Table.from_pylist(
        [
            {"origin": key, "time_hour": at(hour), "temp": changed.get(key, float(KEYS.index(key))), "visib": None}
            for key in keys
        ]
    )


def reader(table, size=2):
    return table.to_reader(max_chunksize=size)


def files(store):
    found, _ = pinned_rows(store._parts, store._parts.registry.group("weather"))
    return found.files


def left_behind(store):
    """Give what lies in the folders and belongs to nobody."""
    live = set(store._parts.log.files())
    history = {f"{p.parent.name}/{p.name}" for p in (store._root / "history").glob("*/*.parquet*")}
    return history - live | {str(p) for p in (store._root / "tmp").glob("*") if p.is_file()}


def latest(store, name="weather"):
    return [tuple(row.values())[:3] for row in store.read(name, latest=True).to_arrow().to_pylist()]


# ---- unchanged rows


def test_a_load_in_parts_into_a_split_group_stores_what_changed_of_each_family(skipping, at):
    skipping.write("weather", rows(at, 0))
    skipping.catalog.split("weather", cold=["visib"])
    commit = skipping.write("weather", reader(rows(at, 1, KEYS[:-2], K03=9.0)), absent="retire")
    assert (commit.rows, commit.unchanged, commit.retired) == (12, 9, 2)
    assert commit.changed == {"temp": 1, "visib": 0}
    stored = [(file.family, file.confirms) for _, file, _ in files(skipping) if file.last_commit == commit.number]
    assert set(stored) >= {("hot", True), ("hot", False), ("cold", True)}
    assert latest(skipping) == [(key, at(1), 9.0 if key == "K03" else float(n)) for n, key in enumerate(KEYS[:-2])]
    assert skipping.online("weather", {"origin": "K03"}).values == {"temp": 9.0, "visib": None}
    assert skipping.online("weather", {"origin": "K11"}).statuses["visib"] == "RETIRED"
    skipping.compact("weather")
    assert latest(skipping) == [(key, at(1), 9.0 if key == "K03" else float(n)) for n, key in enumerate(KEYS[:-2])]
    assert skipping.quality.doctor().healthy
    assert not left_behind(skipping)


def test_rows_of_a_load_in_parts_that_are_equal_to_their_predecessors_leave_confirmations(skipping, at):
    first = skipping.write("weather", reader(rows(at, 0)))
    assert (first.rows, first.unchanged, first.changes) == (12, 0, {})
    second = skipping.write("weather", reader(rows(at, 1, K03=99.0)))
    assert (second.rows, second.unchanged) == (12, 11)
    assert second.changes == {"": 12, "temp": 1, "visib": 0}
    stored = [(file.confirms, file.rows) for _, file, stamp in files(skipping) if stamp.number == 2]
    assert sorted(stored) == [(False, 1), (True, 3), (True, 4), (True, 4)]
    vector = skipping.online("weather", {"origin": "K05"})
    assert (vector.values["temp"], vector.event_times["temp"]) == (5.0, at(1))
    assert latest(skipping)[3] == ("K03", at(1), 99.0)
    assert not left_behind(skipping)
    assert skipping.quality.doctor().healthy


def test_a_load_in_no_order_lies_in_the_order_of_its_keys(skipping, at):
    mixed = [KEYS[n] for n in (5, 0, 11, 3, 8, 1, 10, 2, 9, 4, 7, 6)]
    skipping.write("weather", reader(rows(at, 0, mixed)))
    tables = [pq.read_table(place)["origin"].to_pylist() for place, _, _ in files(skipping)]
    assert len(tables) > 2
    assert list(chain(*sorted(tables))) == KEYS
    assert skipping.write("weather", reader(rows(at, 1, mixed[::-1]))).unchanged == 12
    assert skipping.online("weather", {"origin": "K07"}).event_times["temp"] == at(1)
    assert not left_behind(skipping)


def test_keys_with_several_rows_in_different_parts_are_stored(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    both = pa.concat_tables([rows(at, 2), rows(at, 1, ["K00", "K01"])])
    commit = skipping.write("weather", reader(both))
    assert (commit.rows, commit.unchanged) == (14, 10)
    history = skipping.read("weather").to_arrow().to_pylist()
    assert [(r["time_hour"], r["temp"]) for r in history if r["origin"] == "K01"] == [(at(n), 1.0) for n in range(3)]


def test_a_key_whose_rows_end_one_part_and_begin_the_next_is_stored(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    parts = [rows(at, 1, KEYS[:4]), rows(at, 2, KEYS[3:7]), rows(at, 2, KEYS[7:])]
    commit = skipping.write("weather", reader(pa.concat_tables(parts), 4))
    assert (commit.rows, commit.unchanged) == (13, 11)
    assert skipping.online("weather", {"origin": "K03"}).event_times["temp"] == at(2)


def test_equal_rows_of_different_parts_collapse_before_they_are_compared(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    twice = pa.concat_tables([rows(at, 1), rows(at, 1, KEYS[:3])])
    commit = skipping.write("weather", reader(twice))
    assert (commit.rows, commit.unchanged) == (12, 12)
    other = pa.concat_tables([rows(at, 2), rows(at, 2, KEYS[:1], K00=7.0)])
    with pytest.raises(DataError, match="with different values"):
        skipping.write("weather", reader(other))
    commit = skipping.write("weather", reader(other), on_conflict="last")
    assert (commit.rows, commit.unchanged) == (12, 11)
    assert latest(skipping)[0] == ("K00", at(2), 7.0)
    assert not left_behind(skipping)


def test_a_load_of_more_rows_of_a_key_than_a_part_has_is_stored(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    deep = pa.concat_tables([rows(at, hour, ["K04"]) for hour in range(1, 15)])
    commit = skipping.write("weather", reader(pa.concat_tables([deep, rows(at, 3, KEYS[5:])])))
    assert (commit.rows, commit.unchanged) == (21, 7)


def test_one_row_that_fills_several_parts_is_stored_once(skipping, at):
    commit = skipping.write("weather", reader(pa.concat_tables([rows(at, 1, ["K04"])] * 17), 1))
    assert (commit.rows, commit.unchanged) == (1, 0)
    assert latest(skipping) == [("K04", at(1), 4.0)]
    assert not left_behind(skipping)


def test_a_load_in_parts_is_stored_once_under_its_key(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    for absent in ("keep", "retire"):
        options = {"idempotency_key": absent, "absent": absent}
        first = skipping.write("weather", reader(rows(at, 1)), **options)
        again = skipping.write("weather", reader(rows(at, 1, KEYS[::-1])), **options)
        assert again.repeated
        assert again == first
        assert skipping.write("weather", rows(at, 1), **options) == first
    assert not left_behind(skipping)


# ---- absent="retire"


@pytest.mark.parametrize("on_unchanged", ["store", "skip"])
def test_keys_that_a_full_load_in_parts_lacks_are_retired(store, weather, at, on_unchanged):
    store.apply(weather(on_unchanged=on_unchanged, ttl=None, known="event"))
    store.write("weather", reader(rows(at, 0)))
    store.retire("weather", {"origin": "K00"}, event_time=at(0.5))
    commit = store.write("weather", reader(rows(at, 1, KEYS[6:])), absent="retire")
    assert (commit.rows, commit.retired) == (11, 5)
    assert commit.unchanged == (6 if on_unchanged == "skip" else 0)
    vectors = store.online("weather", [{"origin": key} for key in KEYS])
    assert [each.statuses["temp"] for each in vectors] == ["RETIRED"] * 6 + ["PRESENT"] * 6
    assert [row[0] for row in latest(store)] == KEYS[6:]
    back = store.write("weather", reader(rows(at, 2)), absent="retire")
    assert back.retired == 0
    assert len(latest(store)) == 12
    assert not left_behind(store)
    assert store.quality.doctor().healthy


def test_parts_of_a_full_load_have_one_event_time(skipping, at):
    two = pa.concat_tables([rows(at, 1, KEYS[:4]), rows(at, 2, KEYS[4:])])
    with pytest.raises(UsageError, match="full load of one event time"):
        skipping.write("weather", reader(two, 4), absent="retire")
    assert not skipping.catalog.commits("weather")
    assert not left_behind(skipping)


def test_an_empty_full_load_is_refused_however_it_comes(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    with pytest.raises(UsageError, match="would retire every key"):
        skipping.write("weather", reader(rows(at, 0).slice(0, 0)), absent="retire")


# ---- what others do meanwhile


class Meanwhile:
    """A part of a store in which something else happens before one of its methods, so many times."""

    def __init__(self, part, method, actions):
        self.part, self.method, self.actions = part, method, actions

    def __getattr__(self, name):
        if name == self.method and self.actions:
            self.actions.pop()()
        return getattr(self.part, name)


def forgetting(store, key):
    (holding,) = Target.of(store._parts, "airport", {"origin": key}).holdings(store._parts)
    parts = store._parts
    return lambda: erase_in_history(parts, holding)


@pytest.mark.parametrize(("on_unchanged", "absent"), [("skip", "keep"), ("skip", "retire"), ("store", "retire")])
def test_what_is_forgotten_meanwhile_is_neither_named_nor_retired(store, weather, at, on_unchanged, absent):
    store.apply(weather(on_unchanged=on_unchanged, ttl=None, known="event"))
    store.write("weather", reader(rows(at, 0)))
    parts = store._parts
    actions = [forgetting(store, "K00"), forgetting(store, "K11")]
    store._writer._parts = replace(parts, log=Meanwhile(parts.log, "publish", actions))
    commit = store.write("weather", reader(rows(at, 1, KEYS[1:])), absent=absent)
    assert commit.retired == 0
    assert commit.unchanged == (10 if on_unchanged == "skip" else 0), "it was compared again"
    assert latest(store) == [(key, at(1), float(KEYS.index(key))) for key in KEYS[1:]]
    assert not left_behind(store)


def test_a_load_in_parts_is_stored_in_full_if_history_keeps_losing_rows(skipping, at):
    skipping.write("weather", reader(rows(at, 0)))
    parts = skipping._parts
    actions = [forgetting(skipping, key) for key in ("K00", "K01", "K02")]
    skipping._writer._parts = replace(parts, log=Meanwhile(parts.log, "publish", actions))
    commit = skipping.write("weather", reader(rows(at, 1)))
    assert (commit.rows, commit.unchanged) == (12, 0)
    assert latest(skipping) == [(key, at(1), float(KEYS.index(key))) for key in KEYS]
    assert skipping.online("weather", {"origin": "K00"}).event_times["temp"] == at(1)
    assert not left_behind(skipping)


def test_features_that_are_added_meanwhile_have_a_load_stored_in_full(store, weather, at):
    store.apply(weather(on_unchanged="skip", ttl=None, known="event"))
    store.write("weather", reader(rows(at, 0)))
    parts = store._parts
    wider = weather(on_unchanged="skip", ttl=None, known="event",
                    features=[*weather().features, Feature("wind", "float64")])  # fmt: skip
    store._writer._parts = replace(parts, engine=Meanwhile(parts.engine, "stamped", [lambda: store.apply(wider)]))
    assert store.write("weather", reader(rows(at, 1))).unchanged == 0
    calm = rows(at, 2).append_column("wind", pa.nulls(12, pa.float64()))
    assert store.write("weather", reader(calm)).unchanged == 12


# ---- errors and crashes


@pytest.mark.parametrize("on_unchanged", ["store", "skip"])
@pytest.mark.parametrize(("port", "method"), [("history", "stage"), ("engine", "stamped"), ("engine", "absent")])
@pytest.mark.slow
def test_a_part_that_fails_at_any_time_leaves_nothing(store, weather, at, on_unchanged, port, method, monkeypatch):
    store.apply(weather(on_unchanged=on_unchanged, ttl=None, known="event"))
    store.write("weather", reader(rows(at, 0)))
    part = getattr(store._parts, port)
    work, left = getattr(part, method), [0]

    def refuse(*arguments, **options):
        left[0] -= 1
        if not left[0]:
            raise PermanentError("no space")
        return work(*arguments, **options)

    monkeypatch.setattr(part, method, refuse)
    table = rows(at, 1, KEYS[:0:-1])
    for fatal in range(1, 100):
        left[0] = fatal
        try:
            commit = store.write("weather", reader(table), absent="retire")
        except PermanentError:
            commits = store.catalog.commits("weather")
            if len(commits) > 1:  # it is stored, and was only not readable online yet
                commit = commits[-1]
                store._writer.recover()
                break
            assert not left_behind(store)
        else:
            break
    assert fatal > 1 or (on_unchanged, method) == ("store", "stamped")
    assert (commit.rows, commit.retired) == (12, 1)
    assert len(latest(store)) == 11
    assert not left_behind(store)
    assert store.online("weather", {"origin": "K00"}).statuses["temp"] == "RETIRED"
    assert store.online("weather", {"origin": "K01"}).event_times["temp"] == at(1)


def test_rows_whose_publication_is_in_doubt_are_kept_and_the_others_are_not(skipping, at, monkeypatch):
    skipping.write("weather", reader(rows(at, 0)))
    publish = skipping._parts.log.publish

    def lost(*arguments, **options):
        publish(*arguments, **options)
        raise TransientError("the connection broke")

    monkeypatch.setattr(skipping._parts.log, "publish", lost)
    with pytest.raises(TransientError, match="broke"):
        skipping.write("weather", reader(rows(at, 1)))
    monkeypatch.undo()
    assert not left_behind(skipping)
    assert latest(skipping) == [(key, at(1), float(KEYS.index(key))) for key in KEYS]


KILLED = """
import os, sys, warnings
from datetime import UTC, datetime
import pyarrow.parquet as pq
import asof
from asof.ingest import load, write
from asof.testing.crashes import PORTS
warnings.simplefilter("ignore")
write.PART_ROWS, load.PART_ROWS = 5, 4
folder, place, fatal = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = asof.open(folder, clock=lambda: datetime(2024, 1, 2, tzinfo=UTC))
steps = [0]
def watched(part, name):
    work = getattr(part, name)
    def call(*arguments, **options):
        steps[0] += 1
        if steps[0] == fatal:
            os._exit(9)
        return work(*arguments, **options)
    return call
for part, names in {"history": ["stage", "discard"], "engine": ["stamped", "compare", "absent"],
                    "log": ["publish", "snapshot"], "online": ["apply"]}.items():
    port = getattr(store._parts, part)
    for name in names:
        setattr(port, name, watched(port, name))
store.write("weather", place, absent="retire")
"""


@pytest.mark.slow
def test_a_load_that_is_killed_anywhere_is_there_or_is_not(folder, weather, at, clock, tmp_path):
    place = tmp_path / "rows.parquet"
    pq.write_table(rows(at, 1, KEYS[:0:-1], K05=50.0), place)
    with asof.open(folder, clock=clock) as store:
        store.apply(weather(on_unchanged="skip", ttl=None, known="event"))
        store.write("weather", reader(rows(at, 0)))
    seen = set()
    for fatal in range(1, 100, 3):
        done = subprocess.run([sys.executable, "-c", KILLED, folder, place, str(fatal)], check=False)
        with asof.open(folder, clock=clock) as store:
            commits = store.catalog.commits("weather")
            seen.add((done.returncode, len(commits)))
            hour = len(commits) - 1
            assert len(latest(store)) == 12 - hour
            assert store.online("weather", {"origin": "K03"}).event_times["temp"] == at(hour)
            assert store.online("weather", {"origin": "K00"}).statuses["temp"] == ("RETIRED" if hour else "PRESENT")
            store.quality.doctor(repair=True)
            assert store.quality.doctor().healthy
            assert not left_behind(store)
        if len(commits) > 1:
            break
    assert seen <= {(9, 1), (9, 2), (0, 2)}
    assert (9, 1) in seen


# ---- online


def test_a_load_whose_parts_are_gone_is_put_online_from_history(skipping, at, monkeypatch):
    skipping.write("weather", reader(rows(at, 0)))

    def gone(_):
        raise TransientError("a data file is gone")
        yield

    monkeypatch.setattr(load.Load, "slices", gone)
    skipping.write("weather", reader(rows(at, 1, K03=99.0)))
    vectors = skipping.online("weather", [{"origin": key} for key in KEYS])
    assert {each.event_times["temp"] for each in vectors} == {at(1)}
    assert vectors[3].values["temp"] == 99.0


@pytest.mark.parametrize("on_unchanged", ["store", "skip"])
def test_ordered_parts_are_put_online_without_a_question_to_history(store, weather, at, on_unchanged, monkeypatch):
    store.apply(weather(on_unchanged=on_unchanged, ttl=None, known="event"))
    monkeypatch.setattr(store._writer.feed, "catch_up", None)
    store.write("weather", reader(rows(at, 0)))
    store.write("weather", reader(rows(at, 1)))
    assert store.online("weather", {"origin": "K11"}).event_times["temp"] == at(1)
    assert store._parts.online.count(store._parts.registry.group("weather").id) == 12


# ---- law 5, and the same in memory

ENTITY = Entity("thing", {"k": "string", "n": "int64"})
ITEMS = st.tuples(st.sampled_from([("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 3)]), st.integers(0, 2),
                  st.sampled_from([None, 1.0, 2.0]))  # fmt: skip
LOADS = st.tuples(
    st.lists(ITEMS, min_size=6, max_size=20),
    st.sampled_from(["write", "backfill"]),
    st.sampled_from(["keep", "retire"]),
    st.integers(1, 4),
)


class Oracle:
    """All rows of all loads, and what was absent from them."""

    def __init__(self):
        self.rows = []

    def load(self, items, absent):
        number = 1 + max((row[1] for row in self.rows), default=0)
        last = {(key, hour): value for key, hour, value in items}
        new = [(hour, number, key, value, False) for (key, hour), value in last.items()]
        gone = []
        if absent == "retire":
            (hour,) = {row[0] for row in new}
            alive = {key: retired for event, _, key, _, retired in sorted(self.rows, key=version) if event <= hour}
            mine = {row[2] for row in new}
            gone = [
                (hour, number, key, None, True) for key, retired in alive.items() if not retired and key not in mine
            ]
        self.rows += new + gone
        return len(new + gone), len(gone)

    def latest(self):
        newest = {row[2]: row for row in sorted(self.rows, key=version)}
        return sorted((key, hour, value) for hour, _, key, value, retired in newest.values() if not retired)


def version(row):
    return row[:2]


@pytest.mark.begun_first
@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(LOADS, min_size=1, max_size=4), static=st.booleans(), kind=st.sampled_from(["skip", "store"]))
def test_loads_in_parts_are_what_they_are_in_memory_and_what_all_rows_stored_would_be(store, at, loads, static, kind):
    kinds = {"parts": kind, "memory": kind, "full": "store"}
    time = None if static else "t"
    features = [Feature("x", "float64")]
    groups = [
        FeatureGroup(name, entity=ENTITY, event_time=time, features=features, online=True, on_unchanged=kinds[name])
        for name in kinds
    ]
    store.apply(*groups)
    oracle = Oracle()
    try:
        for step, (drawn, verb, absent, size) in enumerate(loads):
            hour = drawn[0][1]
            items = [(key, 0 if static else hour if absent == "retire" else time_, x) for key, time_, x in drawn]
            table = pa.table({"k": [i[0][0] for i in items], "n": [i[0][1] for i in items]})
            if not static:
                moments = pa.array([at(i[1]) for i in items]).cast(pa.timestamp("us", "UTC"))
                table = table.append_column("t", moments)
            table = table.append_column("x", pa.array([i[2] for i in items], pa.float64()))
            options = {"on_conflict": "last", "absent": absent, "idempotency_key": str(step)}
            put = {name: getattr(store, verb) for name in kinds}
            done = {
                name: put[name](name, table.to_reader(max_chunksize=size) if name == "parts" else table, **options)
                for name in kinds
            }
            one, other = done["parts"], done["memory"]
            told = [(c.rows, c.unchanged, c.retired, c.changes, c.min_event_us, c.max_event_us) for c in (one, other)]
            assert told[0] == told[1]
            assert (one.rows, one.retired) == oracle.load(items, absent)
            assert put["memory"]("memory", table.to_reader(max_chunksize=size), **options).repeated, "the same digest"
        for known in (None, at(1.5), at(30)):
            found = [reads(store, name, known) for name in kinds]
            assert found[0] == found[1] == found[2]
        hours = [((row["k"], row["n"]), 0 if static else row["t"], row["x"]) for row in reads(store, "parts", None)[1]]
        assert hours == [(key, hour if static else at(hour), value) for key, hour, value in oracle.latest()]
        assert not left_behind(store)
    finally:
        for group in groups:
            store.catalog.remove(group.name)


def reads(store, name, known):
    """Give the stored rows, their newest, and what is served, without clocks that differ from group to group."""
    every = [store.read(name, latest=latest_, known=known).to_arrow().to_pylist() for latest_ in (False, True)]
    keys = [{"k": k, "n": n} for k in "abc" for n in (1, 2, 3)]
    served = [(v.values, v.statuses, v.event_times) for v in store.online(name, keys)]
    return [*every, served]
