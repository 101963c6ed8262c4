"""One pushed record as bytes, without a table: what `prepare` would make of it, twenty times faster.

It knows plain Python values of the common types. Whatever else it meets, and whatever breaks a rule, it leaves to
`prepare`, which converts it or says what is wrong.
"""

import hashlib
import math
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from asof.arrow.keys import key_encoder
from asof.arrow.types import arrow_type
from asof.clock import EPOCH, MICROSECOND
from asof.definitions import Check
from asof.definitions.types import DType
from asof.errors import UsageError
from asof.ingest.prepare import SKEW_US
from asof.records import RETIRED_COLUMN
from asof.registry.registered import RegisteredGroup

Value = Any
"""A Python value from a caller: the foreign edge where Any is honest."""

Convert = Callable[[Value], Value]
"""Gives a value as it travels; raises `_OtherError` for what it does not know, and for None."""

MOST_BYTES = 16_000
"""Larger records may break a limit of keys or rows."""

EXACT = {"float64": 1 << 53, "float32": 1 << 24}
"""Integers up to these are floats without loss."""

_FIRST_US, _LAST_US = ((datetime(year, 1, 2, tzinfo=EPOCH.tzinfo) - EPOCH) // MICROSECOND for year in (1, 9999))
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_encode = msgspec.msgpack.Encoder().encode
_float32 = struct.Struct("@f")


class _OtherError(Exception):
    """A value that is not plain."""


class Encoded(msgspec.Struct, frozen=True):
    """A record as it is stored.

    Attributes:
        key: Its key, for the online store.
        payload: Its features, for the online store.
        block: Its row, for the journal.
        event_us: Its event time; None in a static group.
        values: Its values in the order declared.
    """

    key: bytes
    payload: bytes
    block: bytes
    event_us: int | None
    values: tuple[Value, ...]


class RecordEncoder:
    """Encodes the records of one group version."""

    def __init__(self, group: RegisteredGroup) -> None:
        """Compile the group."""
        definition = group.definition
        keys = definition.entity.keys
        time = () if definition.event_time is None else (definition.event_time,)
        features = {feature.name: feature for feature in definition.features}
        self.group = group
        self._names = [*keys, *time, *features]
        types = {**keys, **dict.fromkeys(time, DType("timestamp")), **{n: f.dtype for n, f in features.items()}}
        required = {*keys, *time, *(name for name, feature in features.items() if not feature.nullable)}
        self._columns = [(name, _converter(types[name]), name in required) for name in self._names]
        place = {name: at for at, name in enumerate(self._names)}
        self._key_names = list(keys)
        self._encode_key = key_encoder([arrow_type(dtype) for dtype in keys.values()], list(keys))
        self._time = place[definition.event_time] if definition.event_time is not None else None
        self._layout = [place[name] for name in group.layout]
        self._ordered = self._layout == list(range(len(keys) + len(time), len(self._names)))
        self._first = len(keys) + len(time)
        checks = definition.checks if definition.on_violation != "off" else ()
        self._rules = [
            (place[check.column], _rule(check, types[check.column])) if check.column else (0, _unknown)
            for check in checks
            if check.scope == "rows"
        ]

    def encode(self, record: Mapping[str, Value], *, now_us: int) -> Encoded | None:
        """Return a record as it is stored; None if `prepare` must look at it."""
        if len(record) != len(self._names):
            return None
        try:
            values = tuple(
                [
                    None if (value := record[name]) is None and not required else convert(value)
                    for name, convert, required in self._columns
                ]
            )
            for at, rule in self._rules:
                if not rule(values[at]):
                    return None
            key = self._encode_key([record[name] for name in self._key_names])
        except (KeyError, _OtherError, UsageError):
            return None
        event_us = None if self._time is None else values[self._time]
        if event_us is not None and event_us > now_us + SKEW_US:
            return None
        features = values[self._first :] if self._ordered else tuple([values[at] for at in self._layout])
        block = _encode([(*values[: self._first], *features)])
        if len(block) > MOST_BYTES:
            return None
        return Encoded(key, _encode(features), block, event_us, values)

    def digest(self, found: Encoded) -> str:
        """Return the hash of a record's content, as `prepare.digest_of` makes it of a row."""
        named = dict(zip(self._names, found.values, strict=True)) | {RETIRED_COLUMN: False}
        names = sorted(name for name, value in named.items() if value is not None)
        row = _encode([named[name] for name in names])
        return hashlib.sha256("\n".join(names).encode() + len(row).to_bytes(4, "big") + row).hexdigest()


def _converter(dtype: DType) -> Convert:
    match dtype.name:
        case "bool":
            return _boolean
        case "int8" | "int16" | "int32" | "int64":
            return _integer(1 << (int(dtype.name[3:]) - 1))
        case "float32" | "float64":
            return _float(EXACT[dtype.name], single=dtype.name == "float32")
        case "string":
            return _text
        case "date":
            return _day
        case "timestamp":
            return _moment
        case _:
            return _other


def _other(_: Value) -> Value:
    raise _OtherError


def _boolean(value: Value) -> Value:
    if type(value) is not bool:
        raise _OtherError
    return value


def _integer(limit: int) -> Convert:
    def convert(value: Value) -> Value:
        if type(value) is not int or not -limit <= value < limit:
            raise _OtherError
        return value

    return convert


def _float(exact: int, *, single: bool) -> Convert:
    def convert(value: Value) -> Value:
        if type(value) is int and -exact <= value <= exact:
            value = float(value)
        elif type(value) is not float:
            raise _OtherError
        if value != value:  # noqa: PLR0124 - NaN: one of them
            return math.nan
        if single:
            given, (value,) = value, _float32.unpack(_float32.pack(value))
            if math.isinf(value) and not math.isinf(given):
                raise _OtherError
        return value + 0.0  # no -0.0

    return convert


def _text(value: Value) -> Value:
    if type(value) is not str:
        raise _OtherError
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _OtherError from None
    return value


def _day(value: Value) -> Value:
    if type(value) is not date:
        raise _OtherError
    return value.toordinal() - _EPOCH_DAY


def _moment(value: Value) -> Value:
    if type(value) is not datetime or value.tzinfo is None:
        raise _OtherError
    moment_us = (value - EPOCH) // MICROSECOND
    if not _FIRST_US <= moment_us <= _LAST_US:
        raise _OtherError
    return moment_us


def _rule(check: Check, dtype: DType) -> Callable[[Value], bool]:
    """Return what says that a value keeps a check; False leaves it to `prepare`."""
    number = dtype.name.startswith(("int", "float"))
    if check.kind == "not_null":
        return lambda value: value is not None
    if check.kind == "between" and number:
        low = -math.inf if check.low is None else check.low
        high = math.inf if check.high is None else check.high
        exact = EXACT["float64"]
        return lambda value: value is None or (low <= value <= high and -exact < value < exact)
    if check.kind == "one_of" and dtype.name == "string":
        allowed = frozenset(value for value in check.values if isinstance(value, str))
        return lambda value: value is None or value in allowed
    if check.kind == "length" and dtype.name == "string":
        least, most = check.low or 0, math.inf if check.high is None else check.high
        return lambda value: value is None or least <= len(value) <= most
    return _unknown


def _unknown(_: Value) -> bool:
    """Leave a value to `prepare`."""
    return False
