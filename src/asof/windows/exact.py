"""Sums of floats that are rounded once, whatever the order and however they are divided: all of them are integers.

Each finite float64 is a multiple of 2**-1074, so a sum of floats is a sum of Python's integers, which have no end.
A sum takes 40 bytes for values of everyday size, at most some 270. Two sums add up to the sum of both, and what was
added can be taken away again, bit for bit.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

UNIT = 1 << 1074
"""So many units are 1.0."""


class FloatSum(NamedTuple):
    """A sum of floats.

    Attributes:
        units: The sum of the finite ones, in units of 2**-1074.
        nans, infs, minus_infs: How many of these.
    """

    units: int = 0
    nans: int = 0
    infs: int = 0
    minus_infs: int = 0

    def plus(self, other: "FloatSum") -> "FloatSum":
        """Return the sum of both."""
        units, nans, infs, minus_infs = other
        return FloatSum(self.units + units, self.nans + nans, self.infs + infs, self.minus_infs + minus_infs)

    def minus(self, other: "FloatSum") -> "FloatSum":
        """Return the sum without what was added."""
        return FloatSum(*(mine - its for mine, its in zip(self, other, strict=True)))

    @property
    def odd(self) -> float | None:
        """What the sum is if not all are finite: NaN or an infinity."""
        if self.nans or (self.infs and self.minus_infs):
            return math.nan
        if self.infs or self.minus_infs:
            return math.inf if self.infs else -math.inf
        return None


def float_sum(value: float) -> FloatSum:
    """Return the sum of one value."""
    if math.isfinite(value):
        return FloatSum(units_of(value))
    return FloatSum(0, int(math.isnan(value)), int(value == math.inf), int(value == -math.inf))


def sum_of(values: Iterable[float]) -> FloatSum:
    """Return the sum of values: as `plus` of each, in less time."""
    finite: list[float] = []
    odd = FloatSum()
    for value in values:
        if math.isfinite(value):
            finite.append(value)
        else:
            odd = odd.plus(float_sum(value))
    return odd._replace(units=odd.units + sum(map(units_of, finite)))


def units_of(value: float) -> int:
    """Return a finite value in units of 2**-1074, which is exact."""
    numerator, denominator = value.as_integer_ratio()  # the denominator is a power of 2
    return numerator * (UNIT // denominator)


def rounded(numerator: int, denominator: int) -> float:
    """Return a quotient, rounded once to the nearest float64, ties to even; beyond the greatest one an infinity."""
    try:
        return numerator / denominator + 0.0  # no -0.0
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf
