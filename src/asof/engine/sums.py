"""Sums of 128 bits, brought to floats that are rounded once: whole columns at a time.

DuckDB hands sums over as decimals of 38 digits, whose bytes are integers of 128 bits. What floats of the processor
cannot tell for certain, Python's integers do, row by row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from asof.windows.exact import rounded

WORD = 64

HANDED_OVER = pa.decimal128(38, 0)
"""As which DuckDB hands integers of 128 bits over."""

LEAST_NORMAL = 2.0**-1020
"""Above the least float of full precision: scaled by a power of two, others would be rounded again."""

DOUBT = 2.0**-40
"""A quotient whose error is so near to half a unit in its last place may have to be rounded the other way. The error
itself is known to 2**-48 of it, and better."""

WHOLE = 2.0**53
"""Floats hold all integers below this."""

SPLIT = 2.0**27 + 1

Floats = np.ndarray[Any, np.dtype[np.float64]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Sums:
    """A column of integers of 128 bits, none beyond 38 digits.

    Attributes:
        negative: Whether they are below 0.
        high, low: The words of their magnitudes, uint64.
    """

    negative: Truths
    high: np.ndarray[Any, np.dtype[np.uint64]]
    low: np.ndarray[Any, np.dtype[np.uint64]]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Sums":
        """Return the integers of a column of decimals; 0 where it is null."""
        typed = column.cast(HANDED_OVER) if pa.types.is_null(column.type) else column
        array = typed.combine_chunks()
        array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
        words = np.frombuffer(array.buffers()[1], dtype="<u8")[2 * array.offset :][: 2 * len(array)].reshape(-1, 2)
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        low, high = (np.where(valid, words[:, at], np.uint64(0)) for at in (0, 1))
        negative = (high >> np.uint64(WORD - 1)).astype(bool)
        borrowed = np.where(low == 0, np.uint64(0), np.uint64(1))
        return cls(
            negative,
            np.where(negative, ~high + np.uint64(1) - borrowed, high),
            np.where(negative, ~low + np.uint64(1), low),
        )

    def __getitem__(self, at: int) -> int:
        """Return one of them."""
        magnitude = (int(self.high[at]) << WORD) + int(self.low[at])
        return -magnitude if self.negative[at] else magnitude

    def fit(self) -> Truths:
        """Return which of them fit 64 bits with a sign."""
        most = np.uint64(1 << (WORD - 1))
        return (self.high == 0) & np.where(self.negative, self.low <= most, self.low < most)

    def integers(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return them as 64 bits; those that do not fit are something else."""
        low = self.low.view(np.int64)
        return np.where(self.negative, -low, low)

    def floats(self, exponent: int) -> Floats:
        """Return them as floats, in a unit of 2**exponent; rounded once, beyond the greatest float an infinity."""
        # Below the 64 bits that are kept, all that a rounding needs to know is whether there is anything.
        shift = np.frexp(self.high.astype(np.float64))[1].astype(np.uint64)
        back = np.uint64(WORD) - np.maximum(shift, np.uint64(1))
        rest = np.where(shift == 0, np.uint64(0), self.low << back)
        kept = np.where(shift == 0, self.low, self.high << back | self.low >> shift | (rest != 0))
        with np.errstate(over="ignore"):
            found = np.ldexp(kept.astype(np.float64), shift.astype(np.int64) + exponent)
        return np.where(self.negative, -found, found) + 0.0

    def quotients(self, counts: np.ndarray[Any, Any], exponent: int, *, scale: int = 0) -> Floats:
        """Return them divided by counts, rounded once; NaN where a count is 0.

        Args:
            counts: By what, int64.
            exponent: Their unit is 2**exponent.
            scale: It is so many powers of ten smaller.
        """
        divisors = counts * 10.0**scale
        with np.errstate(all="ignore"):
            found, certain = _divided(self._two(), divisors)
            answers = np.ldexp(found, exponent)
        certain &= (divisors < WHOLE) & (np.abs(answers) > LEAST_NORMAL)
        certain |= (self.high == 0) & (self.low == 0)
        answers = np.where(self.negative, -answers, answers) + 0.0
        answers = np.where(counts == 0, np.nan, answers)
        above, below = max(exponent, 0), max(-exponent, 0)
        for at in np.flatnonzero(~certain & (counts > 0)).tolist():
            answers[at] = rounded(self[at] << above, int(counts[at]) * 10**scale << below)
        return answers

    def _two(self) -> tuple[Floats, Floats]:
        """Return their magnitudes as two floats each, the second less than half a unit in the last place of the first.

        What does not fit the second is less than 2**-100 of the first.
        """
        half, mask = np.uint64(WORD // 2), np.uint64((1 << WORD // 2) - 1)
        words = (self.high >> half, self.high & mask, self.low >> half, self.low & mask)
        great, small = np.zeros(len(self.low)), np.zeros(len(self.low))
        for word, power in zip(words, (96, 64, 32, 0), strict=True):
            great, left = _added(great, np.ldexp(word.astype(np.float64), power))
            small = small + left
        return _added(great, small)


def _divided(two: tuple[Floats, Floats], by: Floats) -> tuple[Floats, Truths]:
    """Return quotients, and which of them are certainly rounded to the nearest float."""
    great, small = two
    first = great / by
    product, left = _multiplied(first, by)
    rest = ((great - product) - left + small) / by
    found, error = _added(first, rest)
    share = np.abs(error) / np.spacing(found)
    near = (np.abs(share - 0.5) < DOUBT) | (np.abs(share - 0.25) < DOUBT)
    return found, ~near & np.isfinite(found)


def _added(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return a sum, and exactly what was lost when it was rounded (Knuth)."""
    total = one + other
    back = total - one
    return total, (one - (total - back)) + (other - back)


def _multiplied(one: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return a product, and exactly what was lost when it was rounded (Dekker)."""
    product = one * other
    (a, b), (c, d) = _halves(one), _halves(other)
    return product, b * d - (((product - a * c) - b * c) - a * d)


def _halves(value: Floats) -> tuple[Floats, Floats]:
    """Return a float as two of half its bits (Veltkamp)."""
    high = SPLIT * value
    high = high - (high - value)
    return high, value - high
