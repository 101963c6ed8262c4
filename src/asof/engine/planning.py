"""Choose how to answer a spine, by what the commit log says of the files and a sample of the spine's keys."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.point_in_time import Plan, is_late
from asof.engine.port import NO_TIME, TIME_COLUMN, Known, Rows
from asof.records import DataFile
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

NARROW = 10
"""A spine with this many times fewer rows than the history has not most of its keys, or has few rows of each."""

HASH_PAIRS, HASH_PAIRS_LATE = 6, 20
"""Pairs of a spine row and a row of its key that the hash plan may join for each row that the other plan would sort:
at 100 k x 1 M rows the plans were level at some 70 rows a key, and at 250 if rows are late (2 cores, DuckDB 2.0)."""

HASH_SPINE = 12
"""Pairs that a row of the spine counts for where the other plan is "whole", which does not join it again: at 250 k x
500 k rows, 5 and 10 a key, "hash" took 1.35 and 1.39 times the processor seconds; at 100 k x 1 M, 40 a key, 0.93."""

NUMBERED_SPINE = 50_000
"""Spines of fewer rows are answered sooner by one statement than by the two of the plan "numbered"."""

FEW_COLUMNS = 8
"""So many features are sorted with their versions in less time than it takes to read them again: at 400 k x 4 M rows,
100 a key, 7 features took 1.6 against 2.1 processor seconds; at 100 k x 1 M rows 24 features 1.1 against 0.6. Late rows
are sorted twice, so this is not for them."""


FEW_BUCKETS = 4
"""So many buckets of time are worth a join by them: each row of the spine meets the events of two."""


SAMPLE_ROWS = 1000

DEEP_PAIRS = 40
"""So many pairs of a spine row and an event of a window take as long as a row of the history or the spine in the plans
for windows of many events: at 864 k events of 10 keys x 100 k rows, 8,640 events a window, running sums took a
hundredth of the processor time of a join."""

RANGED_PAIRS = 2
"""The same for ranges: at 1 M events of 1,000 keys x 20 k rows, 500 events a window, they took two fifths of the
processor time of a join for the last values, and a twentieth for quantiles."""


class Chosen(NamedTuple):
    """A plan, and the statistics that led to it."""

    plan: Plan
    why: str

    def showing_ties(self) -> "Chosen":
        """Return the plan that joins the winning version again, so that all rows that have it are seen."""
        if self.plan in ("as-of", "hash"):
            return self
        return Chosen("as-of", f"{self.why}; external rows may tie")


@dataclass(frozen=True, slots=True)
class Asked:
    """What there is to choose by.

    Attributes:
        spine_rows: Rows of the spine.
        rows: Rows of the history.
        columns: How many features are wanted.
        late: Whether arrivals count.
    """

    spine_rows: int
    rows: int
    columns: int
    late: bool

    @classmethod
    def of(cls, spine_rows: int, rows: Rows, columns: int, known: Known) -> "Asked":
        """Look at the files."""
        return cls(spine_rows, count(rows), columns, is_late(rows, known))

    @property
    def narrow(self) -> bool:
        """Whether most rows of the history have a key that the spine does not have."""
        return self.spine_rows * NARROW < self.rows

    def at_once(self) -> Chosen | None:
        """Return the plan if the sizes alone tell."""
        if self.narrow:
            return Chosen("whole", f"{self.spine_rows:,} spine rows for {self.rows:,} rows: few of them have its keys")
        if self.rows * self.columns <= self.spine_rows:
            plan = "numbered" if self.spine_rows >= NUMBERED_SPINE else "whole"
            return Chosen(plan, f"{self.rows:,} rows x {self.columns} features are less than the spine")
        return None

    def by_pairs(self, pairs: float) -> Chosen:
        """Return the plan by the estimated pairs of a spine row and a row of its key."""
        other: Plan = "as-of" if self.late or self.columns > FEW_COLUMNS else "whole"
        if other == "whole":
            most = max(HASH_PAIRS * self.rows - HASH_SPINE * self.spine_rows, 0)
        else:
            most = (HASH_PAIRS_LATE if self.late else HASH_PAIRS) * (self.rows + self.spine_rows)
        a_key = f"{pairs / self.spine_rows:,.0f} rows a key of the spine"
        if pairs <= most:
            return Chosen("hash", f"{a_key}, at most {most / self.spine_rows:,.0f}")
        why = f"{a_key}, more than {most / self.spine_rows:,.0f}; {self.columns} features"
        return Chosen(other, why)


def sample(spine: pa.Table) -> pa.Table:
    """Return some rows of a spine, always the same."""
    if spine.num_rows <= SAMPLE_ROWS:
        return spine
    return spine.take(np.random.default_rng(0).integers(0, spine.num_rows, SAMPLE_ROWS))


def count(rows: Rows) -> int:
    """Return how many rows a history has."""
    return sum(file.rows for _, file, _ in rows.files) + (0 if rows.journal is None else rows.journal.num_rows)


def has(rows: Rows, file: DataFile, columns: Sequence[str]) -> bool:
    """Return whether a file has columns of its own: a later feature, or one of a confirmation, it has not."""
    own = () if file.confirms else rows.layout[: file.width]
    return {*columns} <= {*rows.keys, rows.event_time, *own}


def up_to(rows: Rows, last_us: int) -> Rows:
    """Return the history without the files all of whose rows are later than a time: they answer nothing before it."""
    if rows.event_time is None:
        return rows
    return replace(rows, files=tuple(item for item in rows.files if item[1].min_event_us <= last_us))


def between(rows: Rows, after_us: int | None, until_us: int | None) -> Rows:
    """Return the history without the files that have no rows in (after, until]; confirmations may still name theirs."""
    if rows.event_time is None:
        return rows
    files = tuple(
        item
        for item in rows.files
        if (after_us is None or item[1].max_event_us > after_us)
        and (until_us is None or item[1].min_event_us <= until_us)
    )
    if len(files) == len(rows.files):
        return rows
    naming = any(file.confirms for _, file, _ in files)
    return replace(rows, files=files, sources=(rows.sources or rows) if naming else None)


def reach(aggregations: Sequence[Aggregation], spine: pa.Table) -> tuple[int | None, int]:
    """Return the bounds (after, until] of all windows at the times of a spine; None: from the first event on."""
    times = pc.min_max(spine.column(TIME_COLUMN).cast(pa.int64()))
    first_us, last_us = times["min"].as_py(), times["max"].as_py()
    if first_us is None:
        return None, NO_TIME
    afters = [each.window.bounds(first_us)[0] for each in aggregations]
    known = [after for after in afters if after is not None]
    return min(known) if len(known) == len(afters) else None, last_us


def within_reach(rows: Rows, aggregations: Sequence[Aggregation], spine: pa.Table) -> Rows:
    """Return the history without the files that have no event that a window at a time of the spine holds."""
    if not spine.num_rows:
        return replace(rows, files=(), sources=None)
    return between(rows, *reach(aggregations, spine))


def bucket(rows: Rows, aggregations: Sequence[Aggregation], after_us: int | None, until_us: int) -> int | None:
    """Return the length of the buckets of time by which events are joined, as far as any window reaches back.

    None if one reaches back to the first event, or too far to be worth the second bucket of each row of the spine.
    """
    if after_us is None:
        return None
    length = max(each.window.reach_us or 0 for each in aggregations)
    first_us = min((file.min_event_us for _, file, _ in rows.files), default=after_us)
    return length if (until_us - max(after_us, first_us)) >= FEW_BUCKETS * length else None


def pairs_in(rows: Rows, window: Window, pairs: float) -> float:
    """Return how many of the pairs of a spine row and an event of its key a window holds, if time is even."""
    return pairs / 2 if window.reach_us is None else pairs * min(window.reach_us / max(span_us(rows), 1), 1)


def span_us(rows: Rows) -> int:
    """Return the time between the first event and the last, by the bounds of files."""
    bounds = [(file.min_event_us, file.max_event_us) for _, file, _ in rows.files if file.rows]
    return max((end for _, end in bounds), default=0) - min((start for start, _ in bounds), default=0)


def reaches_beyond(rows: Rows, last_us: int) -> bool:
    """Return whether some file has rows later than a time."""
    return rows.event_time is not None and any(file.max_event_us > last_us for _, file, _ in rows.files)
