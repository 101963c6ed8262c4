"""A real store answers as the oracle does, whatever was done to it: SEMANTICS sections 1 to 3 and 8."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof.clock import from_us
from asof.definitions import FeatureView
from asof.testing.played import answers_of, rows_table, times
from asof.testing.reference import Answer, Group, canonical
from asof.testing.strategies import FEATURE_TYPES, Case, History, cases, histories, instants, pins, spines

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

# The five arrangements share them: 30 of each law by default, 3,000 in a long run.
some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))


def keys_of(case: Case):
    return [*(row.key for op in case.history.ops for row in op.rows), *(key for key, _ in case.spine)]


@some
@given(case=cases(), data=st.data())
def test_every_read_is_the_oracles_in_every_mode_and_at_every_pin(bench, case: Case, data: st.DataObject) -> None:
    with bench.played(case.history) as (played,):
        played.check_case(case)
        moments = st.one_of(st.none(), st.sampled_from(instants(case.history)))
        played.check_read(data.draw(moments), data.draw(pins(case.history)))
        played.check_online(keys_of(case))


@some
@given(case=cases(), data=st.data())
def test_online_answers_are_the_oracles_after_every_commit(bench, case: Case, data: st.DataObject) -> None:
    with bench.groups(case.history) as (played,):
        for op in case.history.ops:
            played.step(op)
            bench.clock.now_us += data.draw(st.sampled_from([0, 1, 3_600_000_000]))
            played.check_online(keys_of(case))


@some
@given(data=st.data(), histories=st.tuples(histories(), histories()))
def test_a_view_looks_its_groups_up_independently_and_may_take_keys_from_answers(bench, data, histories) -> None:
    source, target = histories
    with bench.played(source, target) as (a, b):
        # b a second time, under a key from a's answer: its string key from s, its integer key from n.
        taken = dict(zip(b.definition.keys, (a.definition["s"], a.definition["n"]), strict=False))
        own = {key: f"b_{key}" for key in b.definition.keys}
        view = FeatureView(
            f"view_{a.name}",
            features=[
                *(a.definition[f].alias(f"a_{f}") for f in FEATURE_TYPES),
                *(b.definition.on(**own)[f].alias(f"b_{f}") for f in FEATURE_TYPES),
                *(b.definition.on(**taken)[f].alias(f"c_{f}") for f in FEATURE_TYPES),
            ],
        )
        bench.store.apply(view)
        try:
            check_view(bench, view.name, a, b, data)
        finally:
            bench.store.catalog.remove(view.name)


def check_view(bench, view, a, b, data) -> None:
    rows = data.draw(spines(a.history))
    others = data.draw(spines(b.history))
    b_keys = [data.draw(st.sampled_from(others))[0] if others else (None,) * len(b.definition.keys) for _ in rows]
    pin_a, pin_b = data.draw(pins(a.history)), data.draw(pins(b.history))
    known = data.draw(st.sampled_from(["served", "event"]))
    pinned = pin_a is not None and pin_b is not None
    commits = {**a.pins(pin_a), **b.pins(pin_b)} if pinned else None

    def wanted(key, b_key, t, *, pin_a=None, pin_b=None, known="served") -> dict[str, Answer]:
        from_a = a.reference.answer(key, t, known=known, pin=pin_a)
        from_b = b.reference.answer(b_key, t, known=known, pin=pin_b)
        taken = tuple(from_a[f].value if from_a[f].status == "PRESENT" else None for f in ("s", "n"))
        from_c = b.reference.answer(taken[: len(b_key)], t, known=known, pin=pin_b)
        found = {"a": from_a, "b": from_b, "c": from_c}
        return {f"{label}_{feature}": x for label, every in found.items() for feature, x in every.items()}

    spine = {f"b_{key}": pa.array([k[i] for k in b_keys], pa.string() if i == 0 else pa.int64())
             for i, key in enumerate(b.definition.keys)}  # fmt: skip
    table = pa.table({**{n: a.spine(rows).column(n) for n in (*a.definition.keys, "t")}, **spine})
    frame = bench.store.historical(view, table, time="t", known=known, commits=commits, statuses=True)
    pins_used = {"pin_a": pin_a, "pin_b": pin_b} if pinned else {}
    for (key, t), b_key, found in zip(rows, b_keys, frame.to_arrow().to_pylist(), strict=True):
        for name, answer in wanted(key, b_key, t, known=known, **pins_used).items():
            assert (canonical(found[name]), found[f"{name}__status"]) == (answer.value, answer.status), name

    names = [*a.definition.keys, *(f"b_{key}" for key in b.definition.keys)]
    every = [dict(zip(names, (*key, *b_key), strict=True)) for (key, _), b_key in zip(rows, b_keys, strict=True)]
    t = max([bench.clock.now_us, *(c.committed_at_us for played in (a, b) for c in played.commits)])
    for place, (keys, vector) in enumerate(zip(every, bench.store.online(view, every), strict=True)):
        assert vector.receipt.clock_us == t
        parts = tuple(keys.values())
        width = len(a.definition.keys)
        assert answers_of(vector) == wanted(parts[:width], parts[width:], t)
        if place < 2:  # a replay is several queries
            assert answers_of(bench.store.replay(vector.receipt)) == answers_of(vector)


@some
@given(data=st.data(), histories=st.tuples(histories(kinds=["write"], static=False), histories(kinds=["write"])))
def test_groups_written_together_share_a_clock_and_are_all_there(bench, data, histories) -> None:
    with bench.groups(*histories) as every:
        pairs = list(zip(histories[0].ops, histories[1].ops, strict=False))
        for ops in pairs:
            bench.clock.now_us = ops[0].now
            events = [row.event_time for op in ops for row in op.rows if row.event_time is not None]
            after = [played.commits[-1].committed_at_us + 1 for played in every if played.commits]
            at_us = max([ops[0].now, *events, *after])
            # The second op was made for another now: skip what would lie in the future of this one.
            if any(event > ops[0].now + 60_000_000 for event in events):
                continue
            with bench.store.together() as tx:
                for played, op in zip(every, ops, strict=True):
                    tx.write(played.name, rows_table(played.history, op), on_conflict=op.on_conflict)
            assert {commit.committed_at_us for commit in tx.commits} == {at_us}
            for played, op, commit in zip(every, ops, tx.commits, strict=True):
                played.reference.commit(
                    "write", op.rows, now=ops[0].now, on_conflict=op.on_conflict, committed_at=at_us
                )
                played.commits.append(commit)
        for played in every:
            played.check_historical(data.draw(spines(played.history)), "served")
            played.check_online({row.key for op in played.history.ops for row in op.rows})


def test_an_empty_store_and_an_empty_spine_give_typed_answers(bench) -> None:
    empty = History(Group(tuple(FEATURE_TYPES), ttl_us=1), ("string", "int64"), ())
    with bench.played(empty) as (played,):
        played.check_historical([], "served")
        played.check_historical([(("a", 1), 5), ((None, 1), 5)], "event", 0)
        played.check_read()
        played.check_online([("a", 1), ("a", None)])
        frame = bench.store.historical(played.name, played.spine([]), time="t").to_arrow()
        assert [str(frame.schema.field(name).type) for name in FEATURE_TYPES] == ["double", "int64", "string"]
        moment = bench.store.historical(played.name, played.spine([(("a", 1), 5)]), time=from_us(7), statuses=True)
        assert moment.to_arrow().column("x__status").to_pylist() == ["MISSING"]
        assert times([5]).type == frame.schema.field("t").type
