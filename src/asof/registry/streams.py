"""What a registry must do with streams into groups: positions, and what was not stored."""

from typing import Protocol

from asof.records import Letter
from asof.registry.registered import RegisteredGroup


class Streams(Protocol):
    """How far streams were read into groups, and what of them was not stored. `CommitLog.publish` writes both.

    They go with their group. Atomic, and safe to call from several threads and processes.
    """

    def positions(self, group: RegisteredGroup, stream: str | None = None) -> dict[tuple[str, str], str]:
        """Return the last message that was taken, by (stream, partition); of one stream, or of all."""
        ...

    def letters(self, group: RegisteredGroup, *, limit: int | None = None) -> list[Letter]:
        """Return the letters of a group, in the order in which they were kept; with a limit, the newest ones."""
        ...

    def count_letters(self, group: RegisteredGroup) -> int:
        """Return how many letters of a group still have what they are about."""
        ...

    def blank_letters(self, group: RegisteredGroup) -> int:
        """Erase the bodies and reasons of a group's letters, and no letter; return how many had any."""
        ...
