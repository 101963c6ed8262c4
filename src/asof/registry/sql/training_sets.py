"""Training sets in the registry's database."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, select, update

from asof.errors import ConflictError, NotFoundError
from asof.records import Deed
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.deeds import record
from asof.registry.sql.models import refuse_if_fitted_on
from asof.registry.sql.tables import group_version, training_set, view_version
from asof.registry.training_sets import KeptSet

_C = training_set.c

Record = Any
"""A row of SQLAlchemy, see `definitions`."""


class SqlTrainingSets:
    """The port of training sets over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def begin(self, name: str, *, writer: str, now_us: int) -> int:
        """See `TrainingSets.begin`."""
        with self._database.write() as connection:
            last = connection.execute(select(func.max(_C.version)).where(_C.name == name)).scalar()
            version = int(last or 0) + 1
            row = {"name": name, "version": version, "created_at_us": now_us, "writer": writer, "digest": ""}
            empty = {"view": "", "group_ref": "", "reads": "[]", "manifest": "{}"}
            connection.execute(insert(training_set).values(**row, **empty))
            return version

    def finish(self, kept: KeptSet) -> None:
        """See `TrainingSets.finish`."""
        with self._database.write() as connection:
            known = _refs(connection)
            lost = [ref for ref in (kept.view, kept.group, *kept.reads) if ref not in known]
            if lost:
                what = f"{', '.join(lost)} was removed while {kept.ref} was being made"
                raise ConflictError(what, where=f"training set {kept.name}", todo="make it again")
            values = {
                "view": kept.view,
                "group_ref": kept.group,
                "reads": json.dumps(kept.reads),
                "digest": kept.digest,
                "created_at_us": kept.created_at_us,
                "writer": kept.writer,
                "manifest": kept.manifest,
                "statistics": kept.statistics,
            }
            mine = update(training_set).where(*_of(kept.name, kept.version), _C.digest == "")
            if not connection.execute(mine.values(**values)).rowcount:
                what = f"{kept.ref} was removed while it was being made"
                raise ConflictError(what, where=f"training set {kept.name}", todo="make it again")
            note = f"of {kept.view}, in {kept.group}"
            record(connection, Deed(kept.created_at_us, kept.writer, "training set", kept.ref, note=note))

    def abandon(self, name: str, version: int) -> None:
        """See `TrainingSets.abandon`."""
        with self._database.write() as connection:
            connection.execute(delete(training_set).where(*_of(name, version), _C.digest == ""))

    @repeated
    def unfinished(self, *, before_us: int) -> list[tuple[str, int]]:
        """See `TrainingSets.unfinished`."""
        query = select(_C.name, _C.version).where(_C.digest == "", _C.created_at_us < before_us)
        with self._database.read() as connection:
            return [(row.name, row.version) for row in connection.execute(query.order_by(_C.name, _C.version))]

    @repeated
    def get(self, name: str) -> KeptSet:
        """See `TrainingSets.get`."""
        with self._database.read() as connection:
            return _kept(_found(connection, name)[-1])

    @repeated
    def all(self) -> list[KeptSet]:
        """See `TrainingSets.all`."""
        with self._database.read() as connection:
            return [_kept(row) for row in connection.execute(_finished()).all()]

    def amend(self, kept: KeptSet) -> None:
        """See `TrainingSets.amend`."""
        with self._database.write() as connection:
            mine = update(training_set).where(*_of(kept.name, kept.version), _C.digest == kept.digest)
            connection.execute(mine.values(manifest=kept.manifest, statistics=kept.statistics))

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[KeptSet]:
        """See `TrainingSets.remove`."""
        with self._database.write() as connection:
            gone = [_kept(row) for row in _found(connection, name)]
            refuse_if_fitted_on(connection, [kept.ref for kept in gone])
            for kept in gone:
                connection.execute(delete(training_set).where(*_of(kept.name, kept.version)))
            record(connection, *(Deed(now_us, writer, "remove", kept.ref, note="training set") for kept in gone))
            return gone


def refuse_if_trained_on(connection: Connection, refs: Sequence[str]) -> None:
    """Refuse to remove views and groups that a training set was made with, and the group of its rows.

    Raises:
        ConflictError: One was.
    """
    every = [_kept(row) for row in connection.execute(_finished()).all()]
    own = [kept for kept in every if kept.group in refs]
    made = [kept for kept in every if {kept.view, *kept.reads} & set(refs)]
    if not own and not made:
        return
    used = [f"{', '.join(sorted({kept.view, *kept.reads} & set(refs)))} by {kept.ref}" for kept in made]
    what = f"training sets were made: of {'; of '.join(used)}"
    if own:
        what = f"{own[0].group} keeps the rows of the training set {own[0].ref}"
    first = (own or made)[0]
    raise ConflictError(
        what,
        todo=f"remove the training set first: asof training-set rm {first.ref}",
        data={"dependants": [kept.ref for kept in own or made]},
    )


def _of(name: str, version: int) -> tuple[Any, Any]:
    return _C.name == name, _C.version == version


def _finished() -> Select[Any]:
    return select(training_set).where(_C.digest != "").order_by(_C.name, _C.version)


def _found(connection: Connection, name: str) -> list[Record]:
    """Return the finished versions of a name, or the one of "name@2".

    Raises:
        NotFoundError: There is none.
    """
    base, at, version = name.partition("@")
    rows = connection.execute(_finished().where(_C.name == base)).all()
    found = [row for row in rows if not at or str(row.version) == version]
    if not found:
        known = {f"{row.name}@{row.version}" for row in rows} or {
            row.name for row in connection.execute(_finished()).all()
        }
        raise NotFoundError.named("training set", name, known)
    return found


def _kept(row: Record) -> KeptSet:
    reads = tuple(json.loads(row.reads))
    facts = (row.digest, row.created_at_us, row.writer, row.manifest, row.statistics)
    return KeptSet(row.name, row.version, row.view, row.group_ref, reads, *facts)


def _refs(connection: Connection) -> set[str]:
    """Return the names of all versions of views and groups."""
    tables = (group_version, view_version)
    rows = [row for table in tables for row in connection.execute(select(table.c.name, table.c.version))]
    return {f"{row.name}@{row.version}" for row in rows}
