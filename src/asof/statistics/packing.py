"""Statistics as bytes, to be kept and sent: msgpack, compressed by Zstandard."""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from asof.errors import PermanentError
from asof.statistics.column import ColumnStatistics
from asof.statistics.distribution import Distribution, Sketch, Tally
from asof.statistics.group import GroupStatistics
from asof.statistics.moments import Moments

FORMAT = 1
MOST_BYTES = 1 << 30

Value = Any
"""What msgpack says."""

TYPES = {"i": np.dtype("<i8"), "f": np.dtype("<f8"), "u": np.dtype("<u8")}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


def pack(found: GroupStatistics) -> bytes:
    """Return statistics as bytes."""
    columns = [[name, *_packed_column(column)] for name, column in found.columns.items()]
    facts = [getattr(found, name) for name in FACTS]
    body = _encode([FORMAT, facts, _packed(found.keys), columns])
    return len(body).to_bytes(4, "little") + pa.compress(body, codec="zstd", asbytes=True)


def unpack(body: bytes) -> GroupStatistics:
    """Return the statistics of bytes.

    Raises:
        PermanentError: They are damaged, or a newer asof made them.
    """
    try:
        return _whole(body)
    except (msgspec.DecodeError, pa.ArrowException, OSError, ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise PermanentError(
            f"statistics cannot be read: {error}", todo="make them anew: store.quality.statistics(group, rebuild=True)"
        ) from error


def _whole(body: bytes) -> GroupStatistics:
    size = int.from_bytes(body[:4], "little")
    if size > MOST_BYTES:
        raise ValueError("too large")
    form, facts, keys, columns = _decode(pa.decompress(body[4:], size, codec="zstd", asbytes=True))
    if form != FORMAT:
        raise ValueError(f"they have format {form}, this asof knows {FORMAT}")
    known: dict[str, Any] = dict(zip(FACTS, facts, strict=True))
    known["approximate"] = tuple(known["approximate"])
    return GroupStatistics(**known, keys=_unpacked(keys), columns={name: _column(*parts) for name, *parts in columns})


FACTS = tuple(each.name for each in fields(GroupStatistics) if each.name not in ("columns", "keys"))


def _packed_column(found: ColumnStatistics) -> list[Value]:
    extremes = [str(each) if isinstance(each, Decimal) else each for each in (found.low, found.high)]
    items = None if found.items is None else _packed(found.items)
    counts = [found.rows, found.nulls, found.nans, found.infinite]
    return [found.kind, counts, extremes, list(found.moments), _packed(found.spread), items]


def _column(  # noqa: PLR0917 - as they were packed
    kind: Value, counts: Value, extremes: Value, moments: Value, spread: Value, items: Value
) -> ColumnStatistics:
    low, high = (Decimal(each) if isinstance(each, str) else each for each in extremes)
    rest = None if items is None else _unpacked(items)
    rows, nulls, nans, infinite = counts
    return ColumnStatistics(kind, rows, nulls, nans, infinite, low, high, Moments(*moments), _unpacked(spread), rest)


def _packed(found: Distribution) -> list[Value]:
    if isinstance(found, Tally):
        return _packed_tally(found)
    ranks = [[weight, sketch] for weight, sketch in found.ranks.items()]
    return ["sketch", ranks, found.different, _packed_tally(found.top), found.missed, found.weight]


def _packed_tally(found: Tally) -> list[Value]:
    counts = b"" if np.maximum.reduce(found.counts, initial=1) == 1 else found.counts.astype("<i8").tobytes()
    kind = found.values.dtype.kind
    return [kind, found.values.tolist() if kind == "O" else found.values.astype(TYPES[kind]).tobytes(), counts]


def _unpacked(said: Value) -> Distribution:
    if said[0] != "sketch":
        return _tally(said)
    _, ranks, different, top, missed, weight = said
    return Sketch({int(each): sketch for each, sketch in ranks}, different, _tally(top), missed, weight)


def _tally(said: Value) -> Tally:
    kind, values, counts = said
    if kind == "O":
        found = np.empty(len(values), object)
        found[:] = values
    else:
        found = np.frombuffer(values, TYPES[kind])
    return Tally(found, np.frombuffer(counts, np.int64) if counts else np.ones(len(found), np.int64))
