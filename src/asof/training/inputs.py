"""The keys and times of a spine's rows, in the types of the groups that they ask."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.types import arrow_type
from asof.definitions import Lookup
from asof.errors import DataError, NotFoundError


def keys_of(lookup: Lookup, spine: pa.Table, answer: Callable[[int, str], pa.ChunkedArray]) -> pa.Table:
    """Return the keys of a look-up; some may come from look-ups that were answered before.

    Args:
        lookup: The look-up.
        spine: The spine.
        answer: Gives a feature of an earlier look-up, by its index.

    Raises:
        NotFoundError: The spine lacks a column. DataError: A value does not fit its type.
    """
    columns: list[pa.ChunkedArray] = []
    for (key, dtype), source in zip(lookup.group.entity.keys.items(), lookup.sources, strict=True):
        target = arrow_type(dtype)
        if isinstance(source, str):
            if source not in spine.column_names:
                raise NotFoundError.named(
                    "spine column", source, spine.column_names, where=f"key {key} of group {lookup.group.name}"
                )
            where = f"spine column {source}, key {key} of group {lookup.group.name}"
            column = spine.column(source)
            is_time = pa.types.is_timestamp(target)
            columns.append(conform_time(column, where) if is_time else conform_column(column, target, where))
        else:
            index, feature = source
            where = f"feature {feature}, key {key} of group {lookup.group.name}"
            columns.append(conform_column(answer(index, feature), target, where))
    return pa.table(columns, names=list(lookup.group.keys))


def times_of(spine: pa.Table, time: str, *, timezone: str | None = None, truncate: bool = False) -> pa.ChunkedArray:
    """Return the times in a column of a spine.

    Raises:
        NotFoundError: There is no such column. DataError: A time is null, or does not fit.
    """
    if time not in spine.column_names:
        raise NotFoundError.named("spine column", time, spine.column_names, where="time=")
    where = f"spine column {time}"
    times = conform_time(spine.column(time), where, timezone=timezone, truncate=truncate)
    if times.null_count:
        row = int(pc.index(pc.is_null(times), True).as_py())
        raise DataError(f"null time in row {row}", where=where, todo="filter such rows", data={"row": row})
    return times
