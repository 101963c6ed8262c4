"""JSON: an object, lines of objects, or an array of them; values as `asof.arrow.json_values` says."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from asof.arrow.json_values import read_row, readers
from asof.streams.formats.port import Decode, Decoding, Row
from asof.streams.formats.times import IntegerTimes

_decode = msgspec.json.Decoder().decode
_decode_lines = msgspec.json.Decoder().decode_lines


def decoder(decoding: Decoding) -> Decode:
    """Return what makes rows of messages."""
    convert = readers(decoding.group.types)
    times = IntegerTimes(decoding.group, decoding.time_unit)
    floats = [name for name, dtype in decoding.group.types.items() if dtype.name in {"float32", "float64"}]
    perhaps = (*times.names, *floats)  # mostly they are numbers, and right as they are
    texts = {name: each for name, each in convert.items() if name not in perhaps}
    where = f"group {decoding.group.name}"

    def decode(value: bytes) -> list[Row]:
        return [_row(each) for each in _objects(value)]

    def _row(given: Mapping[str, Any]) -> Row:
        row = read_row(given, texts, where=where)
        for name in perhaps:
            if isinstance(row.get(name), str):
                row = read_row(row, {name: convert[name]}, where=where)
        return times.read(row) if times.names else row

    return decode


def _objects(value: bytes) -> list[Mapping[str, Any]]:
    try:
        found: object = _decode(value)
    except msgspec.DecodeError:
        if b"\n" not in value.strip():
            raise
        found = _decode_lines(value)
    every = cast("list[Mapping[str, Any]]", found if isinstance(found, list) else [found])
    for each in every:
        if not isinstance(each, dict):
            raise TypeError(f"an object is wanted, and not {type(each).__name__}")
    return every
