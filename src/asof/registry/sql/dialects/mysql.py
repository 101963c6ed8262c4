"""MySQL and MariaDB: a database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, PoolProxiedConnection, Table, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from asof.errors import AsofError, PermanentError
from asof.registry.sql.dialects.dialect import WAIT_SECONDS, Native, Purpose, Ticket, Verdict
from asof.registry.sql.dialects.server import CONNECT_SECONDS, SCRUB_SECONDS, SCRUBBED, Server

ANSWER_SECONDS = 600
"""How long an answer may take before the connection is given up: above all waiting, and altering of tables."""


class MySql(Server):
    """MySQL and MariaDB. The lock is a row.

    Tables are altered outside of transactions, so that has a lock of its own, and goes on where it was broken off.
    """

    server = "MySQL or MariaDB"
    extra = "mysql"
    package = "pymysql"

    BEGIN_READ = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
    BEGIN_WRITE = (
        "INSERT INTO store_fact (name, value) VALUES ('lock', ''), (%s, CONCAT(UNIX_TIMESTAMP(), ' ', %s)) "
        "ON DUPLICATE KEY UPDATE value = VALUES(value)"
    )
    LOCK = f"SELECT GET_LOCK(CONCAT('asof ', MD5(DATABASE())), {WAIT_SECONDS})"
    YESTERDAY = "CAST(UNIX_TIMESTAMP() - 86400 AS CHAR)"
    SESSION = (
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",  # nothing is cut off
        f"SET SESSION innodb_lock_wait_timeout = {WAIT_SECONDS}, lock_wait_timeout = {WAIT_SECONDS}",
    )
    OF_MARIADB = f"SET SESSION idle_transaction_timeout = {WAIT_SECONDS}"

    LOST = frozenset({1040, 1053, 1152, *range(1158, 1162), 1184, 1203, 1226, 1927, 2002, 2003, 2006, 2013, 2055, 4031})
    """Connections, and servers that start or stop or have too many."""
    HUNG_UP = (2006, 2013)
    DEMOTED = (1290, 1836)
    """It was the primary server, and may only be read now: an address of several may lead to another one."""
    RACES = (1020, 1213, 1412)
    """Lost ones; and a table that was altered since the transaction began to read."""
    WAITED = (1205, 3024)
    ENTRY, RIGHT, FULL = (1045, 1698), (1044, 1142, 1143, 1227, 1370), (3, 28, 1021, 1114)
    VALUE, LARGE = (1366, 1406, 3988), 1153

    def __init__(self, url: str) -> None:
        """Read the address."""
        super().__init__(url)
        try:
            self._url = make_url(url).set(drivername="mysql+pymysql")
        except (ArgumentError, ValueError):
            raise self._cannot_be_read() from None
        if not self._url.database:
            raise self._cannot_be_read()
        self._driver: Any = None
        self._create: Any = None
        self._mariadb = False

    def engine(self) -> Engine:
        """See `Dialect.engine`."""
        engine = self._engine(self._url, creator=self._connected)
        self._driver = engine.dialect.loaded_dbapi
        self._create = engine.dialect.create_connect_args
        event.listen(engine, "before_cursor_execute", self._with_collation, retval=True)
        return engine

    def begin(self, raw: PoolProxiedConnection, purpose: Purpose) -> Ticket:
        """See `Dialect.begin`."""
        cursor = raw.cursor()
        if purpose == "read":
            cursor.execute(self.BEGIN_READ)
            return None
        if purpose == "alter":
            cursor.execute(self.LOCK)
            if cursor.fetchone() != (1,):
                raise self._passing("another process alters its tables")
            return None
        ticket = self._next_ticket(raw)
        cursor.execute(self.BEGIN_WRITE, ticket)
        return ticket

    def scrub(self, raw: PoolProxiedConnection) -> bool:
        """See `Dialect.scrub`."""
        cursor = raw.cursor()
        cursor.execute(f"SET SESSION lock_wait_timeout = {SCRUB_SECONDS}")
        cursor.execute(f"OPTIMIZE TABLE {', '.join(SCRUBBED)}")
        said: Sequence[Any] = cursor.fetchall()
        return not any(kind.lower() == "error" for _, _, kind, _ in said)

    def count_on(self, connection: Connection, table: Table, last: int) -> None:
        """See `Dialect.count_on`."""
        connection.execute(text(f"ALTER TABLE {table.name} AUTO_INCREMENT = {last + 1}"))

    def verdict(self, error: Native) -> Verdict:
        """See `Dialect.verdict`."""
        number = _number(error)
        closed = number == 0 and isinstance(error, self._driver.InterfaceError)
        if closed or number in (*self.LOST, *self.DEMOTED, *self.RACES):
            return "again"
        return "later" if number in self.WAITED else "never"

    def translated(self, error: Native) -> AsofError:
        """See `Dialect.translated`."""
        number, reason = _number(error), str(error.args[-1] if error.args else error)
        if self.verdict(error) != "never":
            if number in self.HUNG_UP:
                reason = f"{reason}; it hangs up on what is larger than its max_allowed_packet"
            return self._passing(reason) if number in (*self.RACES, *self.WAITED) else self._lost(reason)
        if number in self.ENTRY:
            return self._no_entry()
        if number in self.RIGHT:
            return self._no_right(reason)
        if number in self.FULL:
            return self._full(reason)
        if number in self.VALUE:
            return self._no_value(reason)
        todo = "raise max_allowed_packet" if number == self.LARGE else "run `asof doctor`"
        return PermanentError(f"{self.server} refuses: {reason}", where=self.where, todo=todo)

    def _connected(self) -> Native:
        arguments, options = self._create(self._url)
        defaults = {"connect_timeout": CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
        try:
            connection = self._driver.connect(*arguments, **{**defaults, **options, "charset": "utf8mb4"})
        except (TypeError, ValueError):  # an option that it does not know
            raise self._cannot_be_read() from None
        try:
            self._mariadb = "MariaDB" in connection.get_server_info()
            with connection.cursor() as cursor:
                for statement in (*self.SESSION, *((self.OF_MARIADB,) if self._mariadb else ())):
                    cursor.execute(statement)
        except BaseException:  # an interrupt too must leave no connection open
            connection.close()
            raise
        return connection

    def _with_collation(self, *event: Any) -> tuple[str, Any]:  # noqa: ANN401 - see SQLAlchemy's before_cursor_execute
        """Have tables that are created compare texts by their characters, blanks at the end among them."""
        _, _, statement, parameters, *_ = event
        if statement.lstrip().startswith("CREATE TABLE"):
            collation = "utf8mb4_nopad_bin" if self._mariadb else "utf8mb4_0900_bin"
            statement = f"{statement.rstrip()} ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={collation}"
        return statement, parameters


def _number(error: Native) -> int:
    number = error.args[0] if error.args else -1
    return number if isinstance(number, int) else -1
