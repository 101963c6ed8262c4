"""What a registry must do with what monitors found."""

from typing import Protocol

from asof.records import MonitorFound


class Monitors(Protocol):
    """What monitors found, run by run. It holds no values of rows.

    Atomic, and safe to call from several threads and processes.
    """

    def add(self, found: MonitorFound) -> None:
        """Keep what a run found; the oldest of its monitor go when there are very many."""
        ...

    def of(self, view: str, *, monitor: str | None = None, limit: int | None = None) -> list[MonitorFound]:
        """Return what monitors of a view or group found, in the order of the runs; with a limit, the newest ones."""
        ...
