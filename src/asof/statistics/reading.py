"""Columns as numbers: what each type has that can be ordered, summed and counted."""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.statistics.column import Kind
from asof.statistics.distribution import Distribution, numbers_spread
from asof.statistics.hashes import value_numbers
from asof.statistics.texts import texts_spread


class Read(NamedTuple):
    """What was read of a column.

    Attributes:
        kind: Of its values.
        rows: Rows.
        nulls: Rows without a value.
        nans: Values that are NaN.
        infinite: Values that are infinite.
        numbers: The numbers, NaN aside, float64 or int64; if they were counted, the different ones, ascending.
        found: What else was found in the values.
    """

    kind: Kind
    rows: int
    nulls: int
    nans: int
    infinite: int
    numbers: np.ndarray
    found: "Found"


class Found(NamedTuple):
    """What was found in values without nulls.

    Attributes:
        numbers: The numbers; if they were counted, the different ones, ascending.
        counts: How often each occurs; None: they were not counted.
        items: The values, where they are not the numbers.
        low: The least number, where the numbers are only about it.
        high: The greatest.
    """

    numbers: np.ndarray
    counts: np.ndarray | None = None
    items: Distribution | None = None
    low: Decimal | None = None
    high: Decimal | None = None


def read(array: pa.Array) -> Read:
    """Return what is to be known of an array of any type."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind, nulls = _kind(array.type), array.null_count
    found = _FOUND[kind](array.drop_null() if nulls else array)
    numbers, nans, infinite = found.numbers, 0, 0
    if numbers.dtype == np.float64 and not math.isfinite(_sum(numbers)):
        numbers = numbers[~np.isnan(numbers)]
        nans, infinite = len(found.numbers) - len(numbers), int(np.isinf(numbers).sum())
    return Read(kind, len(array), nulls, nans, infinite, numbers, found)


def _sum(numbers: np.ndarray) -> float:
    """Return a sum: it is finite only if all numbers are, and hardly ever is not if they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.add.reduce(numbers))


NONE = np.empty(0, np.int64)


def _number(array: pa.Array) -> Found:
    if array.type in (pa.float64(), pa.int64()):
        return Found(array.to_numpy())
    if pa.types.is_floating(array.type):
        return Found(np.asarray(array.cast(pa.float64(), safe=False)))
    try:
        return Found(np.asarray(array.cast(pa.int64())))
    except pa.ArrowInvalid:  # uint64 beyond int64
        return Found(np.asarray(array.cast(pa.float64(), safe=False)))


def _decimal(array: pa.Array) -> Found:
    items, _ = texts_spread(array.cast(pa.string()))
    bounds = pc.min_max(array)
    numbers = np.asarray(array.cast(pa.float64()))
    return Found(numbers, None, items, bounds["min"].as_py(), bounds["max"].as_py())


def _date(array: pa.Array) -> Found:
    return Found(np.asarray(array.cast(pa.date32()).cast(pa.int32())).astype(np.int64))


def _timestamp(array: pa.Array) -> Found:
    micros = array if array.type.unit == "us" else array.cast(pa.timestamp("us", array.type.tz), safe=False)
    return Found(np.asarray(micros.view(pa.int64())))


def _text(array: pa.Array) -> Found:
    items, lengths = texts_spread(array)
    return Found(lengths.values, lengths.counts, items)


def _bytes(array: pa.Array) -> Found:
    return Found(NONE, items=numbers_spread(value_numbers(array)))


def _vector(array: pa.Array) -> Found:
    flat = pc.list_flatten(array).cast(pa.float64(), safe=False)  # a length of huge integers is rounded
    grid = np.asarray(pc.fill_null(flat, np.nan) if flat.null_count else flat).reshape(len(array), array.type.list_size)
    with np.errstate(over="ignore", invalid="ignore"):
        return Found(np.sqrt(np.einsum("ij,ij->i", grid, grid)))


def _list(array: pa.Array) -> Found:
    if pa.types.is_fixed_size_list(array.type):
        return Found(np.full(len(array), array.type.list_size, np.int64))
    return Found(np.asarray(pc.list_value_length(array)).astype(np.int64))


def _nothing(_: pa.Array) -> Found:
    return Found(NONE)


_FOUND: Mapping[Kind, Callable[[pa.Array], Found]] = {
    "number": _number,
    "bool": lambda array: Found(np.asarray(array.cast(pa.int8())).astype(np.int64)),
    "decimal": _decimal,
    "date": _date,
    "timestamp": _timestamp,
    "text": _text,
    "bytes": _bytes,
    "vector": _vector,
    "list": _list,
    "struct": _bytes,
    "other": _nothing,
}


def _kind(arrow: pa.DataType) -> Kind:
    types = pa.types
    tests: tuple[tuple[Kind, Callable[[pa.DataType], bool]], ...] = (
        ("bool", types.is_boolean),
        ("number", types.is_integer),
        ("number", types.is_floating),
        ("decimal", types.is_decimal),
        ("date", types.is_date),
        ("timestamp", types.is_timestamp),
        ("text", types.is_string),
        ("text", types.is_large_string),
        ("bytes", types.is_binary),
        ("bytes", types.is_large_binary),
        ("bytes", types.is_fixed_size_binary),
        ("struct", types.is_struct),
    )
    for kind, test in tests:
        if test(arrow):
            return kind
    if types.is_fixed_size_list(arrow):
        item = arrow.value_type
        return "vector" if types.is_integer(item) or types.is_floating(item) or types.is_decimal(item) else "list"
    return "list" if types.is_list(arrow) or types.is_large_list(arrow) else "other"
