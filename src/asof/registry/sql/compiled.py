"""Statements as SQLAlchemy compiled them, for all registries of a process: each engine would compile its own anew.

That takes 1 to 3 ms of each statement, and a store that opens, applies and writes once runs some thirty.
"""

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.util import LRUCache

from asof.registry.sql.tables import metadata

STATEMENTS = 1000
"""So many are kept: several times those that asof has."""

Kind = tuple[Hashable, ...]


def kind_of(dialect: Dialect) -> Kind:
    """Return what two databases share whose statements read the same."""
    told: Any = dialect
    return type(dialect), told.paramstyle, told.server_version_info


class Statements(LRUCache[Any, Any]):
    """A cache for `compiled_cache` of engines; SQLAlchemy's keys name the engine's dialect, ours its kind."""

    def get(self, key: Any, default: Any = None) -> Any:  # noqa: ANN401 - what SQLAlchemy keeps there is its own affair
        """Return what was compiled for any dialect of the kind."""
        return super().get(_shared(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:  # noqa: ANN401 - as above
        """Keep it for all dialects of the kind."""
        super().__setitem__(_shared(key), value)


def _shared(key: tuple[Any, ...]) -> Kind:
    return tuple(kind_of(part) if isinstance(part, Dialect) else part for part in key)


statements = Statements(STATEMENTS)
"""Those of all registries of this process."""

_schemas: dict[Kind, tuple[str, ...]] = {}


def schema(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make all tables and indexes in an empty database, as `metadata.create_all` does."""
    kind = kind_of(dialect)
    if kind not in _schemas:
        made: list[CreateTable | CreateIndex] = []
        for table in metadata.sorted_tables:
            made += [CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: str(index.name)))]
        _schemas[kind] = tuple(str(each.compile(dialect=dialect)) for each in made)
    return _schemas[kind]
