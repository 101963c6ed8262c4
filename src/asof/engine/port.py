"""What an engine must do: answer questions over the pinned history of one group. Tables in, tables out.

Source: SEMANTICS sections 1 and 2.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal, Protocol

import pyarrow as pa

from asof.records import DataFile, ExternalRead, Stamp
from asof.windows.aggregation import Aggregation

MISSING, FOUND, EXPIRED, RETIRED = 0, 1, 2, 3
"""Statuses of a looked-up row; whether a value of a FOUND row is PRESENT or NULL is the value's own matter."""

STATUS_COLUMN = "__status"
EVENT_COLUMN = "__event_us"
TIME_COLUMN = "__t"

NO_TIME = -(1 << 62)
"""The event time of static rows, and the arrival of rows that were always available: before every T."""

Known = Literal["served", "event"] | int
"""Knowledge mode; an integer is K in microseconds."""


Uncounted = Literal[
    "",
    "no value",
    "not where",
    "corrected",
    "of another key",
    "retired",
    "outside the window",
    "not yet available",
    "in the future",
    "retracted",
]
"""Why a row is no event of a window, "" for one that counts. Of several reasons the last in this order is told.

Its column is null; its condition (`where=`) is not true of it; a later row of the event stands in its place, of the
same entity or of another one, or is a retirement; it is before the window, or after its end.
"""

REASON_COLUMN = "__reason"
VALUE_COLUMN = "__value"
BY_COLUMN = "__by"
OF_COLUMN = "__of"


Cast = Literal["utc", "naive"]
"""What must be done to a column of times of an external file: bring UTC to microseconds; say that it is UTC, too."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a question can reach of rows that are fetched from a server.

    Attributes:
        columns: The features wanted.
        keys: Only these keys, each once; None: all.
        after_us: Exclusive lower bound of event times.
        until_us: Inclusive upper bound of event times.
    """

    columns: tuple[str, ...]
    keys: pa.Table | None = None
    after_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """How the rows of an external group are read (docs/decisions/0021).

    Attributes:
        read: What is read, and where.
        available_at: The column that says since when a row was known, and orders rows of one event time.
        casts: For each file what must be done to columns of times.
        constants: For each file columns that are not in it, with the value that all its rows have: partitions.
        fetch: Brings what a question can reach near, as files, for as long as it is held; None: they are files.
        unchanged: Whether the files are those that were looked at.
        after_us: Exclusive lower bound of the event times that matter.
        until_us: Inclusive upper bound of the event times that matter.
    """

    read: ExternalRead
    available_at: str | None = None
    casts: Mapping[str, tuple[tuple[str, Cast], ...]] = field(default_factory=dict[str, tuple[tuple[str, Cast], ...]])
    constants: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    fetch: "Callable[[Reach], AbstractContextManager[Rows]] | None" = None
    unchanged: Callable[[], bool] | None = None
    after_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """The pinned history of one group version.

    Attributes:
        schema: Columns of the files, see `asof.arrow.layout.stored_schema`.
        keys: Key columns.
        event_time: Event time column, None in a static group.
        delay_us: Delay of backfilled rows.
        pin: The last commit in it.
        layout: Features in the order in which they were added; a file of width w has the first w.
        files: (where to read it, what it is, the stamp of its rows or None if they are stamped).
        journal: Rows not in files yet, stamped; None if there are none.
        retracted: Hidden commits to the time since which they are; None: always.
        sources: The rows that confirmations may name, if they are not all among these.
        cold: The features of the cold family of a split group, see `asof.engine.families`: an adapter is never given
            files of a family.
        outside: How to read rows that lie outside of the store; then nothing is retired, retracted or confirmed, and
            several rows may be of one version.

    A file of confirmations holds, in place of features, the versions of the rows whose features they have (SEMANTICS
    section 5): those rows give them even if they are retracted, or not visible themselves. They are earlier by commit,
    and no later by event time.
    """

    schema: pa.Schema
    keys: tuple[str, ...]
    event_time: str | None
    delay_us: int
    pin: int
    layout: tuple[str, ...] = ()
    files: tuple[tuple[str, DataFile, Stamp | None], ...] = ()
    journal: pa.Table | None = None
    retracted: Mapping[int, int | None] = field(default_factory=dict[int, int | None])
    sources: "Rows | None" = None
    cold: tuple[str, ...] = ()
    outside: Outside | None = None


