"""The history of a group as it is read: plain statements, since every question asks for one."""

import json
from typing import TypedDict

from sqlalchemy import BindParameter, bindparam, func, select

from asof.errors import ConflictError, NotFoundError
from asof.records import DataFile, Snapshot, Stamp
from asof.registry.registered import RegisteredGroup
from asof.registry.sql.database import Database
from asof.registry.sql.plain import Cursor, Record
from asof.registry.sql.tables import commit_record, data_file, group_version, journal

NEWEST = 2**63 - 1
"""No commit has a greater number."""

_THROUGH: BindParameter[int] = bindparam("through")
_GROUP_ID: BindParameter[int] = bindparam("g")
_HEAD = (
    select(commit_record.c.number, commit_record.c.committed_at_us)
    .where(commit_record.c.group_id == _GROUP_ID, commit_record.c.number <= _THROUGH)
    .order_by(commit_record.c.number.desc())
    .limit(1)
)
_HORIZON = select(
    group_version.c.horizon_us, group_version.c.horizon_commit, group_version.c.drops, group_version.c.cold
).where(group_version.c.id == _GROUP_ID)
_LIVE = (
    data_file.c.group_id == _GROUP_ID,
    data_file.c.replaced_at_us.is_(None),
    data_file.c.first_commit <= _THROUGH,
    data_file.c.last_commit > bindparam("after"),
)
_FIRST_OF_FAMILY = select(func.min(data_file.c.first_commit).label("first")).where(
    *_LIVE, data_file.c.family.is_not(None)
)
_FILES = (
    select(data_file, commit_record.c.committed_at_us, commit_record.c.availability)
    .outerjoin(  # every file has its commit; but SQLite would join the files to each commit, in square time
        commit_record,
        (commit_record.c.group_id == data_file.c.group_id) & (commit_record.c.number == data_file.c.first_commit),
    )
    .where(*_LIVE)
    .order_by(data_file.c.first_commit, data_file.c.path)
)
_JOURNAL = (
    select(journal.c.number, journal.c.payload, commit_record.c.committed_at_us, commit_record.c.availability)
    .outerjoin(
        commit_record,
        (commit_record.c.group_id == journal.c.group_id) & (commit_record.c.number == journal.c.number),
    )
    .where(journal.c.group_id == _GROUP_ID, journal.c.number <= _THROUGH, journal.c.number > bindparam("after"))
    .order_by(journal.c.number)
)
_TARGET = commit_record.alias("target")
_RETRACTS = (
    select(_TARGET.c.number, _TARGET.c.kind, commit_record.c.committed_at_us)
    .join(_TARGET, (_TARGET.c.group_id == commit_record.c.group_id) & (_TARGET.c.number == commit_record.c.target))
    .where(commit_record.c.group_id == _GROUP_ID, commit_record.c.number <= _THROUGH)
    .where(commit_record.c.target.is_not(None))
)


class _Span(TypedDict):
    """Which commits of a group, as statements take it: after one, through another."""

    g: int
    through: int
    after: int


class Snapshots:
    """What reads snapshots."""

    def __init__(self, database: Database) -> None:
        """Take the statements for this database."""
        self._head = database.plain(_HEAD)
        self._horizon = database.plain(_HORIZON)
        self._first_of_family = database.plain(_FIRST_OF_FAMILY)
        self._files = database.plain(_FILES)
        self._journal = database.plain(_JOURNAL)
        self._retracts = database.plain(_RETRACTS)

    def of(self, cursor: Cursor, group: RegisteredGroup, pin: int | None, after: int) -> Snapshot:
        """Return the history of a group; see `CommitLog.snapshot`."""
        last = self._head.first(cursor, g=group.id, through=NEWEST if pin is None else pin)
        horizon = self._horizon.first(cursor, g=group.id)
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
        span = _Span(g=group.id, through=last.number, after=after)
        if after and cold:
            span["after"] = self._common(cursor, span)
        files = self._files.all(cursor, **span)
        pushed = self._journal.all(cursor, **span)
        retracts = self._retracts.all(cursor, g=group.id, through=last.number)
        partial = span["after"] and any(each.confirms for each in files)
        return Snapshot(
            pin=last.number,
            committed_at_us=last.committed_at_us,
            files=tuple((_file_of(each), None if each.stamped else _stamp(each.first_commit, each)) for each in files),
            journal=tuple((_stamp(each.number, each), each.payload) for each in pushed),
            retracted={each.number: None if each.kind == "backfill" else each.committed_at_us for each in retracts},
            horizon_us=horizon_us,
            drops=drops,
            sources=self.of(cursor, group, last.number, 0) if partial else None,
            cold=cold,
        )

    def _common(self, cursor: Cursor, span: _Span) -> int:
        """Return up to which commit files may be left out so that both families have the same rows.

        The files of one may be merged otherwise than those of the other: none that stays may have rows of a commit of
        which another one was left out.
        """
        after = span["after"]
        while (first := self._first(cursor, {**span, "after": after})) <= after:
            if not first:  # all of them are left out
                return after
            after = first - 1
        return after

    def _first(self, cursor: Cursor, span: _Span) -> int:
        found = self._first_of_family.first(cursor, **span)
        return (found.first if found else None) or 0


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
        confirms=bool(row.confirms),  # SQLite and MySQL have numbers
        family=row.family,
        stamped=bool(row.stamped),
        late=bool(row.late),
        first_commit=row.first_commit,
        last_commit=row.last_commit,
    )
