"""Feast's types in ours."""

from collections.abc import Mapping
from contextlib import suppress

from asof.definitions.types import parse_type
from asof.errors import UsageError
from asof.feast.static import Made, Symbol, Value, mapped

TYPES: Mapping[str, str] = {
    "STRING": "string",
    "BYTES": "bytes",
    "BOOL": "bool",
    "INT32": "int32",
    "INT64": "int64",
    "FLOAT": "float32",
    "FLOAT32": "float32",
    "DOUBLE": "float64",
    "FLOAT64": "float64",
    "UNIXTIMESTAMP": "timestamp",
    "ZONEDTIMESTAMP": "timestamp",
    "UUID": "string",
    "TIMEUUID": "string",
    "JSON": "string",
    "PDFBYTES": "bytes",
    "IMAGEBYTES": "bytes",
}
"""By names in capitals without underscores: `types.UnixTimestamp` and `ValueType.UNIX_TIMESTAMP` are one."""

WIDER: Mapping[tuple[str, str], str] = {("float32", "float64"): "float64", ("int32", "int64"): "int64"}
"""What a declared type becomes where a file has a wider one: Feast cuts values, which asof refuses."""

LIST = "LIST"


def type_of(given: Value, *, length: int = 0) -> str | None:
    """Return one of Feast's types as one of ours; None if there is none.

    Args:
        given: A member of `ValueType`, or a type of `feast.types`.
        length: Of a vector; 0 for any.
    """
    match given:
        case Symbol():
            name = given.last.replace("_", "").upper()
            if name.endswith(LIST) and name != LIST:
                inner = TYPES.get(name.removesuffix(LIST))
                return None if inner is None else f"list<{inner}>"
            return TYPES.get(name)
        case Made(kind="Array" | "Set"):
            inner = type_of(given.get(0, "base_type"))
            if inner is None:
                return None
            return f"vector<{inner}, {length}>" if length and inner.startswith("float") else f"list<{inner}>"
        case Made(kind="Struct"):
            return _struct(given.get(0, "fields"))
        case _:
            return None


def _struct(fields: Value) -> str | None:
    types = {name: type_of(each) for name, each in mapped(fields).items()}
    with suppress(UsageError):  # a field has no type, or a name that is none
        return str(parse_type(f"struct<{', '.join(f'{name}: {each}' for name, each in types.items())}>"))
    return None
