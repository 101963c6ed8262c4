"""What transforms learn is exact: sums rounded once, quantiles of all values."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.fitted.ranks import Quantiles
from asof.fitted.sums import BLOCK, Totals

finite = st.floats(allow_nan=False, allow_infinity=False)
SHARES = (0.0, 0.01, 0.25, 1 / 3, 0.5, 0.75, 0.99, 1.0)


def totals(*parts):
    found = Totals()
    for part in parts:
        found.add(np.asarray(part, np.float64))
    return found


def quantiles(parts, shares=SHARES, kept=1 << 23):
    found = Quantiles(shares, kept=kept)
    for _ in range(10):
        for part in parts:
            found.add(np.asarray(part, np.float64))
        if found.end():
            return found.found
    raise AssertionError("it never ends")


@given(st.lists(finite, min_size=1, max_size=50))
def test_mean_and_stddev_are_rounded_once(values):
    found = totals(values)
    mean = sum(map(Fraction, values)) / len(values)
    try:
        assert found.mean == float(mean)
    except OverflowError:
        assert math.isinf(found.mean)
    assert found.stddev == statistics.pstdev(map(Fraction, values)) or _rounded(found.stddev, values)


def _rounded(stddev, values):
    """No float is nearer to the true root."""
    mean = sum(map(Fraction, values)) / len(values)
    true = sum((Fraction(v) - mean) ** 2 for v in values) / len(values)
    below, above = (
        (Fraction(math.nextafter(stddev, to)) for to in (0.0, math.inf))
        if stddev < 1.7e308
        else (Fraction(0), Fraction(2) ** 1025)
    )
    return ((below + Fraction(stddev)) / 2) ** 2 <= true <= ((above + Fraction(stddev)) / 2) ** 2


def test_no_order_and_no_batch_size_changes_a_sum():
    generator = np.random.default_rng(1)
    values = generator.normal(size=3 * BLOCK + 7) * 10.0 ** generator.integers(-30, 30, 3 * BLOCK + 7)
    whole = totals(values)
    mixed = totals(*np.array_split(generator.permutation(values), 13))
    assert (whole.mean, whole.stddev) == (mixed.mean, mixed.stddev)
    assert whole.mean == math.fsum(values) / len(values) or whole.mean == float(
        sum(map(Fraction, values.tolist())) / len(values)
    )


def test_a_constant_column_has_no_deviation_whatever_rounding_says():
    assert totals([0.1] * 1000).stddev == 0.0
    assert totals([1e308] * 3).mean == 1e308


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=60), st.integers(0, 5))
def test_quantiles_are_those_of_numpy_bit_for_bit(values, kept):
    with np.errstate(all="ignore"):
        wanted = np.quantile(np.array(values) + 0.0, SHARES)
    for most in (1 << 23, kept):
        found = quantiles([values[::2], values[1::2]], kept=most)
        for mine, theirs, share in zip(found, wanted.tolist(), SHARES, strict=True):
            if math.isfinite(theirs):
                assert mine == theirs, share


@pytest.mark.parametrize("kept", [0, 100, 5_000])
def test_more_values_than_are_kept_take_more_passes_and_give_the_same(kept):
    generator = np.random.default_rng(2)
    values = np.concatenate(
        [generator.normal(size=20_000), generator.integers(0, 5, 20_000), [math.inf, -math.inf] * 10]
    )
    generator.shuffle(values)
    shares = tuple(at / 100 for at in range(1, 100))
    assert quantiles(np.array_split(values, 7), shares, kept) == tuple(np.quantile(values, shares).tolist())
