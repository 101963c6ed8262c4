"""Applying what was learned: a function of arrays for each state, the same bits for one row and for a million.

Arrays are those of `asof.arrow.arrays`. Each function computes every value from that value alone, by operations that
round alike at any length; so a batch is as good as its rows.
"""

import hashlib
import math
from collections.abc import Callable
from datetime import date
from typing import Any, assert_never

import numpy as np

from asof.arrow.arrays import Array
from asof.definitions.transform import FLOAT, Scalar
from asof.definitions.types import DType, parse_type
from asof.fitted.states import (
    Bucketed,
    Built,
    Clipped,
    Coded,
    Filled,
    Hashed,
    Logged,
    OneOf,
    Ranged,
    Scaled,
    Value,
    meant,
)

Apply = Callable[[Array], list[Array]]
"""Makes columns of one."""

HASH_BYTES = 8
_NAN = math.nan


def floats(values: Array) -> Array:
    """Return numbers as float64, one after the other in memory; of Decimal, None is NaN."""
    return np.ascontiguousarray(values, np.float64)


def outputs_of(state: Built, name: str, dtype: DType) -> list[tuple[str, DType]]:
    """Return the names and types of what a state makes of a column."""
    match state:
        case OneOf():
            return [(f"{name}={shown(each)}", DType("int8")) for each in state.categories]
        case Coded() | Hashed() | Bucketed():
            return [(name, DType("int64"))]
        case Filled(as_float=False):
            return [(name, dtype)]
        case _:
            return [(name, FLOAT)]


def shown(category: Scalar) -> str:
    """Return a category as the name of its column says it."""
    return str(category).lower() if isinstance(category, bool) else str(category)


def applier(state: Built) -> Apply:
    """Return what applies a state."""
    match state:
        case Scaled(center, scale):
            return lambda values: [(floats(values) - center) / scale]
        case Ranged():
            return _ranged(state)
        case Clipped():
            return _clipped(state)
        case Logged(plus):
            return _logged(plus)
        case Bucketed(edges):
            return _bucketed(np.array(edges, np.float64))
        case OneOf():
            return _one_of(state)
        case Coded():
            return _coded(state)
        case Hashed(dtype, buckets):
            return _hashed(parse_type(dtype), buckets)
        case Filled():
            return _filled(state)
        case _:
            assert_never(state)


def _ranged(state: Ranged) -> Apply:
    least, span, low, high = state.least, state.span, state.low, state.high
    wide = high - low

    def apply(values: Array) -> list[Array]:
        found = (floats(values) - least) / span * wide + low
        return [np.minimum(np.maximum(found, low), high) if state.clip else found]

    return apply


def _clipped(state: Clipped) -> Apply:
    low = -math.inf if state.low is None else state.low
    high = math.inf if state.high is None else state.high
    return lambda values: [np.minimum(np.maximum(floats(values), low), high)]


def _logged(plus: float) -> Apply:
    def apply(values: Array) -> list[Array]:
        found = np.log1p(floats(values)) if plus == 1.0 else np.log(floats(values) + plus)
        return [np.where(found > -math.inf, found, _NAN)]

    return apply


def _bucketed(edges: Array) -> Apply:
    def apply(values: Array) -> list[Array]:
        given = floats(values)
        return [np.where(np.isnan(given), _NAN, edges.searchsorted(given, side="right"))]

    return apply


def _one_of(state: OneOf) -> Apply:
    places = _places(state.dtype, state.categories)
    many = len(places)
    place = places.get

    def apply(values: Array) -> list[Array]:
        found = np.zeros((many, len(values)))
        at = [place(value, -1) for value in values.tolist()]
        if len(at) == 1:
            if at[0] >= 0:
                found[at[0], 0] = 1.0
        else:
            rows = np.array(at, np.int64)
            known = np.flatnonzero(rows >= 0)
            found[rows[known], known] = 1.0
        return list(found)

    return apply


def _coded(state: Coded) -> Apply:
    unknown = _NAN if state.unknown is None else float(state.unknown)
    codes: dict[Value, float] = {key: float(at) for key, at in _places(state.dtype, state.categories).items()}
    codes[None] = _NAN
    code = codes.get

    def apply(values: Array) -> list[Array]:
        found = np.array([code(value, unknown) for value in values.tolist()], np.float64)
        return [np.where(np.isnan(values), _NAN, found) if values.dtype.kind == "f" else found]

    return apply


def _hashed(dtype: DType, buckets: int) -> Apply:
    text: Callable[[Any], bytes] = {"string": str.encode, "bytes": bytes, "date": _iso}.get(dtype.name, _whole)

    def bucket(value: Value) -> float:
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return _NAN
        digest = hashlib.blake2b(text(value), digest_size=HASH_BYTES).digest()
        return float(int.from_bytes(digest, "little") % buckets)

    def apply(values: Array) -> list[Array]:
        known: dict[Value, float] = {}
        found: list[float] = []
        for value in values.tolist():
            at = known.get(value)
            if at is None:
                at = known[value] = bucket(value)
            found.append(at)
        return [np.array(found, np.float64)]

    return apply


def _filled(state: Filled) -> Apply:
    dtype = parse_type(state.dtype)
    value = meant(state.value, dtype)
    if state.as_float:
        number = float(value)

        def of_numbers(values: Array) -> list[Array]:
            given = floats(values)
            return [np.where(np.isnan(given), number, given)]

        return of_numbers
    if dtype.name in ("string", "bytes"):
        return lambda values: [_objects([value if each is None else each for each in values.tolist()])]
    if dtype.name == "date":
        day = np.datetime64(value)
        return lambda values: [np.where(np.isnat(values), day, values)]
    plain = float(value)  # a Python number takes the type of the array
    return lambda values: [np.where(np.isnan(values), plain, values)]


def _objects(values: list[Value]) -> Array:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _places(dtype: str, categories: tuple[Scalar, ...]) -> dict[Value, int]:
    """Return the place of each category, by values as arrays hold them: 1.0 is 1 and True."""
    kind = parse_type(dtype)
    return {meant(each, kind): at for at, each in enumerate(categories)}


def _whole(value: float) -> bytes:
    return str(int(value)).encode()


def _iso(value: date) -> bytes:
    return value.isoformat().encode()
