"""Trees that are built in parts: the same answers as those of one step, nothing half built is read, and kills."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof import Entity, Feature, FeatureGroup
from asof.aggregates import Count, Sum
from asof.clock import from_us
from asof.errors import TransientError
from asof.ingest import grow
from asof.ingest.grow import Grower
from asof.parts.trees import SHAPE_KEY, Built
from asof.testing.aggregated import Aggregated, aggregations
from asof.testing.crashes import Killed
from asof.testing.strategies import BASE_US, Case, cases
from asof.windows import tree

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))
KEYS = [("k1",), ("s",), ("n",), ("s", "k1")]
CARDS = [f"c{number}" for number in range(12)]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Let trees be deep, and parts, steps and changes small."""
    monkeypatch.setattr(tree, "MOST", 3)
    monkeypatch.setattr(tree, "FILLED", 2)
    monkeypatch.setattr(grow, "STEP_ROWS", 5)
    monkeypatch.setattr(grow, "NODES", 4)
    monkeypatch.setattr(grow, "PART_ROWS", 1)


@some
@given(case=cases(static=False), asked=aggregations(), on=st.sampled_from(KEYS), data=st.data())
def test_trees_that_are_built_in_parts_answer_as_history_does(bench, case: Case, asked, on, data) -> None:
    ops = case.history.ops
    begin = data.draw(st.integers(0, len(ops)))
    with bench.groups(case.history) as (played,):
        for op in ops[:begin]:
            played.step(op)
        made = Aggregated(played, asked, on, online=True)
        try:
            made.check_online(made.keys())
            for op in ops[begin:]:
                played.step(op)
                made.check_online(made.keys())
            group = bench.store._parts.registry.group(made.name)
            assert Grower(bench.store._parts, group).compare()[1] == 0
        finally:
            bench.store.catalog.remove(made.name)


def source():
    return FeatureGroup(
        "events",
        entity=Entity("event", keys={"id": "int64"}),
        event_time="at",
        features=[Feature("card", "string"), Feature("x", "float64")],
        online=True,
    )


def by_card(of):
    features = [Count(over="1h"), Sum("x", over="2h")]
    return FeatureGroup(
        "by_card", entity=Entity("card", keys={"card": "string"}), source=of, features=features, online=True
    )


def events(first=0, count=120):
    """Give events of the last hour, ten of each card."""
    return [
        {"id": first + each, "at": from_us(BASE_US - each * 20_000_000), "card": CARDS[each % 12], "x": 0.1}
        for each in range(count)
    ]


def built(store):
    """Return how far the trees are; None if they are whole."""
    group = store._parts.registry.group("by_card")
    with store._parts.online.snapshot() as snapshot:
        (shape,) = snapshot.get([(group.id, SHAPE_KEY)])
    return Grower(store._parts, group)._trees.built(shape)


def check(store):
    """See that all is there, and can be replayed."""
    assert built(store) is None
    for card in CARDS:
        vector = store.online("by_card", {"card": card})
        assert vector.values == {"count_1h": 10, "x_sum_2h": 1.0}
        assert store.replay(vector.receipt).values == vector.values
    assert Grower(store._parts, store._parts.registry.group("by_card")).compare() == (12, 0)


def test_a_build_that_is_killed_at_any_seventh_step_goes_on_where_it_was(crashable, monkeypatch) -> None:
    monkeypatch.setattr(grow, "PART_ROWS", 40)
    monkeypatch.setattr(grow, "STEP_ROWS", 60)
    crashable.clock.now_us = BASE_US
    far, number, alive = [], 0, False
    while not alive:
        of = source()
        crashable.store.apply(of)
        crashable.store.backfill("events", events())
        crashable.crashing.arm(number)
        with suppress(Killed):
            crashable.store.apply(by_card(of))
            alive = True
        crashable.crashing.arm(None)
        far.append(built(crashable.store) if applied_by(crashable.store) else None)
        if far[-1] is not None:
            with pytest.raises(TransientError, match=f"being built online: {far[-1].done} of 3 parts"):
                crashable.store.online("by_card", {"card": "c0"})
        crashable.crash()
        if not applied_by(crashable.store):
            crashable.store.apply(by_card(of))
        check(crashable.store)
        crashable.empty()
        number += 7
    assert {each for each in far if each is not None} == {Built(3, done) for done in range(3)}


def applied_by(store):
    """Return whether the definition is registered: a kill may come before."""
    return "by_card" in {group.definition.name for group in store.catalog.groups()}
