"""The values of a column that merge: how often each occurs while they are few, sketches of them when they are many.

    Tally   up to 1,024 different values, exact: quantiles, distinct count, top values and histogram are, too
    Sketch  KLL for ranks, the least hashes for the distinct count, Misra-Gries counters for the top values

Which of the two depends on the values alone, whatever the order of merges. Beyond 32,768 rows at once, ranks and top
values are those of a sample: one row of each run of 2, 4, 8, ... rows, whose counts then weigh as much.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, reduce
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from asof.statistics import distinct
from asof.statistics.hashes import text_numbers
from asof.windows.sketches import sketch_library

FEW = 1_024
"""Different values whose counts are exact."""

FEW_BYTES = 65_536
"""Of text that they may have together."""

SAMPLE_ROWS = 32_768
"""Rows of one batch that are ranked and counted: of more, between half of that and as many."""

RANKED = 4_096
"""Numbers of one batch that are given to KLL, each for a run of those in order: a rank is off by 1 in 2,048 by that."""

KLL_K = 200

TOP = 256
"""Counters of the most frequent values beyond the few: a count is low by 1 in 257 of all rows at most."""

BOUNDS: Mapping[str, str] = {
    "quantiles": f"a rank within 1.4 % of 99 in 100 answers (KLL, k = {KLL_K}), and 1.27 % more of a sample;"
    f" exact up to {FEW:,} different values",
    "distinct": f"{distinct.BOUND}; exact up to {FEW:,}",
    "top": f"counts low by 0.39 % of the rows at most (Misra-Gries, {TOP} counters); exact up to {FEW:,} different"
    " values",
}


class Points(NamedTuple):
    """Numbers that stand for all of a column's, ascending, each with how many it stands for."""

    values: np.ndarray
    weights: np.ndarray


class Tally(NamedTuple):
    """How often each value occurs, exactly.

    Attributes:
        values: The different ones, ascending: int64, float64 without NaN, text as objects; or uint64, numbers that
            stand for values (`asof.statistics.hashes`) and have neither ranks nor top values.
        counts: How often each occurs, int64.
    """

    values: np.ndarray
    counts: np.ndarray


class Sketch(NamedTuple):
    """Values that are too many to be counted one by one.

    Attributes:
        ranks: KLL sketches of numbers, by how many rows each of their numbers stands for; none of text.
        different: The sketch of which values occur; empty if nobody asks for it.
        top: Counts of the most frequent values.
        missed: By how much a count may be low.
        weight: For how many rows one of a sample stands, at most; 1: all rows were looked at.
    """

    ranks: Mapping[int, bytes]
    different: bytes
    top: Tally
    missed: int
    weight: int = 1


Distribution = Tally | Sketch

EMPTY = Tally(np.empty(0, np.int64), np.empty(0, np.int64))


def numbers_spread(numbers: np.ndarray, *, valued: bool = True) -> Distribution:
    """Return the distribution of int64, of float64 without NaN, or of uint64, which stand for values.

    Args:
        numbers: Them.
        valued: Whether they are values, and not lengths or norms of values, so that it matters which occur.
    """
    chosen, weight = sample(numbers)
    few = tallied(chosen)
    if len(few.values) <= FEW:
        every = few if weight == 1 else tallied(numbers)
        if len(every.values) <= FEW:
            return every
    different = distinct.sketch_of(numbers, bits, least=len(few.values)) if valued else b""
    if numbers.dtype == np.uint64:
        return Sketch({}, different, EMPTY, 0)
    top, missed = frequent(Tally(few.values, few.counts * weight)) if valued else (EMPTY, 0)
    return Sketch(_ranks(few, weight), different, top, missed, weight)


def lengths_spread(tally: Tally) -> Distribution:
    """Return the distribution of lengths that were counted."""
    return tally if len(tally.values) <= FEW else Sketch(_ranks(tally), b"", EMPTY, 0)


def merged(one: Distribution, other: Distribution) -> Distribution:
    """Return the distribution of the values of both."""
    if isinstance(one, Tally) and isinstance(other, Tally):
        both = together(one, other)
        return both if _is_few(both) else _sketched(both)
    if isinstance(one, Tally) and not len(one.values):
        return other
    if isinstance(other, Tally) and not len(other.values):
        return one
    mine, others = (_sketched(each) if isinstance(each, Tally) else each for each in (one, other))
    valued = bool(mine.different and others.different)
    both = together(mine.top, others.top)
    top, missed = frequent(both)
    return Sketch(
        {
            weight: _joined([each.ranks[weight] for each in (mine, others) if weight in each.ranks])
            for weight in sorted({*mine.ranks, *others.ranks})
        },
        distinct.joined([mine.different, others.different]) if valued else b"",
        top,
        mine.missed + others.missed + missed,
        max(mine.weight, others.weight),
    )


