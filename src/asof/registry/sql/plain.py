"""Statements that a push runs, compiled once and run by the driver itself: SQLAlchemy takes 25 us for each, it 1."""

from collections import namedtuple
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Select
from sqlalchemy.sql import ClauseElement

from asof.registry.sql.compiled import Kind, kind_of

ROWS = 256
"""Rows of one INSERT; SQLite takes 32,766 values."""

Cursor = Any
"""A cursor of the database's driver."""

Record = Any
"""A row with its columns as attributes."""


class Compiled(NamedTuple):
    """A statement for one kind of database.

    Attributes:
        text: In the driver's words.
        names: Of its values, in their order; None if the driver takes them by name.
        defaults: Values that the statement has itself.
        record: Makes a row.
        head: Of an INSERT, up to the values of its first row; "" if rows are given one by one.
    """

    text: str
    names: Sequence[str] | None
    defaults: Mapping[str, object]
    record: Any
    head: str

    def given(self, values: Mapping[str, object]) -> Any:  # noqa: ANN401 - a tuple or a dict, as the driver wants it
        """Return values as the driver wants them."""
        every = {**self.defaults, **values}
        return every if self.names is None else tuple([every[name] for name in self.names])


class Plain:
    """A statement, compiled when it is first run. Its values must be plain: no type of SQLAlchemy converts them."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        """Keep it."""
        self._statement = statement
        self._dialect = dialect

    def first(self, cursor: Cursor, **values: object) -> Record | None:
        """Return the first row of a SELECT."""
        compiled = self._compiled
        cursor.execute(compiled.text, compiled.given(values))
        found = cursor.fetchone()
        return None if found is None else compiled.record(found)

    def all(self, cursor: Cursor, **values: object) -> list[Record]:
        """Return the rows of a SELECT."""
        compiled = self._compiled
        cursor.execute(compiled.text, compiled.given(values))
        return list(map(compiled.record, cursor.fetchall()))

    def run(self, cursor: Cursor, **values: object) -> None:
        """Run a statement that gives no rows."""
        compiled = self._compiled
        cursor.execute(compiled.text, compiled.given(values))

    def insert(self, cursor: Cursor, rows: Sequence[Mapping[str, object]]) -> None:
        """Insert rows, in one step where the database is in this process: each step gives up Python's lock."""
        compiled = self._compiled
        if not compiled.head or compiled.names is None:
            cursor.executemany(compiled.text, [compiled.given(row) for row in rows])
            return
        names = compiled.names
        places = f"({', '.join('?' * len(names))})"
        values = itemgetter(*names)
        for start in range(0, len(rows), ROWS):
            part = rows[start : start + ROWS]
            text = compiled.head + ", ".join([places] * len(part))
            cursor.execute(text, tuple(chain.from_iterable(map(values, part))))

    @cached_property
    def _compiled(self) -> Compiled:
        kind = kind_of(self._dialect), self._statement
        if kind not in _known:
            _known[kind] = _compiled(self._statement, self._dialect)
        return _known[kind]


_known: dict[tuple[Kind, ClauseElement], Compiled] = {}


def _compiled(statement: ClauseElement, dialect: Any) -> Compiled:  # noqa: ANN401 - not all that it has is in its type
    compiled: Any = statement.compile(dialect=dialect)
    text = str(compiled)
    selected: Any = statement.selected_columns if isinstance(statement, Select) else ()
    columns = [column.name for column in selected]
    return Compiled(
        text,
        compiled.positiontup if compiled.positional else None,
        {name: value for name, value in compiled.params.items() if value is not None},
        namedtuple("Record", columns)._make,  # noqa: PYI024 # pyright: ignore[reportUntypedNamedTuple] - they are the statement's
        text.partition("VALUES ")[0] + "VALUES " if dialect.paramstyle == "qmark" else "",
    )
