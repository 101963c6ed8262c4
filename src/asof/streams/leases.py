"""Share partitions among members where the broker does not: each is leased to one, for seconds, and by fair shares."""

import math
import time
from collections.abc import Sequence
from typing import Protocol


class Office(Protocol):
    """Where leases are kept, as one member sees it. Each step is atomic; what is not renewed in time is free again."""

    def members(self) -> int:
        """Say that this member is there; return how many are."""
        ...

    def take(self, partition: str) -> bool:
        """Take a partition, if it is free."""
        ...

    def keep(self, partition: str) -> bool:
        """Renew a lease; return False if it is somebody else's, or nobody's, by now."""
        ...

    def give(self, partition: str) -> None:
        """Give a partition back, if it is still ours."""
        ...

    def leave(self) -> None:
        """Say that this member goes."""
        ...


class Leases:
    """The partitions that a member has leased.

    Attributes:
        held: Each partition, and a number that is another one each time it is taken.
    """

    def __init__(self, partitions: Sequence[str], office: Office, seconds: float) -> None:
        """Hold nothing yet."""
        self.held: dict[str, int] = {}
        self._partitions = partitions
        self._office = office
        self._seconds = seconds
        self._looks_at = 0.0
        self._count = 0

    def look(self) -> tuple[list[str], list[str]]:
        """Renew what is held if it is time to; return what was taken, and what was lost or given back."""
        now = time.monotonic()
        if now < self._looks_at:
            return [], []
        self._looks_at = now + self._seconds / 4
        lost = [partition for partition in self.held if not self._office.keep(partition)]
        share = math.ceil(len(self._partitions) / max(self._office.members(), 1))
        for partition in lost:
            del self.held[partition]
        for partition in list(self.held)[share:]:
            del self.held[partition]
            self._office.give(partition)
            lost.append(partition)
        taken: list[str] = []
        for partition in self._partitions:
            if len(self.held) >= share:
                break
            if partition not in self.held and partition not in lost and self._office.take(partition):
                self._count += 1
                self.held[partition] = self._count
                taken.append(partition)
        return taken, lost

    def drop(self, partition: str) -> None:
        """Give a partition back; it is looked for again in a moment."""
        if self.held.pop(partition, None) is not None:
            self._office.give(partition)
        self._looks_at = 0.0

    def close(self) -> None:
        """Give everything back."""
        for partition in self.held:
            self._office.give(partition)
        self.held = {}
        self._office.leave()
