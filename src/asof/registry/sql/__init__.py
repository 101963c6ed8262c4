"""The registry in a relational database, through SQLAlchemy Core."""

from asof.registry.sql.commits import SqlCommitLog
from asof.registry.sql.database import Database
from asof.registry.sql.definitions import SqlRegistry

__all__ = ["SqlCommitLog", "SqlRegistry", "open_sql"]


def open_sql(url: str) -> tuple[SqlRegistry, SqlCommitLog]:
    """Open the registry and the commit log in the database of a URL; they share it."""
    database = Database(url)
    return SqlRegistry(database), SqlCommitLog(database)
