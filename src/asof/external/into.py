"""Write rows into a table of PostgreSQL, all or none: in one transaction, through Ibis's connection."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import pyarrow as pa

from asof.definitions.external import TABLES, Place, server_place
from asof.errors import ConflictError, DataError, NotFoundError, UnsupportedError, UsageError
from asof.external.sql import connected, types_of

IfExists = Literal["append", "replace", "fail"]
"""What becomes of rows that a table has: they stay, they go, or nothing is written."""

BATCH_ROWS = 65_536

Types = Any
"""A schema of Ibis."""


def table_place(url: str, table: str, *, what: str = "--sql") -> Place:
    """Return the place of a table that rows go to.

    Args:
        url: "postgresql://USER@HOST:PORT/DATABASE", with `?schema=NAME` for another schema than the first.
        table: Name of the table.
        what: What said it, for messages.

    Raises:
        UsageError: It is no URL, or holds a password. UnsupportedError: It is of another database.
    """
    kind = url.partition(":")[0]
    if kind not in TABLES:
        todo = "pass postgresql://USER@HOST:PORT/DATABASE, or write a Parquet file and load that"
        raise UnsupportedError(f"{what} {kind!r} is no database that rows are written to", todo=todo)
    return server_place(url, what=what, table=table)


@contextmanager
def table_writer(place: Place, schema: pa.Schema, if_exists: IfExists) -> Generator[Callable[[pa.Table], None]]:
    """Give what writes rows into a table; they are there when the block has ended without an error, and not before.

    A table that is not there is made. Until then readers see the rows of before; its indexes and rights stay.

    Args:
        place: The table.
        schema: The columns.
        if_exists: What becomes of its rows; "fail" refuses a table that is there.

    Raises:
        ConflictError: The table is there, and should not be; or it has other columns.
        UnsupportedError: A column's type is none of the database. BackendError: It does not answer, or refuses.
    """
    if if_exists not in get_args(IfExists):
        todo = f"pass one of {', '.join(get_args(IfExists))}"
        raise UsageError(f"if_exists={if_exists!r} is nothing to do with a table", todo=todo)
    where = shown(place)
    _check_types(schema, where)
    wanted = types_of(schema)
    with connected(place, where) as connection:
        known = _known(connection, place)
        if known is not None:
            _check_known(known, wanted, if_exists, where)
        name = ".".join(map(_quoted, filter(None, (place.schema, place.table))))
        columns = ", ".join(map(_quoted, schema.names))
        with connection.begin() as cursor:
            if known is None:
                parts = ", ".join(each.sql("postgres") for each in wanted.to_sqlglot_column_defs("postgres"))
                cursor.execute(f"CREATE TABLE {name} ({parts})")
            elif if_exists == "replace":
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608 - a quoted name
            with cursor.copy(f"COPY {name} ({columns}) FROM STDIN") as copy:

                def write(table: pa.Table) -> None:
                    for row in _rows(table, schema):
                        copy.write_row(row)

                yield write


def shown(place: Place) -> str:
    """Return a place as people read it, without its user."""
    parts = urlsplit(place.url)
    table = ".".join(filter(None, (place.schema, place.table)))
    return f"table {table} of postgresql://{parts.hostname or ''}{parts.path}"


def _known(connection: Any, place: Place) -> Types | None:  # noqa: ANN401 - of Ibis
    """Return the columns of a table, None if there is none."""
    if place.table not in connection.list_tables(database=place.schema or None):
        return None
    return connection.table(place.table, database=place.schema or None).schema()


def _check_known(known: Types, wanted: Types, if_exists: IfExists, where: str) -> None:
    """Refuse a table that the rows do not go into.

    Raises:
        ConflictError: With what differs.
    """
    if if_exists == "fail":
        raise ConflictError("the table is there already", where=where, todo="pass append or replace, or another table")
    there: Mapping[str, Any] = dict(known.items())
    told = [f"it has no column {name} ({kind})" for name, kind in wanted.items() if name not in there]
    told += [f"its column {name} is not among the rows'" for name in there if name not in wanted]
    told += [
        f"its column {name} is {there[name]}, not {kind}"
        for name, kind in wanted.items()
        if name in there and not _holds(there[name], kind)
    ]
    if told:
        raise ConflictError(f"the table has other columns: {'; '.join(told)}", where=where, todo="name another table")


def _holds(known: Any, wanted: Any) -> bool:  # noqa: ANN401 - types of Ibis
    """Return whether a column of a table holds each value of a type as it is."""
    if known.is_array() and wanted.is_array():
        return _holds(known.value_type, wanted.value_type)
    if known.is_timestamp() and wanted.is_timestamp():
        return (known.timezone is None) == (wanted.timezone is None)
    if known.is_decimal() and wanted.is_decimal():
        return (known.precision, known.scale) == (wanted.precision, wanted.scale)
    for kind in ("is_integer", "is_floating"):
        if getattr(known, kind)() and getattr(wanted, kind)():
            return known.nbytes >= wanted.nbytes
    return type(known) is type(wanted)


def _check_types(schema: pa.Schema, where: str) -> None:
    """Refuse columns that the database has no type for.

    Raises:
        UnsupportedError: One is a struct.
    """
    for field in schema:
        kind = field.type
        while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            kind = kind.value_type
        if pa.types.is_nested(kind):
            todo = "write a Parquet file, or leave it out of the spine"
            raise UnsupportedError(f"no table holds {field.name!r} of type {field.type}", where=where, todo=todo)


def _rows(table: pa.Table, schema: pa.Schema) -> Iterator[tuple[Any, ...]]:
    if table.schema.names != schema.names:
        raise DataError(f"these rows have the columns {', '.join(table.schema.names)}", todo="pass those of the table")
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _quoted(name: str) -> str:
    if "\0" in name or not name:
        raise NotFoundError(f"{name!r} is no name of a table or column")
    return '"' + name.replace('"', '""') + '"'
