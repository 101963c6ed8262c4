"""The laws of SEMANTICS section 9 on a real store, with both online stores.

Half of the histories are of groups that skip unchanged rows, held to the oracle, which stores all of them: law 5 in each
of the others. Law 2 in full, rows taken out under the clocks as they are, and law 7 are in `asof.testing.engine`. Law 8
is held for the remote store and for answers in JSON; other engines are not built.
"""

import json
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.conftest import Served, everybody

import asof
from asof.arrow.json_values import read_row, readers
from asof.clock import from_us, parse_time
from asof.definitions.types import parse_type
from asof.ingest.feed import encode_online
from asof.online.port import Change, version_head
from asof.parts import pinned_rows
from asof.server.limits import Limits
from asof.server.messages import OnlineRequest
from asof.server.service import Service
from asof.testing.played import Played, answers_of, rows_table
from asof.testing.reference import Group, Row, canonical
from asof.testing.strategies import (
    BASE_US,
    FEATURE_TYPES,
    HOUR_US,
    Case,
    History,
    Op,
    cases,
    histories,
    instants,
    play,
    spines,
)

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

# The five arrangements share them: 30 of each law by default, 3,000 in a long run.
some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))


def answered(played: Played, rows, known="served", **options) -> list[object]:
    """Give the answers of a spine as comparable lists."""
    frame = played.store.historical(played.name, played.spine(rows), time="t", known=known, statuses=True, **options)
    wanted = [*FEATURE_TYPES, *(f"{name}__status" for name in FEATURE_TYPES)]
    return [[canonical(row[name]) for name in wanted] for row in frame.to_arrow().to_pylist()]


def keys_of(history: History):
    return list(dict.fromkeys(row.key for op in history.ops for row in op.rows))


# ---- law 1


@some
@given(case=cases(), data=st.data())
def test_law_1_shuffling_the_rows_of_a_write_changes_nothing(bench, case: Case, data) -> None:
    shuffled = [
        replace(op, rows=tuple(data.draw(st.permutations(op.rows)))) if op.on_conflict == "error" else op
        for op in case.history.ops
    ]
    with bench.played(replace(case.history, ops=tuple(shuffled))) as (played,):
        played.reference = play(case.history)
        played.check_case(case)
        played.check_read()
        played.check_online(keys_of(case.history))


# ---- law 2


@some
@given(history=histories(), data=st.data())
def test_law_2_what_arrives_later_changes_no_earlier_served_answer(bench, history: History, data) -> None:
    count = len(history.ops)
    first = data.draw(st.integers(0, count))
    with bench.groups(history) as (played,):
        for op in history.ops[:first]:
            played.step(op)
        last = played.commits[-1].committed_at_us if played.commits else BASE_US - 10 * HOUR_US
        rows = [(key, min(t, last)) for key, t in data.draw(spines(history))]
        before = answered(played, rows)
        for op in history.ops[first:]:
            if op.kind == "backfill":
                continue
            if op.kind == "retract" and (op.target > first or history.ops[op.target - 1].kind == "backfill"):
                continue
            played.step(op)
        assert answered(played, rows) == before


@some
@given(history=histories(static=False), data=st.data())
def test_law_2_rows_with_a_later_event_time_change_no_answer(bench, history: History, data) -> None:
    first = data.draw(st.integers(0, len(history.ops)))
    t = data.draw(st.sampled_from(instants(history)))
    with bench.groups(history) as (played,):
        for op in history.ops[:first]:
            played.step(op)
        rows = [(key, t) for key, _ in data.draw(spines(history))]
        known = data.draw(st.sampled_from(["served", "event", from_us(max(instants(history)))]))
        before = answered(played, rows, known)
        for op in history.ops[first:]:
            later = tuple(row for row in op.rows if row.event_time > t)
            if later:
                played.step(replace(op, rows=later))
        assert answered(played, rows, known) == before


# ---- law 3


@some
@given(history=histories(), data=st.data())
def test_law_3_an_online_answer_is_history_at_its_receipt(bench, history: History, data) -> None:
    with bench.groups(history) as (played,):
        for op in history.ops:
            played.step(op)
            bench.clock.now_us += data.draw(st.sampled_from([0, 1, HOUR_US]))
            mine = keys_of(history)
            if mine:
                played.check_law_3([data.draw(st.sampled_from(mine))])


@some
@given(history=histories(), data=st.data())
def test_law_3_an_old_receipt_is_replayed_after_later_commits(bench, history: History, data) -> None:
    with bench.groups(history) as (played,):
        kept = []
        for op in history.ops:
            played.step(op)
            kept += [bench.store.online(played.name, played.key_set(key)) for key in keys_of(history)[:2]]
        chosen = data.draw(st.lists(st.sampled_from(kept), max_size=3)) if kept else []
        for vector in chosen:
            assert answers_of(bench.store.replay(vector.receipt)) == answers_of(vector)


