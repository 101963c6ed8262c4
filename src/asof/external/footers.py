"""What the footer of a Parquet file says, kept as long as the file stays the same."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asof.engine.port import NO_TIME, Cast
from asof.errors import DataError, PermanentError
from asof.external.columns import Wanted

MOST_KEPT = 100_000
"""Footers of so many files are kept; one takes half a kilobyte."""

_UNITS_US: Mapping[str, tuple[int, int]] = {"s": (1_000_000, 1), "ms": (1000, 1), "us": (1, 1), "ns": (1, 1000)}


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found.

    Attributes:
        path: Where it is.
        size: Bytes.
        modified_ns: When it was changed.
    """

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What matters of a file.

    Attributes:
        rows: Number of rows.
        min_us: A lower bound of the event times.
        max_us: An upper bound of them.
        casts: See `asof.engine.port.Outside.casts`.
    """

    rows: int
    min_us: int
    max_us: int
    casts: tuple[tuple[str, Cast], ...]


_known: dict[tuple[File, Wanted, frozenset[str]], Footer] = {}
_lock = threading.Lock()


def footer_of(file: File, wanted: Wanted, constants: frozenset[str]) -> Footer:
    """Return what the footer of a file says; columns about which it says nothing are read, once.

    Args:
        file: The file.
        wanted: The columns that are declared.
        constants: Those of them that are not in the file.

    Raises:
        DataError: A column is missing, of a wrong type, or has nulls where there must be none; or a time is no whole
            microsecond. PermanentError: The file cannot be read.
    """
    key = (file, wanted, constants)
    found = _known.get(key)
    if found is None:
        found = _read(file, wanted, constants)
        with _lock:
            if len(_known) >= MOST_KEPT:
                _known.clear()
            _known[key] = found
    return found


def _read(file: File, wanted: Wanted, constants: frozenset[str]) -> Footer:
    try:
        with pq.ParquetFile(file.path) as opened:
            return _Look(file, opened, wanted).footer(constants)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise PermanentError(f"the file cannot be read: {reason}", where=file.path, todo="mend or remove it") from error


class _Look:
    """A look into one file."""

    def __init__(self, file: File, opened: pq.ParquetFile, wanted: Wanted) -> None:
        self.where = file.path
        self.opened = opened
        self.wanted = wanted
        self.metadata = opened.metadata
        self.types = {field.name: field.type for field in opened.schema_arrow}
        groups: list[Any] = [self.metadata.row_group(at) for at in range(self.metadata.num_row_groups)]
        self.places = {str(each.column(at).path_in_schema): at for each in groups[:1] for at in range(each.num_columns)}

    def footer(self, constants: frozenset[str]) -> Footer:
        types = [(name, kind) for name, kind in self.wanted.types if name not in constants]
        own = Wanted(tuple(types), self.wanted.required, self.wanted.event_time, self.wanted.utc)
        own.check(self.types, self.where)
        for name, _ in types:
            if name in self.wanted.required and (count := self._nulls(name)):
                what = "event time" if name == self.wanted.event_time else "value"
                todo = "fill it, or leave such rows out"
                raise DataError(f"{count:,} rows have a null {what} in column {name!r}", where=self.where, todo=todo)
        casts: list[tuple[str, Cast]] = []
        for name, declared in types:
            cast = self._cast(name, declared)
            if cast is not None:
                casts.append((name, cast))
        least, greatest = self._bounds(constants)
        return Footer(self.metadata.num_rows, least, greatest, tuple(casts))

    def _cast(self, name: str, declared: pa.DataType) -> Cast | None:
        given = self.types[name]
        if not pa.types.is_timestamp(declared) or not pa.types.is_timestamp(given):
            return None
        if given.unit == "ns":
            finer = pc.not_equal(pc.multiply(pc.divide(self._numbers(name), 1000), 1000), self._numbers(name))
            if pc.any(finer).as_py():
                raise DataError(
                    f"column {name!r} holds times finer than a microsecond",
                    where=self.where,
                    todo="round them where they are written",
                )
        if given.tz is None:
            return "naive"
        return None if given.unit == "us" else "utc"

    def _numbers(self, name: str) -> pa.ChunkedArray:
        return self.opened.read(columns=[name]).column(name).cast(pa.int64())

    def _statistics(self, name: str) -> list[pq.Statistics] | None:
        at = self.places.get(name)
        groups = range(self.metadata.num_row_groups)
        found = [] if at is None else [self.metadata.row_group(group).column(at).statistics for group in groups]
        return None if at is None or any(each is None for each in found) else found

    def _nulls(self, name: str) -> int:
        told = self._statistics(name)
        if told is None or not all(each.has_null_count for each in told):
            return self.opened.read(columns=[name]).column(name).null_count
        return sum(each.null_count for each in told)

    def _bounds(self, constants: frozenset[str]) -> tuple[int, int]:
        name = self.wanted.event_time
        if name is None:
            return 0, 0
        if name in constants or not self.metadata.num_rows:
            return (NO_TIME, -NO_TIME) if self.metadata.num_rows else (0, 0)
        times, unit = self._statistics(name), _UNITS_US[self.types[name].unit]
        if times is None or not all(each.has_min_max and isinstance(each.min_raw, int) for each in times):
            ends = np.asarray(self._numbers(name).to_numpy())
            least, greatest = int(ends.min()), int(ends.max())
        else:
            least, greatest = min(each.min_raw for each in times), max(each.max_raw for each in times)
        return least * unit[0] // unit[1], greatest * unit[0] // unit[1]
