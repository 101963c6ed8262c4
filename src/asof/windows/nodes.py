"""Nodes of the tree of an entity's events, in columns: reads join states of neighbours, and look at few columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

Order = tuple[int, bytes]


class Kept(NamedTuple):
    """An event as a leaf keeps it.

    Attributes:
        time_us: When it happened.
        identity: The bytes of its source's key.
        values: Of the columns of the shape, as they travel.
    """

    time_us: int
    identity: bytes
    values: Sequence[object]

    @property
    def order(self) -> Order:
        """What events are ordered by, and told apart by."""
        return self.time_us, self.identity


Op = tuple[Order, Kept | None]
"""Put an event at its place, or take it out."""


class Leaf(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Events in the order of time and identity.

    Attributes:
        times_us: When each happened.
        identities: The bytes of their source's keys.
        columns: The values of each column of the shape, as they travel.
    """

    times_us: list[int] = []
    identities: list[bytes] = []
    columns: list[list[Any]] = []

    @classmethod
    def of(cls, events: Sequence[Kept]) -> "Leaf":
        """Return a leaf of events, which are in order."""
        if not events:
            return cls()
        times_us, identities, values = zip(*events, strict=True)
        return cls([*times_us], [*identities], [[*column] for column in zip(*values, strict=True)])

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.times_us)

    def events(self) -> Iterator[Kept]:
        """Give the events."""
        values = zip(*self.columns, strict=True) if self.columns else [()] * len(self)
        return map(Kept, self.times_us, self.identities, values)


class Run(NamedTuple):
    """Where events of a condition lie.

    Attributes:
        first_us, last_us: The first and the last.
        widest_us: The widest gap between two that follow each other.
    """

    first_us: int
    last_us: int
    widest_us: int = 0

    def then(self, later: "Run") -> "Run":
        """Return both, the other one of which is later."""
        gap = later.first_us - self.last_us
        return Run(self.first_us, later.last_us, max(self.widest_us, gap, later.widest_us))


class Entry(NamedTuple):
    """A child of a branch.

    Attributes:
        node: Its number.
        first_us: The time of its first event.
        identity: Of its first event.
        last_us: The time of its last event.
        runs: Of its events, by the conditions of the shape; None if there are none.
        states: Of its events, by the parts of the shape, as they are written.
    """

    node: int
    first_us: int
    identity: bytes
    last_us: int
    runs: Sequence[Run | None]
    states: Sequence[Any]


class Branch(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Children, each of which is later than the one before; see `Entry`.

    Attributes:
        nodes: Their numbers.
        firsts_us, identities: The orders of their first events.
        lasts_us: The times of their last events.
        runs: Theirs, by the conditions of the shape.
        states: Theirs, by the parts of the shape.
    """

    nodes: list[int]
    firsts_us: list[int]
    identities: list[bytes]
    lasts_us: list[int]
    runs: list[list[Run | None]]
    states: list[list[Any]]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "Branch":
        """Return a branch of children, of which there is one at least."""
        nodes, firsts_us, identities, lasts_us, runs, states = zip(*entries, strict=True)
        return cls([*nodes], [*firsts_us], [*identities], [*lasts_us], _columns(runs), _columns(states))

    def __len__(self) -> int:
        """Return how many children there are."""
        return len(self.nodes)

    def entries(self) -> Iterator[Entry]:
        """Give the children."""
        runs, states = zip(*self.runs, strict=True), zip(*self.states, strict=True)
        return map(Entry, self.nodes, self.firsts_us, self.identities, self.lasts_us, runs, states)


Node = Leaf | Branch
"""A leaf may be empty, if it is the root."""


def _columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return [[*column] for column in zip(*rows, strict=True)]
