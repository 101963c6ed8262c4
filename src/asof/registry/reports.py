"""What a registry must do with what checks said of writes. Its adapters write what was said of commits with them."""

from collections.abc import Callable
from typing import Protocol

from asof.records import Reported
from asof.registry.registered import RegisteredGroup

Redacted = Callable[[str], str]
"""Gives the body of a report without what it says of single rows."""


class Reports(Protocol):
    """What checks said of writes. `CommitLog.publish` writes what they said of commits, in the same transaction.

    They go with their group. Atomic, and safe to call from several threads and processes.
    """

    def refused(self, group: RegisteredGroup, body: str, *, writer: str, now_us: int) -> None:
        """Keep what was said of a write that was refused; the oldest of them go when there are very many."""
        ...

    def of(self, group: RegisteredGroup, *, limit: int | None = None) -> list[Reported]:
        """Return the reports of a group, in the order in which they were kept; with a limit, the newest ones."""
        ...

    def newest(self) -> dict[int, Reported]:
        """Return the newest report of each group version that has one, by its id."""
        ...

    def redact(self, group: RegisteredGroup, redacted: Redacted) -> int:
        """Put other bodies in the place of those of a group; return how many changed."""
        ...
