"""Rows in a table of PostgreSQL, through Ibis: what a question can reach is fetched, as a file of this machine."""

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.layout import declared_schema, stored_schema
from asof.arrow.types import TIMESTAMP
from asof.clock import from_us
from asof.definitions import FeatureGroup
from asof.definitions.external import Place
from asof.engine.port import Outside, Reach, Rows
from asof.engine.spill import Spill
from asof.errors import (
    DataError,
    MissingDependencyError,
    NotFoundError,
    PermanentError,
    TransientError,
    UnsupportedError,
)
from asof.external.columns import Wanted
from asof.external.footers import File
from asof.external.parquet import rows_of
from asof.records import ExternalRead

try:
    import ibis
    from ibis.common.exceptions import IbisError, TableNotFound
except ImportError as error:
    raise MissingDependencyError("ibis", extra="external") from error

Table = Any
"""A table expression of Ibis, whose columns only the server knows."""

BATCH_ROWS = 65_536

MOST_KEYS = 500_000
"""So many keys are sent to the server, 5 MB of text perhaps; for more of them all keys are fetched."""

CONNECT_SECONDS = 5


def table_rows(group: FeatureGroup, place: Place, *, root: Path, pin: int | None, now_us: int) -> Rows:
    """Return the rows of a table, none of which is fetched yet; see `asof.external.external_rows`."""
    where = group.external or ""
    if pin is not None:
        raise UnsupportedError(
            "a table of a server cannot be pinned: what it held is not kept",
            where=f"group {group.name}, {where}",
            todo="read without commits=, or load the rows into a group of the store",
        )
    source = _Source(group, place, where, root)
    with source.table():
        pass  # its columns are looked at
    read = ExternalRead(where, f"read at {from_us(now_us).isoformat()}", False, None, now_us)  # noqa: FBT003 - a struct
    return Rows(
        schema=stored_schema(group),
        keys=group.keys,
        event_time=group.event_time,
        delay_us=group.delay_us,
        pin=1,
        layout=tuple(feature.name for feature in group.features),
        outside=Outside(read, available_at=group.available_at, fetch=partial(source.fetched, read)),
    )


class _Source:
    """A table, as a group declares it."""

    def __init__(self, group: FeatureGroup, place: Place, where: str, root: Path) -> None:
        self.group = group
        self.place = place
        self.where = where
        self.root = root

    @contextmanager
    def table(self) -> Generator[tuple[Any, Table]]:
        """Connect, and give the connection and the table, whose columns are those declared."""
        with connected(self.place, self.where) as connection:
            table = connection.table(self.place.table, database=self.place.schema or None)
            wanted = Wanted.of(self.group, utc=self.group.timezone is not None)
            wanted.check(_types(table, {name for name, _ in wanted.types}), self.where)
            yield connection, table

    @contextmanager
    def fetched(self, read: ExternalRead, reach: Reach) -> Generator[Rows]:
        """Fetch what a question can reach into a file, and give it as rows for as long as the block runs."""
        with _folder(self.root) as folder:
            path = folder / "rows.parquet"
            with self.table() as (_, table):
                self._write(path, self._asked(table, reach), reach)
            file = File(str(path), path.stat().st_size, path.stat().st_mtime_ns)
            features = [each for each in self.group.features if each.name in reach.columns]
            narrow = _narrow(self.group, features or self.group.features[:1])
            rows = rows_of(narrow, [file], read, utc=True)
            yield replace(rows, schema=stored_schema(self.group))

    def _names(self, reach: Reach) -> list[str]:
        group = self.group
        clocks = [name for name in (group.event_time, group.available_at) if name is not None]
        features = [each.name for each in group.features if each.name in reach.columns] or [group.features[0].name]
        return [*group.keys, *clocks, *features]

    def _asked(self, table: Table, reach: Reach) -> Table:
        time = self.group.event_time
        zone = None if time is None else table[time].type().timezone or self.group.timezone
        if time is not None and zone == "UTC":  # naive times of another zone are compared here
            column = table[time].cast("timestamp('UTC')")
            bounds: list[Table] = []
            if reach.until_us is not None:
                bounds.append(column <= from_us(reach.until_us))
            if reach.after_us is not None:
                bounds.append(column > from_us(reach.after_us))
            for bound in bounds:
                table = table.filter(bound | column.isnull())  # a null is fetched, to be refused
        table = table.select(self._names(reach))
        if reach.keys is None:
            return table
        keys = reach.keys.group_by(list(self.group.keys)).aggregate([]).drop_null()
        return table if keys.num_rows > MOST_KEYS else table.semi_join(_as_table(table, keys), list(self.group.keys))

    def _write(self, path: Path, asked: Table, reach: Reach) -> None:
        conformed = self._conformed(reach)
        schema = pa.schema(list(conformed(_nothing(asked)).schema))
        with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
            for batch in asked.to_pyarrow_batches(chunk_size=BATCH_ROWS):
                writer.write_table(conformed(pa.Table.from_batches([batch])))

    def _conformed(self, reach: Reach) -> Callable[[pa.Table], pa.Table]:
        """Return what makes rows of the server rows of the group, by the rules of a write."""
        declared, group = declared_schema(self.group), self.group
        names = self._names(reach)

        def conformed(table: pa.Table) -> pa.Table:
            columns: list[pa.ChunkedArray] = []
            for name in names:
                where = f"{self.where}, column {name}"
                kind = TIMESTAMP if name == group.available_at else declared.field(name).type
                column = table.column(name)
                if pa.types.is_timestamp(kind):
                    column = conform_time(column, where, timezone=group.timezone)
                else:
                    column = conform_column(column, kind, where)
                if column.null_count and (name == group.available_at or not declared.field(name).nullable):
                    what = "event time" if name == group.event_time else "value"
                    raise DataError(f"a row has a null {what}", where=where, todo="fill it, or leave such rows out")
                columns.append(column)
            return pa.table(columns, names=names)

        return conformed


