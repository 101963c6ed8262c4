"""Why an aggregate is what it is: the events of its window, and the rows of its entity that are none, with the reasons.

Which rows count, and why others do not, the engine says; here it is put into words.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.types import TIMESTAMP
from asof.clock import from_us, show_us, to_us
from asof.definitions.aggregate import told
from asof.definitions.durations import show_duration
from asof.engine.port import (
    BY_COLUMN,
    EVENT_COLUMN,
    OF_COLUMN,
    REASON_COLUMN,
    TIME_COLUMN,
    VALUE_COLUMN,
    Known,
    Rows,
)
from asof.parts import Parts
from asof.quality.explanation import (
    EventReason,
    ExplainedWindow,
    StoredEvent,
    future,
    later,
    listed,
    retracted_by,
    shown,
    unavailable,
    unpinned,
)
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, Commit
from asof.registry.registered import RegisteredGroup
from asof.training.answered import Answered
from asof.windows.aggregation import Aggregation

Row = Mapping[str, Any]
"""A row as the engine tells of it."""

UNPINNED: EventReason = "not in the pins"


@dataclass(slots=True)
class _Gathered:
    """The rows to show, of all that the engine tells of.

    Attributes:
        limit: How many of each kind.
        t_us: T.
        first: The first that count.
        last: The last of the others that count.
        others: The nearest to T that do not; of one time the later commit first.
        count: How many count.
        counts: How many do not, by reason.
        ended_us: The time of the last event before the window, if it is a session.
    """

    limit: int
    t_us: int
    first: list[Row] = field(default_factory=list[Row])
    last: list[Row] = field(default_factory=list[Row])
    others: list[Row] = field(default_factory=list[Row])
    count: int = 0
    counts: Counter[EventReason] = field(default_factory=Counter[EventReason])
    ended_us: int | None = None

    @classmethod
    def of(cls, told: Iterable[pa.Table], *, limit: int, t_us: int) -> "_Gathered":
        """Go through the rows once; memory holds a batch and those to show."""
        found = cls(max(limit, 0), t_us)
        for rows in told:
            found._add(rows)
        return found

    def _add(self, rows: pa.Table) -> None:
        reasons = rows.column(REASON_COLUMN)
        counts = pc.equal(reasons, "")
        counting, others = rows.filter(counts), rows.filter(pc.invert(counts))
        self.count += counting.num_rows
        for each in pc.value_counts(others.column(REASON_COLUMN).combine_chunks()).to_pylist():
            self.counts[each["values"]] += each["counts"]
        room = self.limit - len(self.first)
        self.first += counting.slice(0, room).to_pylist()
        rest = counting.slice(room)
        last = [*self.last, *rest.slice(max(rest.num_rows - self.limit, 0)).to_pylist()]
        self.last = last[max(len(last) - self.limit, 0) :]
        outside = others.filter(pc.equal(others.column(REASON_COLUMN), "outside the window")).column(EVENT_COLUMN)
        self.ended_us = max(
            (each for each in (self.ended_us, pc.max(outside).as_py()) if each is not None), default=None
        )
        away = np.abs(others.column(EVENT_COLUMN).to_numpy() - self.t_us)
        order = np.lexsort((-others.column(COMMIT_COLUMN).to_numpy(), away))
        nearest = [*self.others, *others.take(pa.array(order[: self.limit])).to_pylist()]
        self.others = sorted(nearest, key=self._distance)[: self.limit]

    def _distance(self, row: Row) -> tuple[int, int]:
        return abs(row[EVENT_COLUMN] - self.t_us), -row[COMMIT_COLUMN]

    def told(self, after_us: int | None, until_us: int) -> str:
        """Return how many count; if none does, how many do not."""
        until = show_us(until_us)
        span = f"up to {until}" if after_us is None else f"in ({show_us(after_us)}, {until}]"
        if self.count:
            return f"{'1 event' if self.count == 1 else f'{self.count:,} events'} {span}"
        if not self.counts:
            return f"no event {span}: history has none of this key"
        return f"no event {span}: {listed([f'{many:,} {reason}' for reason, many in self.counts.items()])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed:
    """One look-up of a group that is made of events, answered and to be explained.

    Attributes:
        parts: The store's parts.
        source: The group of events.
        answered: The answer.
        key: The entity.
        rows: The events, within the pins.
        every: All of them, if the pins may leave some out; else None.
        t_us: T.
        limit: How many rows to show, of each kind.
        missing: Gives why the answer is MISSING.
    """

    parts: Parts
    source: RegisteredGroup
    answered: Answered
    key: pa.Table
    rows: Rows
    every: Rows | None
    t_us: int
    limit: int
    missing: Callable[[], str]

    def explained(self, names: Mapping[str, str]) -> tuple[ExplainedWindow, ...]:
        """Explain features, by their output names."""
        made = {feature.name: feature for feature, _ in self.answered.lookup.outputs}
        return tuple(self._feature(name, told(made[each]), made[each].aggregation) for name, each in names.items())

    def _feature(self, name: str, words: str, aggregation: Aggregation | None) -> ExplainedWindow:
        assert aggregation is not None  # noqa: S101 - the group is made of events
        after_us, until_us = aggregation.window.bounds(self.t_us)
        value = self.answered.found.column(aggregation.name)[0].as_py()
        found = ExplainedWindow(
            feature=name,
            told=words,
            after=None if after_us is None else from_us(after_us),
            until=from_us(until_us),
            value=value,
            status="NULL" if value is None else "PRESENT",
            because="",
            count=0,
            events=(),
            others=(),
            counts={},
        )
        if any(column.null_count for column in self.key.columns):
            return replace(found, status="MISSING", because=self.missing())
        rows = _Gathered.of(self._told(aggregation), limit=self.limit, t_us=self.t_us)
        after_us = rows.ended_us if aggregation.window.kind == "session" else after_us
        commits = self._commits([*rows.first, *rows.last, *rows.others])
        retracts = {commit.target: commit for commit in commits.values() if commit.target is not None}
        why = _Why(aggregation, self.answered.known, self.t_us, after_us, self.rows, retracts)
        return replace(
            found,
            after=None if after_us is None else from_us(after_us),
            because=f"{words}, {rows.told(after_us, until_us)}",
            count=rows.count,
            events=tuple(self._event(row, commits, why) for row in (*rows.first, *rows.last)),
            others=tuple(self._event(row, commits, why) for row in rows.others),
            counts=dict(rows.counts),
        )

    def _told(self, aggregation: Aggregation) -> Iterator[pa.Table]:
        """Ask the engine for the rows of the entity."""
        on = list(self.answered.lookup.group.source_columns)
        times = pa.chunked_array([pa.array([self.t_us], pa.int64()).cast(TIMESTAMP)])
        spine = self.key.rename_columns(on).append_column(TIME_COLUMN, times)
        ask = partial(self.parts.engine.explain, spine, on=on, aggregation=aggregation, known=self.answered.known)
        for batch in ask(self.rows):
            yield pa.Table.from_batches([batch])
        if self.every is None:
            return
        for batch in ask(self.every):
            table = pa.Table.from_batches([batch])
            later = table.filter(pc.greater(table.column(COMMIT_COLUMN), self.rows.pin))
            place = later.schema.get_field_index(REASON_COLUMN)
            yield later.set_column(place, REASON_COLUMN, pa.repeat(UNPINNED, later.num_rows))

    def _commits(self, rows: Iterable[Row]) -> dict[int, Commit]:
        """Return the commits of rows by number, and all later ones: the retracts are among them."""
        least = min((row[COMMIT_COLUMN] for row in rows), default=None)
        if least is None:
            return {}
        return {commit.number: commit for commit in self.parts.log.commits(self.source, after=least - 1)}

    def _event(self, row: Row, commits: Mapping[int, Commit], why: "_Why") -> StoredEvent:
        return StoredEvent(
            keys={name: row[name] for name in self.rows.keys},
            event_time=from_us(row[EVENT_COLUMN]),
            available_at=row[AVAILABLE_COLUMN],
            commit=commits[row[COMMIT_COLUMN]],
            value=row[VALUE_COLUMN],
            retracted_by=why.retracts.get(row[COMMIT_COLUMN]),
            reason=row[REASON_COLUMN],
            because=why.text(row),
        )


@dataclass(frozen=True, slots=True)
class _Why:
    """Reasons in words."""

    aggregation: Aggregation
    known: Known
    t_us: int
    after_us: int | None
    rows: Rows
    retracts: Mapping[int, Commit]

    def text(self, row: Row) -> str:
        """Return why a row does not count; "" of one that does."""
        event_us, commit, by = row[EVENT_COLUMN], row[COMMIT_COLUMN], f"commit {row[BY_COLUMN]}"
        reason: EventReason = row[REASON_COLUMN]
        match reason:
            case "":
                return ""
            case "not in the pins":
                return unpinned(commit, self.rows.pin)
            case "retracted":
                return retracted_by(self.retracts[commit], always=self.rows.retracted[commit] is None)
            case "in the future":
                return future(event_us, self.t_us)
            case "not yet available":
                return unavailable(to_us(row[AVAILABLE_COLUMN]), self.known, self.t_us)
            case "outside the window":
                return self._outside(event_us)
            case "retired":
                return f"{by} retired it"
            case "of another key":
                named = listed([f"{name} {shown(value)}" for name, value in row[OF_COLUMN].items()])
                return f"by {by} it is of {named}"
            case "corrected":
                return f"{by} has a later row of the same event"
            case "not where":
                return f"{self.aggregation.where} is not true of it"
            case "no value":
                return f"its {self.aggregation.column} is null"
            case _:
                assert_never(reason)

    def _outside(self, event_us: int) -> str:
        window = self.aggregation.window
        if window.kind == "session":
            return f"{show_duration(window.length_us)} or more without an event came after it"
        if self.after_us is not None and event_us <= self.after_us:
            early = later(self.after_us, event_us)
            return f"{early} before the window begins" if event_us < self.after_us else "where the window begins"
        end_us = window.bounds(self.t_us)[1]
        return f"{later(event_us, end_us)} after the window's end"
