"""Arrays that transforms made, given back as Arrow columns and as Python values.

`asof.arrow.arrays.from_array` takes what users made, and checks it. These arrays are ours: numbers are float64 or
float32, whole numbers are whole and in range, so a column of 0 and 1 costs a twentieth.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from asof.arrow.arrays import Array
from asof.arrow.types import arrow_type
from asof.definitions.transform import WHOLE
from asof.definitions.types import DType
from asof.fitted.states import Value

FLOATS = ("float32", "float64")


def column(values: Array, dtype: DType) -> pa.Array:
    """Return an array as a column of its type; NaN, NaT and None are null, and -0.0 is 0.0."""
    kind = arrow_type(dtype)
    if dtype.name in FLOATS:
        return pa.array(values + 0.0, kind, mask=np.isnan(values))
    if dtype.name in WHOLE:
        null = np.isnan(values)
        return pa.array(np.where(null, 0.0, values).astype(np.int64), mask=null).cast(kind)
    return pa.array(values.tolist(), kind) if values.dtype == object else pa.array(values, kind, mask=np.isnat(values))


def taker(dtype: DType) -> Callable[[Array], Value]:
    """Return what takes the only value out of an array, as `column` gives it."""
    if dtype.name in FLOATS:
        return _float
    if dtype.name in WHOLE:
        return _bool if dtype.name == "bool" else _int
    return lambda values: values.item()


def _float(values: Array) -> float | None:
    value = values.item()
    return None if value != value else value + 0.0  # noqa: PLR0124 - NaN


def _int(values: Array) -> int | None:
    value = values.item()
    return None if value != value else int(value)  # noqa: PLR0124 - NaN


def _bool(values: Array) -> bool | None:
    value = values.item()
    return None if value != value else bool(value)  # noqa: PLR0124 - NaN
