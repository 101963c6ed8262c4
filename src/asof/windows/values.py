"""Values of columns as bytes: equal values of a column give equal bytes, and bytes give the value back.

msgpack, with types of our own for what it has none for: decimals, dates, timestamps, integers beyond 64 bits.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec

from asof.clock import from_us, to_us

DECIMAL, DATE, TIMESTAMP, INTEGER = 1, 2, 3, 4

LEAST, MOST = -(2**63), 2**64
"""Integers of msgpack's own."""

_PLAIN = frozenset({str, float, bool, bytes, type(None)})

_encoder = msgspec.msgpack.Encoder()


def packed(value: object) -> bytes:
    """Return a value as bytes."""
    return _encoder.encode(packable(value))


def unpacked(data: bytes) -> Any:  # noqa: ANN401 - any value; a tuple comes back as a list
    """Return the value of bytes. Raises msgspec.DecodeError if they are none."""
    return _decoder.decode(data)


def packable(value: object) -> object:
    """Return a value in the types of msgpack."""
    kind = type(value)
    if kind in _PLAIN or (kind is int and LEAST <= cast("int", value) < MOST):
        return value
    match value:
        case int():
            return value if LEAST <= value < MOST else msgspec.msgpack.Ext(INTEGER, _integer(value))
        case list() | tuple():
            return [*map(packable, cast("list[object]", value))]
        case dict():
            return {name: packable(each) for name, each in cast("dict[str, object]", value).items()}
        case Decimal():
            return msgspec.msgpack.Ext(DECIMAL, str(value).encode())
        case datetime():
            return msgspec.msgpack.Ext(TIMESTAMP, _integer(to_us(value)))
        case date():
            return msgspec.msgpack.Ext(DATE, _integer(value.toordinal()))
        case _:
            raise TypeError(f"{kind.__name__} is no type of values")


def _integer(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def read_extension(code: int, data: memoryview) -> object:
    """Return the value of a type of ours."""
    if code == DECIMAL:
        return Decimal(bytes(data).decode())
    number = int.from_bytes(data, "big", signed=True)
    match code:
        case _ if code == DATE:
            return date.fromordinal(number)
        case _ if code == TIMESTAMP:
            return from_us(number)
        case _:
            return number


_decoder = msgspec.msgpack.Decoder(ext_hook=read_extension)
