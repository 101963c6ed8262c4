"""Values in JSON, by their declared types: what goes out comes back as it was.

bool, integers, text    as JSON has them; int64 in full, so a reader in JavaScript needs a parser that keeps 64 bits
floats                  numbers; "NaN", "Infinity" and "-Infinity" as text
bytes                   base64 text
date, timestamp         RFC 3339 text, in UTC
decimal                 text
list, vector, struct    arrays and objects of these
null                    null
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from math import isfinite
from operator import itemgetter
from typing import Any

import msgspec
import pyarrow as pa

from asof.definitions.types import DType
from asof.errors import UsageError

Value = Any
"""A Python value of any of our types, or its form in JSON."""

Convert = Callable[[Value], Value]

SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}

FINER = re.compile(r"[.,]\d{6}\d*[1-9]")
"""A time finer than a microsecond: SEMANTICS section 1 refuses to round it."""

_TEXTS = {"bytes": bytes, "date": date, "timestamp": datetime, "decimal": Decimal}


def reader(dtype: DType) -> Convert | None:
    """Return what makes a value of its JSON; None if JSON's own is right."""
    match dtype.name:
        case "float32" | "float64":
            return _read_float
        case "bytes" | "date" | "timestamp" | "decimal":
            return partial(_read_text, dtype.name)
        case "list" | "vector":
            item = reader(dtype.fields[0][1])
            return None if item is None else partial(_each, item)
        case "struct":
            parts = {name: convert for name, own in dtype.fields if (convert := reader(own)) is not None}
            return partial(_fields, parts) if parts else None
        case _:
            return None


def readers(types: Mapping[str, DType]) -> dict[str, Convert]:
    """Return what makes values of JSON, for the columns that need it."""
    return {name: convert for name, dtype in types.items() if (convert := reader(dtype)) is not None}


def read_row(given: Mapping[str, Value], readers: Mapping[str, Convert], *, where: str) -> dict[str, Value]:
    """Return the values of a JSON object; columns that nobody declared stay as they are.

    Raises:
        UsageError: A value has not the form of its type.
    """
    found = dict(given)
    for name, convert in readers.items():
        value = found.get(name)
        if value is not None:
            try:
                found[name] = convert(value)
            except (msgspec.ValidationError, ValueError, TypeError) as error:
                raise UsageError(f"{name}={value!r} is not of its type: {error}", where=where) from error
    return found


def read_column(name: str, given: Sequence[Value], convert: Convert, where: str) -> list[Value]:
    """Return the values of a JSON array.

    Raises:
        UsageError: A value has not the form of its type.
    """
    found: list[Value] = []
    for at, value in enumerate(given):
        try:
            found.append(None if value is None else convert(value))
        except (msgspec.ValidationError, ValueError, TypeError) as error:
            shown = f"{name}={value!r} in row {at} is not of its type: {error}"
            raise UsageError(shown, where=where, data={"row": at}) from error
    return found


def writer(dtype: pa.DataType) -> Convert | None:
    """Return what makes JSON of a value; None if the encoder writes it right."""
    if pa.types.is_floating(dtype):
        return plain_number
    if pa.types.is_list(dtype) or pa.types.is_fixed_size_list(dtype):
        item = writer(dtype.value_type)
        return None if item is None else partial(_each, item)
    if pa.types.is_struct(dtype):
        parts = {field.name: convert for field in dtype if (convert := writer(field.type)) is not None}
        return partial(_fields, parts) if parts else None
    return None


def writers(schema: pa.Schema) -> list[tuple[str, Convert]]:
    """Return what makes JSON of values, for the columns that need it."""
    return [(field.name, convert) for field in schema if (convert := writer(field.type)) is not None]


class RowWriter:
    """Makes JSON of answers of one schema.

    Attributes:
        names: Those of the schema.
        by_name: What makes JSON of a value, for the columns that need it.
    """

    def __init__(self, schema: pa.Schema) -> None:
        """Look which columns need it."""
        self.names = tuple(schema.names)
        self.by_name = dict(writers(schema))
        every = [(at, self.by_name[name]) for at, name in enumerate(self.names) if name in self.by_name]
        floats = [at for at, convert in every if convert is plain_number]
        self._floats = itemgetter(*floats) if len(floats) > 1 else None
        self._every = every
        self._others = [each for each in every if each[0] not in floats]
        self._row = _row_of(self.names)

    def write(self, values: Sequence[Value]) -> msgspec.Struct:
        """Return an answer's values, in the order of the schema, as something that is written as a JSON object.

        That takes a third less than a dict does. Hardly ever a float needs another form: all are tested at once.
        """
        plain = self._floats is not None and finite(self._floats(values))
        convert_at = self._others if plain else self._every
        if convert_at:
            values = list(values)
            for at, convert in convert_at:
                if values[at] is not None:
                    values[at] = convert(values[at])
        return self._row(*values)


@lru_cache(maxsize=256)
def _row_of(names: tuple[str, ...]) -> Callable[..., msgspec.Struct]:
    """Return the type of objects with some names, whatever these are."""
    fields = {f"value_{at}": name for at, name in enumerate(names)}
    return msgspec.defstruct("Row", [(field, Any) for field in fields], rename=fields, gc=False)


def write_column(values: list[Value], convert: Convert | None) -> list[Value]:
    """Return JSON's form of a column."""
    if convert is None or (convert is plain_number and finite(values)):
        return values
    return [None if value is None else convert(value) for value in values]


def finite(values: Iterable[Value]) -> bool:
    """Return whether floats are neither null nor NaN nor infinite; those that add up to infinity may be refused too."""
    try:
        return isfinite(sum(values))
    except TypeError:  # a null
        return False


def _read_float(value: Value) -> Value:
    if isinstance(value, str):
        if value not in SPECIAL:
            raise ValueError(f"a number, or one of the texts {', '.join(SPECIAL)}, is wanted")
        return SPECIAL[value]
    return value


def _read_text(kind: str, value: Value) -> Value:
    if not isinstance(value, str):
        raise TypeError(f"a {kind} is written as text")
    if kind == "timestamp" and FINER.search(value):
        raise ValueError("a time is a whole number of microseconds")
    return msgspec.convert(value, _TEXTS[kind])


def plain_number(value: Value) -> Value:
    """Return JSON's form of a float."""
    if value - value == 0.0:
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - only NaN differs


def _each(convert: Convert, values: Sequence[Value]) -> list[Value]:
    return [None if value is None else convert(value) for value in values]


def _fields(parts: Mapping[str, Convert], value: Mapping[str, Value]) -> dict[str, Value]:
    found = dict(value)
    for name, convert in parts.items():
        if found.get(name) is not None:
            found[name] = convert(found[name])
    return found
