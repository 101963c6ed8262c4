"""The connection to the registry's database: transactions, migrations, and native errors translated."""

import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql import ClauseElement

from asof.errors import BackendError, PermanentError, TransientError, UsageError
from asof.registry.sql.plain import Cursor, Plain
from asof.registry.sql.tables import REVISION, metadata

BEGIN_WRITE = "BEGIN IMMEDIATE"

WAIT_SECONDS = 60
"""How long a writer waits for another one: far above any transaction of ours."""

TRANSIENT = ("database is locked", "database table is locked", "connection", "deadlock", "timeout")


class Database:
    """A registry's database, opened by its URL.

    Reads run in one consistent transaction; writes take the lock at once, so that they never fail half-way for it.

    Raises:
        UsageError: The URL is no database's, or the schema is newer than this package.
        TransientError, PermanentError: The database failed.
    """

    def __init__(self, url: str) -> None:
        """Connect, create the tables in an empty database, migrate an old one."""
        try:
            parsed = make_url(url)
        except ArgumentError as error:
            raise UsageError(f"registry {url.split('://', maxsplit=1)[0]!r} is no database URL") from error
        self.name = parsed.render_as_string(hide_password=True)
        self._engine = create_engine(parsed, pool_size=16, max_overflow=64)
        self._driver: Any = self._engine.dialect.loaded_dbapi
        if self._engine.dialect.name == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(self._engine, "connect", _prepare_sqlite)
        event.listen(self._engine, "begin", _begin)
        with self._translated():
            self._prepare_schema()

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Open a transaction that sees one consistent state."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Generator[Connection]:
        """Open a transaction that may write; it is durable when the block ends, or undone if the block raises."""
        with (
            self._translated(),
            self._engine.connect().execution_options(asof_write=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write_plainly(self) -> Generator[Cursor]:
        """Open a transaction as `write` does, for plain statements: it costs a fifth."""
        with self._translated():
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                if self._engine.dialect.name == "sqlite":
                    cursor.execute(BEGIN_WRITE)
                yield cursor
                connection.commit()
            except self._driver.Error as error:
                gone = self._engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
                connection.invalidate(error)
                if gone:  # and so are the others of the pool
                    self._engine.dispose()
                raise
            finally:
                connection.close()  # what is not committed is undone

    def plain(self, statement: ClauseElement) -> Plain:
        """Return a statement as the driver runs it."""
        return Plain(statement, self._engine.dialect)

    def scrub(self) -> None:
        """Write the database's files anew, without what was deleted.

        Raises:
            TransientError: Readers of other processes hold old pages.
        """
        if self._engine.dialect.name != "sqlite":
            return  # a server's files are its own affair: its VACUUM
        with self._translated(), self._engine.connect() as connection:
            raw: Any = connection.connection.driver_connection  # SQLAlchemy would begin a transaction: no VACUUM in one
            try:
                raw.execute("VACUUM")
                busy, *_ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise self._translation(OperationalError("VACUUM", None, error)) from error
        if busy:
            raise TransientError(
                "another process reads the registry: its file holds old pages", where=self.name, todo="try again"
            )

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def _prepare_schema(self) -> None:
        with self._engine.connect() as connection:
            revision = self._revision(connection)
        if revision == REVISION:
            return
        if revision is None:
            with self.write() as connection:  # under the lock: another process may be creating it too
                if self._revision(connection) is None:
                    metadata.create_all(connection)
                    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
                    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})
            return
        if not revision.isdigit() or int(revision) > int(REVISION):
            raise UsageError(
                f"the registry has schema {revision}, this asof knows up to {REVISION}",
                where=self.name,
                todo="a newer asof wrote this store: upgrade asof",
            )
        self._migrate()

    def _revision(self, connection: Connection) -> str | None:
        if "alembic_version" not in inspect(connection).get_table_names():
            return None
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())

    def _migrate(self) -> None:
        from alembic import command  # noqa: PLC0415 - 0.3 s, and only old stores need it
        from alembic.config import Config  # noqa: PLC0415 - the same

        with (
            resources.as_file(resources.files("asof.registry.sql") / "migrations") as scripts,
            self.write() as connection,
        ):
            config = Config()
            config.set_main_option("script_location", str(scripts))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._translation(error) from error
        except self._driver.Error as error:  # of a plain statement
            wrap: Any = DBAPIError.instance
            native = wrap("", None, error, self._driver.Error, dialect=self._engine.dialect)
            raise self._translation(native) from error

    def _translation(self, error: DBAPIError) -> BackendError:
        reason = str(error.orig)
        if isinstance(error, OperationalError) and any(word in reason.lower() for word in TRANSIENT):
            return TransientError(f"the registry did not answer: {reason}", where=self.name, todo="try again")
        if "readonly" in reason or "unable to open" in reason:
            return PermanentError(
                f"the registry cannot be written: {reason}",
                where=self.name,
                todo="check the folder's permissions",
            )
        if "full" in reason:
            return PermanentError(f"no space for the registry: {reason}", where=self.name, todo="free some disk space")
        if "malformed" in reason or "not a database" in reason:
            return PermanentError(
                f"the registry is damaged: {reason}",
                where=self.name,
                todo="bring the file back from a backup: it holds the definitions and says what is visible",
            )
        return PermanentError(f"the registry failed: {reason}", where=self.name, todo="run `asof doctor`")


def _prepare_sqlite(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin
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


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        write = connection.get_execution_options().get("asof_write", False)
        connection.exec_driver_sql(BEGIN_WRITE if write else "BEGIN")
