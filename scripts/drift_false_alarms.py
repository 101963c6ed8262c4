"""How often drift is called where there is none: comparisons of like with like.

    python scripts/drift_false_alarms.py [--comparisons 1000] [--features 50] [--segments 1] [--alpha 0.01]

Each feature of each segment of a comparison is drawn twice from one distribution, 500 rows a side: normal numbers,
numbers with ties, few numbers, categories, rare booleans, each with 5 % nulls. An alarm is a comparison in which some
feature is called drifted: by the tests alone (the sizes set to 0), and as they are by default.
"""

import argparse
import time

import numpy as np
import pyarrow as pa

from asof.statistics import Limits, Pair, compare
from asof.statistics.columns import column_statistics

ROWS = 500


def column(random, kind):
    values = [
        lambda: random.normal(size=ROWS),
        lambda: random.lognormal(size=ROWS).round(1),
        lambda: random.integers(0, 8, ROWS),
        lambda: np.array(["red", "green", "blue", "grey"])[random.integers(0, 4, ROWS)],
        lambda: random.random(ROWS) < 0.02,
    ][kind % 5]()
    return column_statistics(pa.array(values, mask=random.random(ROWS) < 0.05))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--comparisons", type=int, default=1000)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--segments", type=int, default=1, help="as with by=; 1: all rows")
    parser.add_argument("--alpha", type=float, default=0.01)
    given = parser.parse_args()
    random = np.random.default_rng(1)
    rules = {
        "tests alone": Limits(alpha=given.alpha, psi=0.0, missing=0.0),
        "tests and sizes": Limits(alpha=given.alpha),
    }
    alarms = dict.fromkeys(rules, 0)
    uncorrected = 0
    begun = time.perf_counter()
    for _ in range(given.comparisons):
        pairs = [
            Pair(str(at), column(random, at), column(random, at), str(segment))
            for segment in range(given.segments)
            for at in range(given.features)
        ]
        for name, limits in rules.items():
            found = compare(pairs, limits)
            alarms[name] += any(each.verdict == "drifted" for each in found)
        tests = [each.measures.get("chi2", each.measures.get("ks")) for each in found]
        uncorrected += any(test.p <= given.alpha for test in tests)
    segments = f" in {given.segments} segments" if given.segments > 1 else ""
    print(f"{given.comparisons:,} comparisons of {given.features} features{segments}, alpha {given.alpha:g}")
    for name, count in {"without correction": uncorrected, **alarms}.items():
        print(f"  {name:18} {count:6,} alarms  {count / given.comparisons:.2%}")
    print(f"  {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
