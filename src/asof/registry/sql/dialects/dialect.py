"""What each kind of database says for itself."""

from typing import Any, ClassVar, Literal

from sqlalchemy import Connection, Engine, PoolProxiedConnection, Table

from asof.errors import AsofError, PermanentError, TransientError

Purpose = Literal["read", "write", "alter"]
"""What a transaction is for: "alter" changes tables, under a lock of its own."""

Verdict = Literal["again", "later", "never"]
"""Whether to do what failed again at once, or when the caller says so, or not at all."""

Native = Any
"""What belongs to the database's driver: its errors, connections and cursors."""

Ticket = tuple[str, str] | None
"""By which a transaction is found again; None where no answer is ever lost."""

WAIT_SECONDS = 60
"""How long a writer waits for another one: far above any transaction of ours. As long a server waits for us."""


class Dialect:
    """A kind of database, at one address.

    Attributes:
        where: The address as messages may show it: no user, no password, no options.
        pool: How many connections are kept, and how many more there may be.
    """

    pool: ClassVar[tuple[int, int]] = (4, 28)

    def __init__(self, url: str) -> None:
        """Read the address."""
        self.where = _place_of(url)

    def engine(self) -> Engine:
        """Return the engine of SQLAlchemy; it connects when it is first used.

        Raises:
            MissingDependencyError: The driver is not installed. UsageError: The address makes no sense.
        """
        raise NotImplementedError

    def begin(self, raw: PoolProxiedConnection, purpose: Purpose) -> Ticket:
        """Begin a transaction: one that reads sees one state; one that writes is alone, and sees the last state."""
        raise NotImplementedError

    def committed(self, raw: PoolProxiedConnection, ticket: tuple[str, str]) -> bool:
        """Return whether the transaction of a ticket was committed; `raw` has begun one that writes."""
        raise NotImplementedError

    def left_notes(self, raw: PoolProxiedConnection) -> bool:
        """Return whether connections that are gone have left notes; `raw` has begun any transaction."""
        del raw
        return False

    def tidy(self, raw: PoolProxiedConnection) -> None:
        """Drop the notes of connections that are gone; `raw` has begun a transaction that writes."""
        raise NotImplementedError

    def scrub(self, raw: PoolProxiedConnection) -> bool:
        """Write the files of tables anew, without what was deleted; say whether nothing of it may still be read."""
        raise NotImplementedError

    def count_on(self, connection: Connection, table: Table, last: int) -> None:
        """Have a table number its next row by more than `last`; `connection` has begun one that alters."""
        raise NotImplementedError

    def verdict(self, error: Native) -> Verdict:
        """Return whether another try may help."""
        raise NotImplementedError

    def translated(self, error: Native) -> AsofError:
        """Return the error to raise for a native one."""
        raise NotImplementedError

    def _connections(self) -> dict[str, Any]:
        kept, more = self.pool
        # Every transaction of ours is ended by us: no reset. Values of rows belong in no message.
        return {
            "pool_size": kept,
            "max_overflow": more,
            "pool_timeout": WAIT_SECONDS,
            "pool_reset_on_return": None,
            "hide_parameters": True,
        }

    def _passing(self, reason: str) -> TransientError:
        return TransientError(f"the registry did not answer: {reason}", where=self.where, todo="try again")

    def _full(self, reason: str) -> PermanentError:
        return PermanentError(f"no space for the registry: {reason}", where=self.where, todo="free some disk space")


def _place_of(url: str) -> str:
    scheme, _, rest = url.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
