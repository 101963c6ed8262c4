"""Everything in which the databases differ, apart from the types of columns: addresses, locks, lost answers, errors.

One writer at a time: a transaction that writes takes the registry's lock first. So no transaction of ours waits for
another one with a lock in its hands, and each sees all that was committed before it.

A server may take a commit and go away before it says so. So each connection notes the number of its last transaction
that wrote, in that transaction: by this ticket it is known later whether it was committed. (The ids of PostgreSQL's
transactions will not do: after a crash it may give one again.)
"""

from collections.abc import Mapping

from asof.registry.sql.dialects.dialect import Dialect, Native, Purpose, Ticket, Verdict
from asof.registry.sql.dialects.mysql import MySql
from asof.registry.sql.dialects.postgres import Postgres
from asof.registry.sql.dialects.sqlite import Sqlite

__all__ = ["Dialect", "Native", "Purpose", "Ticket", "Verdict", "dialect_of"]

DIALECTS: Mapping[str, type[Dialect]] = {
    "sqlite": Sqlite,
    "postgresql": Postgres,
    "postgres": Postgres,
    "mysql": MySql,
    "mariadb": MySql,
}
"""By the scheme of a URL."""


def dialect_of(url: str) -> Dialect:
    """Return the dialect of a registry's URL.

    Raises:
        UsageError: The address makes no sense.
    """
    return DIALECTS.get(url.partition(":")[0], Sqlite)(url)
