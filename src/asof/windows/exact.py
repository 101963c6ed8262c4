"""Sums of floats that are rounded once, whatever the order and however they are divided: all of them are integers.

Each finite float64 is a multiple of 2**-1074, so a sum of floats is a sum of Python's integers, which have no end.
A sum takes 40 bytes for values of everyday size, at most some 270. Two sums add up to the sum of both, and what was
added can be taken away again, bit for bit.
"""

import math
from collections.abc import Iterable
from typing import cast

UNIT = 1 << 1074
"""So many units are 1.0."""


def units_of(value: float) -> int:
    """Return a finite value in units of 2**-1074, which is exact."""
    numerator, denominator = value.as_integer_ratio()  # the denominator is a power of 2
    return numerator << (1075 - denominator.bit_length())


def units_of_floats(values: Iterable[object]) -> list[int] | None:
    """Return `units_of` of each value, quickly; None if not all are finite floats."""
    try:
        ratios = map(float.as_integer_ratio, cast("Iterable[float]", values))
        return [numerator << (1075 - denominator.bit_length()) for numerator, denominator in ratios]
    except (TypeError, ValueError, OverflowError):
        return None


def rounded(numerator: int, denominator: int) -> float:
    """Return a quotient, rounded once to the nearest float64, ties to even; beyond the greatest one an infinity."""
    try:
        return numerator / denominator + 0.0  # no -0.0
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf
