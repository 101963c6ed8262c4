"""What databases on a server have in common."""

from typing import Any, ClassVar
from uuid import uuid4

from sqlalchemy import Engine, PoolProxiedConnection, create_engine

from asof.errors import MissingDependencyError, PermanentError, TransientError, UsageError
from asof.registry.sql.dialects.dialect import Dialect

CONNECT_SECONDS = 5
SCRUB_SECONDS = 10
"""How long scrubbing waits for those who read."""

SCRUBBED = ("journal", "erasure")
"""Tables whose rows hold values or keys of entities until they are deleted."""


NOTE = "transaction of "
"""How the names of notes begin, among the facts of a store."""


class Server(Dialect):
    """A database on a server.

    Attributes:
        server: Its name.
        extra: The extra of asof that brings its driver.
        package: The driver.
        YESTERDAY: How the time of a day ago is written in SQL, as text: seconds.
    """

    server: ClassVar[str]
    extra: ClassVar[str]
    package: ClassVar[str]
    YESTERDAY: ClassVar[str]

    def committed(self, raw: PoolProxiedConnection, ticket: tuple[str, str]) -> bool:
        """See `Dialect.committed`."""
        cursor = raw.cursor()
        cursor.execute("SELECT value FROM store_fact WHERE name = %s", ticket[:1])
        (noted,) = cursor.fetchone() or ("",)
        return str(noted).rpartition(" ")[2] == ticket[1]

    def left_notes(self, raw: PoolProxiedConnection) -> bool:
        """See `Dialect.left_notes`."""
        cursor = raw.cursor()
        cursor.execute(f"SELECT 1 FROM {self._left()} LIMIT 1")  # noqa: S608 - our own words
        return cursor.fetchone() is not None

    def tidy(self, raw: PoolProxiedConnection) -> None:
        """See `Dialect.tidy`."""
        raw.cursor().execute(f"DELETE FROM {self._left()}")  # noqa: S608 - as above

    def _left(self) -> str:
        return f"store_fact WHERE name LIKE '{NOTE}%' AND value < {self.YESTERDAY}"

    def _next_ticket(self, raw: PoolProxiedConnection) -> tuple[str, str]:
        """Return the name of the connection's note, and the number of the transaction that it begins."""
        mine = raw.info.setdefault("asof", {"name": f"{NOTE}{uuid4().hex}", "number": 0})
        mine["number"] += 1
        return mine["name"], str(mine["number"])

    def _engine(self, url: Any, **options: object) -> Engine:  # noqa: ANN401 - a text or a URL of SQLAlchemy
        try:
            return create_engine(url, **self._connections(), **options)
        except ImportError as error:
            raise MissingDependencyError(self.package, extra=self.extra) from error

    def _cannot_be_read(self) -> UsageError:
        scheme = self.where.partition(":")[0]
        todo = f"write {scheme}://HOST:PORT/DATABASE; the package {self.package} names the options"
        return UsageError(f"this is no URL of {self.server}", where=self.where, todo=todo)

    def _lost(self, reason: str) -> TransientError:
        todo = f"see that {self.server} runs there, and try again"
        return TransientError(f"the registry cannot be reached: {reason}", where=self.where, todo=todo)

    def _no_entry(self) -> PermanentError:
        todo = "check user and password in the variable ASOF_REGISTRY"
        return PermanentError(f"{self.server} refuses the user or the password", where=self.where, todo=todo)

    def _no_right(self, reason: str) -> PermanentError:
        todo = "let the user create and alter tables there"
        return PermanentError(f"{self.server} refuses: {reason}", where=self.where, todo=todo)

    def _no_value(self, reason: str) -> UsageError:
        todo = "idempotency keys have up to 255 characters, and no text has the character 0"
        return UsageError(f"the registry cannot keep this: {reason}", where=self.where, todo=todo)
