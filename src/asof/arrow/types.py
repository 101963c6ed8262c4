"""Types of definitions as Arrow types, both ways."""

import pyarrow as pa

from asof.definitions.types import DType, parse_type
from asof.errors import UnsupportedError

TIMESTAMP = pa.timestamp("us", tz="UTC")

_SCALARS: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "timestamp": TIMESTAMP,
}


def arrow_type(dtype: DType) -> pa.DataType:
    """Return the Arrow type that stores a type."""
    match dtype.name:
        case "decimal":
            return pa.decimal128(*dtype.numbers)
        case "list":
            return pa.list_(arrow_type(dtype.fields[0][1]))
        case "vector":
            return pa.list_(arrow_type(dtype.fields[0][1]), dtype.numbers[0])
        case "struct":
            return pa.struct([(name, arrow_type(field)) for name, field in dtype.fields])
        case name:
            return _SCALARS[name]


def inferred_type(arrow: pa.DataType) -> DType:
    """Return the type that holds a foreign Arrow type without loss; a column of nulls counts as string.

    Raises:
        UnsupportedError: No type of ours holds it.
    """
    types = pa.types
    if types.is_dictionary(arrow):
        return inferred_type(arrow.value_type)
    if types.is_timestamp(arrow):
        return DType("timestamp")
    if types.is_date(arrow):
        return DType("date")
    if types.is_string(arrow) or types.is_large_string(arrow) or types.is_string_view(arrow) or types.is_null(arrow):
        return DType("string")
    if types.is_binary(arrow) or types.is_large_binary(arrow) or types.is_binary_view(arrow):
        return DType("bytes")
    if types.is_decimal(arrow):
        return DType("decimal", (arrow.precision, arrow.scale))
    if types.is_fixed_size_list(arrow):
        return DType("vector", (arrow.list_size,), (("item", inferred_type(arrow.value_type)),))
    if types.is_list(arrow) or types.is_large_list(arrow):
        return DType("list", (), (("item", inferred_type(arrow.value_type)),))
    if types.is_struct(arrow):
        return DType("struct", (), tuple((field.name, inferred_type(field.type)) for field in arrow))
    if types.is_unsigned_integer(arrow):
        return DType("int64" if arrow.bit_width >= 32 else f"int{arrow.bit_width * 2}")  # noqa: PLR2004 - bits
    if types.is_float16(arrow):
        return DType("float32")
    for name, known in _SCALARS.items():
        if arrow == known:
            return parse_type(name)
    raise UnsupportedError(f"columns of Arrow type {arrow} cannot be stored", todo="convert the column first")


def wire_type(arrow: pa.DataType) -> pa.DataType:
    """Return the type whose Python values msgpack carries: times as integers, decimals as text."""
    types = pa.types
    if types.is_timestamp(arrow):
        return pa.int64()
    if types.is_date32(arrow):
        return pa.int32()
    if types.is_decimal(arrow):
        return pa.string()
    if types.is_fixed_size_list(arrow):
        return pa.list_(wire_type(arrow.value_type), arrow.list_size)
    if types.is_list(arrow):
        return pa.list_(wire_type(arrow.value_type))
    if types.is_struct(arrow):
        return pa.struct([(field.name, wire_type(field.type)) for field in arrow])
    return arrow
