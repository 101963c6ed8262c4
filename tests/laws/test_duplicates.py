"""Duplicates in one write, held to the oracle without a store: SEMANTICS section 2."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.arrow.order import arrange
from asof.errors import DataError
from asof.testing.played import times
from asof.testing.reference import Group, Reference, Row

ROWS = st.lists(
    st.builds(
        Row,
        st.sampled_from([("a", 1), ("a", 2), ("b", 1)]),
        st.sampled_from([1, 2]),
        st.fixed_dictionaries({"x": st.sampled_from([None, 1.0, 2.0])}),
        arrival=st.integers(1, 4),
    ),
    max_size=8,
)


@pytest.mark.parametrize("recorded", [True, False])
@given(rows=ROWS, on_conflict=st.sampled_from(["error", "last"]))
def test_one_row_stays_for_each_key_and_time_the_last_with_the_earliest_arrival_of_its_equals(
    rows, on_conflict, recorded
) -> None:
    table = pa.table(
        {
            "k": pa.array([row.key[0] for row in rows], pa.string()),
            "l": pa.array([row.key[1] for row in rows], pa.int64()),
            "at": times(row.event_time for row in rows),
            "x": pa.array([row.values["x"] for row in rows], pa.float64()),
            "arrived": times(row.arrival for row in rows),
        }
    )
    table = table if recorded else table.drop_columns(["arrived"])
    kept = [row if recorded else Row(row.key, row.event_time, row.values) for row in rows]
    reference = Reference(Group(("x",)))
    try:
        reference.commit("backfill", kept, now=10, on_conflict=on_conflict)
    except ValueError:
        with pytest.raises(DataError, match="different values"):
            arrange(table, ["k", "l"], "at", arrivals="arrived" if recorded else None, on_conflict=on_conflict)
        return
    arranged = arrange(table, ["k", "l"], "at", arrivals="arrived" if recorded else None, on_conflict=on_conflict)
    found = list(zip(*(column.to_pylist() for column in arranged.drop_columns(["at"]).columns), strict=True))
    wanted = sorted(reference.rows(), key=lambda row: (row.key, row.event_time))
    clocks = [(times([row.available_at])[0].as_py(),) if recorded else () for row in wanted]
    assert found == [(*row.key, row.values["x"], *clock) for row, clock in zip(wanted, clocks, strict=True)]
