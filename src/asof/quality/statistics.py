"""Statistics of a group over some of its commits: a merge of what was kept when they were written."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow.compute as pc

from asof.clock import bounds_us
from asof.errors import ConflictError, UsageError
from asof.ingest.statistics import make_missing, rows_statistics
from asof.ingest.write import commit_name
from asof.parts import Parts, Pins, pin_of, pinned_rows
from asof.parts.pins import given_pins
from asof.records import COMMIT_COLUMN, Commit, Snapshot, Span
from asof.registry.registered import RegisteredGroup
from asof.statistics import ColumnStatistics, GroupStatistics, merged_all
from asof.statistics.packing import unpack

Commits = Pins | str | Commit | tuple[int, int] | None
"""A tag, pins, one commit or its name, the numbers of the first and the last; None: all."""

ATTEMPTS = 5
TODO = 'pass a tag, a commit such as "weather:17", (first, last), or the commits of a frame'


@dataclass(frozen=True, slots=True)
class Asked:
    """Which commits: after < number <= through (None: no end), and so their times; as they stood at a pin."""

    after: int = 0
    through: int | None = None
    start_us: int | None = None
    end_us: int | None = None
    pin: int | None = None

    def holds(self, number: int, time_us: int) -> bool:
        """Return whether a commit was asked for."""
        early = number <= self.after or (self.start_us is not None and time_us <= self.start_us)
        late = self.through is not None and number > self.through
        return not early and not late and (self.end_us is None or time_us <= self.end_us)


def statistics(
    parts: Parts,
    name: str,
    *,
    commits: Commits = None,
    start: datetime | None = None,
    end: datetime | None = None,
    rebuild: bool = False,
) -> GroupStatistics:
    """Return the statistics of a group; see `Quality.statistics`."""
    group = kept_group(parts.registry.group(name))
    start_us, end_us = bounds_us(start, end)
    asked = replace(asked_of(parts, group, commits), start_us=start_us, end_us=end_us)
    if rebuild:
        for _ in range(ATTEMPTS - 1):
            with suppress(ConflictError):
                make_missing(parts, group)
                break
        else:
            make_missing(parts, group)
    return Kept(parts, group, asked).whole()


def kept_group(group: RegisteredGroup) -> RegisteredGroup:
    """Return a group, which must have commits with rows of its own.

    Raises:
        UsageError: It has none.
    """
    if group.source is not None:
        raise UsageError(
            f"group {group.ref} is made of {group.source.ref} when it is read: it has no commits of its own",
            todo=f"ask for the statistics of {group.source.definition.name}, or of a frame: asof.statistics.of(frame)",
        )
    if group.definition.external is not None:
        raise UsageError(
            f"the rows of group {group.ref} stay at {group.definition.external}: the store does not see them written",
            todo="ask for the statistics of a frame: asof.statistics.of(store.read(...))",
        )
    return group


def asked_of(parts: Parts, group: RegisteredGroup, commits: Commits) -> Asked:
    """Return which commits of a group are meant.

    Raises:
        NotFoundError: Unknown group or tag. UsageError: They are no commits of this group.
    """
    if commits is None:
        return Asked()
    if isinstance(commits, Commit) or (isinstance(commits, str) and ":" in commits):
        ref, number = commit_name(commits)
        if parts.registry.group(ref).id != group.id:
            raise UsageError(f"commit {ref}:{number} is not of group {group.ref}", where="commits=")
        return Asked(number - 1, number)
    if isinstance(commits, tuple | list):
        if len(commits) != 2 or not all(type(each) is int and each >= 0 for each in commits):  # noqa: PLR2004 - (first, last)
            raise UsageError(f"{commits!r} are not the numbers of two commits", where="commits=", todo=TODO)
        return Asked(max(commits[0] - 1, 0), commits[1])
    pin = pin_of(given_pins(parts, commits), group)
    return Asked(0, pin, pin=pin)


class Kept:
    """What is kept of the commits that were asked for."""

    def __init__(self, parts: Parts, group: RegisteredGroup, asked: Asked) -> None:
        self.parts = parts
        self.group = group
        self.asked = asked
        self.why: list[str] = []
        self.missing: Sequence[tuple[int, int, int]] = ()
        self.retracted: Collection[int] = ()

    def whole(self) -> GroupStatistics:
        """Return the statistics of all of them."""
        found = merged_all(self.pieces())
        missing = [
            (number, rows)
            for number, time_us, rows in self.missing
            if self.asked.holds(number, time_us) and number not in self.retracted
        ]
        return replace(
            found,
            columns={feature.name: self._column(found, feature.name) for feature in self.group.definition.features},
            group=self.group.ref,
            missing_commits=len(missing),
            missing_rows=sum(rows for _, rows in missing),
            approximate=tuple(self.why),
        )

    def pieces(self) -> list[GroupStatistics]:
        """Return what is merged, in the order of commits: one a commit, or a span of them that are kept as one."""
        spans, journal, snapshot = self._read()
        self.retracted = snapshot.retracted
        return [*(each for span in spans if (each := self._of_span(span, snapshot)) is not None), *journal]

    @staticmethod
    def _column(found: GroupStatistics, name: str) -> ColumnStatistics:
        """Return a column's statistics; one that was added since the last write is null in all rows."""
        return found.columns.get(name) or ColumnStatistics("other").with_nulls(found.rows)

    def _read(self) -> tuple[list[Span], list[GroupStatistics], Snapshot]:
        """Read spans and journal so that no commit is in both, or in none: it may be moved while we look."""
        asked, statistics = self.asked, self.parts.statistics
        while True:
            rows, snapshot = pinned_rows(self.parts, self.group, pin=asked.pin)
            through = snapshot.pin if asked.through is None else min(asked.through, snapshot.pin)
            spans = statistics.spans(self.group, after=asked.after, through=through)
            self.missing = statistics.missing(self.group, after=asked.after, through=through)
            again = self.parts.log.snapshot(self.group, pin=snapshot.pin)
            if [stamp for stamp, _ in again.journal] == [stamp for stamp, _ in snapshot.journal]:
                break
        times = {
            stamp.number: stamp.committed_at_us
            for stamp, _ in snapshot.journal
            if asked.holds(stamp.number, stamp.committed_at_us) and stamp.number not in snapshot.retracted
        }
        if rows.journal is None or not times:
            return spans, [], snapshot
        numbers = rows.journal.column(COMMIT_COLUMN)
        wanted = rows.journal.filter(pc.is_in(numbers, pc.cast(list(times), "int64")))
        found = replace(
            rows_statistics(self.group, wanted),
            commits=len(times),
            first_commit=min(times),
            last_commit=max(times),
            first_committed_us=min(times.values()),
            last_committed_us=max(times.values()),
        )
        return spans, [found], snapshot

    def _of_span(self, span: Span, snapshot: Snapshot) -> GroupStatistics | None:
        """Return the statistics of a span; None if it is not among what was asked for.

        One that a bound cuts counts where it ends: windows side by side then add up to the whole.
        """
        ends = self.asked.holds(span.last, span.last_committed_us)
        begins = self.asked.holds(span.first, span.first_committed_us)
        name = f"commits {span.first} to {span.last}"
        if begins != ends:
            self.why.append(f"{name} are kept as one, and counted {'here' if ends else 'where they end'}")
        hidden = sorted(number for number in snapshot.retracted if span.first <= number <= span.last)
        if not ends or (hidden and span.commits == 1):
            return None
        if hidden:
            told = ", ".join(map(str, hidden))
            self.why.append(f"{name} are kept as one, and hold rows of what was retracted: {told}")
        return replace(
            unpack(span.body),
            commits=span.commits,
            first_commit=span.first,
            last_commit=span.last,
            first_committed_us=span.first_committed_us,
            last_committed_us=span.last_committed_us,
        )
