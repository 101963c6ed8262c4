"""A stable number for each value: equal ones have equal numbers in every process, and different ones hardly ever.

Numbers are 64 bits wide: among a million different values two share one with a chance of 1 in 37 million.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.hashes import mixed

NULL = np.uint64(0x9E3779B97F4A7C15)
"""The number of a null inside of a value, or in a row."""

TEXT_BYTES = 1 << 20
"""Bytes of text that are hashed at once: their numbers take eight times as much."""

BLOCK = 16_384
"""Rows that are hashed at once: what is made of them stays near the processor."""

MANY = 512
"""Texts that have a byte at a place, from which on bytes are looked at place by place: of fewer it does not pay."""


def row_numbers(columns: Sequence[pa.Array], rows: int) -> np.ndarray:
    """Return a number for each row of some columns."""
    found = np.empty(rows, np.uint64)
    for start in range(0, rows, BLOCK):
        part = np.zeros(min(BLOCK, rows - start), np.uint64)
        for column in columns:
            part = mixed(part * np.uint64(31) + value_numbers(column.slice(start, BLOCK)))
        found[start : start + BLOCK] = part
    return found


def value_numbers(array: pa.Array) -> np.ndarray:
    """Return a number for each value of an array of any type, as a new array; nulls have one, too."""
    numbers = _numbers(array)
    if array.null_count:
        numbers[np.asarray(pc.is_null(array))] = NULL
    return numbers


def float_numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers of float64 values, NaN among them: it is one value, and 0.0 is -0.0."""
    plain = values + 0.0
    nans = np.isnan(plain)
    if nans.any():
        plain[nans] = np.nan
    return plain.view(np.uint64)


def _numbers(array: pa.Array) -> np.ndarray:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return value_numbers(array.dictionary_decode())
    if pa.types.is_struct(kind):
        return row_numbers(array.flatten(), len(array))
    if _is_list(kind):
        return _list_numbers(array)
    if pa.types.is_floating(kind):
        return float_numbers(np.asarray(_filled(array.cast(pa.float64()))))
    if pa.types.is_decimal128(kind):
        return _decimal_numbers(array)
    if pa.types.is_fixed_size_binary(kind):
        return text_numbers(array.cast(pa.large_binary()))
    if any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string)):
        return text_numbers(array)
    if any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary)):
        return text_numbers(array.cast(pa.large_binary()))
    if pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    try:
        numbers = array.view(pa.int64()) if kind.bit_width == 64 else array.cast(pa.int32()).cast(pa.int64())  # noqa: PLR2004 - dates are 32 wide
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, ValueError):  # a type that no feature has
        return text_numbers(pa.array([None if value is None else str(value) for value in array.to_pylist()]))
    return np.array(_filled(numbers)).view(np.uint64)


def text_numbers(array: pa.Array) -> np.ndarray:
    """Return a number for each text or bytes: the sum of its bytes, each times a number that is its place's own."""
    ends, raw = text_buffers(array)
    lengths = np.diff(ends)
    factors = mixed(np.arange(1, int(lengths.max(initial=0)) + 1, dtype=np.uint64))
    found = np.concatenate([np.zeros(1, np.uint64), np.cumsum(factors, dtype=np.uint64)])[lengths]  # bytes count from 1
    found += lengths.astype(np.uint64)
    for start in range(0, len(array), BLOCK):
        part = slice(start, start + BLOCK)
        _add_bytes(raw, ends[:-1][part], lengths[part], factors, found[part])
    return mixed(found)


def text_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return where the bytes of each text begin, and those of the last one end; and the bytes."""
    large = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    if not len(array):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    ends: np.ndarray = np.frombuffer(_buffer(offsets), np.int64 if large else np.int32)
    ends = ends[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return ends, np.frombuffer(_buffer(data), np.uint8)


def _add_bytes(raw: np.ndarray, starts: np.ndarray, lengths: np.ndarray, factors: np.ndarray, into: np.ndarray) -> None:
    """Add to each text's number its bytes times the factors of their places: by places, where many texts have them."""
    order = np.argsort(-lengths, kind="stable")  # those that have a place are the first
    starts, lengths = starts[order], lengths[order]
    sums = np.zeros(len(order), np.uint64)
    shared = int(lengths[MANY - 1]) if len(lengths) >= MANY else 0
    having = np.searchsorted(-lengths, -np.arange(shared), "left")
    for place, many in enumerate(having.tolist()):
        sums[:many] += raw[starts[:many] + place] * factors[place]
    longer, first = int(np.searchsorted(-lengths, -shared, "left")), 0
    while first < longer:
        ends = np.cumsum(lengths[first:longer] - shared)
        last = first + max(int(np.searchsorted(ends, TEXT_BYTES, "right")), 1)
        part = slice(first, min(last, longer))
        sums[part] += _sums_of_rests(raw, starts[part] + shared, lengths[part] - shared, factors[shared:])
        first = part.stop
    into[order] += sums


def _sums_of_rests(raw: np.ndarray, starts: np.ndarray, lengths: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return the sums of the bytes of texts, all of them at once."""
    ends = np.cumsum(lengths)
    places = np.arange(int(ends[-1])) - np.repeat(ends - lengths, lengths)
    products = raw[np.repeat(starts, lengths) + places] * factors[places]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(products, dtype=np.uint64)])
    return sums[ends] - sums[ends - lengths]


def _list_numbers(array: pa.Array) -> np.ndarray:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    items = value_numbers(pc.list_flatten(array))  # it leaves out what lies under a null
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    places = np.arange(int(ends[-1])) - np.repeat(ends[:-1], lengths)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed(items + places.astype(np.uint64)), dtype=np.uint64)])
    return mixed(sums[ends[1:]] - sums[ends[:-1]] + lengths.astype(np.uint64))


def _decimal_numbers(array: pa.Array) -> np.ndarray:
    words: np.ndarray = np.frombuffer(_buffer(array.buffers()[1]), np.uint64).reshape(-1, 2)[
        array.offset : array.offset + len(array)
    ]
    return mixed(mixed(words[:, 0].copy()) * np.uint64(31) + words[:, 1])


def _buffer(buffer: pa.Buffer | None) -> memoryview:
    return memoryview(b"" if buffer is None else buffer)


def _filled(array: pa.Array) -> pa.Array:
    return pc.fill_null(array, 0) if array.null_count else array


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
