"""Mean and standard deviation that merge: of two parts they are those of the whole, but for rounding.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
"""

import math
from typing import NamedTuple

import numpy as np

BLOCK = 65_536
"""Numbers that are looked at in one step: they stay near the processor."""


class Moments(NamedTuple):
    """Mean and standard deviation of finite numbers.

    Attributes:
        many: How many.
        mean: Their mean; 0.0 of none.
        stddev: Their standard deviation, that of a population (`ddof=0`); 0.0 of none.
    """

    many: int = 0
    mean: float = 0.0
    stddev: float = 0.0

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Moments":
        """Return those of finite numbers."""
        found = cls()
        for start in range(0, len(numbers), BLOCK):
            found = found.merge(_of_block(numbers[start : start + BLOCK].astype(np.float64, copy=False)))
        return found

    def merge(self, other: "Moments") -> "Moments":
        """Return those of both."""
        if not self.many or not other.many:
            return self if self.many else other
        many = self.many + other.many
        mine, others = self.many / many, other.many / many
        mean = self.mean * mine + other.mean * others
        apart = (self.mean / 2 - other.mean / 2) * math.sqrt(mine * others) * 2
        return Moments(many, mean, math.hypot(math.sqrt(mine) * self.stddev, math.sqrt(others) * other.stddev, apart))


NO_MOMENTS = Moments()


def _of_block(numbers: np.ndarray) -> Moments:
    """Return those of some numbers; great ones are divided first, so that no square is an infinity."""
    greatest = float(max(np.maximum.reduce(numbers), -np.minimum.reduce(numbers)))
    scale = greatest if greatest > 1e150 or 0 < greatest < 1e-150 else 1.0  # noqa: PLR2004 - a square fits float64
    scaled = numbers / scale if scale != 1.0 else numbers
    mean = float(np.add.reduce(scaled)) / len(numbers)
    around = scaled - mean
    np.multiply(around, around, out=around)  # np.dot would wake the threads of a BLAS
    return Moments(len(numbers), mean * scale, math.sqrt(float(np.add.reduce(around)) / len(numbers)) * scale)
