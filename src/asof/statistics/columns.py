"""Statistics of columns at hand. Those of few rows are looked at together, many in a step: a small write pays less."""

import math
from collections.abc import Sequence
from functools import reduce
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from asof.statistics.column import ColumnStatistics
from asof.statistics.distribution import FEW, Tally, lengths_spread, numbers_spread, tallies
from asof.statistics.moments import NO_MOMENTS, Moments
from asof.statistics.reading import Read, read


class _Counted(NamedTuple):
    """How often each number of a column occurs, and the moments of the numbers if none comes twice."""

    tally: Tally
    moments: Moments | None


def column_statistics(column: pa.ChunkedArray | pa.Array) -> ColumnStatistics:
    """Return the statistics of a column of any type."""
    return columns_statistics([column])[0]


def columns_statistics(columns: Sequence[pa.ChunkedArray | pa.Array]) -> list[ColumnStatistics]:
    """Return the statistics of columns of any types, as `column_statistics` does of each."""
    few = all(len(column) <= FEW for column in columns)
    steps = [columns] if few else [[column] for column in columns]  # what is read of many rows takes memory
    return list(chain.from_iterable(map(_together, steps)))


def _together(columns: Sequence[pa.ChunkedArray | pa.Array]) -> list[ColumnStatistics]:
    parts = list(map(_arrays, columns))
    reads = list(map(read, chain.from_iterable(parts)))
    counted = _counted(reads)
    made = iter([_statistics(each, counted.get(place)) for place, each in enumerate(reads)])
    return [reduce(ColumnStatistics.merge, islice(made, len(arrays))) for arrays in parts]


def _arrays(column: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    """Return a column as one array; text of more than 2 GB as several."""
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _counted(reads: Sequence[Read]) -> dict[int, _Counted]:
    """Return the counts of the columns of few numbers, by their places: those that have as many are sorted together."""
    alike: dict[tuple[np.dtype, int], list[int]] = {}
    for place, each in enumerate(reads):
        if each.found.counts is None and 0 < len(each.numbers) <= FEW:
            alike.setdefault((each.numbers.dtype, len(each.numbers)), []).append(place)
    counted: dict[int, _Counted] = {}
    for places in alike.values():
        ordered = np.sort([reads[place].numbers for place in places], axis=1)
        each = zip(tallies(ordered), Moments.of_rows(ordered), strict=True)
        counted |= zip(places, (_Counted(*found) for found in each), strict=True)
    return counted


def _statistics(known: Read, counted: _Counted | None) -> ColumnStatistics:
    numbers, counts = known.numbers, known.found.counts
    if counted is not None:
        spread = counted.tally
    elif counts is not None:
        spread = lengths_spread(Tally(numbers, counts))
    else:
        spread = numbers_spread(numbers, valued=known.kind in ("number", "bool", "date", "timestamp"))
    if counts is None and isinstance(spread, Tally):  # it tells all of them
        numbers, counts = spread
    low, high = _extremes(numbers, ordered=counts is not None)
    once = counts is not None and len(counts) == known.rows - known.nulls - known.nans
    moments = counted.moments if counted is not None and once else None
    if moments is None:
        moments = _moments(numbers, None if once else counts, low, high)
    if known.found.low is not None:
        low, high = known.found.low, known.found.high
    return ColumnStatistics(*known[:5], low, high, moments, spread, known.found.items)


def _extremes(numbers: np.ndarray, *, ordered: bool) -> tuple[float | None, float | None]:
    if not len(numbers):
        return None, None
    ends = (numbers[0], numbers[-1]) if ordered else (np.minimum.reduce(numbers), np.maximum.reduce(numbers))
    return ends[0].item() + 0, ends[1].item() + 0  # no -0.0


def _moments(numbers: np.ndarray, counts: np.ndarray | None, low: float | None, high: float | None) -> Moments:
    """Return those of the finite ones among numbers from `low` to `high`."""
    if low is None or high is None:
        return NO_MOMENTS
    if math.isinf(low) or math.isinf(high):
        finite = np.isfinite(numbers)
        numbers, counts = numbers[finite], None if counts is None else counts[finite]
        return _moments(numbers, counts, *_extremes(numbers, ordered=False))
    return Moments.of(numbers, max(abs(low), abs(high)), counts)