@contextmanager
def connected(place: Place, where: str) -> Generator[Any]:
    """Give a connection of Ibis while the block runs; what its server says is told in our words.

    Raises:
        NotFoundError: There is no such table. BackendError: It does not answer, or refuses.
    """
    with _translated(where):
        connection = ibis.connect(place.url, connect_timeout=CONNECT_SECONDS)
        try:
            yield connection
        finally:
            with suppress(Exception):  # a connection that broke cannot be closed
                connection.disconnect()


def types_of(schema: pa.Schema) -> Any:  # noqa: ANN401 - Ibis's own
    """Return the columns of a table with the types of Ibis."""
    return ibis.schema(schema)


def _types(table: Table, names: set[str]) -> dict[str, pa.DataType]:
    """Return the columns of a table with their types, as Arrow types if they have these names."""
    return {name: kind.to_pyarrow() if name in names else pa.null() for name, kind in table.schema().items()}


def _nothing(asked: Table) -> pa.Table:
    return asked.schema().to_pyarrow().empty_table()


def _narrow(group: FeatureGroup, features: Sequence[Any]) -> FeatureGroup:
    """Return the group with some of its features: what was fetched has no others."""
    narrow = object.__new__(FeatureGroup)
    for name in FeatureGroup.__slots__:
        object.__setattr__(narrow, name, tuple(features) if name == "features" else getattr(group, name))
    return narrow


def _as_table(table: Table, keys: pa.Table) -> Table:
    """Return keys as a table of the server: as arrays in the statement's text, since it may not let us make tables."""
    names = keys.column_names
    kinds = {name: table[name].type() for name in names}
    arrays = ", ".join(f"{_array(keys.column(name))}::{_KINDS[_kind(kinds[name])]}[]" for name in names)
    columns = ", ".join(f'"{name}"' for name in names)
    text = f"SELECT {columns} FROM unnest({arrays}) AS __asof_keys({columns})"  # noqa: S608 - quoted, and no names but ours
    connection = table.get_backend()
    return connection.sql(text, schema=ibis.schema(kinds))


_KINDS = {"bool": "boolean", "int": "bigint", "text": "text", "date": "date", "time": "timestamptz", "bytes": "bytea"}


def _kind(kind: Any) -> str:  # noqa: ANN401 - Ibis's own types
    for name, holds in (
        ("bool", kind.is_boolean()),
        ("int", kind.is_integer()),
        ("text", kind.is_string()),
        ("date", kind.is_date()),
        ("time", kind.is_timestamp()),
        ("bytes", kind.is_binary()),
    ):
        if holds:
            return name
    raise UnsupportedError(f"keys of type {kind} are not looked up in tables of a server", todo="cast them in a view")


def _array(column: pa.ChunkedArray) -> str:
    """Return values as the text of an array."""

    def texts() -> Iterator[str]:
        for value in column.to_pylist():
            if isinstance(value, bytes):
                yield f"\\x{value.hex()}"
            elif isinstance(value, str):
                yield value.replace("\0", "")  # no text of the server holds it, so this key finds nothing
            else:
                yield str(value)

    quoted = (f'"{text}"' for text in (each.replace("\\", "\\\\").replace('"', '\\"') for each in texts()))
    return "'{" + ",".join(quoted).replace("'", "''") + "}'"


@contextmanager
def _folder(root: Path) -> Generator[Path]:
    """Make a folder for what is fetched: below the store, or where the system has such if nobody may write there."""
    own = Spill(str(root))
    try:
        if own.folder is not None:
            yield own.folder
        else:
            with tempfile.TemporaryDirectory(prefix="asof-") as folder:
                yield Path(folder)
    finally:
        own.close()


@contextmanager
def _translated(where: str) -> Generator[None]:
    try:
        yield
    except TableNotFound as error:
        raise NotFoundError(f"there is no table {error}", where=where, todo="look at external=") from error
    except IbisError as error:
        reason = " ".join(str(error).split())
        raise PermanentError(f"Ibis cannot read it: {reason}", where=where) from error
    except Exception as error:
        module = type(error).__module__.partition(".")[0]
        if module != "psycopg":
            raise
        reason = " ".join(str(error).split())
        if type(error).__name__ == "OperationalError":
            raise TransientError(f"the server does not answer: {reason}", where=where, todo="try again") from error
        raise PermanentError(f"the server refuses: {reason}", where=where, todo="look at the table's rights") from error
