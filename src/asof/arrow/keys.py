"""Keys as bytes whose order is that of the keys, for the online store.

Integers, booleans, dates and times: 8 bytes, big-endian, sign flipped. Strings and bytes: zero bytes escaped, two zero
bytes at the end. A composite key is its parts one after the other. Keys over 510 bytes keep their first 479 and end in
their SHA-256, which makes 511 bytes, a length that no other key has.
"""

import hashlib
import operator
import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.clock import to_us
from asof.errors import UsageError

LONGEST = 510
KEPT = 479
SIGN = 1 << 63
_INTEGER = struct.Struct(">Q")
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def encode_keys(table: pa.Table, *, whole: bool = False) -> list[bytes]:
    """Return the key of each row; the table holds the key columns only, in order, without nulls.

    Args:
        table: The keys.
        whole: Leave keys over 510 bytes as they are, in their order; the online store takes no such key.
    """
    parts = [_encode_column(column) for column in table.columns]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))
    keys = joined.to_pylist()
    if (
        not whole
        and pc.max(pc.binary_length(joined)).as_py() is not None
        and pc.max(pc.binary_length(joined)).as_py() > LONGEST
    ):
        return [_shortened(key) for key in keys]
    return keys


def _encode_column(column: pa.ChunkedArray) -> pa.Array:
    arrow = column.type
    array = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_string(arrow) or pa.types.is_binary(arrow):
        raw = array.cast(pa.binary())
        if pc.any(pc.match_substring(raw, b"\0")).as_py():
            raw = pc.replace_substring(raw, b"\0", b"\0\xff")
        return pc.binary_join_element_wise(raw, pa.scalar(b"\0\0", pa.binary()), pa.scalar(b"", pa.binary()))
    integers = array.cast(pa.int8()) if pa.types.is_boolean(arrow) else array
    if pa.types.is_date32(arrow):
        integers = array.cast(pa.int32())
    numbers = integers.cast(pa.int64()).to_numpy()
    flipped = (numbers.view(np.uint64) ^ np.uint64(SIGN)).astype(">u8")
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(numbers), [None, pa.py_buffer(flipped.tobytes())])
    return fixed.cast(pa.binary())


def _shortened(key: bytes) -> bytes:
    return key if len(key) <= LONGEST else key[:KEPT] + hashlib.sha256(key).digest()


def key_encoder(
    types: Sequence[pa.DataType], names: Sequence[str], *, where: str = ""
) -> Callable[[Sequence[Any]], bytes]:
    """Return the function that encodes one key given as Python values, as `encode_keys` does.

    Args:
        types: Types of the key's parts.
        names: Their names, for messages.
        where: Whose key it is, for messages.

    Raises (the function):
        UsageError: A value is of the wrong type, or an integer does not fit it.
    """
    parts = [_value_encoder(arrow, name, where) for arrow, name in zip(types, names, strict=True)]
    if len(parts) == 1:
        only = only_encoder(types[0], names[0], where=where)
        return lambda values: only(values[0])
    return lambda values: _shortened(b"".join([part(value) for part, value in zip(parts, values, strict=True)]))


def only_encoder(arrow: pa.DataType, name: str, *, where: str = "") -> Callable[[Any], bytes]:
    """Return the function that encodes a key of one part, given as its value; see `key_encoder`."""
    encode = _value_encoder(arrow, name, where)
    if not pa.types.is_integer(arrow):
        return lambda value: _shortened(encode(value))
    limit = 1 << (arrow.bit_width - 1)
    pack = _INTEGER.pack

    def encode_integer(value: Any) -> bytes:  # noqa: ANN401 - what callers pass
        if type(value) is int and -limit <= value < limit:  # the usual case, in a third of the time
            return pack(value + SIGN)
        return encode(value)

    return encode_integer


def _value_encoder(arrow: pa.DataType, name: str, where: str) -> Callable[[Any], bytes]:
    def refusing(encode: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
        def checked(value: object) -> bytes:
            try:
                return encode(value)
            except (TypeError, AttributeError, UnicodeEncodeError, struct.error):
                shown = repr(value)
                shown = shown if len(shown) <= 80 else shown[:77] + "..."  # noqa: PLR2004 - a line of an error
                todo = f"pass a value of type {arrow}"
                raise UsageError(f"key {name}={shown} is no {arrow}", where=where, todo=todo) from None

        return checked

    if pa.types.is_string(arrow):
        return refusing(_encode_text)
    if pa.types.is_binary(arrow):
        return refusing(_encode_bytes)
    if pa.types.is_timestamp(arrow):
        return refusing(lambda value: _encode_integer(to_us(value, what=f"key {name}")))
    if pa.types.is_date(arrow):
        return refusing(_encode_date)
    if pa.types.is_boolean(arrow):
        return refusing(_encode_bool)
    limit = 1 << (arrow.bit_width - 1)

    def encode_integer(value: int) -> bytes:
        if value is True or value is False or not -limit <= value < limit:
            raise TypeError
        return _encode_integer(value)

    return refusing(encode_integer)


def _encode_integer(value: int) -> bytes:
    return _INTEGER.pack(operator.index(value) + SIGN)


def _encode_bool(value: object) -> bytes:
    if value is True or value is False:
        return _encode_integer(value)
    if isinstance(value, np.bool_):
        return _encode_integer(int(bool(cast("object", value))))
    raise TypeError


def _encode_text(value: str) -> bytes:
    return _encode_bytes(value.encode())


def _encode_bytes(value: bytes) -> bytes:
    return (value.replace(b"\0", b"\0\xff") if b"\0" in value else value) + b"\0\0"


def _encode_date(value: date) -> bytes:
    if isinstance(value, datetime):
        raise TypeError
    return _encode_integer(value.toordinal() - _EPOCH_DAY)
