"""Statistics that merge: Arrow in, values out; no store, no clock.

    of(table)               statistics of a table at hand
    GroupStatistics         of rows: how many, of how many keys, over which times; and of each column
    compare(pairs, limits)  which columns are of another distribution: see `asof.statistics.drift`
    ColumnStatistics        count, nulls, NaNs, distinct, min, max, mean, stddev, quantiles, histogram, top values

What is promised of any two tables a and b with the columns of one group:

- `of(a).merge(of(b))` is `of(a + b)`: exactly in rows, counts, nulls, NaNs, infinities, minimum and maximum, and in
  distinct, quantiles, histogram and top values of columns that have up to 1,024 different values in both; but for
  rounding in mean and standard deviation; within `BOUNDS` in the rest.
- Merging is associative and commutative to the same degree; the statistics of no rows change nothing.
- Every type that a feature may have has statistics, and whatever the values are, nothing is raised.
- One read of the rows. Of more than 32,768 rows at once quantiles and top values of a column with more than 1,024
  different values are of a sample of 16,384 to 32,768 rows (`sampled`); counts, extremes, mean, stddev, distinct and
  the lengths of texts are of all of them.

What a column has depends on its type:

    numbers, bool, decimal, date, timestamp   everything, of the values
    string                                    distinct, top values; the rest of the lengths, in characters
    vector of numbers                         no distinct, no top values; the rest of the Euclidean norms
    list                                      the same of the lengths
    bytes, struct                             nulls and distinct
"""

from asof.statistics.column import Bin, ColumnStatistics, Top
from asof.statistics.distribution import BOUNDS
from asof.statistics.drift import Drift, FeatureDrift, Limits, Mover, Pair, compare
from asof.statistics.group import GroupStatistics, merged_all, of, of_rows

__all__ = [
    "BOUNDS",
    "Bin",
    "ColumnStatistics",
    "Drift",
    "FeatureDrift",
    "GroupStatistics",
    "Limits",
    "Mover",
    "Pair",
    "Top",
    "compare",
    "merged_all",
    "of",
    "of_rows",
]
