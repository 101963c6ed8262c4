"""Learning the states of our own transforms, from columns that come in batches.

All of it is exact: sums are rounded once, quantiles are those of all values, counts are counts. So neither the order
of rows nor the size of batches changes what is learned.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from asof.arrow.arrays import Array
from asof.definitions.transform import (
    WHOLE,
    Bucket,
    Clip,
    Hashing,
    Impute,
    Log,
    MinMax,
    OneHot,
    Ordinal,
    Robust,
    Standard,
    Transform,
)
from asof.definitions.types import DType
from asof.errors import DataError
from asof.fitted.applying import floats
from asof.fitted.ranks import Quantiles
from asof.fitted.states import (
    Bucketed,
    Built,
    Clipped,
    Coded,
    Filled,
    Hashed,
    Logged,
    OneOf,
    Ranged,
    Scaled,
    Value,
    said,
)
from asof.fitted.sums import Totals

MOST_COUNTED = 1_000_000
"""Different values of a column that are counted: some 100 MB."""

MOST_COLUMNS = 1_000
"""Columns that a one-hot without `most` makes."""


class Fitter(Protocol):
    """Learns from a column: `take` each batch, then `end`, once or several times."""

    def take(self, values: Array) -> None:
        """Learn from some values."""
        ...

    def end(self) -> Built | None:
        """End a pass over the data; None asks for another one.

        Raises:
            DataError: The values teach nothing: there are none, or some are infinite.
        """
        ...


def begin(step: Transform, dtype: DType, *, where: str) -> Fitter | Built:
    """Return what learns a transform of a column, or its state if there is nothing to learn."""
    match step:
        case Log(plus):
            return Logged(plus)
        case Hashing(buckets):
            return Hashed(str(dtype), buckets)
        case Bucket(edges) if edges:
            return Bucketed(edges)
        case OneHot(categories=categories) if categories:
            return OneOf(str(dtype), categories)
        case Ordinal(unknown, categories) if categories:
            return Coded(str(dtype), categories, unknown)
        case Impute(value=value) if value is not None:
            return Filled(str(dtype), value, as_float=False)
        case _:
            return _fitter(step, dtype, where)


def _fitter(step: Transform, dtype: DType, where: str) -> Fitter:
    match step:
        case Standard():
            return _Moments(lambda totals: Scaled(totals.mean, totals.stddev or 1.0), where)
        case MinMax():
            return _Extremes(step, where)
        case Robust(low, high):
            return _Ranks((low, 0.5, high), lambda found: Scaled(found[1], _apart(found[0], found[2], where)), where)
        case Clip(low, high):
            shares = [share for share in (low, high) if share is not None]
            return _Ranks(shares, lambda found: Clipped(*_sides(step, found)), where)
        case Bucket(count=int(count)):
            shares = [at / count for at in range(1, count)]
            return _Ranks(shares, lambda found: Bucketed(tuple(sorted({*found}))), where)
        case Impute(strategy="mean"):
            return _Moments(lambda totals: Filled(str(dtype), totals.mean, as_float=True), where)
        case Impute(strategy="median"):
            return _Ranks((0.5,), lambda found: Filled(str(dtype), found[0], as_float=True), where)
        case Impute():
            return _Counts(
                lambda counts: Filled(str(dtype), _labels(_frequent(counts, 1), dtype)[0], as_float=False), where
            )
        case OneHot():
            return _Counts(lambda counts: OneOf(str(dtype), _one_hot(step, counts, dtype, where)), where)
        case Ordinal(unknown):
            return _Counts(lambda counts: Coded(str(dtype), _labels(sorted(counts), dtype), unknown), where)
        case _:
            raise TypeError(f"{step} is learned elsewhere")


class _Moments:
    """Mean and standard deviation."""

    def __init__(self, build: Callable[[Totals], Built], where: str) -> None:
        self._build = build
        self._where = where
        self._totals = Totals()
        self._rows = 0

    def take(self, values: Array) -> None:
        self._rows += len(values)
        self._totals.add(_finite(_present(values), self._where))

    def end(self) -> Built:
        if not self._totals.many:
            raise _nothing(self._rows, self._where)
        return self._build(self._totals)


class _Extremes:
    """The least and the greatest value."""

    def __init__(self, step: MinMax, where: str) -> None:
        self._step = step
        self._where = where
        self._ends: list[float] = []
        self._rows = 0

    def take(self, values: Array) -> None:
        self._rows += len(values)
        present = _finite(_present(values), self._where)
        if len(present):
            self._ends = [min([*self._ends, float(present.min())]), max([*self._ends, float(present.max())])]

    def end(self) -> Built:
        if not self._ends:
            raise _nothing(self._rows, self._where)
        least, greatest = self._ends
        span = _apart(least, greatest, self._where)
        return Ranged(least + 0.0, span, self._step.low, self._step.high, self._step.clip)


class _Ranks:
    """Quantiles."""

    def __init__(self, shares: Iterable[float], build: Callable[[tuple[float, ...]], Built], where: str) -> None:
        self._build = build
        self._where = where
        self._quantiles = Quantiles(tuple(shares))
        self._rows = 0

    def take(self, values: Array) -> None:
        self._rows += len(values)
        self._quantiles.add(_present(values))

    def end(self) -> Built | None:
        if not self._quantiles.many:
            raise _nothing(self._rows, self._where)
        if not self._quantiles.end():
            return None
        found = self._quantiles.found or ()
        for share, quantile in zip(self._quantiles.shares, found, strict=True):
            if not np.isfinite(quantile):
                raise DataError(
                    f"the quantile {share:g} of the training split is {quantile}",
                    where=self._where,
                    todo="mend the infinite values, or choose quantiles between them",
                )
        return self._build(tuple(quantile + 0.0 for quantile in found))


class _Counts:
    """How often each value occurs."""

    def __init__(self, build: Callable[[Counter[Value]], Built], where: str) -> None:
        self._build = build
        self._where = where
        self._counts: Counter[Value] = Counter()
        self._rows = 0

    def take(self, values: Array) -> None:
        self._rows += len(values)
        if values.dtype.kind == "f":
            found, counts = np.unique(_finite(_present(values), self._where), return_counts=True)
            self._counts.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        else:
            self._counts.update(values.tolist())
            self._counts.pop(None, None)
        if len(self._counts) > MOST_COUNTED:
            todo = "take Hashing(), or name the categories"
            raise DataError(f"there are more than {MOST_COUNTED:,} different values", where=self._where, todo=todo)

    def end(self) -> Built:
        if not self._counts:
            raise _nothing(self._rows, self._where)
        return self._build(self._counts)


def _apart(low: float, high: float, where: str) -> float:
    """Return how far two values are apart; 1.0 if they are equal, so that nothing is divided by 0."""
    apart = high - low
    if not np.isfinite(apart):
        todo = "clip them first: [Clip(), MinMax()]"
        raise DataError(f"{low} and {high} are further apart than a float64 says", where=where, todo=todo)
    return apart or 1.0


def _sides(step: Clip, found: tuple[float, ...]) -> tuple[float | None, float | None]:
    return (None if step.low is None else found[0], None if step.high is None else found[-1])


def _one_hot(step: OneHot, counts: Counter[Any], dtype: DType, where: str) -> tuple[Any, ...]:
    """Return the categories that get a column, in the order of their values."""
    if step.most is None and len(counts) > MOST_COLUMNS:
        todo = "pass most=, such as OneHot(most=100), or take Hashing()"
        what = f"{len(counts):,} categories would make as many columns, {MOST_COLUMNS:,} is the most"
        raise DataError(what, where=where, todo=todo)
    return _labels(sorted(_frequent(counts, step.most or MOST_COLUMNS)), dtype)


def _frequent(counts: Counter[Any], most: int) -> list[Any]:
    """Return the most frequent values; of equally frequent ones the least."""
    return sorted(counts, key=lambda value: (-counts[value], value))[:most]


def _labels(values: Iterable[Any], dtype: DType) -> tuple[Any, ...]:
    """Return values out of arrays as states hold them: those of integers are floats in arrays."""
    if dtype.name == "bool":
        return tuple(map(bool, values))
    return tuple(map(int, values)) if dtype.name in WHOLE else tuple(map(said, values))


def _present(values: Array) -> Array:
    given = floats(values)
    return given[~np.isnan(given)]


def _finite(values: Array, where: str) -> Array:
    infinite = len(values) - int(np.count_nonzero(np.isfinite(values)))
    if infinite:
        todo = "mend them, or clip them first: [Clip(), Standard()]"
        raise DataError(f"{infinite:,} values are infinite", where=where, todo=todo)
    return values


def _nothing(rows: int, where: str) -> DataError:
    what = f"the training split has no value in its {rows:,} rows" if rows else "the training split has no rows"
    return DataError(what, where=where, todo="leave the feature out, or impute a value first" if rows else "")
