"""Groups that are made of events answer as the oracle of windows does: SEMANTICS section 4."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof.testing.aggregated import Aggregated, aggregations
from asof.testing.strategies import HOUR_US, Case, cases, instants, modes, pins

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))
KEYS = [("k1",), ("s",), ("n",), ("s", "k1")]


@some
@given(case=cases(static=False), asked=aggregations(), on=st.sampled_from(KEYS), data=st.data())
def test_historical_reads_are_the_oracles_in_every_mode_and_at_every_pin(bench, case: Case, asked, on, data) -> None:
    with bench.played(case.history) as (played,):
        made = Aggregated(played, asked, on)
        try:
            when = st.builds(
                int.__add__, st.sampled_from(instants(case.history)), st.sampled_from([0, 0, 1, -1, HOUR_US])
            )
            rows = data.draw(st.lists(st.tuples(st.sampled_from(made.keys()), when), max_size=8))
            for known in {data.draw(modes(case.history)), "served", "event"}:
                made.check_historical(rows, known, data.draw(pins(case.history)))
        finally:
            bench.store.catalog.remove(made.name)


@some
@given(case=cases(static=False), asked=aggregations(), on=st.sampled_from(KEYS), data=st.data())
def test_explain_lists_the_events_that_give_the_value_and_a_true_reason_for_every_other_row(
    bench, case: Case, asked, on, data
) -> None:
    with bench.played(case.history) as (played,):
        made = Aggregated(played, asked, on)
        try:
            key = data.draw(st.sampled_from(made.keys()).filter(lambda key: None not in key))
            shift = data.draw(st.sampled_from([0, 0, 1, -1, HOUR_US]))
            when = data.draw(st.sampled_from(instants(case.history))) + shift
            for known in {data.draw(modes(case.history)), "served", "event"}:
                made.check_explained(key, when, known, data.draw(pins(case.history)))
        finally:
            bench.store.catalog.remove(made.name)


@some
@given(case=cases(static=False), asked=aggregations(), on=st.sampled_from(KEYS), data=st.data())
def test_online_answers_are_the_oracles_after_every_commit(bench, case: Case, asked, on, data) -> None:
    with bench.groups(case.history) as (played,):
        made = Aggregated(played, asked, on, online=True)
        try:
            for op in case.history.ops:
                played.step(op)
                bench.clock.now_us += data.draw(st.sampled_from([0, 1, HOUR_US]))
                made.check_online(made.keys())
        finally:
            bench.store.catalog.remove(made.name)


@some
@given(case=cases(static=False), asked=aggregations(), on=st.sampled_from(KEYS))
def test_groups_that_are_declared_later_are_served_from_history(bench, case: Case, asked, on) -> None:
    with bench.played(case.history) as (played,):
        made = Aggregated(played, asked, on, online=True)
        try:
            made.check_online(made.keys())
        finally:
            bench.store.catalog.remove(made.name)
