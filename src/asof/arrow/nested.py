"""Columns rebuilt value by value, however deep: casts without loss, canonical floats, sizes.

Arrow's own casts and constructors refuse slices with nulls, and null lists inside fixed-size lists; these do not.
"""

from collections.abc import Callable
from typing import Any
from typing import cast as typed

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Leaf = Callable[[pa.Array, pa.DataType], pa.Array]
"""Makes an array of a plain type from one of another plain type."""

NUMBER_BYTES = 9
"""The longest number in an encoded row: a tag and eight bytes."""

DECIMAL_BYTES = 42
"""The longest decimal in an encoded row, as text."""


def cast(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """Return a column in another type.

    Raises:
        pa.ArrowInvalid: A value would be lost; pa.ArrowNotImplementedError: the types have nothing in common.
    """
    return pa.chunked_array([rebuilt(chunk, target, _plain_cast) for chunk in column.chunks], type=target)


def canonical(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column with one NaN, and 0.0 for -0.0."""
    if not _holds_floats(column.type):
        return column
    return pa.chunked_array([rebuilt(chunk, column.type, _canonical_leaf) for chunk in column.chunks], type=column.type)


def rebuilt(array: pa.Array, target: pa.DataType, leaf: Leaf) -> pa.Array:
    """Return an array of the target type whose leaves are made by `leaf`; structs are matched by field name."""
    source = array.type
    if pa.types.is_null(source):
        return pa.nulls(len(array), target)
    if pa.types.is_struct(target) and pa.types.is_struct(source):
        named = dict(zip((field.name for field in source), array.flatten(), strict=True))  # null where the struct is
        children = [rebuilt(named[field.name], field.type, leaf) for field in target]
        return pa.StructArray.from_arrays(children, fields=list(target), mask=pc.is_null(array))
    if pa.types.is_fixed_size_list(target) and _is_list(source):
        values, lengths = _flat(array)
        missing = pc.is_null(array).to_numpy(zero_copy_only=False)
        if np.any(lengths[~missing] != target.list_size):
            raise pa.ArrowInvalid(f"a list does not have {target.list_size} values")
        places = np.full((len(array), target.list_size), -1, np.int64)
        places[~missing] = np.arange(len(values)).reshape(-1, target.list_size)
        indices = pa.array(places.ravel(), mask=places.ravel() < 0)
        items = rebuilt(values, target.value_type, leaf).take(indices)
        return pa.FixedSizeListArray.from_arrays(items, type=target, mask=pa.array(missing))
    if pa.types.is_list(target) and _is_list(source):
        values, lengths = _flat(array)
        offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
        items = rebuilt(values, target.value_type, leaf)
        return pa.ListArray.from_arrays(offsets, items, type=target, mask=pc.is_null(array))
    return leaf(array, target)


def row_bytes(array: pa.Array) -> np.ndarray:
    """Return for each value about how many bytes it takes in an encoded row, as int64; never too few."""
    types = pa.types
    if types.is_string(array.type) or types.is_binary(array.type):
        return pc.fill_null(pc.binary_length(array), 0).to_numpy().astype(np.int64)
    if types.is_struct(array.type):
        named = zip(array.type, array.flatten(), strict=True)
        return sum((row_bytes(part) + len(field.name) for field, part in named), np.zeros(len(array), np.int64))
    if _is_list(array.type):
        values, lengths = _flat(array)
        totals = np.append(0, np.cumsum(row_bytes(values)))
        ends = np.cumsum(lengths)
        return totals[ends] - totals[ends - lengths]
    return np.full(len(array), DECIMAL_BYTES if types.is_decimal(array.type) else NUMBER_BYTES, np.int64)


def _is_list(arrow: pa.DataType) -> bool:
    return pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow)


def _flat(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Return the values of the lists that are not null, one after the other, and the length of each list."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy().astype(np.int64)
    return array.flatten(), lengths


def _plain_cast(array: pa.Array, target: pa.DataType) -> pa.Array:
    cast_array = array.cast(target)
    if pa.types.is_float32(target) and pc.any(pc.and_(pc.is_inf(cast_array), pc.is_finite(array))).as_py():
        raise pa.ArrowInvalid("a number is too large for float32")
    if pa.types.is_string(target):
        cast_array.validate(full=True)
    return cast_array


def _holds_floats(arrow: pa.DataType) -> bool:
    if pa.types.is_struct(arrow):
        return any(_holds_floats(field.type) for field in arrow)
    if _is_list(arrow):
        return _holds_floats(arrow.value_type)
    return pa.types.is_floating(arrow)


def _canonical_leaf(array: pa.Array, target: pa.DataType) -> pa.Array:
    if not pa.types.is_floating(target) or not len(array):
        return array
    raw = array.to_numpy(zero_copy_only=False) if not array.null_count else pc.fill_null(array, 0).to_numpy()
    odd = np.isnan(raw) | ((raw == 0) & np.signbit(raw))
    if not odd.any():
        return array
    clean = np.where(np.isnan(raw), raw.dtype.type(np.nan), raw) + raw.dtype.type(0)
    return pa.array(clean, type=target, mask=pc.is_null(array).to_numpy(zero_copy_only=False))


def same(one: Any, other: Any) -> bool:  # noqa: ANN401 - values of any of our types
    """Return whether two values are equal; NaN equals NaN, also inside lists and structs."""
    if isinstance(one, list) and isinstance(other, list):
        here, there = typed("list[Any]", one), typed("list[Any]", other)
        return len(here) == len(there) and all(map(same, here, there))
    if isinstance(one, dict) and isinstance(other, dict):
        mine, its = typed("dict[str, Any]", one), typed("dict[str, Any]", other)
        return mine.keys() == its.keys() and all(same(mine[name], its[name]) for name in mine)
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124 - NaN
