"""A training set is made again, to the bit, whatever happens to its history meanwhile; its rows are the oracle's."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof import RandomSplit
from asof.testing.reference import canonical
from asof.testing.strategies import HOUR_US, Case, cases

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

some = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 15))


@some
@given(case=cases(static=False), horizon=st.sampled_from([1, HOUR_US, 3 * HOUR_US]), data=st.data())
def test_it_is_the_oracles_and_made_again_after_the_rest_of_the_history(bench, case: Case, horizon, data) -> None:
    with bench.groups(case.history) as (played,):
        cut = data.draw(st.integers(0, len(case.history.ops)))
        for op in case.history.ops[:cut]:
            played.step(op)
        known = data.draw(st.sampled_from(["served", "event"]))
        rows = data.draw(st.integers(1, 13))
        label = played.definition["n"].after(f"{horizon}us").alias("label")
        spine = played.spine(case.spine)
        name = played.name.replace("_", "-")
        made = bench.store.training_set(
            name, played.ref, spine, time="t", label=label, known=known, split=RandomSplit((0.5, 0.5)), batch_rows=rows
        )
        try:
            check_rows(bench, played, made, case, horizon, known)
            before = made.to_arrow()
            for op in case.history.ops[cut:]:
                played.step(op)
            if data.draw(st.booleans()):
                bench.store.compact(played.ref)
            again = made.rebuild()
            assert again.digest == made.digest
            assert same(again.to_arrow(), before)
            assert same(bench.store.training_set(name).to_arrow(), before)
        finally:
            bench.store.catalog.remove_training_set(name)


def same(one: pa.Table, other: pa.Table) -> bool:
    """Tell whether tables are equal; NaN is NaN."""
    return one.schema.equals(other.schema) and repr(one.to_pylist()) == repr(other.to_pylist())


def check_rows(bench, played, made, case, horizon, known) -> None:
    moment = max([bench.clock.now_us, *(commit.committed_at_us for commit in played.commits)])
    heads = bench.store._parts.log.heads().values()
    moment = max([moment, *(head.committed_at_us for head in heads)])
    mature = [(key, t) for key, t in case.spine if t + horizon <= moment]
    found = made.to_arrow().to_pylist()
    assert len(found) == len(mature) == len(made)
    for (key, t), row in zip(mature, found, strict=True):
        answers = played.reference.answer(key, t, known=known)
        assert {name: canonical(row[name]) for name in answers} == {name: each.value for name, each in answers.items()}
        wanted = played.reference.label(key, t, horizon, known=known)["n"]
        assert row["label"] == wanted.value
    assert pa.table(made).num_rows == len(mature)
