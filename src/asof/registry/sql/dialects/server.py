"""What databases on a server have in common."""

from typing import Any, ClassVar

from sqlalchemy import Engine, create_engine

from asof.errors import MissingDependencyError, PermanentError, TransientError, UsageError
from asof.registry.sql.dialects.dialect import Dialect

CONNECT_SECONDS = 5
SCRUB_SECONDS = 10
"""How long scrubbing waits for those who read."""

SCRUBBED = ("journal", "erasure")
"""Tables whose rows hold values or keys of entities until they are deleted."""


class Server(Dialect):
    """A database on a server.

    Attributes:
        server: Its name.
        extra: The extra of asof that brings its driver.
        package: The driver.
    """

    server: ClassVar[str]
    extra: ClassVar[str]
    package: ClassVar[str]

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