@some
@given(history=histories(max_ops=8))
def test_law_3_verify_finds_no_difference(bench, history: History) -> None:
    with bench.played(history) as (played,):
        bench.clock.now_us = max(bench.clock.now_us, *instants(history))
        found = bench.store.verify(played.name, instants=12, keys=4)
        assert not found.differences, str(found)
        assert found.rows == 0 or found.compared > 0


def test_a_receipt_does_not_change_with_what_the_caller_passed(bench) -> None:
    with bench.played(some_history()) as (played,):
        keys, request = {"k1": "a"}, {"amount": 1}
        vector = bench.store.online(played.name, keys, request=request)
        keys["k1"] = "b"
        request["amount"] = 2
        assert vector.receipt.keys == {"k1": "a"}
        assert vector.receipt.request == {"amount": 1}


def test_a_receipt_does_not_change_with_later_commits(bench) -> None:
    history = some_history()
    with bench.played(history) as (played,):
        vector = bench.store.online(played.name, {"k1": "a"})
        played.step(Op("write", BASE_US + 3 * HOUR_US, (row("a", BASE_US + 3 * HOUR_US, 9.0),)))
        assert vector.receipt.commits == {f"{played.name}@1": 2}
        assert bench.store.replay(vector.receipt).values == vector.values


# ---- law 8


@some
@given(history=histories(), data=st.data())
def test_law_8_an_online_answer_in_json_is_the_stores(bench, history: History, data) -> None:
    read = readers({name: parse_type(dtype) for name, dtype in FEATURE_TYPES.items()})
    with bench.groups(history) as (played,):
        service = Service(bench.store, most_rows=1000, count=lambda *_: None)
        for op in history.ops:
            played.step(op)
            keys = [played.key_set(key) for key in keys_of(history)]
            if not keys or not data.draw(st.booleans()):
                continue
            asked = OnlineRequest(keys, statuses=True, event_times=True, receipt=True)
            rows = json.loads(msgspec.json.encode(service.online(played.name, asked)))["rows"]  # another parser
            for row, vector in zip(rows, bench.store.online(played.name, keys), strict=True):
                row["values"] = read_row(row["values"], read, where="here")
                times = row["event_times"].items()
                row["event_times"] = {name: None if at is None else parse_time(at) for name, at in times}
                assert answers_of(SimpleNamespace(**row)) == answers_of(vector)
                assert row["receipt"]["commits"] == vector.receipt.commits


@some
@given(case=cases())
def test_law_8_the_store_over_the_wire_is_the_oracle_too(bench, case: Case) -> None:
    with bench.groups(case.history) as (played,), over_the_wire(bench.store) as played.store:
        for op in case.history.ops:
            played.step(op)
        played.check_case(case)
        played.check_read()
        played.check_online(keys_of(case.history))
        played.check_law_3(keys_of(case.history)[:2])


@contextmanager
def over_the_wire(store):
    """Serve a store, and give it as others see it."""
    served = Served(store, Limits(), everybody)
    try:
        with asof.open(served.url) as remote:
            yield remote
    finally:
        served.stop()


# ---- a defect is found


def row(key: str, event_time: int, x: float) -> Row:
    return Row((key,), event_time, {"x": x, "n": 1, "s": "s"})


def some_history() -> History:
    first = Op("write", BASE_US + HOUR_US, tuple(row(key, BASE_US, 1.0) for key in "abcde"))
    second = Op("push", BASE_US + 2 * HOUR_US, (row("a", BASE_US + HOUR_US, 2.0),))
    return History(Group(tuple(FEATURE_TYPES)), ("string",), (first, second))


def tamper(bench, played: Played, how: str) -> None:
    """Put wrong rows online, around everything but the port."""
    parts = bench.store._parts
    group = parts.registry.group(played.name)
    rows, _ = pinned_rows(parts, group)
    newest = parts.engine.newest(rows).read_all()
    keys, values = encode_online(newest, group)
    values = list(values)
    if how == "value":
        wrong = newest.set_column(newest.schema.get_field_index("x"), "x", pa.array([7.0] * newest.num_rows))
        values[1] = encode_online(wrong, group)[1][1]
    elif how == "version":
        values[0] = version_head(BASE_US, 1) + values[0][16:]
    elif how == "retired":
        values[2] = values[2][:16]
    elif how == "missing":
        del keys[3], values[3]
    elif how == "surplus":
        keys.append(b"zz\0\0")
        values.append(values[0])
    parts.online.clear(group.id)
    last = played.commits[-1]
    parts.online.apply([Change(group.id, 0, last.number, last.committed_at_us, keys, values)])


