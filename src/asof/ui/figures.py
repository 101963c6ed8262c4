"""What a server counted, as its pages show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Latency:
    """How long something took.

    Attributes:
        count: How often it was asked.
        total_seconds: All of it together.
        buckets: (upper bound in seconds, how many took that long or less), ascending; the last bound is infinity.
    """

    count: int
    total_seconds: float
    buckets: Sequence[tuple[float, int]]

    def within(self, share: float) -> float | None:
        """Return the least known bound within which that share was answered; None if nothing was asked."""
        return next((bound for bound, count in self.buckets if self.count and count >= share * self.count), None)


@dataclass(frozen=True, slots=True)
class Counted:
    """The figures of all processes of a server since it began.

    Attributes:
        online: How long online answers took, by the name that was asked for.
        values: Values by status, of one answer in ten, by the same name.
        requests: Requests, by operation and HTTP status.
    """

    online: Mapping[str, Latency] = field(default_factory=dict[str, Latency])
    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    requests: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])


class Figures(Protocol):
    """Tells the figures of a server."""

    def counted(self) -> Counted:
        """Return the figures of now."""
        ...

    def under_way(self) -> tuple[int, int]:
        """Return how many reads of history are under way in this process, and how many may be."""
        ...
