"""The commit log in the registry's database."""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, tuple_, update

from asof.errors import AsofError, ConflictError, NotFoundError
from asof.records import Commit, DataFile, Draft, Snapshot, Span, Stamp, Totals
from asof.registry.port import RegisteredGroup, StaleDefinitionsError
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.plain import Record
from asof.registry.sql.publication import LAST, Publication, Statements, commit_of, file_row, span_row
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
        with self._database.read() as connection:
            return _snapshot(connection, group, pin, after)

    @repeated
    def snapshots(self, pins: Sequence[tuple[RegisteredGroup, int | None]]) -> list[Snapshot]:
        """See `CommitLog.snapshots`."""
        with self._database.read() as connection:
            return [_snapshot(connection, group, pin, 0) for group, pin in pins]

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


def _snapshot(connection: Connection, group: RegisteredGroup, pin: int | None, after: int) -> Snapshot:
    records = select(commit_record).where(commit_record.c.group_id == group.id)
    if pin is not None:
        records = records.where(commit_record.c.number <= pin)
    last = connection.execute(records.order_by(commit_record.c.number.desc()).limit(1)).first()
    horizon = connection.execute(
        select(
            group_version.c.horizon_us, group_version.c.horizon_commit, group_version.c.drops, group_version.c.cold
        ).where(group_version.c.id == group.id)
    ).first()
    horizon_us = horizon.horizon_us if horizon else None
    drops = horizon.drops if horizon else 0
    cold: tuple[str, ...] = tuple(json.loads(horizon.cold)) if horizon else ()
    if horizon is not None and pin is not None and pin < (horizon.horizon_commit or 0):
        raise ConflictError(
            f"retention dropped rows that commit {group.ref}:{pin} could see",
            todo=f"pin {group.ref}:{horizon.horizon_commit} or later",
        )
    if pin is not None and pin > (last.number if last else 0):
        raise NotFoundError(
            f"there is no commit {group.ref}:{pin} yet", todo=f"the last one is {last.number if last else 0}"
        )
    if last is None:
        return Snapshot(0, 0, horizon_us=horizon_us, drops=drops, cold=cold)
    through = last.number
    mine = (
        data_file.c.group_id == group.id,
        data_file.c.replaced_at_us.is_(None),
        data_file.c.first_commit <= through,
    )
    after = _common(connection, mine, after) if after and cold else after
    mine = (*mine, data_file.c.last_commit > after)
    files = connection.execute(
        select(data_file, commit_record.c.committed_at_us, commit_record.c.availability)
        .outerjoin(  # every file has its commit; but SQLite would join the files to each commit, in square time
            commit_record,
            (commit_record.c.group_id == data_file.c.group_id) & (commit_record.c.number == data_file.c.first_commit),
        )
        .where(*mine)
        .order_by(data_file.c.first_commit, data_file.c.path)
    ).all()
    rows = connection.execute(
        select(journal.c.number, journal.c.payload, commit_record.c.committed_at_us, commit_record.c.availability)
        .outerjoin(
            commit_record,
            (commit_record.c.group_id == journal.c.group_id) & (commit_record.c.number == journal.c.number),
        )
        .where(journal.c.group_id == group.id, journal.c.number <= through, journal.c.number > after)
        .order_by(journal.c.number)
    ).yield_per(FETCH)
    pushed = tuple([(Stamp(number, time_us, kind), payload) for number, payload, time_us, kind in rows])
    target = commit_record.alias("target")
    retracts = connection.execute(
        select(target.c.number, target.c.kind, commit_record.c.committed_at_us)
        .join(
            target,
            (target.c.group_id == commit_record.c.group_id) & (target.c.number == commit_record.c.target),
        )
        .where(commit_record.c.group_id == group.id, commit_record.c.number <= through)
        .where(commit_record.c.target.is_not(None))
    ).all()
    return Snapshot(
        pin=through,
        committed_at_us=last.committed_at_us,
        files=tuple((_file_of(r), None if r.stamped else _stamp(r.first_commit, r)) for r in files),
        journal=pushed,
        retracted={r.number: None if r.kind == "backfill" else r.committed_at_us for r in retracts},
        horizon_us=horizon_us,
        drops=drops,
        sources=_snapshot(connection, group, through, 0) if after and any(r.confirms for r in files) else None,
        cold=cold,
    )


def _common(connection: Connection, mine: Sequence[ColumnElement[bool]], after: int) -> int:
    """Return up to which commit files may be left out so that both families have the same rows.

    The files of one may be merged otherwise than those of the other: none that stays may have rows of a commit of which
    another one was left out.
    """
    of_family = select(func.min(data_file.c.first_commit)).where(*mine, data_file.c.family.is_not(None))
    while (first := connection.execute(of_family.where(data_file.c.last_commit > after)).scalar() or 0) <= after:
        if not first:  # all of them are left out
            return after
        after = first - 1
    return after


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


def _stamp(number: int, row: Record) -> Stamp:
    return Stamp(number, row.committed_at_us, row.availability)


def _file_of(row: Record) -> DataFile:
    return DataFile(
        path=row.path,
        rows=row.rows,
        size_bytes=row.size_bytes,
        min_event_us=row.min_event_us,
        max_event_us=row.max_event_us,
        width=row.width,
        confirms=row.confirms,
        family=row.family,
        stamped=row.stamped,
        late=row.late,
        first_commit=row.first_commit,
        last_commit=row.last_commit,
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
