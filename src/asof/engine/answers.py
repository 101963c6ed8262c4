"""How aggregations are asked of DuckDB, and what its answers come to: the algebra finishes what it counted."""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.types import arrow_type, inferred_type
from asof.definitions.aggregate import result_type
from asof.engine.literals import quoted
from asof.engine.port import EVENT_COLUMN, FOUND, MISSING, STATUS_COLUMN, TIME_COLUMN, Rows
from asof.engine.windows import Part, Unit, in_order
from asof.windows.aggregation import DISTINCT, OF_NUMBERS, Aggregation
from asof.windows.functions import Event, Function, Moments, order_of
from asof.windows.users import is_users

SAFE_DIGITS = 27
"""Sums of decimals of so many digits have less than 38."""

ONE_CALL: Mapping[str, str] = {
    "count": "count(*)",
    "since_last": "max(__e)",
    "min": "min({column})",
    "max": "max({column})",
    "first": "first({column} ORDER BY {order})",
    "last": "last({column} ORDER BY {order})",
    "count_distinct": "count(DISTINCT {column})",
    "any": "bool_or({column})",
    "all": "bool_and({column})",
}
"""Functions of which DuckDB knows the whole answer, but for that of no events."""


def values_type(aggregation: Aggregation, schema: pa.Schema) -> pa.DataType:
    """Return the type of an aggregation's values, over a source of a schema."""
    of = None if aggregation.column is None else inferred_type(schema.field(aggregation.column).type)
    return arrow_type(result_type(aggregation, of))


ENDS: Mapping[str, str] = {"first_k": "arg_min", "last_k": "arg_max"}

COUNTED = ("top_k", "top_k_approx", "count_by")


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
            return [Part(ONE_CALL[function].format(column=column, order=order))]
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
        if function not in OF_NUMBERS:
            return [Part(f"list({column})")]
        squares = function in ("variance", "stddev")
        if pa.types.is_floating(self._of) and self._unit.fits(squares=squares):
            units = f"({column}::DOUBLE * {2.0**-self._unit.exponent!r}::DOUBLE)::HUGEINT"
            units = f"CASE WHEN isfinite({column}) THEN {units} END"
            odd = [Part("count(*)", each.format(column)) for each in ("isnan({})", "{} = 'inf'", "{} = '-inf'")]
            square = [Part(f"sum(({units}) * ({units}))")] if squares else []
            return [Part("count(*)"), Part(f"sum({units})"), *odd, *square]
        if pa.types.is_integer(self._of) and not squares:
            return [Part("count(*)"), Part(f"sum({column}::HUGEINT)")]
        if pa.types.is_decimal(self._of) and not squares and self._of.precision <= SAFE_DIGITS:
            return [Part("count(*)"), Part(f"sum({column})")]
        return [Part(f"list({column})")]

    def answers(self, found: Sequence[pa.ChunkedArray], times_us: Sequence[int]) -> pa.Array:
        """Return the values of the spine's rows, in its order.

        Args:
            found: What the parts came to; null where there was no event at all.
            times_us: The times of the spine.
        """
        function = self._aggregation.function
        if function == "since_last":
            seconds = (self._algebra.finish(time, t) for time, t in zip(found[0].to_pylist(), times_us, strict=True))
            return pa.array(seconds, self.dtype)
        if self._is_one_call:
            values = found[0].cast(self.dtype).combine_chunks()
            blank = self._algebra.finish(self._algebra.empty, 0)
            return values if blank is None else pc.fill_null(values, pa.scalar(blank, self.dtype))
        state = self._state()
        columns = zip(*(column.to_pylist() for column in found), strict=True)
        values = [self._algebra.finish(state(parts), t) for parts, t in zip(columns, times_us, strict=True)]
        return pa.array(values, self.dtype)

    def _state(self) -> Callable[[Sequence[Any]], object]:
        if len(self.parts) == 1:
            return self._of_values
        if pa.types.is_floating(self._of):
            return self._of_floats
        return self._of_units

    def _of_values(self, parts: Sequence[Any]) -> object:
        values = parts[0] or ()
        if self._aggregation.function in COUNTED:
            return {order_of(value): (_canonical(value), many) for value, many in values}
        if self._aggregation.function == "last_k":
            values = values[::-1]
        if is_users(self._aggregation.function):  # a rank has the order of an identity
            identified = ((number.to_bytes(8, "big"), each["e"], each["v"]) for number, each in enumerate(values))
            return self._algebra.of(Event(time, rank, _canonical(value)) for rank, time, value in identified)
        return self._algebra.of(Event(number, b"", _canonical(value)) for number, value in enumerate(values))

    def _of_floats(self, parts: Sequence[Any]) -> object:
        many, units, nans, infs, minus_infs, *squares = parts
        shift = (self._unit.exponent or 0) + 1074
        squared = int(squares[0] or 0) << 2 * shift if squares else 0
        return Moments(many or 0, int(units or 0) << shift, nans or 0, infs or 0, minus_infs or 0, squared)

    def _of_units(self, parts: Sequence[Any]) -> object:
        many, total = parts
        if isinstance(total, Decimal) and pa.types.is_decimal(self._of):
            total = total.scaleb(self._of.scale)
        return Moments(many or 0, int(total or 0))


