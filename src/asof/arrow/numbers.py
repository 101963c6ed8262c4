"""Columns of numbers as NumPy's float64."""

from typing import Any

import numpy as np
import pyarrow as pa


def is_number(dtype: pa.DataType) -> bool:
    """Return whether values of a type are numbers, booleans among them."""
    types = pa.types
    return types.is_integer(dtype) or types.is_floating(dtype) or types.is_boolean(dtype) or types.is_decimal(dtype)


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """Return numbers as float64, of shape (rows,): null as NaN, integers beyond 2**53 rounded."""
    plain = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    found: np.ndarray[Any, Any] = plain.cast(pa.float64(), safe=False).to_numpy()
    return found
