"""Which part of a split each row is in. Source: docs/training-sets.md, "Splits"."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pyarrow as pa

from asof.arrow.hashes import mixed
from asof.definitions.splits import GroupSplit, RandomSplit, Split, TimeSplit
from asof.errors import DataError, NotFoundError, UsageError
from asof.statistics.hashes import row_numbers

LEFT_OUT = -1
"""The part of a row that is in none."""

_BITS = 53
"""Bits of a number from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """Assigns rows to the parts of a split, batch by batch.

    Args:
        split: The split; one by shares of time has its cuts, see `resolved`.
        columns: The spine's columns.

    Raises:
        NotFoundError: The spine lacks a column of a GroupSplit.
    """

    split: Split
    columns: tuple[str, ...]

    def __post_init__(self) -> None:
        """Look for the columns."""
        for name in self.split.by if isinstance(self.split, GroupSplit) else ():
            if name not in self.columns:
                raise NotFoundError.named("spine column", name, self.columns, where="by=")

    def parts(self, spine: pa.Table, times_us: np.ndarray | None) -> np.ndarray:
        """Return for each row the number of its part, `LEFT_OUT` for none.

        Args:
            spine: The rows.
            times_us: Their times; None if they have none.
        """
        if isinstance(self.split, TimeSplit):
            if times_us is None:
                raise UsageError("a TimeSplit needs times", where="split=", todo='pass time="column of the spine"')
            return _by_time(self.split, times_us)
        names = self.split.by if isinstance(self.split, GroupSplit) else self.columns
        return by_chance([_whole(spine.column(name)) for name in names], spine.num_rows, self.split)


def resolved(split: TimeSplit, times_us: np.ndarray) -> TimeSplit:
    """Return a split by shares of time with the cuts that it has in rows of these times, in any order.

    Raises:
        DataError: There are so few different times that a part would be empty.
    """
    ordered = np.sort(times_us)
    ends = list(accumulate(split.shares[:-1]))
    places = [min(max(math.ceil(round(len(ordered) * end, 6)), 1), len(ordered)) - 1 for end in ends]
    cuts = [int(ordered[place]) for place in places] if len(ordered) else []
    if len(set(cuts)) < len(ends) or (len(ordered) and cuts and cuts[-1] >= int(ordered[-1])):
        raise DataError(
            f"{len(ordered):,} rows of {len(np.unique(ordered)):,} different times cannot be parted into {split}",
            where="split=",
            todo="pass more rows, or cuts",
        )
    return split.at(cuts)


def by_chance(columns: Sequence[pa.Array], rows: int, split: RandomSplit | GroupSplit) -> np.ndarray:
    """Return the number of the part of each row, by the values of some columns and the seed."""
    seed = mixed(np.array([split.seed + 1], np.uint64))
    numbers = mixed(row_numbers(columns, rows) ^ seed)
    chance = (numbers >> np.uint64(64 - _BITS)).astype(np.float64) / float(1 << _BITS)
    ends = np.array([math.fsum(split.shares[: at + 1]) for at in range(len(split.shares) - 1)])
    return np.searchsorted(ends, chance, side="right").astype(np.int64)


def _by_time(split: TimeSplit, times_us: np.ndarray) -> np.ndarray:
    cuts = np.array(split.cuts_us, np.int64)
    parts = np.searchsorted(cuts, times_us, side="left").astype(np.int64)
    if split.gap_us:
        following = np.append(cuts, np.iinfo(np.int64).max)[parts]
        near = (parts < len(cuts)) & (times_us > following - split.gap_us)
        parts[near] = LEFT_OUT
    return parts


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