@pytest.mark.parametrize("how", ["value", "version", "retired", "missing", "surplus"])
def test_a_wrong_online_row_is_found_and_repaired(bench, how: str) -> None:
    with bench.played(some_history()) as (played,):
        assert bench.store.quality.doctor().healthy
        tamper(bench, played, how)
        diagnosis = bench.store.quality.doctor()
        assert not diagnosis.healthy
        assert played.name in str(diagnosis)
        if how in ("value", "retired", "missing"):  # what an answer to a key of history shows
            found = bench.store.verify(played.name, keys=50)
            assert {difference.stage for difference in found.differences} == {"today"}
        assert bench.store.quality.doctor(repair=True).healthy
        assert bench.store.quality.doctor().healthy
        assert not bench.store.verify(played.name, keys=50).differences
        played.check_online([("a",), ("b",), ("c",), ("d",), ("zz",)])


def test_commits_that_are_not_applied_are_found_and_repaired(bench) -> None:
    with bench.played(some_history()) as (played,):
        parts = bench.store._parts
        parts.online.clear(parts.registry.group(played.name).id)
        assert not bench.store.quality.doctor().healthy
        assert bench.store.quality.doctor(repair=True).healthy
        played.check_online([("a",), ("b",)])


# ---- law 4


@some
@given(history=histories(kinds=["write"], max_ops=1), data=st.data())
def test_law_4_splitting_a_write_changes_no_answer_after_it(bench, history: History, data) -> None:
    if not history.ops or history.ops[0].on_conflict == "last":
        return
    (op,) = history.ops
    at = sorted(data.draw(st.lists(st.integers(0, len(op.rows)), min_size=1, max_size=2)))
    bounds = zip([0, *at], [*at, len(op.rows)], strict=True)
    parts = tuple(replace(op, rows=op.rows[lo:hi]) for lo, hi in bounds)
    with bench.played(history, replace(history, ops=parts)) as (whole, split):
        end = max(played.commits[-1].committed_at_us for played in (whole, split))
        spine = data.draw(spines(history))
        rows = [(key, max(t, end)) for key, t in spine]
        assert answered(split, rows) == answered(whole, rows)
        assert answered(split, spine, "event") == answered(whole, spine, "event")
        assert answered(split, spine, from_us(end)) == answered(whole, spine, from_us(end))
        bench.clock.now_us = end
        for key in keys_of(history):
            one, other = (bench.store.online(played.name, played.key_set(key)) for played in (whole, split))
            assert answers_of(one) == answers_of(other)


@some
@given(history=histories(kinds=["write", "push", "backfill"], max_ops=3), data=st.data())
def test_law_4_retrying_with_the_same_idempotency_key_changes_nothing(bench, history: History, data) -> None:
    with bench.played(history) as (played,):
        for place, op in enumerate(history.ops):
            bench.clock.now_us = op.now
            table = rows_table(history, op)
            options = {"on_conflict": op.on_conflict, "idempotency_key": f"once {place}"}
            if op.kind == "push":
                once, again = (bench.store.push(played.name, table.to_pylist(), **options) for _ in range(2))
            else:
                if op.has_arrivals:
                    options["available_at"] = "arrived"
                verb = getattr(bench.store, op.kind)
                once = verb(played.name, table, **options)
                if op.on_conflict == "error":
                    table = table.take(data.draw(st.permutations(range(table.num_rows))) or pa.array([], pa.int64()))
                again = verb(played.name, table, **options)
            assert (once.repeated, again.repeated) == (False, True)
            assert again == once
        assert len(bench.store.catalog.commits(played.name)) == 2 * len(history.ops)
        assert bench.store.quality.doctor().healthy


def test_law_4_a_retry_serves_what_the_first_try_left_unserved(bench) -> None:
    with bench.played(some_history()) as (played,):
        parts = bench.store._parts
        bench.clock.now_us = BASE_US + 3 * HOUR_US
        rows = [{"k1": "a", "at": from_us(BASE_US + 2 * HOUR_US), "x": 5.0, "n": 1, "s": "s"}]
        for number, verb in enumerate((bench.store.write, bench.store.push)):
            rows[0]["x"] += 1
            verb(played.name, rows, idempotency_key=f"once {number}")
            parts.online.clear(parts.registry.group(played.name).id)  # as if the process had died before serving it
            assert verb(played.name, rows, idempotency_key=f"once {number}").repeated
            assert bench.store.online(played.name, {"k1": "a"}).values["x"] == rows[0]["x"]


# ---- law 5


