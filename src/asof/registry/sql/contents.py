"""All that a registry holds, from one database into another."""

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from asof.errors import UsageError
from asof.registry.sql.database import Database, repeated
from asof.registry.sql.generation import begin_after, generation_of
from asof.registry.sql.tables import data_file, metadata, store_fact

IDENTITY = "identity"

ROWS = 1_000
"""So many are held at a time."""

TABLES = [table for table in metadata.sorted_tables if table is not store_fact]
"""All but that of facts, which are of one database: who it is, its locks, and its generation, which goes on."""

NUMBERED = [table for table in TABLES if any(column.autoincrement is True for column in table.primary_key)]
"""Tables that give their rows numbers."""


class SqlContents:
    """The port of contents over a relational database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    def save(self, file: Path) -> None:
        """See `Contents.save`."""
        if file.exists():
            raise UsageError(f"{str(file)!r} is there already", todo="choose another name")
        saved = Database(_url(file))
        try:
            with self._database.read() as source, saved.write() as target:
                for table in TABLES:
                    query = select(table)
                    if table is data_file:
                        query = query.where(data_file.c.replaced_at_us.is_(None))
                    _fill(target, table, _rows(source, query))
                begin_after(target, generation_of(source))
        finally:
            saved.close()

    def load(self, file: Path, *, paths: Mapping[str, str], check: Callable[[], None] = lambda: None) -> None:
        """See `Contents.load`."""
        if not file.is_file():
            raise UsageError(f"there is no {str(file)!r}")
        saved = Database(_url(file))
        try:
            with saved.read() as source:
                self._database.count_on({table: source.scalar(select(func.max(table.c.id))) or 0 for table in NUMBERED})
                with self._database.write() as target:
                    check()
                    for table in reversed(TABLES):
                        target.execute(delete(table))
                    for table in TABLES:
                        found = _rows(source, select(table))
                        if table is data_file:
                            found = ([{**row, "path": paths[row["path"]]} for row in rows] for rows in found)
                        _fill(target, table, found)
                    begin_after(target, max(generation_of(source), generation_of(target)))
        finally:
            saved.close()

    @repeated
    def identity(self) -> str:
        """See `Contents.identity`: made when it is asked for first."""
        query = select(store_fact.c.value).where(store_fact.c.name == IDENTITY)
        with self._database.write() as connection:
            found = connection.scalar(query)
            if found is None:
                found = uuid.uuid4().hex
                connection.execute(insert(store_fact).values(name=IDENTITY, value=found))
        return str(found)

    @repeated
    def is_empty(self) -> bool:
        """See `Contents.is_empty`."""
        with self._database.read() as connection:
            return all(connection.execute(select(table).limit(1)).first() is None for table in TABLES)


def _url(file: Path) -> str:
    return f"sqlite:///{file.absolute()}"


def _rows(connection: Connection, query: Any) -> Iterator[list[dict[str, Any]]]:  # noqa: ANN401 - of any table
    found = connection.execution_options(stream_results=True).execute(query)
    for rows in found.mappings().partitions(ROWS):
        yield [dict(row) for row in rows]


def _fill(connection: Connection, table: Table, parts: Iterator[Sequence[dict[str, Any]]]) -> None:
    for rows in parts:
        connection.execute(insert(table), rows)