@dataclass(slots=True)
class Profile:
    """How a look-up was answered, filled in by the engine as far as it knows; None, or nothing: it does not.

    Of a split group, files and rows of all features count for each family that is read.

    Attributes:
        plan: Name of the plan.
        why: The statistics that led to it.
        files: Files of the history.
        files_read: Files that were opened; the others cannot hold an answer.
        row_groups: Row groups of the files that were opened, counted for each time that they were.
        row_groups_read: Row groups that were read.
        rows: Rows of the history.
        rows_read: Rows that were read, by all passes over the files.
        peak_bytes: Most memory that the query held at once.
        spilled_bytes: Most that it held on disk at once.
        seconds: Time of each step, one after the other.
        processor_seconds: Time of all threads in each kind of work within the query.
    """

    plan: str = ""
    why: str = ""
    files: int | None = None
    files_read: int | None = None
    row_groups: int | None = None
    row_groups_read: int | None = None
    rows: int | None = None
    rows_read: int | None = None
    peak_bytes: int | None = None
    spilled_bytes: int | None = None
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    processor_seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """Add the time that the block takes to a step."""
        start = perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start


def total(*values: int | None) -> int | None:
    """Return the sum of what an engine told; None if it told nothing."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def greatest(*values: int | None) -> int | None:
    """Return the greatest of what an engine told; None if it told nothing."""
    return max((value for value in values if value is not None), default=None)


class Engine(Protocol):
    """Computes over history. Safe to call from several threads."""

    def look_up(
        self,
        spine: pa.Table,
        rows: Rows,
        *,
        columns: Sequence[str],
        known: Known,
        ttl_us: int | None,
        profile: Profile | None = None,
    ) -> pa.Table:
        """Answer each row of a spine, point in time.

        Args:
            spine: The group's key columns, in their types, perhaps null; and `__t` (timestamp us, UTC).
            rows: The history.
            columns: The feature columns wanted.
            known: Knowledge mode.
            ttl_us: Time to live.
            profile: To be filled in, if somebody wants to know; it changes no answer.

        Returns:
            As many rows as the spine, in its order: the columns (null unless FOUND), `__status` (int8),
            `__event_us` and `__commit` (int64, of the row that answered; null where MISSING).
        """
        ...

    def aggregate(
        self,
        spine: pa.Table,
        rows: Rows,
        *,
        on: Sequence[str],
        aggregations: Sequence[Aggregation],
        known: Known,
        profile: Profile | None = None,
    ) -> pa.Table:
        """Aggregate events over windows that end at the times of a spine (SEMANTICS section 4).

        Args:
            spine: The columns `on`, in their types, perhaps null; and `__t` (timestamp us, UTC).
            rows: The history of a group of events: one with event times.
            on: Columns of the source that events and the spine's rows have in common, keys or not.
            aggregations: What is wanted, each under a name of its own.
            known: Knowledge mode.
            profile: To be filled in, if somebody wants to know; it changes no answer.

        Returns:
            As many rows as the spine, in its order: a column for each aggregation, by its name (of no events its empty
            value), `__status` (int8): MISSING where a column of `on` is null, and all is null; else FOUND; and
            `__event_us` (int64): the time of the newest event that any of the windows holds, null if there is none.

        Raises:
            DataError: A sum does not fit its type. NotFoundError: A condition uses a column that the source does not
                have. UsageError: It compares it with a value of another type.
        """
        ...

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """Say of each stored row of an entity whether an aggregation counts it, and else why not.

        Args:
            spine: One row: the columns `on`, none of them null; and `__t` (timestamp us, UTC).
            rows: The history of a group of events.
            on: Columns of the source that events and the spine have in common, keys or not.
            aggregation: What is asked about.
            known: Knowledge mode.

        Returns:
            The rows that have these values in `on`, without retirements, ordered by event time, key and commit: the key
            columns; `__value`, of the aggregation's column, null if it has none; `__event_us`; `__commit`;
            `__available_at`; `__reason`, see `Uncounted`; `__by`, the commit of the row that stands for the event at T,
            null if none is visible; and `__of`, a struct of the columns `on` of that row, null with it. The rows
            without a reason are the events that `aggregate` counts.

        Raises:
            NotFoundError, UsageError: See `aggregate`.
        """
        ...

    def scan(  # noqa: PLR0913 - one question
        self,
        rows: Rows,
        *,
        columns: Sequence[str],
        after_us: int | None = None,
        until_us: int | None = None,
        known: Known = "event",
        latest: bool = False,
        clocks: bool = False,
        first: int | None = None,
    ) -> pa.RecordBatchReader:
        """Return stored rows with event times in (after, until], ordered by key and version, without retracted ones.

        Args:
            rows: The history.
            columns: The columns wanted.
            after_us: Exclusive lower bound.
            until_us: Inclusive upper bound.
            known: An integer K keeps rows available at K; otherwise all rows.
            latest: Only the newest row of each key, and none for a retired key; else retirements are left out too.
            clocks: Add `__commit` and `__available_at`.
            first: With `latest`, only so many rows, the first ones. Of the others, as few are read as can be.
        """
        ...

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """Return the newest row of each key, retirements included, ordered by key; retracted rows do not count.

        Args:
            rows: The history.
            keys: Only these keys.

        Returns:
            The key columns, `__event_us` (0 in a static group), `__commit`, `__retired`, and the features.
        """
        ...

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """Compare rows that are to be written with the newest row of their keys, by the rules of `newest`.

        Args:
            rows: The history.
            frame: The keys, each at most once, all features, and `__event` (int64 us, any number in a static group).

        Returns:
            As many rows as the frame, in its order: `__same`, whether the newest row of the key is not later, no
            retirement, and has the same features (null is null, NaN is NaN); `__named_event` (0 in a static group) and
            `__named_commit`, the version of the stored row that has those features; and for each feature, by its name,
            whether it changed. All are null for rows whose key has no row, or a later one, or a retirement.
        """
        ...

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """Return the keys that are alive and have none of some other rows, ordered.

        Args:
            rows: The history.
            present: The other rows, of the same keys: files that are not published, or a journal.
            until_us: Alive at this time: the newest row up to it, by the rules of `newest`, is no retirement. None in
                a static group.

        Returns:
            The key columns.
        """
        ...

    def stamped(
        self,
        rows: Rows,
        *,
        horizon_us: int | None = None,
        keys: pa.Table | None = None,
        without: pa.Table | None = None,
        after_us: int | None = None,
        until_us: int | None = None,
    ) -> pa.RecordBatchReader:
        """Return all stored rows, retracted ones too, each with its commit and arrival, ordered by key and version.

        Args:
            rows: The history.
            horizon_us: Leave out rows that no answer at or after this time can show.
            keys: Only the rows of these keys, none of which is null.
            without: Leave out the rows of these keys, none of which is null.
            after_us: Only rows with later event times; not with a horizon.
            until_us: Only rows with event times that are no later; not with a horizon.
        """
        ...

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """Return what a user's statement makes of tables, which are all that it can see.

        Args:
            statement: One SELECT.
            tables: The tables, by the names that it may use.
            where: What it is for, for messages.

        Raises:
            UsageError: It is something else, or asks for something else. DataError: It takes too long.
        """
        ...

    def close(self) -> None:
        """Release the engine."""
        ...
