"""The connection to the registry's database: transactions, retries, migrations, and native errors translated."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from importlib import resources
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, PoolProxiedConnection, Table, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.sql import ClauseElement

from asof.errors import AsofError, TransientError, UsageError
from asof.forks import gate
from asof.registry.sql.compiled import schema, statements
from asof.registry.sql.dialects import Native, Purpose, Ticket, dialect_of
from asof.registry.sql.plain import Cursor, Plain
from asof.registry.sql.tables import REVISION, metadata

PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each further attempt; what fails so often fails."""

PATIENCE = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""The same, where it is not known what became of a transaction: a server restarts meanwhile."""

VERSION = "alembic_version"
"""The table that says which schema the others have."""

P = ParamSpec("P")
T = TypeVar("T")


class UndoneError(TransientError):
    """A transaction failed for a reason that passes, and nothing of it was done: it may be repeated as it is."""


def repeated(method: Callable[P, T]) -> Callable[P, T]:
    """Have a method that is one transaction repeated, a few times, if it was undone for a reason that passes."""

    @wraps(method)
    def persisting(*args: P.args, **kwargs: P.kwargs) -> T:
        for last in _attempts(PAUSES):
            try:
                return method(*args, **kwargs)
            except UndoneError:
                if last:
                    raise
        raise AssertionError

    return persisting


class Database:
    """A registry's database, opened by its URL.

    Reads run in one consistent transaction; writes take the lock at once, so that they never fail half-way for it.
    A transaction is begun over a new connection where the old one, or the server, went away meanwhile. If the answer
    to a commit is lost, the server is asked what became of it.

    Raises:
        UsageError: The URL is no database's, or the schema is newer than this package.
        MissingDependencyError: The driver is not installed.
        TransientError, PermanentError: The database failed.
    """

    def __init__(self, url: str) -> None:
        """Connect, create the tables in an empty database, migrate an old one."""
        self._dialect = dialect_of(url)
        self.name = self._dialect.where
        self._engine = self._dialect.engine()
        self._engine.update_execution_options(compiled_cache=statements)
        self._driver: Any = self._engine.dialect.loaded_dbapi
        self._lost_at = 0.0
        try:
            self._prepare_schema()
        except BaseException:  # an interrupt too: the connections would stay open
            self.close()
            raise

    @contextmanager
    def read(self) -> Generator[Connection]:
        """Open a transaction that sees one consistent state."""
        with self._transaction("read") as raw:
            yield self._on(raw)

    @contextmanager
    def write(self) -> Generator[Connection]:
        """Open a transaction that may write; it is durable when the block ends, or undone if the block raises."""
        with self._transaction("write") as raw:
            yield self._on(raw)

    @contextmanager
    def read_plainly(self) -> Generator[Cursor]:
        """Open a transaction as `read` does, for plain statements: it costs a tenth."""
        with self._transaction("read") as raw:
            yield raw.cursor()

    @contextmanager
    def write_plainly(self) -> Generator[Cursor]:
        """Open a transaction as `write` does, for plain statements: it costs a fifth."""
        with self._transaction("write") as raw:
            yield raw.cursor()

    def plain(self, statement: ClauseElement) -> Plain:
        """Return a statement as the driver runs it."""
        return Plain(statement, self._engine.dialect)

    def scrub(self) -> None:
        """Write the database's files anew, without what was deleted.

        Raises:
            TransientError: Readers of other processes hold old pages.
        """
        raw: PoolProxiedConnection | None = None
        try:
            raw, _ = self._begun("read", PAUSES)  # that it can be used is known then
            self._undo(raw)
            clean = self._dialect.scrub(raw)
        except self._driver.Error as error:
            raise self._translated(error) from error
        finally:
            self._drop(raw)  # it has settings of its own now
        if not clean:
            raise TransientError(
                "another process reads the registry: its files hold what was deleted", where=self.name, todo="try again"
            )

    def count_on(self, lasts: Mapping[Table, int]) -> None:
        """Have tables number their next rows by more than these; no row with a greater number is there."""
        with self._transaction("alter") as raw:
            for table, last in lasts.items():
                self._dialect.count_on(self._on(raw), table, last)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, purpose: Purpose) -> Generator[PoolProxiedConnection]:
        with gate, self._unguarded(purpose) as raw:
            yield raw

    @contextmanager
    def _unguarded(self, purpose: Purpose) -> Generator[PoolProxiedConnection]:
        raw, ticket = self._begun(purpose, PAUSES)
        try:
            yield raw
        except (DBAPIError, self._driver.Error) as error:
            self._drop(raw, error)
            raise self._translated(error, undone=True) from error
        except AsofError:  # a refusal
            self._undo(raw)
            raise
        except BaseException as error:  # an answer may be on its way
            self._drop(raw, error)
            raise
        else:
            self._commit(raw, ticket)
        finally:
            if purpose == "alter":  # its lock ends with the connection
                self._drop(raw)
            raw.close()

    def _begun(self, purpose: Purpose, pauses: Sequence[float]) -> tuple[PoolProxiedConnection, Ticket]:
        """Return a connection with a transaction; over a new one where it, or the server, went away meanwhile."""
        for last in _attempts(pauses):
            raw: PoolProxiedConnection | None = None
            try:
                raw = self._connection()
                return raw, self._dialect.begin(raw, purpose)
            except NoConnectionError as error:
                raise TransientError(
                    "too many threads use the registry at once", where=self.name, todo="try again"
                ) from error
            except self._driver.Error as error:
                self._drop(raw, error)
                if last or self._dialect.verdict(error) != "again":
                    raise self._translated(error) from error
            except BaseException:  # an interrupt too: half a transaction must not go back to the pool
                self._drop(raw)
                raise
        raise AssertionError

    def _connection(self) -> PoolProxiedConnection:
        """Return a connection that was made since one was last lost."""
        while True:
            raw = self._engine.raw_connection()
            if raw.info.setdefault("asof since", time.monotonic()) >= self._lost_at:
                return raw
            raw.invalidate()
            raw.close()

    def _commit(self, raw: PoolProxiedConnection, ticket: Ticket) -> None:
        try:
            raw.commit()
        except self._driver.Error as error:
            self._drop(raw, error)
            if ticket is None or not self._was_committed(ticket, error):
                raise self._translated(error, undone=True) from error
        except BaseException as error:  # an interrupt too: half a transaction must not go back to the pool
            self._drop(raw, error)
            raise

    def _was_committed(self, ticket: tuple[str, str], lost: Native) -> bool:
        """Return what became of a transaction whose answer was lost: who has the lock now knows that it has ended."""
        try:
            raw, _ = self._begun("write", PATIENCE)
            try:
                answer = self._dialect.committed(raw, ticket)
                self._undo(raw)
            except self._driver.Error as error:
                self._drop(raw, error)
                raise
            finally:
                raw.close()
        except (AsofError, self._driver.Error):
            raise TransientError(
                "the registry went away while it stored something: it may be stored or not",
                where=self.name,
                todo="see that it runs; then look, or write again with the same idempotency_key",
            ) from lost
        return answer

    def _undo(self, raw: PoolProxiedConnection) -> None:
        try:
            raw.rollback()
        except self._driver.Error as error:  # what is not committed goes with the connection
            self._drop(raw, error)

    def _drop(self, raw: PoolProxiedConnection | None, error: BaseException | None = None) -> None:
        """Close a connection; the others are not used again if it failed since the server went away."""
        native: Any = error.orig if isinstance(error, DBAPIError) else error
        if raw is not None and raw.is_valid:
            ended = self._engine.dialect.is_disconnect
            gone = isinstance(native, self._driver.Error) and ended(native, raw.dbapi_connection, None)
            if gone:
                self._lost_at = time.monotonic()
            raw.invalidate()

    def _on(self, raw: PoolProxiedConnection) -> Connection:
        connection = Connection(self._engine, raw)
        connection.begin()  # for SQLAlchemy; ours is begun
        return connection

    def _translated(self, error: Any, *, undone: bool = False) -> AsofError:  # noqa: ANN401 - a native error, or one that wraps it
        native = error.orig if isinstance(error, DBAPIError) else error
        told = self._dialect.translated(native)
        if undone and self._dialect.verdict(native) == "again":
            return UndoneError(told.what, where=told.where, todo=told.todo)
        return told

    @repeated
    def _prepare_schema(self) -> None:
        with self._transaction("read") as raw:
            revision = self._revision(self._on(raw))
            untidy = revision == REVISION and self._dialect.left_notes(raw)
        self._check_known(revision)
        if revision != REVISION:
            with self._transaction("alter") as raw:
                self._alter(self._on(raw))
        if untidy:
            with self._transaction("write") as raw:
                self._dialect.tidy(raw)

    def _alter(self, connection: Connection) -> None:
        """Create the tables, or migrate them; under the lock: another process may have done so."""
        revision = self._revision(connection)
        self._check_known(revision)
        if revision is None:
            self._create(connection)
        elif revision != REVISION:
            _migrate(connection)

    def _create(self, connection: Connection) -> None:
        there = set(inspect(connection).get_table_names())
        ours = sorted(there & set(metadata.tables))
        if VERSION not in there:
            if ours:
                raise UsageError(
                    f"the database has a table {ours[0]!r} of somebody else's",
                    where=self.name,
                    todo="give the registry a database, or a schema, of its own",
                )
            connection.execute(text(f"CREATE TABLE {VERSION} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
        if ours:
            metadata.drop_all(connection)  # what was begun, and broken off before anybody could write to it
        for statement in schema(connection.dialect):
            connection.exec_driver_sql(statement)
        connection.execute(text(f"INSERT INTO {VERSION} VALUES (:revision)"), {"revision": REVISION})  # noqa: S608 - our own words

    def _revision(self, connection: Connection) -> str | None:
        if VERSION not in inspect(connection).get_table_names():
            return None
        found = connection.execute(text(f"SELECT version_num FROM {VERSION}")).scalar_one_or_none()  # noqa: S608 - as above
        return None if found is None else str(found)

    def _check_known(self, revision: str | None) -> None:
        if revision is not None and (not revision.isdigit() or int(revision) > int(REVISION)):
            raise UsageError(
                f"the registry has schema {revision}, this asof knows up to {REVISION}",
                where=self.name,
                todo="a newer asof wrote this store: upgrade asof",
            )


def _migrate(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - 0.3 s, and only old stores need it
    from alembic.config import Config  # noqa: PLC0415 - the same

    with resources.as_file(resources.files("asof.registry.sql") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _attempts(pauses: Sequence[float]) -> Iterator[bool]:
    """Yield before each attempt, after its pause: whether it is the last one."""
    for at, pause in enumerate(pauses):
        if pause:
            time.sleep(pause)
        yield at == len(pauses) - 1
