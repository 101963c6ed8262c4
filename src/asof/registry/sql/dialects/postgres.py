"""PostgreSQL: a schema of a database."""

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import Connection, Engine, PoolProxiedConnection, Table, text

from asof.errors import AsofError, PermanentError, UsageError
from asof.registry.sql.dialects.dialect import WAIT_SECONDS, Native, Purpose, Ticket, Verdict
from asof.registry.sql.dialects.server import CONNECT_SECONDS, SCRUB_SECONDS, SCRUBBED, Server

LONGEST_SCHEMA = 63
"""PostgreSQL cuts names after 63 bytes without a word."""


class Postgres(Server):
    """PostgreSQL. The lock is an advisory one, which ends with its transaction."""

    server = "PostgreSQL"
    extra = "postgres"
    package = "psycopg"

    DEFAULTS: ClassVar[Mapping[str, object]] = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 30,
        "tcp_user_timeout": WAIT_SECONDS * 1000,
        "application_name": "asof",
    }
    KEY = "hashtextextended('asof registry ' || current_schema(), 0)"
    BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    BEGIN_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({KEY})"
    NOTE = (
        "; INSERT INTO store_fact (name, value) VALUES ('{}', extract(epoch FROM now())::bigint || ' {}') "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    YESTERDAY = "(extract(epoch FROM now())::bigint - 86400)::text"
    # A published commit survives a power cut, and a client that hangs keeps nobody waiting.
    SESSION = (
        f"SET lock_timeout = '{WAIT_SECONDS}s'; SET idle_in_transaction_session_timeout = '{WAIT_SECONDS}s';"
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
    )
    MAKE = "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('asof', 0)); CREATE SCHEMA IF NOT EXISTS {}; COMMIT"

    PASSING = ("08", "57P", "40", "53300", "25006", "25P03")
    """SQL states of connections, servers that start or stop, lost races, and a server that was the primary."""
    STAYS = ("authentication failed", "no password", "does not exist", "role ", "pg_hba", "invalid ")

    def __init__(self, url: str) -> None:
        """Read the address."""
        super().__init__(url)
        self._url, self._schema = _without_option(url, "schema")
        if len(self._schema.encode()) > LONGEST_SCHEMA or not self._schema.isprintable():
            raise UsageError(
                f"{self._schema!r} is no name of a schema", where=self.where, todo=f"at most {LONGEST_SCHEMA} bytes"
            )
        self._driver: Any = None

    def engine(self) -> Engine:
        """See `Dialect.engine`."""
        engine = self._engine("postgresql+psycopg://", creator=self._connected)
        self._driver = engine.dialect.loaded_dbapi
        try:
            self._driver.conninfo.conninfo_to_dict(self._url)
        except self._driver.Error:  # its message may hold the password
            raise self._cannot_be_read() from None
        return engine

    def begin(self, raw: PoolProxiedConnection, purpose: Purpose) -> Ticket:
        """See `Dialect.begin`."""
        cursor: Native = raw.cursor()
        if purpose != "write":
            cursor.execute(self.BEGIN_READ if purpose == "read" else self.BEGIN_WRITE, prepare=False)
            return None
        ticket = self._next_ticket(raw)
        cursor.execute(self.BEGIN_WRITE + self.NOTE.format(*ticket), prepare=False)  # in one message
        return ticket

    def scrub(self, raw: PoolProxiedConnection) -> bool:
        """See `Dialect.scrub`."""
        said: list[str] = []

        def heard(notice: Native) -> None:
            said.append(notice.message_detail or "")

        driver: Native = raw.driver_connection
        driver.add_notice_handler(heard)
        driver.execute(f"SET lock_timeout = '{SCRUB_SECONDS}s'")
        for table in SCRUBBED:
            driver.execute(f"VACUUM (FULL, VERBOSE) {table}")
        return all(detail.startswith("0 dead") for detail in said if "dead row versions" in detail)

    def count_on(self, connection: Connection, table: Table, last: int) -> None:
        """See `Dialect.count_on`."""
        put = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :next, false)")
        connection.execute(put, {"name": table.name, "next": last + 1})

    def verdict(self, error: Native) -> Verdict:
        """See `Dialect.verdict`."""
        state = error.sqlstate
        if state is None:  # it never got as far as the server, or the server went away
            lost = isinstance(error, self._driver.OperationalError | self._driver.InterfaceError)
            return "again" if lost and not any(words in str(error) for words in self.STAYS) else "never"
        return "again" if state.startswith(self.PASSING) else "later" if state == "55P03" else "never"

    def translated(self, error: Native) -> AsofError:
        """See `Dialect.translated`."""
        reason = " ".join(str(error).split())
        state = error.sqlstate or ""
        if self.verdict(error) != "never":
            return self._passing(reason) if state.startswith(("40", "55")) else self._lost(reason)
        if state.startswith("28") or "authentication failed" in reason or "no password" in reason:
            return self._no_entry()
        if state == "42501":
            return self._no_right(reason)
        if state == "53100":
            return self._full(reason)
        if isinstance(error, self._driver.DataError):
            return self._no_value(reason)
        return PermanentError(f"{self.server} refuses: {reason}", where=self.where, todo="run `asof doctor`")

    def _connected(self) -> Native:
        given = {**self.DEFAULTS, **self._driver.conninfo.conninfo_to_dict(self._url), "client_encoding": "utf8"}
        connection = self._driver.connect(**given, autocommit=True)  # we say BEGIN ourselves
        try:
            self._check_encoding(connection)
            if self._schema:
                self._use_schema(connection)
            connection.execute(self.SESSION)
        except BaseException:  # an interrupt too must leave no connection open
            connection.close()
            raise
        return connection

    def _check_encoding(self, connection: Native) -> None:
        if connection.execute("SHOW server_encoding").fetchone()[0] != "UTF8":
            raise UsageError(
                "the database does not hold every text", where=self.where, todo="create it with ENCODING 'UTF8'"
            )

    def _use_schema(self, connection: Native) -> None:
        quoted = '"' + self._schema.replace('"', '""') + '"'
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self._schema,)).fetchone()
        if found is None:
            connection.execute(self.MAKE.format(quoted))
        connection.execute(f"SET search_path TO {quoted}")


def _without_option(url: str, option: str) -> tuple[str, str]:
    """Return a URL without one option of its query, and the option's value ("" without it)."""
    place, _, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    value = next((value for name, value in given if name == option), "")
    rest = urlencode([(name, each) for name, each in given if name != option])
    return f"{place}?{rest}" if rest else place, value
