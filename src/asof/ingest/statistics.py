"""The statistics of commits: made of rows as they are written, merged to longer spans later, made anew from history.

A span is never merged with another across a tag's pin, nor across a commit without statistics, nor with a commit that
was retracted before: so what can be asked of a tag, and of what was not retracted, stays exact.
"""

from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from asof.ingest.prepare import Prepared
from asof.parts import Parts, pinned_rows
from asof.records import COMMIT_COLUMN, Snapshot, Span
from asof.registry.registered import RegisteredGroup
from asof.statistics import GroupStatistics, merged_all, of_rows
from asof.statistics.packing import pack, unpack

BESIDE_ROWS = 20_000
"""Rows from which on statistics are made in a thread beside the one that writes the files; of fewer it does not pay."""

MOST_SPANS = 256
"""Spans of a group from which on the older ones are merged."""

NEWEST_SPANS = 64
"""The last so many stay as they are: single commits are asked for, and retracted, while they are new."""

DAY_US = 86_400_000_000
WIDTHS_US = (DAY_US, 32 * DAY_US, 1024 * DAY_US)
"""First the spans of a day are merged, by commit time; those of 32 days only if that leaves too many."""


def rows_statistics(group: RegisteredGroup, rows: pa.Table) -> GroupStatistics:
    """Return the statistics of stored rows of a group."""
    definition = group.definition
    return of_rows(rows, features=group.layout, keys=definition.keys, event_time=definition.event_time)


def begun(prepared: Sequence[Prepared]) -> Callable[[], list[bytes | None]]:
    """Begin to make the statistics of commits; return what waits for them. None: a commit has no rows."""

    def made() -> list[bytes | None]:
        return [pack(rows_statistics(item.group, item.rows)) if item.rows.num_rows else None for item in prepared]

    if sum(item.rows.num_rows for item in prepared) < BESIDE_ROWS:
        return made
    with_thread = ThreadPoolExecutor(1, "asof-statistics")
    found = with_thread.submit(made)
    with_thread.shutdown(wait=False)
    return found.result


@dataclass(frozen=True, slots=True)
class Borders:
    """Where spans of a group end.

    Attributes:
        ends: Commits after which a span ends: those of tags, and those before and of retracts' targets.
        apart: Commits that are in no span, in order.
    """

    ends: Sequence[int]
    apart: Sequence[int]

    def between(self, one: int, other: int) -> bool:
        """Return whether a border lies between two commits, the lesser first."""
        ended = bisect(self.ends, other - 1) > bisect(self.ends, one - 1)
        return ended or bisect(self.apart, other - 1) > bisect(self.apart, one)


def borders(parts: Parts, group: RegisteredGroup, snapshot: Snapshot, apart: Iterable[int]) -> Borders:
    """Return the borders of a group's spans, `apart` being commits that are in none."""
    pins = {tag.pins[group.ref] for tag in parts.tags.all() if group.ref in tag.pins}
    hidden = {number for target in snapshot.retracted for number in (target - 1, target)}
    return Borders(sorted(pins | hidden), sorted(apart))


def journal_spans(
    parts: Parts, group: RegisteredGroup, journal: pa.Table, snapshot: Snapshot, sealed: Sequence[int]
) -> list[Span]:
    """Return the statistics of commits whose rows move from the journal to files."""
    if not sealed:
        return []
    wanted = set(sealed)
    commits = [(stamp.number, stamp.committed_at_us) for stamp, _ in snapshot.journal if stamp.number in wanted]
    others = [span.first for span in parts.statistics.spans(group, after=commits[0][0], bodies=False)]
    return _spans(group, [journal], _runs(commits, borders(parts, group, snapshot, others)))


def _runs(commits: Sequence[tuple[int, int]], limits: Borders) -> list[list[tuple[int, int]]]:
    """Cut commits, (number, time) in order, at borders and at the ends of days."""
    runs: list[list[tuple[int, int]]] = []
    for number, time_us in commits:
        last = runs[-1][-1] if runs else None
        if last is None or limits.between(last[0], number) or last[1] // DAY_US != time_us // DAY_US:
            runs.append([])
        runs[-1].append((number, time_us))
    return runs


