"""A database in memory that waits for the next engine of this process: to set one up, and to end it, takes 40 ms.

What an engine left in it is gone: tables are registered for cursors, and a database is kept only if no cursor is left.
"""

import threading
from typing import Any

from asof.forks import opened

Database = Any
"""A connection of DuckDB, which is imported by the engine alone."""


class Idle:
    """At most one database that nobody uses; closed when the program ends, never used in a forked child."""

    def __init__(self) -> None:
        """Have none."""
        self._lock = threading.Lock()
        self._waiting: Database | None = None
        self._ended = False
        opened.add(self)

    def take(self) -> Database | None:
        """Return the database that waits, if there is one; the caller has it alone."""
        with self._lock:
            found, self._waiting = self._waiting, None
            return found

    def keep(self, database: Database) -> None:
        """Have a database wait, in place of the one that does."""
        with self._lock:
            if not self._ended:
                self._waiting, database = database, self._waiting
        if database is not None:
            database.close()

    def close(self) -> None:
        """Close the database, and those that come: the program ends."""
        self._ended = True
        database = self.take()
        if database is not None:
            database.close()

    def _let_go(self) -> dict[str, object]:
        self._lock = threading.Lock()  # a thread of the parent may have held it
        found, self._waiting = self._waiting, None
        return {"database": found}


idle = Idle()
"""That of this process."""
