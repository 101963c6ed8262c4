"""Statistics of one column: what each type has, and how two parts become those of the whole."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from asof.clock import from_us
from asof.errors import UsageError
from asof.statistics.distribution import (
    EMPTY,
    Distribution,
    Points,
    Tally,
    count_distinct,
    merged,
    points,
)
from asof.statistics.moments import NO_MOMENTS, Moments
from asof.windows.sketches import share_of

Kind = Literal["number", "bool", "decimal", "date", "timestamp", "text", "bytes", "vector", "list", "struct", "other"]

Measure = Literal["value", "length", "norm", ""]
"""What the numbers of a column are: its values, their lengths, their Euclidean norms; "": it has none."""

MEASURES: Mapping[Kind, Measure] = {
    "number": "value",
    "bool": "value",
    "decimal": "value",
    "date": "value",
    "timestamp": "value",
    "text": "length",
    "vector": "norm",
    "list": "length",
}

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 20
SHOWN = 10
EPOCH = date(1970, 1, 1)

Value = Any
"""A value of a column as Python has it."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A part of a histogram: values from `low` to `high`, which belongs to it only in the last one.

    A value alone has both equal. `count` is a number of rows, about if the statistics are of a sketch.
    """

    low: Value
    high: Value
    count: int


@dataclass(frozen=True, slots=True)
class Top:
    """A frequent value with its count, and with its share of all values that are not null."""

    value: Value
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Statistics of one column over some rows; parts merge in any order: counts, extremes and few values exactly.

    Attributes:
        kind: Of its values.
        rows: Rows.
        nulls: Rows without a value.
        nans: Values that are NaN.
        infinite: Values that are infinite.
        low: The least number, NaN aside, as `measure` says; None of none. Decimals are Decimals, times microseconds.
        high: The greatest.
        moments: Of the finite numbers.
        spread: The numbers.
        items: The values, where they are not the numbers.
    """

    kind: Kind
    rows: int = 0
    nulls: int = 0
    nans: int = 0
    infinite: int = 0
    low: float | Decimal | None = None
    high: float | Decimal | None = None
    moments: Moments = NO_MOMENTS
    spread: Distribution = EMPTY
    items: Distribution | None = None

    @property
    def measure(self) -> Measure:
        """What minimum, maximum, mean, stddev, quantiles and histogram are of."""
        return MEASURES.get(self.kind, "")

    @property
    def count(self) -> int:
        """Rows that have a value."""
        return self.rows - self.nulls

    @property
    def null_share(self) -> float:
        """Share of the rows that have no value; 0.0 of no rows."""
        return self.nulls / self.rows if self.rows else 0.0

    @property
    def distinct(self) -> int | None:
        """How many different values there are, NaN among them; None for lists and vectors."""
        found = self._values
        different = None if found is None else count_distinct(found)
        return None if different is None else min(different + bool(self.nans), self.count)

    @property
    def exact(self) -> bool:
        """Whether quantiles, distinct, histogram and top values are exact, and not within the bounds of sketches."""
        return isinstance(self.spread, Tally) and (self.items is None or isinstance(self.items, Tally))

    @property
    def sampled(self) -> bool:
        """Whether quantiles, histogram and top values are of a sample, since many rows came at once."""
        return any(not isinstance(each, Tally) and each.weight > 1 for each in (self.spread, self.items) if each)

    @property
    def min(self) -> Value:
        """The least number, NaN aside; None of none."""
        return self._shown(self.low)

    @property
    def max(self) -> Value:
        """The greatest number, NaN aside; None of none."""
        return self._shown(self.high)

    @property
    def mean(self) -> Value:
        """The mean of the finite numbers, a float; of times and dates a time; None of none."""
        mean = self.moments.mean
        return None if not self.moments.many else mean if not self._timed else self._shown(round(mean))

    @property
    def stddev(self) -> float | None:
        """The standard deviation of the finite numbers (`ddof=0`), of times in seconds, of dates in days."""
        found = self.moments.stddev / (1e6 if self.kind == "timestamp" else 1)
        return found if self.moments.many else None

    def quantile(self, q: float) -> Value:
        """Return the least of the numbers such that a share q of them is no greater; None of none. NaN is left out.

        Raises:
            UsageError: q is not from 0 to 1.
        """
        share = share_of(q)
        found = self.points
        if not len(found.values):
            return None
        if q in (0, 1):
            return self.min if q == 0 else self.max
        ends = np.cumsum(found.weights)
        place = int(np.searchsorted(ends, max(1, math.ceil(share * int(ends[-1]))), "left"))
        return self._shown(found.values[place].item())

    @property
    def quantiles(self) -> dict[float, Value]:
        """Some quantiles, by their shares."""
        return {q: self.quantile(q) for q in QUANTILES} if len(self.points.values) else {}

    @property
    def points(self) -> Points:
        """The numbers, ascending, with how many rows each stands for: all of them, or those of a sketch."""
        return points(self.spread) if self.measure else points(EMPTY)

    def histogram(self, bins: int = BINS) -> list[Bin]:
        """Return how the finite numbers lie: one bin a value if they are so few, else bins of equal widths."""
        found = self.points
        finite = np.isfinite(found.values.astype(np.float64, copy=False))
        values, weights = found.values[finite], found.weights[finite]
        if not len(values):
            return []
        if len(values) <= bins and isinstance(self.spread, Tally):
            alone = map(self._shown, values.tolist())
            return [Bin(value, value, count) for value, count in zip(alone, weights.tolist(), strict=True)]
        ends = [each for each in (self.low, self.high) if each is not None and math.isfinite(each)]
        low, high = float(min(ends[0], values[0])), float(max(ends[-1], values[-1]))
        edges = np.unique(low + (high / bins - low / bins) * np.arange(bins + 1))
        edges[-1] = max(high, edges[-1])
        if len(edges) < 2:  # noqa: PLR2004 - nothing lies between them
            return [Bin(self._shown(values[0].item()), self._shown(values[-1].item()), int(weights.sum()))]
        places = np.clip(np.searchsorted(edges, values.astype(np.float64), "right") - 1, 0, len(edges) - 2)
        counts = np.bincount(places, weights, len(edges) - 1).round().astype(np.int64).tolist()
        shown = [self._shown(edge) for edge in edges.tolist()]
        return [Bin(shown[at], shown[at + 1], count) for at, count in enumerate(counts)]

    def top(self, most: int = SHOWN) -> list[Top]:
        """Return the most frequent values, the most frequent first; of equal counts the least value first.

        Of sketches: those that occur in more than 1 of 257 rows for sure. None of bytes, structs, lists and vectors.
        """
        found = self._values
        if found is None or self.kind in ("bytes", "struct"):
            return []
        counted = found if isinstance(found, Tally) else found.top
        order = np.argsort(-counted.counts, kind="stable")[:most]
        return [
            Top(self._value(counted.values[at]), int(counted.counts[at]), int(counted.counts[at]) / self.count)
            for at in order.tolist()
        ]

    def merge(self, other: "ColumnStatistics") -> "ColumnStatistics":
        """Return the statistics of the rows of both.

        Raises:
            UsageError: They are of values of different kinds.
        """
        if "other" in (self.kind, other.kind) and self.kind != other.kind:  # a column of nulls
            return self.with_nulls(other.rows) if other.kind == "other" else other.with_nulls(self.rows)
        if self.kind != other.kind:
            raise UsageError(f"statistics of {self.kind} and of {other.kind} do not merge")
        items = merged(self.items, other.items) if self.items is not None and other.items is not None else None
        return ColumnStatistics(
            self.kind,
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.nans + other.nans,
            self.infinite + other.infinite,
            min((each.low for each in (self, other) if each.low is not None), default=None),
            max((each.high for each in (self, other) if each.high is not None), default=None),
            self.moments.merge(other.moments),
            merged(self.spread, other.spread),
            items,
        )

    def with_nulls(self, rows: int) -> "ColumnStatistics":
        """Return the statistics of these rows and of some more without a value."""
        return replace(self, rows=self.rows + rows, nulls=self.nulls + rows)

    def to_dict(self) -> dict[str, Value]:
        """Return what is known as plain values."""
        return {
            "kind": self.kind,
            "count": self.count,
            "nulls": self.nulls,
            "nans": self.nans,
            "infinite": self.infinite,
            "distinct": self.distinct,
            "measure": self.measure,
            "min": self.min,
            "max": self.max,
            "mean": self.mean,
            "stddev": self.stddev,
            "quantiles": {f"{q:g}": value for q, value in self.quantiles.items()},
            "histogram": [asdict(each) for each in self.histogram()],
            "top": [asdict(each) for each in self.top()],
            "exact": self.exact,
            "sampled": self.sampled,
        }

    @property
    def _timed(self) -> bool:
        return self.kind in ("timestamp", "date")

    @property
    def _values(self) -> Distribution | None:
        if self.kind in ("list", "vector", "other"):
            return None
        return self.spread if self.items is None else self.items

    def _shown(self, number: Value) -> Value:
        """Return a number as a value of the column, if its numbers are its values."""
        match self.kind:
            case _ if number is None:
                return None
            case "timestamp":
                return _time(round(number))
            case "date":
                return _day(round(number))
            case "bool" if number in (0, 1):
                return bool(number)
            case _:
                return number

    def _value(self, value: Value) -> Value:
        """Return a counted value."""
        match self.kind:
            case "decimal":
                return Decimal(value)
            case "text":
                return value
            case _:
                return self._shown(value.item())


def _time(moment_us: int) -> datetime | int:
    try:
        return from_us(moment_us)
    except (OverflowError, ValueError):  # beyond the years that Python knows
        return moment_us


def _day(day: int) -> date | int:
    try:
        return EPOCH + timedelta(days=day)
    except OverflowError:
        return day
