"""Mean and standard deviation that merge: of two parts they are those of the whole, but for rounding.

Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
"""

import math
from typing import NamedTuple

import numpy as np

BLOCK = 16_384
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
    def of(cls, numbers: np.ndarray, greatest: float, counts: np.ndarray | None = None) -> "Moments":
        """Return those of finite numbers.

        Args:
            numbers: Them.
            greatest: Their greatest distance from 0.
            counts: How often each of them comes; None: once.
        """
        scale = 1.0 if _plain(greatest) else greatest
        found = cls()
        for start in range(0, len(numbers), BLOCK):
            part = slice(start, start + BLOCK)
            plain = numbers[part].astype(np.float64, copy=False)
            scaled = plain / scale if scale != 1.0 else plain
            found = found.merge(_of_block(scaled, None if counts is None else counts[part]))
        return Moments(found.many, found.mean * scale, found.stddev * scale)

    @classmethod
    def of_rows(cls, ordered: np.ndarray) -> list["Moments | None"]:
        """Return those of each row of a matrix, as `of` does; None: they are to be had from `of` alone.

        Args:
            ordered: Rows of some ascending numbers, at most `BLOCK`.
        """
        numbers = ordered.astype(np.float64, copy=False)
        many = numbers.shape[1]
        greatest = np.maximum(np.abs(numbers[:, 0]), np.abs(numbers[:, -1])).tolist()
        with np.errstate(over="ignore", invalid="ignore"):  # where they are not plain
            means = np.add.reduce(numbers, axis=1) / many
            around = numbers - means[:, np.newaxis]
            np.multiply(around, around, out=around)
            stddevs = np.sqrt(np.add.reduce(around, axis=1) / many)
        each = zip(greatest, means.tolist(), stddevs.tolist(), strict=True)
        return [cls(many, mean, stddev) if _plain(most) else None for most, mean, stddev in each]

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


def _plain(greatest: float) -> bool:
    """Return whether a sum of squares of numbers up to that one fits a float."""
    return greatest == 0 or 1e-140 <= greatest <= 1e140  # noqa: PLR2004 - with room for many of them


def _of_block(numbers: np.ndarray, counts: np.ndarray | None) -> Moments:
    """Return those of some numbers whose squares are no infinities."""
    many = len(numbers) if counts is None else int(np.add.reduce(counts))
    mean = float(np.add.reduce(numbers if counts is None else numbers * counts)) / many
    around = numbers - mean
    np.multiply(around, around, out=around)  # np.dot would wake the threads of a BLAS
    if counts is not None:
        around *= counts
    return Moments(many, mean, math.sqrt(float(np.add.reduce(around)) / many))
