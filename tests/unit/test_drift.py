"""Measures of drift against SciPy, and the rate of false alarms."""

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import spatial, special, stats

from asof.errors import UsageError
from asof.statistics.columns import column_statistics
from asof.statistics.drift import Limits, Pair, compare, holm
from asof.statistics.measures import measures
from asof.statistics.tails import chi_square_tail, kolmogorov_tail, normal_tail, shares_tail

LIMITS = Limits()


def of(values, kind=None):
    return column_statistics(pa.array(values, kind))


def judged(baseline, current, limits=LIMITS):
    (found,) = compare([Pair("x", of(baseline), of(current))], limits)
    return found


@given(st.floats(0, 900), st.integers(1, 300))
def test_the_chi_square_tail_is_that_of_scipy(value, freedom):
    assert chi_square_tail(value, freedom) == pytest.approx(stats.chi2.sf(value, freedom), rel=1e-9, abs=1e-13)


@given(st.floats(0, 1), st.integers(1, 10**7), st.integers(1, 10**7))
def test_the_kolmogorov_tail_is_that_of_scipy(distance, one, other):
    expected = special.kolmogorov(distance * math.sqrt(one * other / (one + other)))
    assert kolmogorov_tail(distance, one, other) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.floats(-40, 40))
def test_the_normal_tail_is_that_of_scipy(z):
    assert normal_tail(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


@given(st.integers(0, 40), st.integers(1, 400), st.integers(0, 40), st.integers(1, 4000))
def test_rare_shares_are_compared_by_fishers_test(hits, rows, other_hits, other_rows):
    hits, other_hits = min(hits, rows), min(other_hits, other_rows)
    every, total = hits + other_hits, rows + other_rows
    if 0 < every < total and min(rows, other_rows) * min(every, total - every) / total >= 10:
        table = np.array([[hits, rows - hits], [other_hits, other_rows - other_hits]])
        expected = stats.chi2_contingency(table, correction=True).pvalue
        assert shares_tail(hits, rows, other_hits, other_rows) == pytest.approx(expected, rel=0.02, abs=1e-9)
    else:
        expected = stats.fisher_exact([[hits, rows - hits], [other_hits, other_rows - other_hits]]).pvalue
        assert shares_tail(hits, rows, other_hits, other_rows) == pytest.approx(expected, rel=1e-6, abs=1e-12)


SAMPLES = st.one_of(
    st.lists(st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), min_size=3, max_size=200),
    st.lists(st.integers(-3, 3).map(float), min_size=3, max_size=200),  # ties
    st.lists(st.just(4.0), min_size=3, max_size=30),  # a constant
)


@given(SAMPLES, SAMPLES)
def test_distances_of_numbers_are_those_of_scipy(one, other):
    found = measures(of(one), of(other))
    assert found["ks"].value == pytest.approx(stats.ks_2samp(one, other, method="asymp").statistic, abs=1e-12)
    spread = float(np.std(one))
    if spread > 1e-9:
        assert found["wasserstein"].value == pytest.approx(
            stats.wasserstein_distance(one, other) / spread, rel=1e-6, abs=1e-9
        )
        assert found["mean"].value == pytest.approx((np.mean(other) - np.mean(one)) / spread, rel=1e-6, abs=1e-6)
    assert all(each.source == "exact" and not each.bound for each in found.values())


@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=300),
    st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=300),
)
def test_distances_of_categories_are_those_of_scipy(one, other):
    letters = sorted({*one, *other})
    counts = np.array([[side.count(letter) for letter in letters] for side in (one, other)], float)
    found = measures(of(one), of(other))
    assert found["js"].value == pytest.approx(spatial.distance.jensenshannon(*counts, base=2), abs=1e-7)
    smooth = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    assert found["psi"].value == pytest.approx(((smooth[1] - smooth[0]) * np.log(smooth[1] / smooth[0])).sum())
    if counts.sum(axis=0).min() * min(len(one), len(other)) / (len(one) + len(other)) > 5.001 and len(letters) > 1:
        expected = stats.chi2_contingency(counts, correction=False)
        assert found["chi2"].value == pytest.approx(expected.statistic, abs=1e-9)
        assert found["chi2"].p == pytest.approx(expected.pvalue, rel=1e-9)


@given(st.lists(st.floats(0, 1), max_size=60))
def test_corrected_p_values_are_those_of_holm(given_p):
    order = np.argsort(given_p, kind="stable")
    expected = np.zeros(len(given_p))
    scaled = np.array(given_p)[order] * (len(given_p) - np.arange(len(given_p)))
    expected[order] = np.minimum(1, np.maximum.accumulate(scaled)) if len(given_p) else scaled
    assert holm(given_p) == pytest.approx(expected.tolist())


def normal(seed, rows, **how):
    return np.random.default_rng(seed).normal(how.get("mean", 0.0), how.get("spread", 1.0), rows)


