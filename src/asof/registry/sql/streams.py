"""Positions in streams and letters, in the registry's database; `publication` writes them."""

from sqlalchemy import func, or_, select, update

from asof.records import Letter
from asof.registry.registered import RegisteredGroup
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.tables import letter, stream_position


class SqlStreams:
    """The streams port over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    @repeated
    def positions(self, group: RegisteredGroup, stream: str | None = None) -> dict[tuple[str, str], str]:
        """See `Streams.positions`."""
        query = select(stream_position).where(stream_position.c.group_id == group.id)
        if stream is not None:
            query = query.where(stream_position.c.stream == stream)
        with self._database.read() as connection:
            return {(row.stream, row.partition_name): row.reached for row in connection.execute(query)}

    @repeated
    def letters(self, group: RegisteredGroup, *, limit: int | None = None) -> list[Letter]:
        """See `Streams.letters`."""
        query = select(letter).where(letter.c.group_id == group.id).order_by(letter.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [
                Letter(
                    row.stream,
                    row.partition_name,
                    row.place,
                    row.reason,
                    row=row.in_message,
                    body=bytes(row.body),
                    commit=row.number,
                    at_us=row.at_us,
                )
                for row in reversed(connection.execute(query).all())
            ]

    @repeated
    def count_letters(self, group: RegisteredGroup) -> int:
        """See `Streams.count_letters`."""
        with self._database.read() as connection:
            return connection.execute(select(func.count()).select_from(letter).where(*_telling(group))).scalar_one()

    @repeated
    def blank_letters(self, group: RegisteredGroup) -> int:
        """See `Streams.blank_letters`."""
        with self._database.write() as connection:
            return connection.execute(update(letter).where(*_telling(group)).values(body=b"", reason="")).rowcount


def _telling(group: RegisteredGroup):  # noqa: ANN202
    return letter.c.group_id == group.id, or_(letter.c.body != b"", letter.c.reason != "")
