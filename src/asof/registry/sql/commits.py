"""The commit log in the registry's database."""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from asof.errors import AsofError, ConflictError
from asof.records import Commit, DataFile, Draft, Snapshot, Span, Totals
from asof.registry.port import StaleDefinitionsError
from asof.registry.registered import RegisteredGroup
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.plain import Record
from asof.registry.sql.publication import LAST, Publication, Statements, commit_of, file_row, span_row
from asof.registry.sql.snapshots import Snapshots
from asof.registry.sql.tables import commit_record, data_file, group_version, journal, statistics_span

T = TypeVar("T")

FETCH = 1000
"""Rows that are fetched at once, where they are many."""

SLICE = 500
"""Values in one SQL list, below every database's limit."""

_FILE = insert(data_file)
_SPAN = insert(statistics_span)


class SqlCommitLog:
    """The commit log port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database
        self._statements = Statements(database)
        self._snapshots = Snapshots(database)

    @repeated
    def publish(
        self,
        together: Sequence[Sequence[Draft]],
        *,
        clock: Callable[[], int],
        writer: str = "",
        generation: int | None = None,
    ) -> list[list[Commit] | AsofError]:
        """See `CommitLog.publish`."""
        with self._database.write_plainly() as cursor:
            if generation is not None:
                found = self._statements.generation.first(cursor)
                if int(found.value if found else 0) != generation:
                    raise StaleDefinitionsError("definitions changed meanwhile", todo="try again")
            transaction = Publication(cursor, self._statements, clock(), writer)
            answers = [transaction.publish(drafts) for drafts in together]
            transaction.store()
            return answers

    @repeated
    def commits(self, group: RegisteredGroup, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """See `CommitLog.commits`."""
        query = select(commit_record).where(commit_record.c.group_id == group.id, commit_record.c.number > after)
        query = query.order_by(commit_record.c.number.desc()).limit(limit)
        with self._database.read() as connection:
            return [commit_of(row, group.ref) for row in reversed(connection.execute(query).all())]

    @repeated
    def commits_together(self, after: Sequence[tuple[RegisteredGroup, int]]) -> list[list[Commit]]:
        """See `CommitLog.commits_together`."""
        query = select(commit_record).order_by(commit_record.c.number)
        with self._database.read() as connection:
            return [
                [
                    commit_of(row, group.ref)
                    for row in connection.execute(
                        query.where(commit_record.c.group_id == group.id, commit_record.c.number > number)
                    )
                ]
                for group, number in after
            ]

    @repeated
    def find(self, words: str, *, limit: int | None = None) -> list[Commit]:
        """See `CommitLog.find`."""
        c = commit_record.c
        query = select(commit_record, group_version.c.name, group_version.c.version)
        query = query.join(group_version, group_version.c.id == c.group_id)
        query = query.order_by(c.committed_at_us.desc(), c.group_id.desc(), c.number.desc())
        wanted = words.casefold().split()
        if not wanted:
            query = query.limit(limit)
        with self._database.read() as connection:
            with connection.execute(query.execution_options(yield_per=FETCH)) as rows:
                newest = list(itertools.islice((row for row in rows if _says(row, wanted)), limit))
            return [commit_of(row, f"{row.name}@{row.version}") for row in reversed(newest)]

    @repeated
    def heads(self) -> dict[int, Commit]:
        """See `CommitLog.heads`."""
        last = select(commit_record.c.group_id, func.max(commit_record.c.number)).group_by(commit_record.c.group_id)
        query = (
            select(commit_record, group_version.c.name, group_version.c.version)
            .join(group_version, group_version.c.id == commit_record.c.group_id)
            .where(tuple_(commit_record.c.group_id, commit_record.c.number).in_(last))
        )
        with self._database.read() as connection:
            return {row.group_id: commit_of(row, f"{row.name}@{row.version}") for row in connection.execute(query)}

    @repeated
    def totals(self) -> dict[int, Totals]:
        """See `CommitLog.totals`."""
        c = commit_record.c
        sums = (func.count(), func.sum(c.rows), func.sum(c.quarantined))
        query = select(c.group_id, *sums, func.max(c.max_event_us), func.max(c.committed_at_us)).group_by(c.group_id)
        with self._database.read() as connection:
            found = connection.execute(query).all()
        return {  # sums of integers are decimals in some databases
            group_id: Totals(commits, int(rows), int(quarantined), event_us, committed_us)
            for group_id, commits, rows, quarantined, event_us, committed_us in found
        }

    @repeated
    def snapshot(self, group: RegisteredGroup, *, pin: int | None = None, after: int = 0) -> Snapshot:
        """See `CommitLog.snapshot`."""
        with self._database.read_plainly() as cursor:
            return self._snapshots.of(cursor, group, pin, after)

    @repeated
    def snapshots(self, pins: Sequence[tuple[RegisteredGroup, int | None]]) -> list[Snapshot]:
        """See `CommitLog.snapshots`."""
        with self._database.read_plainly() as cursor:
            return [self._snapshots.of(cursor, group, pin, 0) for group, pin in pins]

    @repeated
    def replace_files(  # noqa: PLR0913 - one step
        self,
        group: RegisteredGroup,
        *,
        removed: Iterable[str],
        added: Sequence[DataFile],
        sealed: Iterable[int] = (),
        now_us: int,
        horizon: tuple[int, int] | None = None,
        read: int | None = None,
        statistics: Sequence[Span] = (),
        changed: Iterable[int] = (),
    ) -> None:
        """See `CommitLog.replace_files`."""
        gone = ConflictError(f"the files of {group.ref} changed meanwhile", todo="run it again")
        with self._database.write() as connection:
            if read is not None and _derived_since(connection, group.id, read):
                raise gone
            if read is not None or horizon is not None:
                mine = update(group_version).where(group_version.c.id == group.id)
                connection.execute(mine.values(drops=group_version.c.drops + 1))
            for part in _slices(removed):
                live = data_file.c.replaced_at_us.is_(None)
                done = connection.execute(
                    update(data_file).where(data_file.c.path.in_(part), live).values(replaced_at_us=now_us)
                )
                if done.rowcount != len(part):
                    raise gone
            for first, last in _runs(sealed):
                done = connection.execute(
                    delete(journal).where(journal.c.group_id == group.id, journal.c.number.between(first, last))
                )
                if done.rowcount != last - first + 1:
                    raise gone
            if added:
                connection.execute(_FILE, [file_row(group.id, file) for file in added])
            _drop_spans(connection, group.id, changed)
            if statistics:
                connection.execute(_SPAN, [span_row(group.id, span) for span in statistics])
            if horizon is not None:
                last = connection.execute(LAST, {"g": group.id}).first()
                if (last.number if last else 0) != horizon[1]:
                    raise gone
                connection.execute(
                    update(group_version)
                    .where(group_version.c.id == group.id)
                    .values(horizon_us=horizon[0], horizon_commit=horizon[1])
                )

    @repeated
    def files(self, *, replaced_before_us: int | None = None) -> dict[str, bool]:
        """See `CommitLog.files`."""
        query = select(data_file.c.path, data_file.c.replaced_at_us)
        if replaced_before_us is not None:
            query = query.where(data_file.c.replaced_at_us < replaced_before_us)
        with self._database.read() as connection:
            return {row.path: row.replaced_at_us is None for row in connection.execute(query)}

    @repeated
    def forget_files(self, paths: Iterable[str]) -> None:
        """See `CommitLog.forget_files`."""
        with self._database.write() as connection:
            for part in _slices(paths):
                connection.execute(
                    delete(data_file).where(data_file.c.path.in_(part), data_file.c.replaced_at_us.is_not(None))
                )

    def close(self) -> None:
        """See `CommitLog.close`."""
        self._database.close()


def _derived_since(connection: Connection, group_id: int, commit: int) -> bool:
    """Return whether commits were made since then from rows that were read: confirmations, and absent keys."""
    c = commit_record.c
    since = select(c.number).where(c.group_id == group_id, c.number > commit, c.changes != "{}")
    return connection.execute(since.limit(1)).first() is not None


def _drop_spans(connection: Connection, group_id: int, commits: Iterable[int]) -> None:
    """Drop the statistics of the spans that some commits are in."""
    c = statistics_span.c
    for first, last in _runs(commits):
        connection.execute(
            delete(statistics_span).where(c.group_id == group_id, c.first_commit <= last, c.last_commit >= first)
        )


def _says(row: Record, words: Sequence[str]) -> bool:
    """Return whether a commit holds casefolded words. Not in SQL: SQLite folds ASCII only, and meta is escaped JSON."""
    said = [row.kind, row.reason, row.idempotency_key or "", row.writer]
    if row.meta != "{}":
        said += itertools.chain.from_iterable(json.loads(row.meta).items())
    text = " ".join(said).casefold()
    return all(word in text for word in words)


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of consecutive numbers: those of thousands of pushes are few."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs


def _slices(values: Iterable[T]) -> Iterable[list[T]]:
    every = list(values)
    return (every[i : i + SLICE] for i in range(0, len(every), SLICE))
