"""How aggregations are asked of DuckDB, and what its answers come to: the algebra finishes what it counted."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.types import arrow_type, inferred_type
from asof.definitions.aggregate import result_type
from asof.engine.literals import quoted
from asof.engine.port import EVENT_COLUMN, FOUND, MISSING, STATUS_COLUMN, TIME_COLUMN, Rows
from asof.engine.sums import Sums
from asof.engine.windows import LOWEST, NEWEST, Part, Unit, in_order
from asof.windows.aggregation import DISTINCT, OF_NUMBERS, Aggregation
from asof.windows.functions import Event, Function, Moments, order_of
from asof.windows.users import is_users

SAFE_DIGITS = 27
"""Sums of decimals of so many digits have less than 38."""

ONE_CALL: Mapping[str, str] = {
    "min": "min({column})",
    "max": "max({column})",
    "first": "first({column} ORDER BY {order})",
    "last": "last({column} ORDER BY {order})",
    "count_distinct": "count(DISTINCT {column})",
}
"""Functions of which DuckDB knows the whole answer, but for that of no events."""


def values_type(aggregation: Aggregation, schema: pa.Schema) -> pa.DataType:
    """Return the type of an aggregation's values, over a source of a schema."""
    of = None if aggregation.column is None else inferred_type(schema.field(aggregation.column).type)
    return arrow_type(result_type(aggregation, of))


SKIP_NULLS = ("min", "max", "count_distinct")
"""Those of them that take no null for a value by themselves."""

MERGES: Mapping[str, Literal["min", "max"]] = {"min": "min", "max": "max"}

SQUARES = ("variance", "stddev")

TRUTHS = ("any", "all")

ODD = ("isnan({})", "{} = 'inf'", "{} = '-inf'")
"""Values that have no part in sums of units, in the order of `FloatSum`."""

ENDS: Mapping[str, str] = {"first_k": "arg_min", "last_k": "arg_max"}

COUNTED = ("top_k", "top_k_approx", "count_by")


class Answering(Protocol):
    """How an aggregation is asked for, and answered."""

    @property
    def parts(self) -> Sequence[Part]:
        """What is asked."""
        ...

    def answers(self, found: Sequence[pa.ChunkedArray], times_us: np.ndarray[Any, Any]) -> pa.Array:
        """Return the values of the spine's rows, in its order.

        Args:
            found: What the parts came to; null where there was no event at all.
            times_us: The times of the spine.
        """
        ...


