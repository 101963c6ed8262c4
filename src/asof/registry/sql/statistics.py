"""Statistics of spans of commits, in the registry's database; `publication` and `commits` write them, too."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, exists, insert, select

from asof.errors import ConflictError
from asof.records import Span
from asof.registry.registered import RegisteredGroup
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.publication import span_row
from asof.registry.sql.tables import commit_record, group_version, journal, statistics_span

_C = statistics_span.c
_FACTS = [column for column in _C if column.name != "body"]


class SqlStatistics:
    """The statistics port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def spans(
        self, group: RegisteredGroup, *, after: int = 0, through: int | None = None, bodies: bool = True
    ) -> list[Span]:
        """See `Statistics.spans`."""
        query = select(statistics_span) if bodies else select(*_FACTS)
        query = query.where(_C.group_id == group.id, _C.last_commit > after).order_by(_C.first_commit)
        if through is not None:
            query = query.where(_C.first_commit <= through)
        with self._database.read() as connection:
            return [_span(row, bodies=bodies) for row in connection.execute(query)]

    @repeated
    def missing(
        self, group: RegisteredGroup, *, after: int = 0, through: int | None = None
    ) -> list[tuple[int, int, int]]:
        """See `Statistics.missing`."""
        c = commit_record.c
        held = and_(_C.group_id == c.group_id, _C.first_commit <= c.number, _C.last_commit >= c.number)
        waits = and_(journal.c.group_id == c.group_id, journal.c.number == c.number)
        query = (
            select(c.number, c.committed_at_us, c.rows)
            .where(c.group_id == group.id, c.number > after, c.rows > 0, ~exists().where(held), ~exists().where(waits))
            .order_by(c.number)
        )
        if through is not None:
            query = query.where(c.number <= through)
        with self._database.read() as connection:
            return [(row.number, row.committed_at_us, row.rows) for row in connection.execute(query)]

    @repeated
    def replace(self, group: RegisteredGroup, *, removed: Sequence[Span], added: Sequence[Span], drops: int) -> None:
        """See `Statistics.replace`."""
        gone = ConflictError(f"the statistics of {group.ref} changed meanwhile", todo="run it again")
        with self._database.write() as connection:
            now = connection.execute(select(group_version.c.drops).where(group_version.c.id == group.id)).scalar()
            if now != drops:
                raise gone
            for span in removed:
                mine = (_C.group_id == group.id, _C.first_commit == span.first, _C.last_commit == span.last)
                if connection.execute(delete(statistics_span).where(*mine)).rowcount != 1:
                    raise gone
            for span in added:
                taken = (_C.group_id == group.id, _C.first_commit <= span.last, _C.last_commit >= span.first)
                if connection.execute(select(_C.first_commit).where(*taken).limit(1)).first() is not None:
                    raise gone
                connection.execute(insert(statistics_span), [span_row(group.id, span)])


def _span(row: Any, *, bodies: bool) -> Span:  # noqa: ANN401 - a row of SQLAlchemy
    return Span(
        row.first_commit,
        row.last_commit,
        row.first_committed_us,
        row.last_committed_us,
        row.commits,
        bytes(row.body) if bodies else b"",
    )
