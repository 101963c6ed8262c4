"""Labels are those of the oracle: docs/training-sets.md, "Labels"."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof.parts import pinned_rows
from asof.testing.aggregated import Aggregated, aggregations, told
from asof.testing.played import times
from asof.testing.reference import canonical
from asof.testing.strategies import HOUR_US, Case, cases, instants, modes, pins
from asof.training.sets.labelling import COUNTS, Labeller

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))
HORIZONS = st.sampled_from([1, HOUR_US, 2 * HOUR_US - 1, 3 * HOUR_US, 24 * HOUR_US])
KINDS = dict(zip(("PRESENT", "NULL", "MISSING", "RETIRED"), COUNTS, strict=True))


def asked_of(store, played, label):
    registered = store._parts.registry.group(played)
    return Labeller.of(label, registered), registered


@some
@given(case=cases(static=False), horizon=HORIZONS, data=st.data())
def test_a_label_is_the_newest_row_after_t_as_it_was_known_at_the_end_of_its_horizon(
    bench, case: Case, horizon, data
) -> None:
    with bench.played(case.history) as (played,):
        for known in {data.draw(modes(case.history)), "served", "event"}:
            pin = data.draw(pins(case.history))
            for feature in played.types:
                label = played.definition[feature].after(f"{horizon}us")
                labeller, registered = asked_of(bench.store, played.ref, label)
                number = played.pins(pin)
                rows, _ = pinned_rows(bench.store._parts, registered, pin=number and number[played.ref])
                spine = played.spine(case.spine)
                found = labeller.labels(bench.store._parts, spine, spine.column("t"), rows, known)
                wanted = [
                    played.reference.label(key, t, horizon, known=known, pin=pin)[feature] for key, t in case.spine
                ]
                assert [canonical(value) for value in found.values.to_pylist()] == [each.value for each in wanted]
                counted = Counter(KINDS[each.status] for each in wanted)
                assert {name: count for name, count in found.counts.items() if count} == counted


@some
@given(case=cases(static=False), asked=aggregations(), horizon=HORIZONS, data=st.data())
def test_a_label_of_an_aggregate_is_its_window_at_the_end_of_the_horizon(
    bench, case: Case, asked, horizon, data
) -> None:
    with bench.played(case.history) as (played,):
        made = Aggregated(played, asked, ["k1"])
        try:
            when = st.sampled_from(instants(case.history))
            spine = data.draw(st.lists(st.tuples(st.sampled_from(made.keys()), when), max_size=8))
            known = data.draw(modes(case.history))
            for each, _ in asked:
                label = made.definition[each.name].after(f"{horizon}us")
                labeller, registered = asked_of(bench.store, made.name, label)
                rows, _ = pinned_rows(bench.store._parts, registered)
                table = pa.table(
                    {"e0": pa.array([key for (key,), _ in spine], pa.string()), "t": times(t for _, t in spine)}
                )
                found = labeller.labels(bench.store._parts, table, table.column("t"), rows, known)
                wanted = [made._wanted(key, t + horizon, known, None)[each.name][0] for key, t in spine]
                assert list(map(told, found.values.to_pylist())) == wanted
        finally:
            bench.store.catalog.remove(made.name)