@some
@given(case=cases(max_ops=8), data=st.data())
def test_law_5_skipping_unchanged_rows_changes_no_answer(bench, case: Case, data) -> None:
    histories = [replace(case.history, on_unchanged=kind) for kind in ("skip", "store")]
    with bench.groups(*histories) as (skipping, storing):
        groups = (skipping, storing)
        for op in case.history.ops:
            for played in groups:
                played.step(op)
            for action in data.draw(st.lists(st.sampled_from(ACTIONS[:4]), max_size=1)):
                act(bench, skipping, action)
                storing.store = bench.store
        assert not any(commit.unchanged for commit in storing.commits)
        known = from_us(case.known) if isinstance(case.known, int) else case.known
        for mode in ("served", "event", known):
            wanted = answered(storing, case.spine, mode, commits=storing.pins(case.pin))
            assert answered(skipping, case.spine, mode, commits=skipping.pins(case.pin)) == wanted
        assert skipping._read(clocks=True) == storing._read(clocks=True)
        for key in keys_of(case.history):
            one, other = (bench.store.online(played.name, played.key_set(key)) for played in groups)
            assert answers_of(one) == answers_of(other)


@some
@given(case=cases(max_ops=8), data=st.data())
def test_law_5_splitting_a_group_changes_no_answer(bench, case: Case, data) -> None:
    history = replace(case.history, on_unchanged="skip")
    place = data.draw(st.integers(0, len(history.ops)))
    cold = data.draw(st.sampled_from([["n"], ["s", "n"], ["x"]]))
    with bench.groups(history) as (played,):
        for number, op in enumerate(history.ops):
            if number == place:
                bench.store.catalog.split(played.name, cold=cold)
            played.step(op)
            for action in data.draw(st.lists(st.sampled_from(ACTIONS), max_size=2)):
                act(bench, played, action)
        played.check_case(case)
        played.check_read(case.known if isinstance(case.known, int) else None, case.pin)
        played.check_read()
        played.check_online(keys_of(history))
        for names in (["n"], ["x"], ["x", "s"], []):  # of the one family, the other, both, none
            table = bench.store.read(played.name, columns=[*played.definition.keys, *names]).to_arrow()
            whole = bench.store.read(played.name).to_arrow().select(table.column_names)
            assert table.equals(whole) or canonical(table.to_pylist()) == canonical(whole.to_pylist())


# ---- law 6

ACTIONS = ("compact", "merge", "seal", "reopen", "rebuild", "lose online", "doctor")


def act(bench, played: Played, action: str) -> None:
    """Do what must change no answer."""
    parts = bench.store._parts
    group = parts.registry.group(played.name)
    match action:
        case "compact":
            bench.store.compact(played.name)
        case "merge":
            bench.store._writer.upkeep.merge(group)
        case "seal":
            bench.store._writer.upkeep.seal(group)
        case "reopen":
            bench.reopen()
            played.store = bench.store
        case "rebuild":
            bench.store._writer.feed.rebuild(group)
        case "lose online":  # as a crash between publishing and applying, or a lost file
            parts.online.clear(group.id)
            bench.reopen()
            played.store = bench.store
        case "doctor":
            assert bench.store.quality.doctor(repair=True).healthy


@some
@given(case=cases(max_ops=5), data=st.data())
def test_law_6_upkeep_restarts_and_rebuilding_change_no_answer(bench, case: Case, data) -> None:
    with bench.groups(case.history) as (played,):
        for op in case.history.ops:
            played.step(op)
            for action in data.draw(st.lists(st.sampled_from(ACTIONS), max_size=2)):
                act(bench, played, action)
        bench.store.compact()
        bench.reopen()
        played.store = bench.store
        diagnosis = bench.store.quality.doctor()
        assert diagnosis.healthy, str(diagnosis)
        played.check_case(case)
        played.check_read(data.draw(st.one_of(st.none(), st.sampled_from(instants(case.history)))), case.pin)
        played.check_online(keys_of(case.history))


# ---- law 7


@some
@given(case=cases(), data=st.data())
def test_law_7_the_spines_order_duplicates_and_batches_change_no_answer(bench, case: Case, data) -> None:
    with bench.played(case.history) as (played,):
        known = from_us(case.known) if isinstance(case.known, int) else case.known
        whole = answered(played, case.spine, known)
        count = len(case.spine)
        taken = data.draw(st.lists(st.integers(0, count - 1), max_size=2 * count)) if count else []
        assert answered(played, [case.spine[i] for i in taken], known) == [whole[i] for i in taken]
        cut = data.draw(st.integers(0, count))
        assert answered(played, case.spine[:cut], known) + answered(played, case.spine[cut:], known) == whole
