"""SQLite: a file."""

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, PoolProxiedConnection, Table, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from asof.errors import AsofError, PermanentError, UsageError
from asof.registry.sql.dialects.dialect import WAIT_SECONDS, Dialect, Native, Purpose, Ticket, Verdict


class Sqlite(Dialect):
    """A file. Its lock is that of SQLite; an answer is never lost."""

    pool = (16, 64)

    def __init__(self, url: str) -> None:
        """Read the address."""
        super().__init__(url)
        try:
            self._url = make_url(url)
        except ArgumentError as error:
            raise UsageError(f"registry {url.split('://', maxsplit=1)[0]!r} is no database URL") from error
        self.where = self._url.render_as_string()

    def engine(self) -> Engine:
        """See `Dialect.engine`."""
        if self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(self._url, **self._connections())
        event.listen(engine, "connect", _prepare)
        return engine

    def begin(self, raw: PoolProxiedConnection, purpose: Purpose) -> Ticket:
        """See `Dialect.begin`."""
        raw.cursor().execute("BEGIN" if purpose == "read" else "BEGIN IMMEDIATE")
        return None

    def scrub(self, raw: PoolProxiedConnection) -> bool:
        """See `Dialect.scrub`."""
        cursor = raw.cursor()
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, *_ = cursor.fetchone() or (0,)
        return not busy

    def count_on(self, connection: Connection, table: Table, last: int) -> None:
        """See `Dialect.count_on`: the others take the next number after those that are there."""
        if table.dialect_options["sqlite"]["autoincrement"]:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
            put = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)")
            connection.execute(put, {"name": table.name, "last": last})

    def verdict(self, error: Native) -> Verdict:
        """See `Dialect.verdict`: whoever found it locked has waited for a minute."""
        reason = str(error).lower()
        passing = ("database is locked", "database table is locked")
        return "later" if isinstance(error, sqlite3.OperationalError) and reason.startswith(passing) else "never"

    def translated(self, error: Native) -> AsofError:
        """See `Dialect.translated`."""
        reason = str(error)
        if self.verdict(error) == "later":
            return self._passing(reason)
        if "readonly" in reason or "unable to open" in reason:
            return PermanentError(
                f"the registry cannot be written: {reason}", where=self.where, todo="check the folder's permissions"
            )
        if "full" in reason:
            return self._full(reason)
        if "malformed" in reason or "not a database" in reason:
            return PermanentError(
                f"the registry is damaged: {reason}",
                where=self.where,
                todo="bring the file back from a backup: it holds the definitions and says what is visible",
            )
        return PermanentError(f"the registry failed: {reason}", where=self.where, todo="run `asof doctor`")


def _prepare(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute(f"PRAGMA busy_timeout = {WAIT_SECONDS * 1000}")
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")  # a published commit survives a power cut
    connection.execute("PRAGMA secure_delete = ON")  # what is erased leaves no bytes behind


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; SQLite does not wait for others here, who may be doing the same in a new file."""
    for pause in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            time.sleep(pause)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")
