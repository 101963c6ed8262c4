"""A number for each key and event time: equal ones have equal numbers, and different ones nearly always different."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Those of the finalizer of SplitMix64: each bit of a number changes half of the others."""


def row_hashes(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """Return a uint64 for each row of some columns without nulls; it holds within this process."""
    found = np.zeros(table.num_rows, np.uint64)
    for name in columns:
        found = mixed(found * np.uint64(31) + _numbers(table.column(name)))
    return found


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_timestamp(column.type) or pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy().view(np.uint64)
    encoded = pc.dictionary_encode(column).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    hashes = np.array([hash(value) for value in encoded.dictionary.to_pylist()], np.int64)
    return hashes[encoded.indices.to_numpy()].view(np.uint64)


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Mix the bits of uint64 numbers in place, and return them: the finalizer of SplitMix64."""
    for shift, factor in zip((30, 27), FACTORS, strict=True):
        numbers ^= numbers >> np.uint64(shift)
        numbers *= factor
    numbers ^= numbers >> np.uint64(31)
    return numbers