def together(one: Tally, other: Tally) -> Tally:
    """Return the counts of both."""
    if not len(one.values) or not len(other.values):
        return one if len(one.values) else other
    values, places = np.unique(np.concatenate([one.values, other.values]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places.reshape(-1), np.concatenate([one.counts, other.counts]))
    return Tally(values, counts)


def frequent(tally: Tally) -> tuple[Tally, int]:
    """Return the most frequent values, and by how much their counts are low now.

    Source: Agarwal and others, "Mergeable summaries" (2012): the greatest count that is left out is taken from all.
    """
    if len(tally.values) <= TOP:
        return tally, 0
    kept, missed = kept_counts(tally.counts)
    return Tally(tally.values[kept], tally.counts[kept] - missed), missed


def kept_counts(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """Return where the most frequent of more than `TOP` values are, and the greatest count that is left out."""
    place = len(counts) - TOP - 1
    missed = int(np.partition(counts, place)[place])
    return np.flatnonzero(counts > missed), missed


def sample(numbers: np.ndarray, rows: int = SAMPLE_ROWS) -> tuple[np.ndarray, int]:
    """Return at most so many numbers, and how many each stands for: of each run of so many one, by lot.

    The lots are always the same. They are drawn: every eighth row would be of the same hours, where rows are hourly.
    """
    if len(numbers) <= rows:
        return numbers, 1
    places, weight = sampled_places(len(numbers), rows)
    return numbers[places], weight


@lru_cache(maxsize=8)  # the columns of a table, and often its neighbours, have as many rows
def sampled_places(many: int, rows: int = SAMPLE_ROWS) -> tuple[np.ndarray, int]:
    """Return which of so many rows a sample has, in order, and how many rows each stands for; see `sample`."""
    weight = 1
    while many > rows * weight:
        weight *= 2
    starts = np.arange(0, many - weight + 1, weight)
    places = starts + np.random.default_rng(many).integers(0, weight, len(starts)) if weight > 1 else starts
    places.flags.writeable = False
    return places, weight


def points(found: Distribution) -> Points:
    """Return the numbers of a distribution with their weights; none of text."""
    if isinstance(found, Tally):
        return Points(found.values, found.counts)
    values: list[float] = []
    weights: list[int] = []
    for weight, sketch in found.ranks.items():
        for value, many in sketch_library().kll_doubles_sketch.deserialize(sketch):
            values.append(value)
            weights.append(many * weight)
    order = np.argsort(values, kind="stable")
    return Points(np.array(values, np.float64)[order], np.array(weights, np.int64)[order])


def count_distinct(found: Distribution) -> int | None:
    """Return how many different values there are, about if they are many; None if nobody counted."""
    if isinstance(found, Tally):
        return len(found.values)
    return distinct.count_of(found.different) if found.different else None


def tallied(numbers: np.ndarray) -> Tally:
    """Return how often each number occurs; in a third of the time that NumPy's `unique` takes for a thousand."""
    if numbers.dtype == np.int64 and len(numbers):
        low, high = int(np.minimum.reduce(numbers)), int(np.maximum.reduce(numbers))
        if high - low < len(numbers):
            return by_place(np.bincount(numbers - low), low)
    return tallies(np.sort(numbers)[np.newaxis])[0]


def tallies(ordered: np.ndarray) -> list[Tally]:
    """Return how often each number occurs in each row of a matrix of ascending numbers."""
    return list(map(_tally, ordered, ordered[:, 1:] != ordered[:, :-1]))


def _tally(ordered: np.ndarray, changes: np.ndarray) -> Tally:
    """Return how often ascending numbers occur, of which each was compared with the next one."""
    if changes.all():
        return Tally(ordered, np.ones(len(ordered), np.int64))
    ends = np.concatenate(([0], np.flatnonzero(changes) + 1, [len(ordered)]))
    return Tally(ordered[ends[:-1]], ends[1:] - ends[:-1])


def by_place(counts: np.ndarray, low: int = 0) -> Tally:
    """Return how often numbers occur, given how often each number from `low` on does."""
    places = np.flatnonzero(counts)
    return Tally(places + low, counts[places].astype(np.int64))


def _is_few(tally: Tally) -> bool:
    if len(tally.values) > FEW:
        return False
    return tally.values.dtype != object or sum(map(len, tally.values)) <= FEW_BYTES


def _sketched(tally: Tally) -> Sketch:
    """Return the sketch of counted values, as if all of them had come at once."""
    if tally.values.dtype == np.uint64:
        return Sketch({}, distinct.sketch_of(tally.values, bits), EMPTY, 0)
    top, missed = frequent(tally)
    if tally.values.dtype == object:
        return Sketch({}, distinct.sketch_of(text_numbers(pa.array(tally.values.tolist())), bits), top, missed)
    return Sketch(_ranks(tally), distinct.sketch_of(tally.values, bits), top, missed)


def bits(numbers: np.ndarray) -> np.ndarray:
    """Return uint64 numbers of int64, of float64 without NaN, or of uint64, as a new array: 0.0 is -0.0."""
    return (numbers + 0.0).view(np.uint64) if numbers.dtype == np.float64 else numbers.astype(np.uint64)


def _ranks(tally: Tally, weight: int = 1) -> dict[int, bytes]:
    """Return the KLL sketch of counted numbers, each of them so many rows; of ordered ones a few tell of all."""
    ends = np.cumsum(tally.counts)
    places, run = sampled_places(int(ends[-1]), RANKED)
    once = len(tally.values) == ends[-1]
    made = sketch_library().kll_doubles_sketch(KLL_K)
    made.update(tally.values[places if once else np.searchsorted(ends, places, "right")].astype(np.float64))
    return {weight * run: made.serialize()}


def _joined(sketches: Sequence[bytes]) -> bytes:
    def both(one: Any, other: Any) -> Any:  # noqa: ANN401 - the library's
        one.merge(other)
        return one

    return reduce(both, map(sketch_library().kll_doubles_sketch.deserialize, sketches)).serialize()
