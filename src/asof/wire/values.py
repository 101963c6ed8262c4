"""Python values as msgpack, with their exact types.

What msgpack itself does not tell apart has a tag: times, dates, decimals, integers beyond 64 bits, NumPy's numbers.
Records of ours become maps of their fields, and sequences become lists.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec
import numpy as np

from asof.errors import UsageError
from asof.records import OWN_KEY, Commit

T = TypeVar("T")

Value = Any
"""A value of a caller, of the store or of a record: the foreign edge where Any is honest."""

TIME, DATE, DECIMAL, INTEGER, NUMBER, TEXT = 1, 2, 3, 4, 5, 6
"""Tags."""

PLAIN = frozenset({str, int, float, bool, bytes, type(None)})
_INT64 = 1 << 63
_MISSING = frozenset({"NAType", "NaTType"})

_encode = msgspec.msgpack.Encoder().encode


def pack(value: Value) -> bytes:
    """Return a value as a message.

    Raises:
        UsageError: It holds something that cannot be sent.
    """
    return _encode(tagged(value))


def unpack(message: bytes) -> Value:
    """Return the value of a message; a record as a dict.

    Raises:
        UsageError: It is no message of ours.
    """
    try:
        return _decoder.decode(message)
    except (msgspec.DecodeError, ValueError, ArithmeticError, TypeError, RecursionError) as error:
        raise UsageError(f"this is no message of asof: {type(error).__name__}: {error}") from error


def record(kind: type[T] | Any, value: Value) -> T:  # noqa: ANN401 - a type such as list[Tag] has no better type
    """Return what `unpack` gave as a record of a type, or as a list or dict of them.

    Raises:
        UsageError: It has not that form.
    """
    try:
        return cast("T", msgspec.convert(value, kind))
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise UsageError(f"this message is not as it should be: {error}") from error


def tagged(value: Value) -> Value:
    """Return a value as msgpack can say it.

    Raises:
        UsageError: It holds something that cannot be sent.
    """
    kind = cast("type[object]", type(value))
    if kind in PLAIN:
        if kind is int and not -_INT64 <= value < _INT64:
            return msgspec.msgpack.Ext(INTEGER, str(value).encode())
        if kind is str and not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            return msgspec.msgpack.Ext(TEXT, value.encode("utf-8", "surrogatepass"))  # no text: the store refuses it
        return value
    if isinstance(value, Mapping):
        return {_name(name): tagged(each) for name, each in cast("Mapping[Value, Value]", value).items()}
    if isinstance(value, datetime):
        return None if kind.__name__ in _MISSING else msgspec.msgpack.Ext(TIME, value.isoformat().encode())
    if isinstance(value, date):
        return msgspec.msgpack.Ext(DATE, value.isoformat().encode())
    if isinstance(value, Decimal):
        return msgspec.msgpack.Ext(DECIMAL, str(value).encode())
    if isinstance(value, np.generic):
        number = cast("Value", value)
        if number.dtype.kind in "biufM":
            return msgspec.msgpack.Ext(NUMBER, number.dtype.str.encode() + b" " + number.tobytes())
    return _compound(value, kind)


def _compound(value: Value, kind: type[object]) -> Value:
    if isinstance(value, Commit) and value.idempotency_key.startswith(OWN_KEY):  # as if written once, without a key
        value = msgspec.structs.replace(value, idempotency_key="", repeated=False)
    if isinstance(value, msgspec.Struct):
        if value.__struct_config__.array_like:
            return [tagged(getattr(value, name)) for name in value.__struct_fields__]
        return {name: tagged(getattr(value, name)) for name in value.__struct_fields__}
    if is_dataclass(value):
        return {each.name: tagged(getattr(value, each.name)) for each in fields(value) if not each.name.startswith("_")}
    if isinstance(value, list | tuple | AbstractSet) or kind.__name__ == "ndarray":
        return [tagged(each) for each in cast("Iterable[Value]", value)]
    if kind.__name__ in _MISSING:
        return None
    for plain in (bool, int, float, str, bytes):
        if isinstance(value, plain):  # a subclass, such as a member of an enumeration
            return tagged(plain(value))  # type: ignore[call-overload] - each takes its own subclasses
    if isinstance(value, bytearray | memoryview):
        return bytes(cast("bytearray", value))
    raise UsageError(f"a value of type {kind.__name__} cannot be sent: {value!r}", todo="pass plain Python values")


def _name(name: Value) -> Value:
    return name if type(name) in PLAIN else str(name)


class Instant(datetime):
    """A time that is finer than a microsecond: whoever stores it must refuse it, or cut it."""

    nanosecond = 0


def _tag(code: int, data: memoryview) -> Value:
    raw = bytes(data)
    match code:
        case -1:
            raise ValueError("a time without our tag")
        case 1:
            return _time(raw.decode("ascii"))
        case 2:
            return date.fromisoformat(raw.decode("ascii"))
        case 3:
            return Decimal(raw.decode("ascii"))
        case 4:
            return int(raw.decode("ascii")[:1000])
        case 5:
            kind, _, content = raw.partition(b" ")
            dtype = np.dtype(kind.decode("ascii"))
            if dtype.kind not in "biufM" or dtype.itemsize != len(content):
                raise ValueError("no number")
            return np.frombuffer(content, dtype)[0]
        case 6:
            return raw.decode("utf-8", "surrogatepass")
        case _:
            raise ValueError(f"unknown tag {code}")


def _time(text: str) -> datetime:
    """Return a time in ISO 8601; with nine digits of a second it is finer than Python's own."""
    head, point, tail = text.partition(".")
    digits = tail[:9] if len(tail) >= 9 and tail[:9].isdigit() else ""  # noqa: PLR2004 - nanoseconds
    if not digits:
        return datetime.fromisoformat(text)
    at = datetime.fromisoformat(head + point + digits[:6] + tail[9:])
    nanosecond = int(digits[6:])
    if not nanosecond:
        return at
    fine = Instant(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, at.tzinfo, fold=at.fold)
    fine.nanosecond = nanosecond
    return fine


def is_plain(values: Iterable[Value]) -> bool:
    """Return whether msgpack says these values as they are, without a look into them."""
    return all(
        (kind := cast("type[object]", type(value))) in PLAIN
        and not (kind is int and not -_INT64 <= value < _INT64)
        and not (kind is str and not value.isascii())
        for value in values
    )


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """Return what makes a record of a message.

    Raises:
        UsageError: When it is called: it is no such message.
    """
    decode = msgspec.msgpack.Decoder(kind, ext_hook=_tag).decode

    def decoded(message: bytes) -> T:
        try:
            return decode(message)
        except (msgspec.DecodeError, ValueError, ArithmeticError, TypeError, RecursionError) as error:
            raise UsageError(f"this is no message of asof: {type(error).__name__}: {error}") from error

    return decoded


_decoder = msgspec.msgpack.Decoder(ext_hook=_tag)
