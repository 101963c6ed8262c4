"""Arrow tables on their way into Spark, and its rows on their way out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.tables import unsliced

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

READING = {
    "recursiveFileLookup": "true",  # else a folder called "kind=x" would be a column, of a type that Spark guesses
    "datetimeRebaseMode": "CORRECTED",
    "int96RebaseMode": "CORRECTED",
    "mergeSchema": "false",
    "ignoreMissingFiles": "false",  # whatever the session says: no row may be missed
    "ignoreCorruptFiles": "false",
}


def plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema without lists of a fixed size, which Spark does not have, and null wherever it may be."""
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_list(kind) or types.is_fixed_size_list(kind) or types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([(field.name, _plain_type(field.type)) for field in kind])
    return kind


def spark_schema(schema: pa.Schema) -> "StructType":
    """Return a schema as Spark's; times are instants whatever the session takes them for."""
    from pyspark.sql.pandas.types import from_arrow_schema  # noqa: PLC0415 - an extra

    return from_arrow_schema(plain(schema), prefer_timestamp_ntz=False)


def shaped(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table in the types of a schema that differs in zones and in sizes of lists only."""
    columns = [
        column if column.type == field.type else pa.chunked_array([_shaped(_one(column), field.type)], field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """Return a column as one array that begins where its buffers do."""
    return column.take(np.arange(len(column))).combine_chunks()


def _shaped(values: pa.Array, kind: pa.DataType) -> pa.Array:
    if values.type == kind:
        return values
    if values.null_count == len(values):
        return pa.nulls(len(values), kind)
    types = pa.types
    if types.is_fixed_size_list(kind):
        if types.is_fixed_size_list(values.type):
            return values.cast(kind)
        blank = pa.scalar([None] * kind.list_size, values.type)  # a null list has a length here, too
        inner = pc.list_flatten(pc.fill_null(values, blank))
        mask = pc.is_null(values)
        return pa.FixedSizeListArray.from_arrays(_shaped(inner, kind.value_type), type=kind, mask=mask)
    if types.is_fixed_size_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
    if types.is_list(kind):
        inner = _shaped(values.flatten(), kind.value_type)
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, inner, type=kind, mask=pc.is_null(values))
    if types.is_struct(kind):
        fields = [_shaped(each, field.type) for each, field in zip(values.flatten(), kind, strict=True)]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=pc.is_null(values))
    return values.cast(kind)


def into_spark(session: "SparkSession", table: pa.Table) -> "DataFrame":
    """Return a table as a Spark DataFrame."""
    table = shaped(unsliced(table), plain(table.schema))  # Spark's package reads no slices of lists
    return session.createDataFrame(table, schema=spark_schema(table.schema))


def read_files(session: "SparkSession", places: Sequence[str], schema: pa.Schema) -> "DataFrame":
    """Return the rows of just these Parquet files; columns that one lacks are null in its rows.

    Args:
        session: The session.
        places: Absolute paths, the same on every machine.
        schema: The columns wanted, in their types: none is inferred.
    """
    reader: Any = session.read.schema(spark_schema(schema))
    for name, value in READING.items():
        reader = reader.option(name, value)
    return reader.parquet(*(f"file:{_escaped(place)}" for place in places))


def _escaped(place: str) -> str:
    """Return a path without what Hadoop takes for a pattern."""
    return "".join(f"\\{each}" if each in "*?[]{}\\," else each for each in place)
