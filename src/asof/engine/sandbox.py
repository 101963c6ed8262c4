"""Users' SQL in a DuckDB of its own: it sees the tables that it is given, and nothing else.

One SELECT; no files, no network, no extensions, no variables of Python; settings are locked, memory and time bounded.
Source: DESIGN, security.
"""

import threading
from collections.abc import Mapping

import duckdb
import pyarrow as pa

from asof.errors import DataError, UsageError

MEMORY = "1GB"

SECONDS = 300.0
"""How long one batch may take."""

CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}


class Sandbox:
    """A database in memory; opened when it is first asked, and asked by one thread at a time."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        """Open nothing yet."""
        self._lock = threading.Lock()
        self._seconds = seconds
        self._database: duckdb.DuckDBPyConnection | None = None

    def run(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """Return what a statement makes of tables; see `Engine.transform`."""
        with self._lock:
            database = self._opened()
            stopped = threading.Event()

            def stop() -> None:
                stopped.set()
                database.interrupt()

            timer = threading.Timer(self._seconds, stop)
            timer.daemon = True
            try:
                _check(database, statement, where)
                for name, table in tables.items():
                    database.register(name, table)
                timer.start()
                return database.sql(statement).to_arrow_table()
            except duckdb.Error as error:
                reason = " ".join(str(error).split())
                if stopped.is_set():
                    raise DataError(f"the SQL took longer than {self._seconds:g} s", where=where) from error
                todo = "it may read its source, by its name, and nothing else"
                raise UsageError(f"the SQL cannot be run: {reason}", where=where, todo=todo) from error
            finally:
                timer.cancel()
                for name in tables:
                    database.unregister(name)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _opened(self) -> duckdb.DuckDBPyConnection:
        if self._database is None:
            self._database = duckdb.connect(":memory:", config=CONFIG)
            for setting in (
                "TimeZone = 'UTC'",
                f"memory_limit = '{MEMORY}'",
                "temp_directory = ''",
                "python_enable_replacements = false",
                "enable_external_access = false",
                "lock_configuration = true",
            ):
                self._database.execute(f"SET {setting}")
        return self._database


def _check(database: duckdb.DuckDBPyConnection, statement: str, where: str) -> None:
    """Refuse all but one SELECT."""
    found = database.extract_statements(statement)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        said = ", ".join(each.type.name for each in found) or "nothing"
        raise UsageError(f"the SQL is {said}, not one SELECT", where=where, todo="write SELECT ... FROM the source")
