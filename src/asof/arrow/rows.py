"""Rows as bytes: msgpack arrays, for the online store and the journal.

Times travel as integers, decimals as text, everything else as itself; NaN and nulls survive.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from asof.arrow.nested import cast
from asof.arrow.types import wire_type
from asof.clock import from_us, to_us

Value = Any
"""A Python value of any of our types; the foreign edge where Any is honest."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Value, ...]).decode
_decode_block = msgspec.msgpack.Decoder(tuple[tuple[Value, ...], ...]).decode
_EPOCH_DAY = date(1970, 1, 1)


def to_wire(table: pa.Table) -> pa.Table:
    """Return the table with every column in the type that travels."""
    schema = pa.schema([pa.field(field.name, wire_type(field.type)) for field in table.schema])
    return table if schema.types == table.schema.types else table.cast(schema)


def encode_rows(table: pa.Table) -> list[bytes]:
    """Return each row as a msgpack array of its values."""
    if not table.num_columns:
        return [_encode(())] * table.num_rows
    columns = [column.to_pylist() for column in to_wire(table).columns]
    return [_encode(row) for row in zip(*columns, strict=True)]


def encode_block(table: pa.Table) -> bytes:
    """Return all rows as one msgpack array of arrays, for the journal."""
    columns = [column.to_pylist() for column in to_wire(table).columns]
    return _encode(list(zip(*columns, strict=True)))


def decode_blocks(blocks: Sequence[bytes], schema: pa.Schema) -> tuple[pa.Table, list[int]]:
    """Return the rows of several `encode_block` as one table, and how many each block had."""
    decoded = [_decode_block(block) for block in blocks]
    return _from_values([row for rows in decoded for row in rows], schema), [len(rows) for rows in decoded]


def decode_rows(rows: Sequence[bytes | None], schema: pa.Schema) -> pa.Table:
    """Return rows of `encode_rows` as a table; None gives a row of nulls, and columns added since are null."""
    return _from_values([() if row is None else _decode(row) for row in rows], schema)


def _from_values(rows: Sequence[tuple[Value, ...]], schema: pa.Schema) -> pa.Table:
    width = len(schema)
    values = [_padded(row, width) for row in rows]
    columns = list(zip(*values, strict=True)) if values else [()] * width
    arrays = [_typed(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema.remove_metadata())


def _typed(values: Sequence[Value], target: pa.DataType) -> pa.ChunkedArray:
    """Return values that travelled as a column. Arrow's own cast reads what lies below a null struct: no decimal."""
    wire = wire_type(target)
    column = pa.chunked_array([pa.array(values, type=wire)])
    if wire == target:
        return column
    return cast(column, target) if pa.types.is_nested(target) else column.cast(target)


def _padded(values: tuple[Value, ...], width: int) -> tuple[Value, ...]:
    """Return the values of a row under a layout: null for features added since, without those added later."""
    return values if len(values) == width else values[:width] + (None,) * (width - len(values))


def from_wire(arrow: pa.DataType) -> Callable[[Value], Value] | None:
    """Return the function that makes a Python value of one that travelled; None if it is the same."""
    types = pa.types
    if types.is_timestamp(arrow):
        return from_us
    if types.is_date32(arrow):
        return _date
    if types.is_decimal(arrow):
        return Decimal
    if types.is_list(arrow) or types.is_fixed_size_list(arrow):
        item = from_wire(arrow.value_type)
        return None if item is None else lambda values: [None if v is None else item(v) for v in values]
    if types.is_struct(arrow):
        parts = {field.name: convert for field in arrow if (convert := from_wire(field.type)) is not None}
        if not parts:
            return None
        return lambda fields: {
            name: parts[name](v) if name in parts and v is not None else v for name, v in fields.items()
        }
    return None


def into_wire(arrow: pa.DataType) -> Callable[[Value], Value] | None:
    """Return the function that makes of a Python value what travels; None if it is the same."""
    types = pa.types
    if types.is_timestamp(arrow):
        return lambda moment: to_us(moment, what="value")
    if types.is_date32(arrow):
        return lambda day: (day - _EPOCH_DAY).days
    if types.is_decimal(arrow):
        return lambda number: format(number, "f")
    if types.is_list(arrow) or types.is_fixed_size_list(arrow):
        item = into_wire(arrow.value_type)
        return None if item is None else lambda values: [None if v is None else item(v) for v in values]
    if types.is_struct(arrow):
        parts = {field.name: convert for field in arrow if (convert := into_wire(field.type)) is not None}
        if not parts:
            return None
        return lambda fields: {
            name: parts[name](v) if name in parts and v is not None else v for name, v in fields.items()
        }
    return None


def _date(days: int) -> date:
    return _EPOCH_DAY + timedelta(days=days)
