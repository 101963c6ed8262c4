"""Arrow tables on their way into Spark, and its rows on their way out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

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


def into_spark(session: "SparkSession", table: pa.Table) -> "DataFrame":
    """Return a table as a Spark DataFrame."""
    table = unsliced(table)  # Spark's package reads no slices of lists
    table = table.cast(plain(table.schema))
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
