"""What was served, and the log that keeps it, on histories of all kinds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof import FeatureView
from asof.testing.strategies import HOUR_US, History, histories, instants

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

few = settings(max_examples=settings().max_examples // 10)


@few
@given(history=histories(max_ops=8), data=st.data())
def test_law_3_logged_answers_are_replayed_and_later_differences_have_a_cause(bench, history: History, data) -> None:
    with bench.groups(history) as (played,):
        store = bench.store
        group = store.catalog.groups()[-1].definition
        assert group.name == played.name
        name = f"{played.name}_view"
        bench.clock.now_us = min(
            (op.now for op in history.ops), default=bench.clock.now_us
        )  # no answer is older than it
        store.apply(group, FeatureView(name, features=[group], log=1.0))
        keys = [row.key for op in history.ops for row in op.rows][:3]
        asked = []
        for op in history.ops:
            played.step(op)
            bench.clock.now_us += data.draw(st.sampled_from([0, 1, HOUR_US]))
            asked += store.online(name, [played.key_set(key) for key in keys])
        bench.clock.now_us = max(bench.clock.now_us, *instants(history))
        try:
            counts = store.quality.serving_log(name, flush=True)
            assert (counts.failed, counts.dropped) == (0, 0), counts
            rows = store.read(f"{name}_log").to_arrow().to_pylist()
            assert len(rows) == len(asked)
            for row in rows:
                again = store.replay(row)
                assert repr(again.values) == repr(row["values"])
                assert "".join(status[0] for status in again.statuses.values()) == row["statuses"]
            found = store.verify(name, instants=5, keys=3)
            assert not found.defects, str(found)
            assert {d.stage for d in found.differences} <= {"hindsight"}, str(found)
        finally:
            store.catalog.remove(name)
            store.catalog.remove(f"{name}_log")
