"""Statements that a push runs, compiled once and run by the driver itself: SQLAlchemy takes 25 us for each, it 1."""

from collections import namedtuple
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Select
from sqlalchemy.sql import ClauseElement

ROWS = 256
"""Rows of one INSERT; SQLite takes 32,766 values."""

Cursor = Any
"""A cursor of the database's driver."""

Record = Any
"""A row with its columns as attributes."""


class Plain:
    """A statement for one kind of database. Its values must be plain: no type of SQLAlchemy converts them."""

    __slots__ = ("_defaults", "_head", "_names", "_record", "_text")

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        """Compile."""
        compiled: Any = statement.compile(dialect=dialect)
        self._text = str(compiled)
        self._names: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._defaults = {name: value for name, value in compiled.params.items() if value is not None}
        selected: Any = statement.selected_columns if isinstance(statement, Select) else ()
        columns = [column.name for column in selected]
        self._record: Any = namedtuple("Record", columns)._make  # noqa: PYI024 # pyright: ignore[reportUntypedNamedTuple] - they are the statement's
        self._head = self._text.partition("VALUES ")[0] + "VALUES " if dialect.paramstyle == "qmark" else ""

    def first(self, cursor: Cursor, **values: object) -> Record | None:
        """Return the first row of a SELECT."""
        cursor.execute(self._text, self._given(values))
        found = cursor.fetchone()
        return None if found is None else self._record(found)

    def insert(self, cursor: Cursor, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows, in one step where the database is in this process: each step gives up Python's lock."""
        if not self._head or self._names is None:
            cursor.executemany(self._text, [self._given(row) for row in rows])
            return
        names = self._names
        places = f"({', '.join('?' * len(names))})"
        values = itemgetter(*names)
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            text = self._head + ", ".join([places] * len(part))
            cursor.execute(text, tuple(chain.from_iterable(map(values, part))))

    def _given(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - a tuple or a dict, as the driver wants it
        every = {**self._defaults, **values}
        return every if self._names is None else tuple([every[name] for name in self._names])
