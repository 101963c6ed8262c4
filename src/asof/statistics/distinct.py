"""How many different values there are, from the least of their hashes: a K-minimum-values sketch.

Of n different values the hashes lie evenly between 0 and 1: if the 1,024th least lies at 0.01, there are about 102,300
of them. What two parts have in common counts once, and sketches join to the byte, in any order. HyperLogLog of
`datasketches` took five times as long to feed (its hash in NumPy, or 0.25 us a call), which was half of a write.

Source: Bar-Yossef and others, "Counting distinct elements in a data stream" (2002); Beyer and others (2007).
"""

from collections.abc import Callable, Iterable

import numpy as np

from asof.arrow.hashes import mixed

K = 1_024
"""Hashes that are kept, 8 bytes each; of fewer values the count is exact."""

BOUND = f"within 9.4 % of 997 in 1,000 counts (K minimum values, k = {K:,})"

BLOCK = 16_384
"""Values that are looked at in one step: they stay near the processor."""

WAITING = 4 * K
"""Hashes that are gathered before they are sorted."""

SURE = 1.25
"""Times so many hashes are below the first bound, on average: fewer than K are, one time in 10^12."""

Numbers = Callable[[np.ndarray], np.ndarray]
"""Makes uint64 numbers of values, as a new array; see `asof.statistics.hashes`."""


def sketch_of(values: np.ndarray, numbers: Numbers, *, least: int = 0) -> bytes:
    """Return the sketch of values.

    Args:
        values: Them.
        numbers: Makes numbers of them.
        least: So many of them are different, if not more: the hashes that are kept are then below a bound that is known
            before, and nearly all of the others are left out unsorted.
    """
    bound = int(SURE * K / least * 2.0**64) if least > SURE * K else 1 << 64
    found = _below(values, numbers, bound)
    if len(found) < K and bound < 1 << 64:  # not so many were different, or their hashes are one in 10^12
        found = _below(values, numbers, 1 << 64)
    return found.tobytes()


def _below(values: np.ndarray, numbers: Numbers, bound: int) -> np.ndarray:
    """Return the least hashes of values, of those that are below a bound."""
    kept: list[np.ndarray] = []
    waiting = 0
    for start in range(0, len(values), BLOCK):
        hashes = mixed(numbers(values[start : start + BLOCK]))
        kept.append(hashes if bound == 1 << 64 else hashes[hashes < np.uint64(bound)])
        waiting += len(kept[-1])
        if waiting > WAITING:
            kept = [_least(np.concatenate(kept))]
            waiting = len(kept[0])
            bound = int(kept[0][-1]) if waiting == K else bound
    return _least(np.concatenate(kept)) if kept else np.empty(0, np.uint64)


def joined(sketches: Iterable[bytes]) -> bytes:
    """Return the sketch of what all of them saw; it depends on nothing but the set of the values."""
    return _least(np.concatenate([np.frombuffer(sketch, np.uint64) for sketch in sketches])).tobytes()


def count_of(sketch: bytes) -> int:
    """Return how many different values a sketch saw: exactly, if they are fewer than K, else about."""
    least = np.frombuffer(sketch, np.uint64)
    if len(least) < K:
        return len(least)
    return round((K - 1) * 2.0**64 / float(least[-1]))


def _least(hashes: np.ndarray) -> np.ndarray:
    """Return the least different hashes, ascending; NumPy's `unique` takes ten times as long."""
    hashes.sort()
    return hashes[np.append(True, hashes[1:] != hashes[:-1])][:K]
