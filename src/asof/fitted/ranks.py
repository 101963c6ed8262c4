"""Exact quantiles in bounded memory, whatever the order of rows and the size of batches.

A quantile q of n values lies at the place (n - 1) * q of the sorted values; between two places it is interpolated, as
`numpy.quantile` does it by default (type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996).

Values are kept while they are few. Of more, a pass over the data counts how many share their first bits, which tells
the first bits of the values that are wanted; the next pass keeps those alone, or counts by further bits.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

KEPT = 1 << 23
"""So many values of a column are kept in a pass: 64 MB."""

BITS = 64
STEP = 16
"""By so many bits a pass tells values apart at most."""

COUNTS = 1 << 22
"""So many counters there are at most, for all prefixes together: 32 MB."""

SIGN = np.uint64(1 << 63)

Floats = np.ndarray[Any, np.dtype[np.float64]]
Keys = np.ndarray[Any, np.dtype[np.uint64]]


class Quantiles:
    """Quantiles of floats that are not NaN; infinite ones are values.

    Args:
        shares: Which quantiles, from 0 to 1.
        kept: How many values are kept at most.
    """

    def __init__(self, shares: Sequence[float], *, kept: int = KEPT) -> None:
        self.shares = tuple(shares)
        self.many = 0
        self.found: tuple[float, ...] | None = None
        self._most = kept
        self._known = BITS  # so many low bits of the wanted values are not known yet
        self._prefixes: Keys = np.zeros(1, np.uint64)
        self._below: list[int] = [0]
        self._begin()

    def add(self, values: Floats) -> None:
        """Take values, in each pass all of them."""
        if self._known == BITS:
            self.many += len(values)
        keys = _keys(values)
        place = np.zeros(len(keys), np.int64)
        if self._known < BITS:
            prefixes = keys >> np.uint64(self._known)
            place = np.minimum(np.searchsorted(self._prefixes, prefixes), len(self._prefixes) - 1)
            wanted = self._prefixes[place] == prefixes
            keys, place = keys[wanted], place[wanted]
        bits = keys >> np.uint64(self._known - self._bits) & np.uint64((1 << self._bits) - 1)
        self._counts += np.bincount((place << self._bits) + bits.astype(np.int64), minlength=len(self._counts))
        if self._values is not None:
            self._values.append(keys)
            self._held += len(keys)
            if self._held > self._most:
                self._values = None

    def end(self) -> bool:
        """End a pass; return whether the quantiles are found."""
        places = _places(self.many, self.shares)
        wanted = sorted({place for low, high, _ in places for place in (low, high)}) if self.many else []
        if self._values is not None:
            held = np.sort(np.concatenate([*self._values, np.zeros(0, np.uint64)]))
            starts = {prefix: _start(held, prefix, self._known) for prefix in self._prefixes.tolist()}
            at = {each: self._prefix_of(each) for each in wanted}
            known = {each: int(held[starts[prefix] + each - below]) for each, (prefix, below) in at.items()}
        else:
            known = self._narrow(wanted)
            if self._known:
                self._begin()
                return False
        values = {each: _value(key) for each, key in known.items()}
        self.found = tuple(_between(values[low], values[high], share) for low, high, share in places)
        return True

    def _begin(self) -> None:
        room = (COUNTS // len(self._prefixes)).bit_length() - 1
        self._bits = max(1, min(STEP, room, self._known))
        self._counts = np.zeros(len(self._prefixes) << self._bits, np.int64)
        self._values: list[Keys] | None = []
        self._held = 0

    def _prefix_of(self, place: int) -> tuple[int, int]:
        """Return the prefix of the value at a place, and how many values are below all of its kind."""
        at = int(np.searchsorted(self._below, place, side="right")) - 1
        return int(self._prefixes[at]), self._below[at]

    def _narrow(self, wanted: Sequence[int]) -> dict[int, int]:
        """Take the next bits of each wanted value; return what is known of each."""
        counts = self._counts.reshape(len(self._prefixes), -1)
        ends = np.cumsum(counts, axis=1)
        known: dict[int, int] = {}
        found: dict[int, int] = {}
        for place in wanted:
            at = int(np.searchsorted(self._below, place, side="right")) - 1
            bits = int(np.searchsorted(ends[at], place - self._below[at], side="right"))
            prefix = (int(self._prefixes[at]) << self._bits) | bits
            known[place] = prefix
            found[prefix] = self._below[at] + int(ends[at][bits] - counts[at][bits])
        self._known -= self._bits
        self._prefixes = np.array(list(found), np.uint64)
        self._below = list(found.values())
        return known


def _places(many: int, shares: Sequence[float]) -> list[tuple[int, int, float]]:
    """Return for each quantile the two places it lies between, and how far it is from the first."""
    found: list[tuple[int, int, float]] = []
    for share in shares:
        place = (many - 1) * share
        low = math.floor(place)
        found.append((low, min(low + 1, many - 1), place - low))
    return found


def _between(low: float, high: float, share: float) -> float:
    """Return what lies between two values, bit for bit as NumPy does it; beside an infinite one, that one."""
    if low == high or not share or math.isinf(low):
        return low
    if math.isinf(high):
        return high
    apart = high - low
    return high - apart * (1 - share) if share >= 0.5 else low + apart * share  # noqa: PLR2004 - from the nearer end


def _keys(values: Floats) -> Keys:
    """Return integers that are ordered as the floats are; 0.0 and -0.0 are one."""
    bits = (values + 0.0).view(np.uint64)
    return np.where(bits & SIGN, ~bits, bits | SIGN)


def _value(key: int) -> float:
    bits = key & ~(1 << 63) if key >> 63 else ~key & ((1 << 64) - 1)
    return float(np.array([bits], np.uint64).view(np.float64)[0])


def _start(held: Keys, prefix: int, known: int) -> int:
    """Return where the keys of a prefix begin among sorted ones."""
    return int(np.searchsorted(held, np.uint64(prefix << known))) if known < BITS else 0