class Way:
    """An aggregation as DuckDB is asked for it.

    Attributes:
        parts: What is asked.
        dtype: The type of the answers.
    """

    def __init__(self, aggregation: Aggregation, rows: Rows, unit: Unit) -> None:
        """Choose how to ask.

        Args:
            aggregation: What is wanted.
            rows: The source.
            unit: That of the column, if it is one of floats.
        """
        self.dtype = values_type(aggregation, rows.schema)
        self._unit = unit
        self._aggregation = aggregation
        self._of = column_type(aggregation, rows.schema)
        self._algebra: Function[Any] = aggregation.algebra(_scale(self._of))
        self._is_one_call = aggregation.function in ONE_CALL and not aggregation.most
        self.parts = self._asked(rows)

    def _asked(self, rows: Rows) -> list[Part]:
        function, column = self._aggregation.function, quoted(self._aggregation.column or "")
        order = in_order(rows)
        if self._is_one_call:
            call = ONE_CALL[function].format(column=column, order=order)
            return [Part(call, skips_nulls=function in SKIP_NULLS, merge=MERGES.get(function, ""))]
        if function == "since_last":
            return [NEWEST]
        if function in ("count", *TRUTHS):
            count = Part("count(*)", merge="count")
            return [count] if function == "count" else [count, replace(count, of=column)]
        if is_users(function):
            value = column if self._aggregation.column else "NULL"
            return [Part(f"list({{'e': __e, 'v': {value}}} ORDER BY {order})")]
        if function in ENDS:
            place = ", ".join(f"'{key}': {name}" for key, name in enumerate(["__e", *map(quoted, rows.keys)]))
            return [Part(f"{ENDS[function]}({column}, {{{place}}}, {self._aggregation.most})")]
        if function in COUNTED:
            return [Part(f"histogram({column})")]
        if function in DISTINCT:
            return [Part(f"list(DISTINCT {column})")]
        return self._sums(column) or [Part(f"list({column})")]

    def _sums(self, column: str) -> list[Part]:
        """Return the parts that count values and add them up, [] where that is not exact."""
        function = self._aggregation.function
        if function not in OF_NUMBERS:
            return []
        squares = function in SQUARES
        count = Part(f"count({column})", skips_nulls=True, merge="count")
        if pa.types.is_floating(self._of) and self._unit.fits(squares=squares):
            value = f"{column}::DOUBLE"
            units = f"({value} * {2.0**-self._unit.exponent!r}::DOUBLE)::HUGEINT"
            units = f"CASE WHEN isfinite({value}) THEN {units} END" if self._unit.odd else units
            square = [_sum(f"({units}) * ({units})")] if squares else []
            odd = [Part("count(*)", each.format(value), merge="count") for each in ODD] if self._unit.odd else []
            return [count, _sum(units), *square, *odd]
        if pa.types.is_integer(self._of) and not squares:
            return [count, _sum(f"{column}::BIGINT")]
        if pa.types.is_decimal(self._of) and not squares and self._of.precision <= SAFE_DIGITS:
            return [count, _sum(column)]
        return []

    def answers(self, found: Sequence[pa.ChunkedArray], times_us: np.ndarray[Any, Any]) -> pa.Array:
        """See `Answering.answers`."""
        function = self._aggregation.function
        if self._is_one_call:
            values = found[0].cast(self.dtype).combine_chunks()
            blank = self._algebra.finish(self._algebra.empty, 0)
            return values if blank is None else pc.fill_null(values, pa.scalar(blank, self.dtype))
        if function in ("count", *TRUTHS):
            many, *true = map(_counts, found)
            return pa.array(many if function == "count" else true[0] > 0 if function == "any" else true[0] == many)
        if function == "since_last":
            states = found[0].to_pylist()
        elif len(self.parts) == 1:
            states = map(self._of_values, found[0].to_pylist())
        elif function in SQUARES:
            states = map(self._of_moments, *(column.to_pylist() for column in found))
        else:
            return self._of_sums(*found)
        values = [self._algebra.finish(state, t) for state, t in zip(states, times_us.tolist(), strict=True)]
        return pa.array(values, self.dtype)

    def _of_values(self, values: Sequence[Any] | None) -> object:
        values = values or ()
        if self._aggregation.function in COUNTED:
            return {order_of(value): (_canonical(value), many) for value, many in values}
        if self._aggregation.function == "last_k":
            values = values[::-1]
        if is_users(self._aggregation.function):  # a rank has the order of an identity
            identified = ((number.to_bytes(8, "big"), each["e"], each["v"]) for number, each in enumerate(values))
            return self._algebra.of(Event(time, rank, _canonical(value)) for rank, time, value in identified)
        return self._algebra.of(Event(number, b"", _canonical(value)) for number, value in enumerate(values))

    def _of_moments(self, many: int | None, units: Any, squares: Any, *odd: int | None) -> Moments:  # noqa: ANN401
        shift = self._unit.exponent - LOWEST
        found = Moments(many or 0, int(units or 0) << shift, *(each or 0 for each in odd))
        return found._replace(squares=int(squares or 0) << 2 * shift)

    def _of_sums(self, many: pa.ChunkedArray, total: pa.ChunkedArray, *odd: pa.ChunkedArray) -> pa.Array:
        sums, scale, counts = Sums.of(total), _scale(self._of), _counts(many)
        if self._aggregation.function == "mean":
            means = sums.quotients(counts, self._unit.exponent, scale=scale or 0)
            return pa.array(_with_odd(means, odd), mask=counts == 0)
        if scale is None:
            return pa.array(_with_odd(sums.floats(self._unit.exponent), odd))
        if pa.types.is_decimal(self._of):
            return pc.fill_null(total.cast(self.dtype), pa.scalar(Decimal(0), self.dtype)).combine_chunks()
        for at in np.flatnonzero(~sums.fit()).tolist():
            self._algebra.finish(Moments(1, sums[at]), 0)
        return pa.array(sums.integers())


def column_type(aggregation: Aggregation, schema: pa.Schema) -> pa.DataType:
    """Return the type of an aggregation's column; null if it has none."""
    return pa.null() if aggregation.column is None else schema.field(aggregation.column).type


def _scale(of: pa.DataType) -> int | None:
    if pa.types.is_decimal(of):
        return of.scale
    return None if pa.types.is_floating(of) else 0


def _canonical(value: object) -> object:
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def _sum(of: str) -> Part:
    return Part(f"sum({of})", skips_nulls=True, merge="sum")


