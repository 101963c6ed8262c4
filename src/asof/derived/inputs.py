"""What a request brings, by the declared types: as Python has it, or as JSON has it. Both are the same input."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from asof.arrow.json_values import reader
from asof.arrow.types import arrow_type
from asof.clock import to_us
from asof.definitions.on_demand import requests_of
from asof.definitions.types import DType
from asof.errors import AsofError, NotFoundError, UsageError

Value = Any
Given = Mapping[str, Value]
"""Inputs by name, in the Python types of their declared types; null is None, and so is NaN."""

_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}


class Inputs:
    """The inputs that a view wants of a request."""

    def __init__(self, types: Mapping[str, DType], keys: Sequence[str], *, where: str) -> None:
        """Compile how each is read.

        Args:
            types: The declared inputs.
            keys: The view's keys: an input of such a name may be left out, it is the key then.
            where: The view, for messages.
        """
        self.types = dict(types)
        self._keys = frozenset(keys) & types.keys()
        self._where = where
        self._readers = {name: _reader(dtype) for name, dtype in types.items()}
        self._arrow = {name: arrow_type(dtype) for name, dtype in types.items()}

    def read(self, keys: Given, request: Given | None) -> Given:
        """Return the inputs of a request.

        Raises:
            UsageError: One is missing, or of another type.
        """
        found: dict[str, Value] = {}
        given = request or {}
        for name, convert in self._readers.items():
            if name in given:
                value = given[name]
            elif name in self._keys:
                value = keys[name]
            else:
                raise self._missing(name, given)
            try:
                found[name] = None if value is None or value != value else convert(value)  # noqa: PLR0124 - NaN
            except AsofError:
                raise
            except (TypeError, ValueError, OverflowError, ArithmeticError, pa.ArrowException) as error:
                what = f"{name}={value!r} is no {self.types[name]}: {error}"
                raise UsageError(what, where=f"{self._where}, request=") from error
        return found

    def columns(self, every: Sequence[Given]) -> dict[str, pa.Array]:
        """Return the inputs of many answers as columns."""
        return {name: pa.array([each[name] for each in every], arrow) for name, arrow in self._arrow.items()}

    def _missing(self, name: str, given: Given) -> UsageError:
        near = NotFoundError.named("request input", name, given) if given else None
        todo = f"pass request={{...}} with {requests_of(self.types)}"
        data = {} if near is None else near.data
        return UsageError(f"the request lacks the input {name!r}", where=self._where, todo=todo, data=data)


def _reader(dtype: DType) -> Callable[[Value], Value]:
    """Return what makes an input of what was passed; it raises TypeError or ValueError."""
    match dtype.name:
        case "bool":
            return _bool
        case "int8" | "int16" | "int32" | "int64":
            return _whole(_BITS[dtype.name])
        case "float64":
            return _float
        case "string":
            return _text
        case _:
            return _other(dtype)


def _bool(value: Value) -> bool:
    if isinstance(value, bool) or type(value).__name__.startswith("bool"):  # NumPy's is none of Python's
        return bool(value)
    raise TypeError("true or false is wanted")


def _whole(bits: int) -> Callable[[Value], int]:
    limit = 1 << (bits - 1)

    def whole(value: Value) -> int:
        if isinstance(value, bool):
            raise TypeError("a number is wanted")
        number = value if type(value) is int else operator.index(value)
        if not -limit <= number < limit:
            raise ValueError(f"it does not fit {bits} bits")
        return number

    return whole


def _float(value: Value) -> float | None:
    if type(value) is float:  # nearly always
        number = value
    elif isinstance(value, bool | bytes):
        raise TypeError("a number is wanted")
    else:
        number = float(_FLOATS(value) if isinstance(value, str) else value)
    return None if number != number else number + 0.0  # noqa: PLR0124 - NaN; and 0.0 of -0.0


def _text(value: Value) -> str:
    if isinstance(value, str):
        return str(value)
    raise TypeError("text is wanted")


def _other(dtype: DType) -> Callable[[Value], Value]:
    """Return what reads by way of Arrow: slower, and for every type."""
    from_json, arrow = reader(dtype), arrow_type(dtype)
    plain = {"bytes": bytes, "date": date, "timestamp": datetime, "decimal": Decimal}.get(dtype.name)

    def other(value: Value) -> Value:
        if from_json is not None and (plain is None or isinstance(value, str)):
            value = from_json(value)
        if isinstance(value, datetime):
            to_us(value)  # refuses a naive one
        if plain is not None and not isinstance(value, plain):
            raise TypeError(f"a {dtype} is wanted")
        found = pa.array([value], arrow)[0].as_py()
        return None if found != found else found  # noqa: PLR0124 - NaN

    return other


_FLOATS: Callable[[Value], Value] = reader(DType("float64")) or float
"""What reads the floats that JSON has no number for, "NaN" and "Infinity"; other text is refused."""
