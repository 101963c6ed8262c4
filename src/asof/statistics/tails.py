"""Tails of distributions: the p-values of the usual tests, in closed form or as series."""

import math

import numpy as np

STEPS = 10_000
"""Terms of a series or of a continued fraction: both stop long before, when a term changes nothing."""

TINY = 1e-300

FEW_EXPECTED = 10
"""Below so many expected in a cell the normal approximation is not good enough."""


def normal_tail(z: float) -> float:
    """Return the two-sided tail of the normal distribution."""
    return math.erfc(abs(z) / math.sqrt(2))


def kolmogorov_tail(distance: float, one: int, other: int) -> float:
    """Return the p-value of a two-sample Kolmogorov-Smirnov distance, asymptotically.

    With ties, and with few rows, the true one is less: the test is on the safe side.

    Args:
        distance: The greatest difference of the two distribution functions.
        one: Rows of the one sample, at least 1.
        other: Rows of the other.
    """
    x = distance * math.sqrt(one * other / (one + other))
    if x < 0.2:  # noqa: PLR2004 - there it is 1 to 13 digits, and the series needs many terms
        return 1.0
    total = 0.0
    for k in range(1, STEPS):
        term = math.exp(-2 * (k * x) ** 2)
        total += term if k % 2 else -term
        if term <= 1e-17 * abs(total):
            break
    return min(1.0, max(0.0, 2 * total))


def chi_square_tail(value: float, freedom: int) -> float:
    """Return the upper tail of the chi-square distribution: the regularised incomplete gamma Q(freedom/2, value/2).

    Source: Press and others, "Numerical Recipes", 6.2: a series on one side, a continued fraction on the other.
    """
    a, x = freedom / 2, value / 2
    if x <= 0:
        return 1.0
    scale = math.exp(max(-x + a * math.log(x) - math.lgamma(a), -745.0))
    if x < a + 1:
        return max(0.0, 1.0 - scale * _series(a, x))
    return scale * _fraction(a, x)


def _series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, STEPS):
        term *= x / (a + n)
        total += term
        if term < total * 1e-16:
            break
    return total


def _fraction(a: float, x: float) -> float:
    """Return the continued fraction by Lentz's method."""
    b = x + 1 - a
    c = 1 / TINY
    d = 1 / b
    found = d
    for n in range(1, STEPS):
        part = -n * (n - a)
        b += 2
        d = part * d + b
        d = 1 / (d if abs(d) > TINY else TINY)
        c = b + part / c
        c = c if abs(c) > TINY else TINY
        found *= d * c
        if abs(d * c - 1) < 1e-15:  # noqa: PLR2004 - the precision of float64
            break
    return found


def shares_tail(hits: int, rows: int, other_hits: int, other_rows: int) -> float:
    """Return the two-sided p-value that two shares are the same.

    A test of two proportions with the correction for continuity; Fisher's exact test where few hits are expected.

    Args:
        hits: Rows of the one sample that count.
        rows: All of its rows, at least 1.
        other_hits: Those of the other sample.
        other_rows: All of its rows, at least 1.
    """
    every, total = hits + other_hits, rows + other_rows
    if every in (0, total):
        return 1.0
    if min(rows, other_rows) * min(every, total - every) / total < FEW_EXPECTED:
        return _fisher(hits, rows, every, total)
    share = every / total
    spread = math.sqrt(share * (1 - share) * (1 / rows + 1 / other_rows))
    apart = abs(hits / rows - other_hits / other_rows) - (1 / rows + 1 / other_rows) / 2
    return normal_tail(max(apart, 0.0) / spread)


def _fisher(hits: int, rows: int, every: int, total: int) -> float:
    """Return the share of the tables with the same sums that are no more likely than this one."""
    least, most = max(0, every - (total - rows)), min(every, rows)
    at = np.arange(least, most, dtype=np.float64)
    steps = np.log((rows - at) * (every - at)) - np.log((at + 1) * (total - rows - every + at + 1))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    weights = np.exp(logs - logs.max())
    unlikely = weights <= weights[hits - least] * (1 + 1e-7)
    return min(1.0, float(weights[unlikely].sum() / weights.sum()))
