"""Mean and standard deviation of float64 columns, each rounded once: no order and no batch size changes a bit.

A float is an integer of 53 bits times a power of two. Of each power that occurs, the sums of the integers and of their
squares are kept as Python's integers, which have no end. NumPy adds up three pieces of 18 bits, which floats hold.
"""

from math import isqrt
from typing import Any

import numpy as np

from asof.windows.exact import rounded

BLOCK = 1 << 15
"""So many products of two pieces, below 2**37 each, add up to less than 2**53: floats hold the sum exactly."""

PIECE = 18
MANTISSA = 53
LOWEST = -1073
"""What frexp says of the least float: 2**-1074."""

UNIT = MANTISSA - LOWEST
"""Sums are in units of 2**-UNIT, sums of squares in units of its square."""

PRECISE = 109
"""Bits of a square root that are looked at: twice those of a float, and some."""

Floats = np.ndarray[Any, np.dtype[np.float64]]


class Totals:
    """Count, sum and sum of squares of finite floats."""

    def __init__(self) -> None:
        self.many = 0
        self._sum = 0
        self._squares = 0

    def add(self, values: Floats) -> None:
        """Add finite values."""
        self.many += len(values)
        for start in range(0, len(values), BLOCK):
            self._add_block(values[start : start + BLOCK])

    @property
    def mean(self) -> float:
        """The mean; there must be a value."""
        return rounded(self._sum, self.many << UNIT)

    @property
    def stddev(self) -> float:
        """The standard deviation of a population; 0.0 if all values are equal, whatever rounding would say."""
        apart = self.many * self._squares - self._sum * self._sum
        return root(apart, (self.many * self.many) << 2 * UNIT)

    def _add_block(self, block: Floats) -> None:
        fraction, exponent = np.frexp(block)
        whole = np.ldexp(fraction, MANTISSA).astype(np.int64)
        mask = (1 << PIECE) - 1
        a = (whole >> 2 * PIECE).astype(np.float64)  # with the sign: the others are 0 or more
        b = (whole >> PIECE & mask).astype(np.float64)
        c = (whole & mask).astype(np.float64)
        least = int(exponent.min())
        bins = exponent - least
        sums = [np.bincount(bins, piece) for piece in (a, b, c)]
        squares = [np.bincount(bins, product) for product in (a * a, a * b, 2 * a * c + b * b, b * c, c * c)]
        for place in np.flatnonzero(np.bincount(bins)).tolist():
            shift = place + least - LOWEST
            high, middle, low = (int(each[place]) for each in sums)
            self._sum += ((high << 2 * PIECE) + (middle << PIECE) + low) << shift
            aa, ab, ac, bc, cc = (int(each[place]) for each in squares)
            square = (aa << 4 * PIECE) + (ab << 3 * PIECE + 1) + (ac << 2 * PIECE) + (bc << PIECE + 1) + cc
            self._squares += square << 2 * shift


def root(numerator: int, denominator: int) -> float:
    """Return the square root of a quotient, rounded once.

    Source: `statistics.stdev` of Python's library, which does it alike.
    """
    if not numerator:
        return 0.0
    shift = (numerator.bit_length() - denominator.bit_length() - PRECISE) // 2
    if shift >= 0:
        return rounded(_odd_root(numerator, denominator << 2 * shift) << shift, 1)
    return rounded(_odd_root(numerator << -2 * shift, denominator), 1 << -shift)


def _odd_root(numerator: int, denominator: int) -> int:
    """Return the root without its fraction, its last bit set if there is one: it is rounded later."""
    found = isqrt(numerator // denominator)
    return found | (found * found * denominator != numerator)
