"""Which columns external rows must have, and which foreign types hold a declared type without loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.arrow.types import TIMESTAMP
from asof.definitions import FeatureGroup
from asof.errors import DataError, NotFoundError

_FLOAT_BITS = {16: 11, 32: 24, 64: 53}
"""Bits of the integers that a float of a width holds exactly."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns that a group declares.

    Attributes:
        types: Each column with its type.
        required: Columns without nulls.
        event_time: The column of event times.
        utc: Whether naive times are UTC.
    """

    types: tuple[tuple[str, pa.DataType], ...]
    required: frozenset[str]
    event_time: str | None
    utc: bool

    @classmethod
    def of(cls, group: FeatureGroup, *, utc: bool) -> "Wanted":
        """Return those of a group."""
        schema = declared_schema(group)
        types = [(field.name, field.type) for field in schema]
        required = {field.name for field in schema if not field.nullable}
        if group.available_at is not None:
            types.append((group.available_at, TIMESTAMP))
            required.add(group.available_at)
        return cls(tuple(types), frozenset(required), group.event_time, utc)

    def check(self, given: Mapping[str, pa.DataType], where: str) -> None:
        """Refuse columns that are missing, or do not hold what is declared.

        Raises:
            DataError: It names the column.
        """
        for name, declared in self.types:
            if name not in given:
                raise _missing(name, given, where)
            kind = given[name]
            if pa.types.is_timestamp(declared) and pa.types.is_timestamp(kind) and kind.tz is None and not self.utc:
                todo = 'write them with a zone, or declare timezone="UTC"'
                raise DataError(f"column {name!r} holds naive times", where=where, todo=todo)
            if not holds(kind, declared):
                raise DataError(
                    f"column {name!r} is {kind}, which is not always {declared}",
                    where=where,
                    todo="declare its type, or convert it at its place",
                    data={"column": name},
                )


def _missing(name: str, given: Mapping[str, pa.DataType], where: str) -> DataError:
    hint = NotFoundError.named("column", name, given, where=where)
    return DataError(hint.what, where=where, todo=hint.todo, data={"column": name})


def holds(given: pa.DataType, declared: pa.DataType) -> bool:
    """Return whether every value of a type can be given as a declared type, times of UTC aside."""
    types = pa.types
    if given == declared or types.is_null(given):
        return True
    if types.is_dictionary(given):
        return holds(given.value_type, declared)
    if types.is_timestamp(declared):
        return types.is_timestamp(given)
    if types.is_integer(given):
        return _holds_integer(given, declared)
    if types.is_floating(given):
        return types.is_floating(declared)  # declaring float32 asks for rounding
    if types.is_decimal(given) and types.is_decimal(declared):
        whole = given.precision - given.scale <= declared.precision - declared.scale
        return whole and given.scale <= declared.scale
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    blobs = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    if types.is_string(declared):
        return any(is_text(given) for is_text in texts)
    if types.is_binary(declared):
        return any(is_blob(given) for is_blob in blobs)
    return _holds_nested(given, declared)


def _holds_integer(given: pa.DataType, declared: pa.DataType) -> bool:
    bits = given.bit_width - pa.types.is_signed_integer(given)
    if pa.types.is_signed_integer(declared):
        return bits < declared.bit_width
    return pa.types.is_floating(declared) and bits <= _FLOAT_BITS[declared.bit_width]


def _holds_nested(given: pa.DataType, declared: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(declared) or types.is_fixed_size_list(declared):
        fixed = types.is_fixed_size_list(given)
        if not (fixed or types.is_list(given) or types.is_large_list(given)):
            return False
        if fixed and types.is_fixed_size_list(declared) and given.list_size != declared.list_size:
            return False
        return _same_leaf(given.value_type, declared.value_type)
    if types.is_struct(declared) and types.is_struct(given):
        inner = {field.name: field.type for field in given}
        return inner.keys() == {field.name for field in declared} and all(
            _same_leaf(inner[field.name], field.type) for field in declared
        )
    return False


def _same_leaf(given: pa.DataType, declared: pa.DataType) -> bool:
    if pa.types.is_timestamp(declared):  # nothing is cast inside of lists and structs
        return given == declared
    return holds(given, declared)
