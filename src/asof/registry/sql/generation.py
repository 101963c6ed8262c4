"""The generation of the definitions: a number that tells a writer whether what he read is still so."""

from sqlalchemy import Connection, bindparam, insert, select, update

from asof.registry.sql.tables import store_fact

NAME = "generation"
READ = select(store_fact.c.value).where(store_fact.c.name == NAME)
_PUT = update(store_fact).where(store_fact.c.name == NAME).values(value=bindparam("v"))


def generation_of(connection: Connection) -> int:
    """Return the present generation; 0 in a store where nothing was defined yet."""
    return int(connection.execute(READ).scalar() or 0)


def next_generation(connection: Connection) -> None:
    """Begin another generation; the connection holds the write lock."""
    begin_after(connection, generation_of(connection))


def begin_after(connection: Connection, last: int) -> None:
    """Begin the generation after another one; the connection holds the write lock."""
    value = str(last + 1)
    if not connection.execute(_PUT, {"v": value}).rowcount:
        connection.execute(insert(store_fact).values(name=NAME, value=value))
