"""Tables on their way into DuckDB, and out of it: it has its own zones, and its own kinds of lists."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.port import MISSING, STATUS_COLUMN


def unsliced(table: pa.Table) -> pa.Table:
    """Return the table with nested columns that begin where their buffers do: DuckDB reads no slices of structs."""
    nested = [column for column in table.columns if pa.types.is_nested(column.type)]
    if all(not chunk.offset for column in nested for chunk in column.chunks):
        return table
    return table.take(np.arange(table.num_rows))


def typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table in our types: DuckDB has its own zones, and reads fixed-size lists as lists."""
    columns = [
        column if column.type == field.type else _cast(column, field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    if column.null_count == len(column):  # perhaps a feature that no file has yet: DuckDB gives it a type of its own
        return pa.chunked_array([pa.nulls(len(column), target)])
    if pa.types.is_fixed_size_list(target) and column.null_count:
        # Arrow casts no null lists to a fixed size: give them a length first.
        blank = pa.scalar([None] * target.list_size, pa.list_(target.value_type))
        filled = pc.fill_null(column.cast(pa.list_(target.value_type)), blank).cast(target)
        return pc.if_else(pc.is_valid(column), filled, pa.scalar(None, target))
    return column.cast(target)


def nothing_found(schema: pa.Schema, count: int) -> pa.Table:
    """Return so many answers that are MISSING."""
    columns: list[pa.Array] = [
        pa.repeat(pa.scalar(MISSING, pa.int8()), count) if field.name == STATUS_COLUMN else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
