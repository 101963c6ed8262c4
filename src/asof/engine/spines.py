"""Spines on their way into a query, and its answers in their order."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.numbered import on_all_cores
from asof.engine.port import EVENT_COLUMN, TIME_COLUMN, Rows
from asof.engine.ties import settled, tied

MANY_ROWS = 100_000
"""Answers that are worth the threads that bring them into order."""


def in_order(found: pa.Table) -> pa.Table:
    """Return answers in the order of the spine, each row of which has one; the columns on all cores."""
    order = np.empty(found.num_rows, dtype=np.int64)
    order[found.column("__row").to_numpy()] = np.arange(found.num_rows)
    found, places = found.drop_columns(["__row"]), pa.array(order)
    if found.num_rows < MANY_ROWS:
        return found.take(places)
    return pa.Table.from_arrays(on_all_cores(partial(pc.take, indices=places), found.columns), schema=found.schema)


def one_each(found: pa.Table, spine: pa.Table, rows: Rows) -> pa.Table:
    """Return one answer for each row of the spine, of several that are equal.

    Raises:
        DataError: Some differ.
    """
    found, tie = settled(found.sort_by("__row"), ["__row"])
    if tie is not None:
        row, event_us = (found.column(name)[tie].as_py() for name in ("__row", EVENT_COLUMN))
        raise tied(rows, spine.slice(row, 1), event_us if rows.event_time is not None else None)
    return found


def with_numbers(spine: pa.Table, on: Sequence[str]) -> pa.Table:
    """Return some columns of a spine with its times, `__t_us`, and the number of each row, `__row`."""
    table = spine.select(list(on)).append_column("__t_us", spine.column(TIME_COLUMN).cast(pa.int64()))
    return table.append_column("__row", pa.array(np.arange(spine.num_rows)))