def _counts(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return counts, 0 where there was no event at all."""
    return pc.fill_null(column.cast(pa.int64()), 0).to_numpy()


def _with_odd(values: np.ndarray[Any, Any], odd: Sequence[pa.ChunkedArray]) -> np.ndarray[Any, Any]:
    """Return sums with what they are where so many values are NaN, inf and -inf; see `FloatSum.odd`."""
    if not odd:
        return values
    nans, infs, minus_infs = (_counts(column) > 0 for column in odd)
    values = np.where(infs, np.inf, np.where(minus_infs, -np.inf, values))
    return np.where(nans | (infs & minus_infs), np.nan, values)


def _adds(aggregation: Aggregation, schema: pa.Schema) -> bool:
    return aggregation.function in OF_NUMBERS and pa.types.is_floating(column_type(aggregation, schema))


def _told(value: str) -> str:
    """Return what a unit is made of; see `Unit.of`."""
    counts = f"FILTER (WHERE isfinite({value}) AND {value} <> 0)"
    return f"min(abs({value})) {counts}, max(abs({value})) {counts}, count(*) FILTER (WHERE NOT isfinite({value})) > 0"


def ways(aggregations: Sequence[Aggregation], rows: Rows, ask: Callable[[str], Sequence[Any]]) -> list[Way]:
    """Return how DuckDB is asked for aggregations.

    Args:
        aggregations: What is wanted.
        rows: The source.
        ask: Gives the values of expressions over all rows that may be events, perhaps more.
    """
    columns = list(dict.fromkeys(each.column for each in aggregations if each.column and _adds(each, rows.schema)))
    units: dict[str, Unit] = {}
    if columns:
        bounds = [_told(f"{quoted(column)}::DOUBLE") for column in columns]
        count, *told = ask(", ".join(["count(*)", *bounds]))
        ends = zip(told[0::3], told[1::3], told[2::3], strict=True)
        units = {
            column: Unit.of(least, greatest, count, odd=odd)
            for column, (least, greatest, odd) in zip(columns, ends, strict=True)
        }
    return [Way(each, rows, units.get(each.column or "", Unit())) for each in aggregations]


def arranged(
    spine: pa.Table,
    found: Sequence[pa.Table],
    *,
    on: Sequence[str],
    aggregations: Sequence[Aggregation],
    ways: Sequence[Answering],
) -> pa.Table:
    """Return the answers of all rows of the spine, in its order; see `Engine.aggregate`.

    Args:
        spine: The spine.
        found: What statements gave, each for some of the parts; see `asof.engine.windows.aggregate`.
        on: The source's columns that the spine has.
        aggregations: What is wanted.
        ways: How it was asked, in the same order.
    """
    tables = [_in_order(table, spine.num_rows) for table in found]
    columns = {name: table.column(name) for table in tables for name in table.column_names}
    parts = (columns[f"__{number}"] for number in itertools.count())
    times_us = spine.column(TIME_COLUMN).cast(pa.int64()).to_numpy()
    missing = _missing(spine, on)
    answers: dict[str, pa.Array] = {}
    for each, way in zip(aggregations, ways, strict=True):
        values = way.answers([next(parts) for _ in way.parts], times_us)
        answers[each.name] = pc.if_else(missing, pa.scalar(None, values.type), values)
    statuses = pc.if_else(missing, pa.scalar(MISSING, pa.int8()), pa.scalar(FOUND, pa.int8()))
    newest = pc.max_element_wise(*(table.column(EVENT_COLUMN).cast(pa.int64()) for table in tables))
    newest = pc.if_else(missing, pa.scalar(None, pa.int64()), newest)
    return pa.table({**answers, STATUS_COLUMN: statuses, EVENT_COLUMN: newest})


def _in_order(found: pa.Table, count: int) -> pa.Table:
    """Return what was found by the order of the spine, null for rows of which nothing was."""
    order = np.full(count, -1)
    order[found.column("__row").to_numpy()] = np.arange(found.num_rows)
    return found.drop_columns(["__row"]).take(pa.array(order, mask=order < 0))


def nothing(spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregations: Sequence[Aggregation]) -> pa.Table:
    """Return the answers if there are no events."""
    made = [Way(each, rows, Unit()) for each in aggregations]
    parts = sum(len(way.parts) for way in made)
    names = ["__row", *(f"__{number}" for number in range(parts)), EVENT_COLUMN]
    none = pa.table({name: pa.nulls(0, pa.int64() if name == "__row" else None) for name in names})
    return arranged(spine, [none], on=on, aggregations=aggregations, ways=made)


def _missing(spine: pa.Table, on: Sequence[str]) -> pa.Array:
    missing = pa.array(np.zeros(spine.num_rows, dtype=bool))
    for name in on:
        missing = pc.or_(missing, pc.is_null(spine.column(name)).combine_chunks())
    return missing