def column_type(aggregation: Aggregation, schema: pa.Schema) -> pa.DataType:
    """Return the type of an aggregation's column; null if it has none."""
    return pa.null() if aggregation.column is None else schema.field(aggregation.column).type


def _scale(of: pa.DataType) -> int | None:
    if pa.types.is_decimal(of):
        return of.scale
    return None if pa.types.is_floating(of) else 0


def _canonical(value: object) -> object:
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def _adds(aggregation: Aggregation, schema: pa.Schema) -> bool:
    return aggregation.function in OF_NUMBERS and pa.types.is_floating(column_type(aggregation, schema))


def ways(aggregations: Sequence[Aggregation], rows: Rows, ask: Callable[[str], Sequence[Any]]) -> list[Way]:
    """Return how DuckDB is asked for aggregations.

    Args:
        aggregations: What is wanted.
        rows: The source.
        ask: Gives the values of expressions over all events.
    """
    columns = list(dict.fromkeys(each.column for each in aggregations if each.column and _adds(each, rows.schema)))
    units: dict[str, Unit] = {}
    if columns:
        bounds = [
            f"{bound} FILTER (WHERE isfinite({name}) AND {name} <> 0)"
            for name in map(quoted, columns)
            for bound in (f"min(abs({name}::DOUBLE))", f"max(abs({name}::DOUBLE))")
        ]
        count, *told = ask(", ".join(["count(*)", *bounds]))
        units = {column: Unit.of(told[2 * at], told[2 * at + 1], count) for at, column in enumerate(columns)}
    return [Way(each, rows, units.get(each.column or "", Unit())) for each in aggregations]


def arranged(
    spine: pa.Table, found: pa.Table, *, on: Sequence[str], aggregations: Sequence[Aggregation], ways: Sequence[Way]
) -> pa.Table:
    """Return the answers of all rows of the spine, in its order; see `Engine.aggregate`."""
    order = np.full(spine.num_rows, -1)
    order[found.column("__row").to_numpy()] = np.arange(found.num_rows)
    places = pa.array(order, mask=order < 0)
    found = found.drop_columns(["__row"]).take(places)
    parts = iter(found.columns)
    times_us = spine.column(TIME_COLUMN).cast(pa.int64()).to_pylist()
    missing = _missing(spine, on)
    columns: dict[str, pa.Array] = {}
    for each, way in zip(aggregations, ways, strict=True):
        values = way.answers([next(parts) for _ in way.parts], times_us)
        columns[each.name] = pc.if_else(missing, pa.scalar(None, values.type), values)
    statuses = pc.if_else(missing, pa.scalar(MISSING, pa.int8()), pa.scalar(FOUND, pa.int8()))
    newest = pc.if_else(missing, pa.scalar(None, pa.int64()), found.column(EVENT_COLUMN).cast(pa.int64()))
    return pa.table({**columns, STATUS_COLUMN: statuses, EVENT_COLUMN: newest})


def nothing(spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregations: Sequence[Aggregation]) -> pa.Table:
    """Return the answers if there are no events."""
    made = [Way(each, rows, Unit()) for each in aggregations]
    parts = sum(len(way.parts) for way in made)
    names = ["__row", *(f"__{number}" for number in range(parts)), EVENT_COLUMN]
    none = pa.table({name: pa.nulls(0, pa.int64() if name == "__row" else None) for name in names})
    return arranged(spine, none, on=on, aggregations=aggregations, ways=made)


def _missing(spine: pa.Table, on: Sequence[str]) -> pa.Array:
    missing = pa.array(np.zeros(spine.num_rows, dtype=bool))
    for name in on:
        missing = pc.or_(missing, pc.is_null(spine.column(name)).combine_chunks())
    return missing
