"""Measures of how far two columns are apart, of their statistics alone.

    psi          population stability index over common bins: 0 the same, from 0.1 on a move, from 0.25 on a great one
    js           Jensen-Shannon distance over the same bins (base 2): 0 to 1
    ks           Kolmogorov-Smirnov: the greatest difference of the two distribution functions: 0 to 1
    wasserstein  Wasserstein-1 distance, in standard deviations of the baseline
    chi2         chi-square of the counts of values; of columns with few different values
    mean         change of the mean, in standard deviations of the baseline
    missing      change of the share of rows that have no value, or NaN: -1 to 1

Where statistics are those of sketches, distances carry their error. A p-value takes it off first: a difference that the
sketches could have made by themselves counts as none, so that they raise no false alarm.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from asof.statistics.column import ColumnStatistics
from asof.statistics.distribution import Distribution, Points, Tally
from asof.statistics.tails import chi_square_tail, kolmogorov_tail, normal_tail, shares_tail

Source = Literal["exact", "sketch", "sample"]

MeasureName = Literal["psi", "js", "ks", "wasserstein", "chi2", "mean", "missing"]

BINS = 10
"""Bins of equal shares of the baseline."""

CATEGORIES = 20
"""Different values that have bins of their own; the others share one."""

EXPECTED = 5
"""Rows that a bin of the chi-square test must expect in each sample, as is usual."""

SKETCH_ERROR = 0.017
"""Of all ranks of a KLL sketch (k = 200), in 99 of 100 sketches, and of the runs that its numbers stand for."""

SAMPLE_ERROR = 0.0127
"""Of all ranks of a sample of 16,384 rows, in 99 of 100 samples (Dvoretzky, Kiefer and Wolfowitz)."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measure says.

    Attributes:
        value: How far the two are apart.
        p: How likely it is that far, or farther, if both are of one distribution and rows are independent; None where
            there is no test.
        source: Whether it is of all values, of sketches, or of sketches of a sample.
        bound: By how much shares may be off, in 99 of 100 sketches; 0.0 if it is exact.
    """

    value: float
    p: float | None = None
    source: Source = "exact"
    bound: float = 0.0


class Bins(NamedTuple):
    """Counts of the rows of both sides in common bins."""

    baseline: np.ndarray
    current: np.ndarray
    each_value: bool
    """Whether a bin is a value, and not a range."""


def measures(baseline: ColumnStatistics, current: ColumnStatistics) -> dict[MeasureName, Measured]:
    """Return what each measure says that the two columns allow.

    Of no rows on a side there is none. Of texts the values are compared, of vectors the norms, of lists the lengths; of
    bytes and structs the values if they are few. Where kinds differ only missing values are compared.
    """
    if not baseline.rows or not current.rows:
        return {}
    found: dict[MeasureName, Measured] = {"missing": _missing(baseline, current)}
    if baseline.kind != current.kind or baseline.count <= baseline.nans or current.count <= current.nans:
        return found
    bins = _bins(baseline, current)
    if bins is not None:
        source, bound = _origin(baseline, current)
        found["psi"] = Measured(psi(bins), None, source, bound)
        found["js"] = Measured(jensen_shannon(bins), None, source, bound)
        if bins.each_value:
            found["chi2"] = chi_square(bins, source, bound)
    if baseline.kind not in ("text", "bytes", "struct", "bool"):
        found |= _of_numbers(baseline, current)
    return found


def missing_share(column: ColumnStatistics) -> float:
    """Return the share of rows that have no value, or NaN."""
    return (column.nulls + column.nans) / column.rows if column.rows else 0.0


def psi(bins: Bins) -> float:
    """Return the population stability index; each bin has half a row more than it holds, so that none is empty."""
    one, other = (_shares(counts + 0.5) for counts in (bins.baseline, bins.current))
    return float(((other - one) * np.log(other / one)).sum())


def jensen_shannon(bins: Bins) -> float:
    """Return the Jensen-Shannon distance with logarithms of base 2."""
    one, other = _shares(bins.baseline), _shares(bins.current)
    middle = (one + other) / 2
    total = 0.0
    for each in (one, other):
        there = each > 0
        total += float((each[there] * np.log2(each[there] / middle[there])).sum()) / 2
    return math.sqrt(max(0.0, total))


def chi_square(bins: Bins, source: Source, bound: float) -> Measured:
    """Return the test that two columns of counts are of one distribution; rare values count together."""
    one, other = _common(bins)
    if len(one) < 2:  # noqa: PLR2004 - a value alone has no freedom
        return Measured(0.0, 1.0, source, bound)
    value = _chi_square(one, other)
    p = chi_square_tail(_chi_square(one, _nearer(one, other, bound)) if bound else value, len(one) - 1)
    return Measured(value, p, source, bound)


def kolmogorov_smirnov(one: Points, other: Points) -> float:
    """Return the greatest difference of two distribution functions."""
    mine, others, _ = _functions(one, other)
    return float(np.abs(mine - others).max())


def wasserstein(one: Points, other: Points) -> float:
    """Return the area between two distribution functions of finite numbers."""
    mine, others, values = _functions(one, other)
    return float((np.abs(mine - others)[:-1] * np.diff(values)).sum())


def _missing(baseline: ColumnStatistics, current: ColumnStatistics) -> Measured:
    p = shares_tail(baseline.nulls + baseline.nans, baseline.rows, current.nulls + current.nans, current.rows)
    return Measured(missing_share(current) - missing_share(baseline), p)


def _of_numbers(baseline: ColumnStatistics, current: ColumnStatistics) -> dict[MeasureName, Measured]:
    one, other = _floats(baseline.points), _floats(current.points)
    source, bound = _origin(baseline, current)
    distance = kolmogorov_smirnov(one, other)
    rows = int(one.weights.sum()), int(other.weights.sum())
    found: dict[MeasureName, Measured] = {
        "ks": Measured(distance, kolmogorov_tail(max(0.0, distance - bound), *rows), source, bound)
    }
    mine, others = baseline.moments, current.moments
    if not mine.many or not others.many or not mine.stddev:
        return found
    moved = wasserstein(_finite(one), _finite(other)) / mine.stddev
    if math.isfinite(moved):
        found["wasserstein"] = Measured(moved, None, source, bound)
    change = others.mean - mine.mean
    spread = math.hypot(mine.stddev / math.sqrt(mine.many), others.stddev / math.sqrt(others.many))
    if math.isfinite(change / mine.stddev):
        found["mean"] = Measured(change / mine.stddev, normal_tail(change / spread))
    return found


def _bins(baseline: ColumnStatistics, current: ColumnStatistics) -> Bins | None:
    """Return common bins; None if the values of a side are unknown."""
    sides = _values(baseline), _values(current)
    if any(each is None for each in sides):
        return None
    if baseline.kind in ("text", "bytes", "struct") or _few(*sides):
        return _categories([_tally(each) for each in sides], [baseline.count, current.count])
    return _quantile_bins(_floats(baseline.points), _floats(current.points))


def _values(column: ColumnStatistics) -> Distribution | None:
    """Return what is compared: values, or numbers that stand for them; None if they are too many to be known."""
    if column.kind in ("text", "bytes", "struct"):
        found = column.items if column.items is not None else column.spread
        return None if column.kind != "text" and not isinstance(found, Tally) else found
    return column.spread if column.measure else None


def _tally(found: Distribution | None) -> Tally:
    assert found is not None  # noqa: S101 - who calls has looked
    return found if isinstance(found, Tally) else found.top


def _few(one: Distribution | None, other: Distribution | None) -> bool:
    if not isinstance(one, Tally) or not isinstance(other, Tally):
        return False
    return len(np.union1d(one.values, other.values)) <= CATEGORIES


def _categories(sides: list[Tally], rows: list[int]) -> Bins:
    """Return a bin for each value that is frequent on a side, and one for all others."""
    values = np.unique(np.concatenate([each.values for each in sides]))
    counts = np.zeros((2, len(values) + 1))
    for row, side in enumerate(sides):
        counts[row, np.searchsorted(values, side.values)] = side.counts
        counts[row, -1] = max(0, rows[row] - int(side.counts.sum()))
    if len(values) > CATEGORIES:
        shares = (counts[:, :-1] / np.array(rows)[:, None]).sum(axis=0)
        kept = np.sort(np.argsort(-shares, kind="stable")[:CATEGORIES])
        rest = counts.sum(axis=1) - counts[:, kept].sum(axis=1)
        counts = np.column_stack([counts[:, kept], rest])
    counts = counts[:, counts.sum(axis=0) > 0]
    return Bins(counts[0], counts[1], each_value=True)


def _quantile_bins(one: Points, other: Points) -> Bins:
    """Return bins of equal shares of the baseline; a value that is as frequent as a bin has one of its own."""
    ends = np.cumsum(one.weights)
    total = int(ends[-1])
    places = np.searchsorted(ends, total * np.arange(1, BINS) / BINS, "left")
    values, times = np.unique(one.values[places], return_counts=True)
    begins = np.searchsorted(one.values, values, "left")
    finishes = np.searchsorted(one.values, values, "right")
    upto = np.concatenate([[0], ends])
    heavy = (times > 1) | (upto[finishes] - upto[begins] >= total / BINS)
    edges = np.unique(np.concatenate([values, np.nextafter(values[heavy], -np.inf)]))
    counts = [
        np.bincount(np.searchsorted(edges, each.values, "left"), each.weights, len(edges) + 1) for each in (one, other)
    ]
    return Bins(counts[0], counts[1], each_value=False)


def _common(bins: Bins) -> tuple[np.ndarray, np.ndarray]:
    """Return counts in bins that expect enough rows on both sides: the rarest are put together."""
    both = bins.baseline + bins.current
    least = min(bins.baseline.sum(), bins.current.sum()) / both.sum()
    order = np.argsort(both, kind="stable")
    together = np.cumsum(both[order]) * least
    many = int(np.searchsorted(together, EXPECTED, "left")) + 1
    if both[order[0]] * least >= EXPECTED:
        return bins.baseline, bins.current
    rare, kept = order[:many], order[many:]
    return (
        np.append(bins.baseline[kept], bins.baseline[rare].sum()),
        np.append(bins.current[kept], bins.current[rare].sum()),
    )


def _chi_square(one: np.ndarray, other: np.ndarray) -> float:
    """Return the chi-square of a table with two rows."""
    share = one.sum() / (one.sum() + other.sum())
    both = one + other
    expected = both * share, both * (1 - share)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [(each - wanted) ** 2 / wanted for each, wanted in zip((one, other), expected, strict=True)]
    return float(sum(np.where(both > 0, part, 0.0).sum() for part in parts))


def _nearer(one: np.ndarray, other: np.ndarray, bound: float) -> np.ndarray:
    """Return the counts of the other side as near to those of the one as the errors of sketches allow."""
    apart = _shares(other) - _shares(one)
    return other.sum() * (_shares(one) + np.sign(apart) * np.maximum(np.abs(apart) - bound, 0.0))


def _functions(one: Points, other: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values of two distribution functions at the values of both, and those."""
    values = np.union1d(one.values, other.values)
    found = [
        np.concatenate([[0.0], np.cumsum(each.weights) / each.weights.sum()])[
            np.searchsorted(each.values, values, "right")
        ]
        for each in (one, other)
    ]
    return found[0], found[1], values


def _floats(found: Points) -> Points:
    return Points(found.values.astype(np.float64), found.weights)


def _finite(found: Points) -> Points:
    there = np.isfinite(found.values)
    return Points(found.values[there], found.weights[there])


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / counts.sum()


def _origin(baseline: ColumnStatistics, current: ColumnStatistics) -> tuple[Source, float]:
    """Return what the bins and points of two columns are of, and by how much shares may be off together."""
    errors = [_error(each) for each in (baseline, current)]
    sampled = any(each.sampled for each in (baseline, current))
    return "sample" if sampled else "sketch" if sum(errors) else "exact", sum(errors)


def _error(column: ColumnStatistics) -> float:
    found = _values(column)
    if found is None or isinstance(found, Tally):
        return 0.0
    sampled = SAMPLE_ERROR if found.weight > 1 else 0.0
    if found.ranks:
        return SKETCH_ERROR + sampled
    return found.missed / max(column.count, 1) + sampled
