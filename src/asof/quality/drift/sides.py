"""The sides of a comparison: commits, whose statistics are kept, and tables, whose statistics are made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame, to_table
from asof.clock import bounds_us, show_us
from asof.errors import NotFoundError, UsageError
from asof.ingest.write import commit_name
from asof.parts import Parts, Pins, Question, pinned_rows
from asof.quality.drift.read import offline, online, served
from asof.quality.statistics import Asked, Commits, Kept, asked_of, kept_group
from asof.records import COMMIT_COLUMN, Commit
from asof.registry.registered import RegisteredGroup
from asof.statistics import ColumnStatistics, GroupStatistics, merged_all
from asof.statistics.columns import column_statistics

Window = tuple[datetime | None, datetime | None]

Compared = Pins | str | Commit | tuple[int, int] | Window | Frame
"""What may be compared:

- a commit, or its name ("weather:17"); the numbers of the first and the last;
- a tag, or pins: what was committed up to then;
- a window (start, end) of commit time, after the one and up to the other; None: no bound;
- a frame, such as a training set, with columns named as the features;
- "online": what is served now, of a sample of keys; "offline": what history says of those keys now;
- "served": the newest answers in the serving log of a view.
"""

TODO = (
    'pass a tag, a commit such as "weather:17", (first, last), two aware datetimes, a frame, "online", "offline" or'
    ' "served"'
)

NOTHING = ColumnStatistics("other")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A feature that is compared: its output name, and where it is written."""

    output: str
    group: RegisteredGroup
    feature: str


class Side(Protocol):
    """One side.

    Attributes:
        label: What it is, in words.
    """

    label: str

    def lacks(self, wanted: Wanted) -> str:
        """Return why it has no such feature; "" if it has."""
        ...

    def column(self, wanted: Wanted) -> ColumnStatistics:
        """Return the statistics of a feature."""
        ...

    def rows(self, wanted: Sequence[Wanted], by: str) -> pa.Table:
        """Return the rows: a column for each output, and `by`.

        Raises:
            NotFoundError: There is no such column. UsageError: The features are not in one table.
        """
        ...

    def notes(self) -> list[str]:
        """Return what the reader must know of it."""
        ...


@dataclass
class OfCommits:
    """Commits: their statistics are kept, and their rows are read only for segments."""

    parts: Parts
    label: str
    commits: Commits = None
    start_us: int | None = None
    end_us: int | None = None
    _kept: dict[int, Kept] = field(default_factory=dict[int, Kept])
    _pieces: dict[int, list[GroupStatistics]] = field(default_factory=dict[int, list[GroupStatistics]])
    _whole: dict[int, GroupStatistics] = field(default_factory=dict[int, GroupStatistics])

    def lacks(self, wanted: Wanted) -> str:
        """See `Side.lacks`."""
        try:
            self.asked(wanted.group)
        except UsageError as error:
            return error.what
        return ""

    def asked(self, group: RegisteredGroup) -> Asked:
        """Return which commits of a group are meant.

        Raises:
            UsageError: The group has no commits of its own, or these are not of it.
        """
        asked = asked_of(self.parts, kept_group(group), self.commits)
        return replace(asked, start_us=self.start_us, end_us=self.end_us)

    def pieces(self, group: RegisteredGroup) -> list[GroupStatistics]:
        """Return the statistics of the commits of a group, one by one, as far as they are kept one by one."""
        if group.id not in self._pieces:
            kept = self._kept[group.id] = Kept(self.parts, group, self.asked(group))
            self._pieces[group.id] = kept.pieces()
        return self._pieces[group.id]

    def column(self, wanted: Wanted) -> ColumnStatistics:
        """See `Side.column`."""
        group = wanted.group
        if group.id not in self._whole:
            self._whole[group.id] = merged_all(self.pieces(group))
        found = self._whole[group.id]
        return found.columns.get(wanted.feature) or NOTHING.with_nulls(found.rows)

    def rows(self, wanted: Sequence[Wanted], by: str) -> pa.Table:
        """See `Side.rows`."""
        group = wanted[0].group
        if any(each.group.id != group.id for each in wanted):
            raise UsageError(
                "segments of commits are of one group", where="by=", todo="name features of one group, or pass frames"
            )
        if by not in group.definition.columns:
            raise NotFoundError.named("column", by, group.definition.columns, where=f"group {group.ref}")
        asked = self.asked(group)
        meant = [
            each.number for each in self.parts.log.commits(group) if asked.holds(each.number, each.committed_at_us)
        ]
        rows, _ = pinned_rows(self.parts, group, pin=asked.pin)
        columns = list(dict.fromkeys([*(each.feature for each in wanted), by]))
        numbers = pa.array(meant, pa.int64())
        found: list[pa.Table] = []
        for batch in self.parts.engine.scan(rows, columns=columns, clocks=True):
            table = pa.Table.from_batches([batch])
            chosen = table.filter(pc.is_in(table.column(COMMIT_COLUMN), value_set=numbers))
            found.append(_renamed(chosen, wanted, by))
        return pa.concat_tables(found) if found else _renamed(rows.schema.empty_table(), wanted, by)

    def notes(self) -> list[str]:
        """See `Side.notes`."""
        return [f"{self.label}: approximate: {why}" for kept in self._kept.values() for why in kept.why] + [
            f"{self.label}: {len(kept.missing):,} commits have no statistics: statistics(rebuild=True) makes them"
            for kept in self._kept.values()
            if kept.missing
        ]


