"""What a registry must do with what monitors found."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class MonitorFound:
    """What a run of a monitor found.

    Attributes:
        view: The name of the view or group that it looks at.
        monitor: The monitor's name.
        at_us: When it ran.
        writer: Who ran it.
        body: What it found, as JSON.
    """

    view: str
    monitor: str
    at_us: int
    writer: str
    body: str


class Monitors(Protocol):
    """What monitors found, run by run. Of rows it holds the names of segments, and nothing else.

    Atomic, and safe to call from several threads and processes.
    """

    def add(self, found: MonitorFound) -> None:
        """Keep what a run found; the oldest of its monitor go when there are very many."""
        ...

    def of(self, view: str, *, monitor: str | None = None, limit: int | None = None) -> list[MonitorFound]:
        """Return what monitors of a view or group found, in the order of the runs; with a limit, the newest ones."""
        ...

    def redact(self, redacted: Callable[[str], str]) -> int:
        """Put other bodies in the place of those of all runs; return how many changed."""
        ...
