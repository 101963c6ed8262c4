"""Answers put together from the numbers of the rows that answer."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.port import EVENT_COLUMN, EXPIRED, FOUND, MISSING, STATUS_COLUMN
from asof.records import COMMIT_COLUMN

Item = TypeVar("Item")


def answers(
    held: pa.Table, found: pa.Table, times: pa.ChunkedArray, *, columns: Sequence[str], ttl_us: int | None
) -> pa.Table:
    """Return the answers in the spine's order: the columns, `__status`, `__event_us`, `__commit`.

    Args:
        held: At least one row, with these columns.
        found: `__row` of the spine and `__n`, the row of `held` that answers; not for rows that have no answer.
        times: The spine's times, int64.
        columns: The features.
        ttl_us: Time to live.
    """
    numbers = np.full(len(times), -1)
    numbers[found.column("__row").to_numpy()] = found.column("__n").to_numpy()
    missing = numbers < 0
    status = np.where(missing, MISSING, held.column(STATUS_COLUMN).to_numpy()[numbers]).astype(np.int8)
    without = missing
    if ttl_us is not None:
        expired = held.column(EVENT_COLUMN).to_numpy()[numbers] <= times.to_numpy() - ttl_us
        status[(status == FOUND) & expired] = EXPIRED
        without = missing | expired
    answered, shown = pa.array(numbers, mask=missing), pa.array(numbers, mask=without)
    taken = on_all_cores(
        lambda name: pc.take(held.column(name), answered if name in {EVENT_COLUMN, COMMIT_COLUMN} else shown),
        [*columns, EVENT_COLUMN, COMMIT_COLUMN],
    )
    return pa.table(
        [*taken[:-2], pa.chunked_array([pa.array(status)]), *taken[-2:]],
        names=[*columns, STATUS_COLUMN, EVENT_COLUMN, COMMIT_COLUMN],
    )


def on_all_cores(work: Callable[[Item], pa.ChunkedArray], items: Sequence[Item]) -> list[pa.ChunkedArray]:
    """Do the work for each item; Arrow leaves Python's lock meanwhile."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))
