"""Which rows of a batch break a check that says something of each row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.order import order_by
from asof.checks.around import Around
from asof.checks.users import sql_verdict, user_verdict
from asof.definitions import Check, FeatureGroup
from asof.errors import DataError, UsageError

Mask = np.ndarray
"""A boolean for each row: whether it breaks the check."""


def broken_rows(rows: pa.Table, check: Check, group: FeatureGroup, around: Around, where: str) -> Mask:
    """Return which rows break a check.

    Args:
        rows: In the columns and types of the group, in the order in which they came.
        check: A check of rows.
        group: The group.
        around: The store.
        where: What the rows are for, for messages.

    Raises:
        UsageError: The check does not fit the columns' types, or its code cannot be run. DataError: Its code failed.
    """
    try:
        return _RULES[check.kind](rows, check, group, around, where)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError) as error:
        kinds = ", ".join(str(rows.schema.field(name).type) for name in check.read)
        reason = " ".join(str(error).split())
        what = f"check '{check}' does not fit a column of type {kinds}: {reason}"
        raise UsageError(what, where=where) from error


def _flags(values: pa.ChunkedArray | pa.Array) -> Mask:
    """Return a mask; a null breaks nothing."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(bool)  # noqa: FBT003 - Arrow's own


def _between(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401 - what this rule does not need
    return _flags(outside(rows.column(check.column), check.low, check.high))


def outside(column: pa.ChunkedArray, low: float | None, high: float | None) -> pa.ChunkedArray:
    """Return which values are not in [low, high]; null where there is none. NaN compares false, so it is outside."""
    inside = [
        compare(column, pa.scalar(bound).cast(column.type, safe=False) if pa.types.is_decimal(column.type) else bound)
        for compare, bound in ((pc.greater_equal, low), (pc.less_equal, high))
        if bound is not None
    ]
    return pc.invert(inside[0] if len(inside) == 1 else pc.and_(*inside))


def _not_null(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401
    return _flags(pc.is_null(rows.column(check.column)))


def _one_of(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401
    column = rows.column(check.column)
    allowed = pa.array(list(check.values)).cast(column.type)
    return _flags(pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=allowed))))


def _matches(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401
    return _flags(pc.invert(pc.match_substring_regex(rows.column(check.column), check.pattern)))


def _length(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401
    column = rows.column(check.column)
    kind = column.type
    if pa.types.is_string(kind):
        lengths = pc.utf8_length(column)
    elif pa.types.is_binary(kind):
        lengths = pc.binary_length(column)
    else:
        lengths = pc.list_value_length(column)
    return _flags(outside(lengths, check.low, check.high))


def _unique(rows: pa.Table, check: Check, *_: Any) -> Mask:  # noqa: ANN401
    names = list(check.columns)
    whole = np.ones(rows.num_rows, dtype=bool)
    for name in names:
        whole &= pc.is_valid(rows.column(name)).to_numpy().astype(bool)
    places = np.flatnonzero(whole)
    chosen = rows.select(names).take(pa.array(places)).append_column("__row", pa.array(places))
    counted = chosen.group_by(names, use_threads=False).aggregate([("__row", "list")])
    several = counted.filter(pc.greater(pc.list_value_length(counted.column("__row_list")), 1))
    broken = np.zeros(rows.num_rows, dtype=bool)
    broken[pc.list_flatten(several.column("__row_list")).to_numpy()] = True
    return broken


def _increasing(rows: pa.Table, check: Check, group: FeatureGroup, *_: Any) -> Mask:  # noqa: ANN401
    """Each value is compared with the last one before it that is no null."""
    broken = np.zeros(rows.num_rows, dtype=bool)
    column = rows.column(check.column)
    kept = np.flatnonzero(pc.is_valid(column).to_numpy())
    if len(kept) < 2:  # noqa: PLR2004 - one value does not fall
        return broken
    rows = rows.take(pa.array(kept))
    order, same_key = order_by(rows, group.keys, group.event_time)
    values = rows.column(check.column).take(pa.array(order)).combine_chunks()
    before, after = values.slice(0, len(values) - 1), values.slice(1)
    holds: Callable[[pa.Array, pa.Array], pa.Array] = pc.greater if check.strictly else pc.greater_equal
    broken[kept[order[1:]]] = ~_flags(holds(after, before)) & same_key
    return broken


def _in_group(rows: pa.Table, check: Check, _: FeatureGroup, around: Around, where: str) -> Mask:
    names = list(check.columns)
    chosen = rows.select(names)
    distinct = chosen.group_by(names, use_threads=False).aggregate([]).select(names).drop_null()
    known = (
        around.known(check.group, distinct, where=f"{where}, check '{check}'")
        if distinct.num_rows
        else np.zeros(0, dtype=bool)
    )
    numbered = distinct.append_column("__known", pa.array(known, pa.bool_()))
    places = chosen.append_column("__row", pa.array(np.arange(rows.num_rows)))
    joined = places.join(numbered, names, join_type="left outer").sort_by("__row")
    return _flags(pc.invert(joined.column("__known")))  # a null key has no verdict


def _sql(rows: pa.Table, check: Check, _: FeatureGroup, around: Around, where: str) -> Mask:
    return ~_verdicts(sql_verdict(rows, check, around, where), rows.num_rows, check, where)


def _function(rows: pa.Table, check: Check, _: FeatureGroup, __: Around, where: str) -> Mask:
    return ~_verdicts(user_verdict(rows, check, where), rows.num_rows, check, where)


def _verdicts(said: pa.Array, count: int, check: Check, where: str) -> Mask:
    """Return what was said of each row; a null says that it is good.

    Raises:
        DataError: It is not a boolean for each row.
    """
    if len(said) != count or not (pa.types.is_boolean(said.type) or pa.types.is_null(said.type)):
        found = f"{len(said):,} values of type {said.type}"
        todo = 'it must say true or false of each row; of all rows together with over="batch"'
        raise DataError(f"check '{check}' gives {found} for {count:,} rows", where=where, todo=todo)
    return pc.fill_null(said.cast(pa.bool_()), True).to_numpy(zero_copy_only=False).astype(bool)  # noqa: FBT003


_RULES: dict[str, Callable[..., Mask]] = {
    "between": _between,
    "not_null": _not_null,
    "one_of": _one_of,
    "matches": _matches,
    "length": _length,
    "unique": _unique,
    "increasing": _increasing,
    "in_group": _in_group,
    "sql": _sql,
    "function": _function,
}
