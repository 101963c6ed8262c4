"""Columns as NumPy arrays and back: what functions of users and transformations are given, and give.

One form for one row and for a million, chosen by the declared type alone, so that a function meets online what it met
offline:

| type | array | null |
|---|---|---|
| bool, integers, float64 | float64 | NaN |
| float32 | float32 | NaN |
| timestamp, date | datetime64[us], datetime64[D] | NaT |
| vector of numbers | float64 or float32, of shape (rows, length) | a row of NaN |
| everything else | object: str, bytes, Decimal, list, dict | None |

An integer beyond 2**53 does not fit float64, and is refused. On the way back NaN and NaT are null: of a null number
nothing else can come. A masked array is taken as well, its mask as nulls.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.types import arrow_type
from asof.clock import to_us
from asof.definitions.types import DType
from asof.errors import DataError

Array = npt.NDArray[Any]
Value = Any
"""A Python value of any of our types; the foreign edge where Any is honest."""

EXACT = 2**53
"""Integers up to here are exact in float64."""

_WHOLE = frozenset({"bool", "int8", "int16", "int32", "int64"})
_FLOATS = {"float32": np.float32, "float64": np.float64}
_TIMES = {"timestamp": "datetime64[us]", "date": "datetime64[D]"}


def kind_of(dtype: DType) -> np.dtype[Any]:
    """Return the NumPy type of the arrays of a type."""
    if dtype.name in _WHOLE:
        return np.dtype(np.float64)
    if dtype.name in _FLOATS:
        return np.dtype(_FLOATS[dtype.name])
    if dtype.name in _TIMES:
        return np.dtype(_TIMES[dtype.name])
    return kind_of(dtype.fields[0][1]) if is_matrix(dtype) else np.dtype(object)


def is_matrix(dtype: DType) -> bool:
    """Return whether the arrays of a type have a row of numbers for each value."""
    return dtype.name == "vector" and (dtype.fields[0][1].name in _FLOATS or dtype.fields[0][1].name in _WHOLE)


def to_array(column: pa.ChunkedArray | pa.Array, dtype: DType, *, where: str) -> Array:
    """Return a column as an array.

    Args:
        column: Values of the Arrow type of `dtype`.
        dtype: The declared type.
        where: Whose it is, for messages.

    Raises:
        DataError: An integer is beyond 2**53.
    """
    whole: pa.Array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if dtype.name == "int64":
        _refuse_large(whole, where)
    if dtype.name in _WHOLE or dtype.name in _FLOATS:
        return whole.cast(pa.from_numpy_dtype(kind_of(dtype)), safe=False).to_numpy(zero_copy_only=False)
    if dtype.name in _TIMES:
        return whole.to_numpy(zero_copy_only=False).astype(_TIMES[dtype.name])
    if is_matrix(dtype):
        return _matrix(whole, dtype, where)
    found = np.empty(len(whole), object)
    found[:] = whole.to_pylist()
    return found


def one_maker(dtype: DType, *, where: str) -> Callable[[Value], Array]:
    """Return what makes the array of a single value, as `to_array` makes it of a column of one.

    The maker raises DataError for an integer beyond 2**53.
    """
    kind = kind_of(dtype)
    if dtype.name == "int64":

        def whole(value: Value) -> Array:
            if value is not None and not -EXACT <= value <= EXACT:
                raise _too_large(value, where)
            return np.array([value], np.float64)  # None becomes NaN

        return whole
    if dtype.name in _WHOLE or dtype.name in _FLOATS:
        return lambda value: np.array([value], kind)
    if dtype.name == "timestamp":
        return lambda value: np.array([np.datetime64("NaT") if value is None else to_us(value)], kind)
    if dtype.name == "date":
        return lambda value: np.array([value], kind)
    if is_matrix(dtype):
        column_type = arrow_type(dtype)
        return lambda value: _matrix(pa.array([value], column_type), dtype, where)

    def boxed(value: Value) -> Array:
        found = np.empty(1, object)
        found[0] = value
        return found

    return boxed


def from_array(given: object, dtype: DType, rows: int, *, where: str) -> pa.Array:
    """Return what a function gave, as a column of its declared type.

    Args:
        given: An array of as many values as it was given rows, or a sequence of them.
        dtype: The declared type.
        rows: How many there must be.
        where: Whose it is, for messages.

    Raises:
        DataError: It is no array of so many values, or they do not fit the type.
    """
    column = given if isinstance(given, pa.ChunkedArray | pa.Array) else _as_column(given, dtype, rows, where)
    if len(column) != rows:
        raise _wrong_length(len(column), rows, where)
    if isinstance(column, pa.Array):
        column = pa.chunked_array([column])
    if dtype.name == "timestamp":
        return conform_time(column, where, timezone="UTC").combine_chunks()
    whole = conform_column(column, arrow_type(dtype), where).combine_chunks()
    if pa.types.is_floating(whole.type):
        return pc.if_else(pc.is_nan(whole), pa.scalar(None, whole.type), whole)
    return whole


def one_taker(dtype: DType, *, where: str) -> Callable[[object], Value]:
    """Return what takes the only value out of what a function gave for one row, as `from_array` takes it."""
    plain = _TAKERS.get(dtype.name)

    def taken(given: object) -> Value:
        if plain is not None and type(given) is np.ndarray and given.shape == (1,):
            value = plain(given.item())
            if value is not _ODD:
                return value
        return from_array(given, dtype, 1, where=where)[0].as_py()

    return taken


def value_taker(dtype: DType, *, where: str) -> Callable[[Value], Value]:
    """Return what takes a single Python value that a function gave, as `from_values` takes many."""
    plain = _TAKERS.get(dtype.name)

    def taken(given: Value) -> Value:
        value = given if given is None else _ODD if plain is None else plain(given)
        return from_values([given], dtype, where=where)[0].as_py() if value is _ODD else value

    return taken


def from_values(values: Sequence[Value], dtype: DType, *, where: str) -> pa.Array:
    """Return Python values that a function gave, one a row, as a column of its declared type.

    Raises:
        DataError: One does not fit the type.
    """
    try:
        column = pa.array(values, arrow_type(dtype))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        todo = f"give values of {dtype}, or None"
        raise DataError(f"what it gave is no {dtype}: {error}", where=where, todo=todo) from error
    return from_array(column, dtype, len(values), where=where)


_ODD = object()
"""What is taken the long way, which knows what is wrong with it."""


def _float(value: Value) -> Value:
    if type(value) is not float:
        return _ODD
    return None if value != value else value + 0.0  # noqa: PLR0124 - NaN; and 0.0 of -0.0


def _int64(value: Value) -> Value:
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else _ODD
    if type(value) is not float:
        return _ODD
    if value != value:  # noqa: PLR0124 - NaN
        return None
    return int(value) if value.is_integer() and abs(value) <= EXACT else _ODD


def _of_type(kind: type) -> Callable[[Value], Value]:
    return lambda value: value if value is None or type(value) is kind else _ODD


_TAKERS: dict[str, Callable[[Value], Value]] = {
    "float64": _float,
    "int64": _int64,
    "bool": lambda value: value if type(value) is bool else _ODD,
    "string": _of_type(str),
}
"""What the usual types take of one value, `_ODD` where it is not that simple."""


def _as_column(given: object, dtype: DType, rows: int, where: str) -> pa.Array:
    """Return an array or sequence as a column of its own type, or of the declared one."""
    try:
        values: Array = np.asarray(given)
        if values.ndim == 0:
            todo = "give an array, a value for each row"
            raise DataError(f"it gave one {type(given).__name__} for {rows:,} rows", where=where, todo=todo)
        if len(values) != rows:
            raise _wrong_length(len(values), rows, where)
        null = _nulls(given, values)
        if values.ndim > 1 or values.dtype == object:
            return pa.array(values.tolist(), arrow_type(dtype), mask=null)
        if values.dtype.kind == "f" and dtype.name in _WHOLE:
            return _whole(values, null, dtype, where)
        if values.dtype.kind == "M":
            values = values.astype(_TIMES.get(dtype.name, "datetime64[us]"))
        return pa.array(values, mask=null)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"what it gave is no {dtype}: {error}", where=where, todo=f"give an array of {dtype}"
        ) from error


def _nulls(given: object, values: Array) -> Array:
    """Return which values are null: those that are masked or NaN; of vectors, those of which every number is."""
    null: Array = np.zeros(values.shape, bool)
    if values.dtype.kind in "fM":
        null = np.isnan(values)
    if isinstance(given, np.ma.MaskedArray):
        null |= np.ma.getmaskarray(cast("Any", given))
    while null.ndim > 1:
        null = np.asarray(null.all(axis=-1))
    return null


def _whole(values: Array, null: Array, dtype: DType, where: str) -> pa.Array:
    """Return whole numbers that came as floats."""
    odd = np.flatnonzero(~null & ((values != np.floor(values)) | (np.abs(values) > EXACT)))
    if len(odd):
        raise DataError(f"{values[odd[0]].item()!r} is no {dtype}", where=where, todo="round it, or declare float64")
    filled = np.where(null, 0.0, values).astype(np.int64)
    if dtype.name == "bool" and ((filled != 0) & (filled != 1)).any():
        raise DataError("a number other than 0 and 1 is no bool", where=where, todo="compare it, or declare float64")
    return pa.array(filled.astype(bool) if dtype.name == "bool" else filled, mask=null)


def _matrix(column: pa.Array, dtype: DType, where: str) -> Array:
    item = dtype.fields[0][1]
    (length,) = dtype.numbers
    found = np.full((len(column), length), np.nan, kind_of(dtype))
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    found[valid] = to_array(column.drop_null().flatten(), item, where=where).reshape(-1, length)
    return found


def _refuse_large(column: pa.Array, where: str) -> None:
    ends = pc.min_max(column).as_py()
    for value in (ends["min"], ends["max"]):
        if value is not None and not -EXACT <= value <= EXACT:
            raise _too_large(value, where)


def _too_large(value: int, where: str) -> DataError:
    return DataError(
        f"{value} does not fit float64 exactly",
        where=where,
        todo='declare mode="row": plain Python values are exact; or give it as a string',
    )


def _wrong_length(found: int, rows: int, where: str) -> DataError:
    return DataError(f"it gave {found:,} values for {rows:,} rows", where=where, todo="give a value for each row")