def test_many_values_are_compared_by_sketches_that_raise_no_alarm():
    one, other = of(normal(1, 400_000)), of(normal(2, 300_000))
    found = measures(one, other)
    assert found["ks"].source == "sample"
    assert found["ks"].bound == pytest.approx(2 * (0.017 + 0.0127))
    assert found["ks"].p == pytest.approx(1.0)
    assert found["psi"].value < 0.01
    (moved,) = compare([Pair("x", one, of(normal(3, 300_000, mean=0.5)))], LIMITS)
    assert moved.verdict == "drifted"
    assert moved.value("ks") == pytest.approx(0.197, abs=0.05)
    assert moved.value("mean") == pytest.approx(0.5, abs=0.01)
    assert moved.value("wasserstein") == pytest.approx(0.5, abs=0.08)


def test_many_texts_are_compared_by_their_frequent_values():
    random = np.random.default_rng(5)

    def draw(share, rows):
        often, numbers = random.random(rows) < share, random.integers(0, 10**9, rows)
        return ["often" if each else f"rare {number}" for each, number in zip(often, numbers, strict=True)]

    same, moved = (
        measures(of(draw(0.3, 9_000)), of(draw(0.3, 8_000))),
        measures(of(draw(0.3, 9_000)), of(draw(0.7, 8_000))),
    )
    assert same["chi2"].source == "sketch"
    assert same["chi2"].p > 0.01
    assert moved["chi2"].p < 1e-9
    assert moved["psi"].value > 0.5


@pytest.mark.parametrize(
    ("baseline", "current", "verdict"),
    [
        ([1.0] * 900, [1.0] * 900, "same"),
        ([4.0] * 900, [5.0] * 900, "drifted"),  # a constant that changed
        ([4.0] * 900, [3.0] * 900, "drifted"),
        ([4.0] * 900, list(normal(1, 900, mean=4)), "drifted"),
        (list(normal(1, 900)), [0.0] * 900, "drifted"),
        ([1.0, 2.0] * 500, [None] * 1000, "drifted"),
        ([None] * 1000, [1.0, 2.0] * 500, "drifted"),
        ([1.0, 2.0] * 500, [1.0, math.nan] * 500, "drifted"),
        ([1.0, 2.0] * 500, [math.inf] * 500, "drifted"),
        (["a", "b"] * 500, ["a", "c"] * 500, "drifted"),
        ([True, False] * 500, [True] * 1000, "drifted"),
        ([1, 2] * 500, ["1", "2"] * 500, "drifted"),
        ([b"a", b"b"] * 500, [b"a", b"c"] * 500, "drifted"),
        ([[1.0], [1.0, 2.0]] * 500, [[1.0]] * 1000, "drifted"),
        ([1.0] * 3, [9.0] * 3, "same"),  # too few rows to say
        ([1.0], [], "unknown"),
        ([], [], "unknown"),
    ],
)
def test_a_verdict_of_any_two_columns(baseline, current, verdict):
    assert judged(baseline, current).verdict == verdict


def test_a_move_that_is_sure_but_small_is_no_drift():
    found = judged(normal(1, 60_000).round(1), normal(2, 60_000, mean=0.1).round(1))
    assert found.p < 1e-5
    assert found.verdict == "same"
    assert (
        judged(normal(1, 60_000).round(1), normal(2, 60_000, mean=0.1).round(1), Limits(psi=0.005)).verdict == "drifted"
    )


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": 1}, {"alpha": "1"}, {"psi": -1}, {"missing": 2}, {"psi": True}]
)
def test_limits_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError, match="no such number"):
        Limits(**wrong)


def made(random, kind, rows):
    """Return a column of a kind, with some nulls; always of the same distribution."""
    match kind % 5:
        case 0:
            values = random.normal(size=rows)
        case 1:
            values = random.lognormal(size=rows).round(1)  # ties
        case 2:
            values = random.integers(0, 8, rows)
        case 3:
            values = np.array(["red", "green", "blue", "grey"])[random.integers(0, 4, rows)]
        case _:
            values = random.random(rows) < 0.02
    return column_statistics(pa.array(values, mask=random.random(rows) < 0.05))


def test_like_compared_with_like_raises_an_alarm_no_more_often_than_alpha():
    """Whatever the sizes: here the tests alone decide. `scripts/drift_false_alarms.py` does it with 1,000 comparisons."""
    random = np.random.default_rng(11)
    alpha, comparisons = 0.1, 60
    limits = Limits(alpha=alpha, psi=0.0, missing=0.0)
    alarms = 0
    for _ in range(comparisons):
        pairs = [Pair(str(at), made(random, at, 400), made(random, at, 300)) for at in range(20)]
        alarms += any(each.verdict == "drifted" for each in compare(pairs, limits))
    assert stats.binomtest(alarms, comparisons, alpha, alternative="greater").pvalue > 0.01