@dataclass
class OfTable:
    """A table that is at hand."""

    label: str
    table: pa.Table
    told: Sequence[str] = ()

    def lacks(self, wanted: Wanted) -> str:
        """See `Side.lacks`."""
        return "" if wanted.output in self.table.column_names else f"{self.label} has no column {wanted.output!r}"

    def column(self, wanted: Wanted) -> ColumnStatistics:
        """See `Side.column`."""
        return column_statistics(self.table.column(wanted.output))

    def rows(self, wanted: Sequence[Wanted], by: str) -> pa.Table:
        """See `Side.rows`."""
        if by not in self.table.column_names:
            raise NotFoundError.named("column", by, self.table.column_names, where=self.label)
        return self.table.select(list(dict.fromkeys([*(each.output for each in wanted), by])))

    def notes(self) -> list[str]:
        """See `Side.notes`."""
        return list(self.told)


def side_of(parts: Parts, question: Question, given: Any, *, where: str) -> Side:  # noqa: ANN401 - what a caller gave
    """Return the side that a caller named.

    Raises:
        NotFoundError: Unknown group or tag. UsageError: It is none.
    """
    if is_frame(given):
        return _frame(given, where)
    if isinstance(given, str):
        return _named(parts, question, given)
    if isinstance(given, Commit):
        return OfCommits(parts, f"commit {given.id}", given)
    if isinstance(given, Mapping):
        return OfCommits(parts, "pins", cast("Pins", given))
    ends: list[Any] = list(given or ())
    if len(ends) == 2 and any(isinstance(each, datetime) for each in ends) and all(map(_is_bound, ends)):  # noqa: PLR2004 - start and end
        return _window(parts, ends)
    if len(ends) == 2 and all(type(each) is int for each in ends):  # noqa: PLR2004 - first and last
        return _numbers(parts, question, ends)
    raise UsageError(f"{given!r} is nothing that can be compared", where=where, todo=TODO)


def is_frame(given: Any) -> bool:  # noqa: ANN401 - what a caller gave
    """Return whether a side is to be read as a frame: it has no other form."""
    if given is None or isinstance(given, str | tuple | Commit):
        return False
    if isinstance(given, Mapping):
        values: list[Any] = list(cast("Pins", given).values())
        return not values or any(type(each) is not int for each in values)
    return not isinstance(given, list) or any(isinstance(each, Mapping) for each in cast("list[Any]", given))


def _frame(given: Any, where: str) -> OfTable:  # noqa: ANN401 - what a caller gave
    try:
        table, _ = to_table(given, where=where)
    except UsageError as error:
        raise UsageError(error.what, where=where, todo=TODO) from error
    return OfTable(f"a frame of {table.num_rows:,} rows", table)


def _named(parts: Parts, question: Question, name: str) -> Side:
    match name:
        case "online":
            return OfTable("online", *online(parts, question))
        case "offline":
            return OfTable("offline", *offline(parts, question))
        case "served":
            return OfTable("served", *served(parts, question))
        case _ if ":" in name:
            commit_name(name)
            return OfCommits(parts, f"commit {name}", name)
        case _:
            parts.tags.get(name)
            return OfCommits(parts, f"tag {name}", name)


def _window(parts: Parts, given: Sequence[Any]) -> OfCommits:
    start_us, end_us = bounds_us(*given)
    since = "" if start_us is None else f" after {show_us(start_us)}"
    until = "" if end_us is None else f" up to {show_us(end_us)}"
    return OfCommits(parts, f"commits{since}{until}", None, start_us, end_us)


def _numbers(parts: Parts, question: Question, given: Sequence[int]) -> OfCommits:
    if len(question.groups) > 1:
        raise UsageError(
            f"{tuple(given)} are commits of one group, and {question.ref} reads {len(question.groups)}",
            todo="pass a tag, or a window of commit time",
        )
    return OfCommits(parts, f"commits {given[0]} to {given[1]}", (given[0], given[1]))


def _is_bound(each: object) -> bool:
    return each is None or isinstance(each, datetime)


def _renamed(table: pa.Table, wanted: Sequence[Wanted], by: str) -> pa.Table:
    columns = {each.output: table.column(each.feature) for each in wanted}
    return pa.table({**columns, by: table.column(by)})