def _spans(group: RegisteredGroup, tables: Iterable[pa.Table], runs: Sequence[Sequence[tuple[int, int]]]) -> list[Span]:
    """Return the statistics of runs of commits, whose stamped rows are among some."""
    firsts = np.array([run[0][0] for run in runs])
    found: list[GroupStatistics] = [GroupStatistics() for _ in runs]
    known = np.array([number for run in runs for number, _ in run])
    for table in tables:
        numbers = table.column(COMMIT_COLUMN).to_numpy()
        places = np.searchsorted(firsts, numbers, "right") - 1
        places[~np.isin(numbers, known)] = -1
        for place in map(int, np.unique(places[places >= 0])):
            part = table.filter(pa.array(places == place))
            found[place] = found[place].merge(rows_statistics(group, part))
    return [
        Span(run[0][0], run[-1][0], run[0][1], run[-1][1], len(run), pack(each))
        for run, each in zip(runs, found, strict=True)
    ]


def merge_spans(parts: Parts, group: RegisteredGroup) -> int:
    """Merge the older spans of a group if there are too many; return how many were merged.

    Raises:
        ConflictError: Others changed them meanwhile.
    """
    spans = parts.statistics.spans(group, bodies=False)
    if len(spans) <= MOST_SPANS:
        return 0
    snapshot = parts.log.snapshot(group)
    apart = [stamp.number for stamp, _ in snapshot.journal]
    apart += [number for number, _, _ in parts.statistics.missing(group)]
    limits = borders(parts, group, snapshot, apart)
    merged = 0
    for chosen in _chosen(spans, limits):
        after, through = chosen[0].first - 1, chosen[-1].last
        bodies = parts.statistics.spans(group, after=after, through=through)
        parts.statistics.replace(group, removed=chosen, added=[_merged(bodies)], drops=snapshot.drops)
        merged += len(chosen)
    return merged


def _chosen(spans: Sequence[Span], limits: Borders) -> list[list[Span]]:
    """Return neighbours to be merged, so that few enough spans are left."""
    runs = [[span] for span in spans]
    for width in WIDTHS_US:
        if len(runs) <= MOST_SPANS:
            break
        joined: list[list[Span]] = []
        for run in runs[:-NEWEST_SPANS]:
            if joined and _neighbours(joined[-1][-1], run[0], width, limits):
                joined[-1] += run
            else:
                joined.append(run)
        runs = joined + runs[-NEWEST_SPANS:]
    return [run for run in runs if len(run) > 1]


def _neighbours(one: Span, other: Span, width_us: int, limits: Borders) -> bool:
    same = one.last_committed_us // width_us == other.first_committed_us // width_us
    return same and not limits.between(one.last, other.first)


def _merged(spans: Sequence[Span]) -> Span:
    return Span(
        spans[0].first,
        spans[-1].last,
        spans[0].first_committed_us,
        spans[-1].last_committed_us,
        sum(span.commits for span in spans),
        pack(merged_all(unpack(span.body) for span in spans)),
    )


def make_missing(parts: Parts, group: RegisteredGroup) -> int:
    """Make the statistics of the commits in files that have none, in one read of the files; return how many they are.

    Raises:
        ConflictError: Others made them, or rows were dropped, meanwhile.
    """
    rows, snapshot = pinned_rows(parts, group)
    commits = [(number, at_us) for number, at_us, _ in parts.statistics.missing(group, through=snapshot.pin)]
    if not commits:
        return 0
    apart = [span.first for span in parts.statistics.spans(group, bodies=False)]
    apart += [stamp.number for stamp, _ in snapshot.journal]
    runs = _runs(commits, borders(parts, group, snapshot, apart))
    first, last = commits[0][0], commits[-1][0]
    if not rows.cold:  # else the files of both families must have the same rows
        held = tuple(item for item in rows.files if item[1].first_commit <= last and item[1].last_commit >= first)
        rows = replace(rows, files=held, sources=rows.sources or rows, journal=None)
    stamped = parts.engine.stamped(rows)
    tables = (pa.Table.from_batches([batch]) for batch in stamped if batch.num_rows)
    parts.statistics.replace(group, removed=[], added=_spans(group, tables, runs), drops=snapshot.drops)
    return len(commits)


def drop_all(parts: Parts, group: RegisteredGroup) -> None:
    """Drop the statistics of a group.

    Raises:
        ConflictError: Others changed them meanwhile.
    """
    drops = parts.log.snapshot(group).drops
    parts.statistics.replace(group, removed=parts.statistics.spans(group, bodies=False), added=[], drops=drops)
