"""What a source outside of the store must do: give rows piece by piece, and say how far each piece reaches.

The registry remembers how far rows were taken, by partition, and moves that in the transaction that stores the rows
(`asof.records.Taken`). So a source is asked what comes after, and keeps nothing itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from asof.progress import Progress

Bounds = tuple[int | None, int]
"""Event times in microseconds, (after, up to and including]; no lower bound: None."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is to take.

    Attributes:
        now_us: The store's time.
        start_us: Only rows with later event times.
        end_us: Only rows with event times up to this one.
        full: Whether to begin anew: what was taken before is given again.
        note: Returns the note of the newest piece that was taken: of a source of one partition, the one that moved it
            to where it stands.
    """

    now_us: int
    start_us: int | None = None
    end_us: int | None = None
    full: bool = False
    note: Callable[[], Mapping[str, Any]] = dict

    @property
    def bounded(self) -> bool:
        """Whether it has bounds."""
        return self.start_us is not None or self.end_us is not None


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that become one commit; none, if there are no rows.

    Attributes:
        name: What people call it: a file, a span of time. It is kept with the commit.
        rows: Gives the rows, in tables that fit memory, with the columns of the source; asked once. What it gave counts
            only if it ends without an error.
        moves: Partition to the position that is reached once the piece is stored: at most 127 and 63 characters. Empty:
            the piece is taken again, or in another order, and moves nothing.
        note: What is kept with the commit besides, as JSON.
        within: Event times outside of which it must have no rows.
    """

    name: str
    rows: Callable[[], Iterator[pa.Table]]
    moves: Mapping[str, str] = field(default_factory=dict[str, str])
    note: Mapping[str, Any] = field(default_factory=dict[str, Any])
    within: Bounds | None = None


class Source(Protocol):
    """Rows outside of the store. It holds nothing open between two calls."""

    @property
    def name(self) -> str:
        """By what name its positions are remembered; it stays the same when the place of the rows is amended."""
        ...

    @property
    def unit(self) -> str:
        """What its progress counts: "rows" or "bytes"."""
        ...

    @property
    def apart(self) -> bool:
        """Whether a piece that fails says nothing of the ones after it: these are taken all the same."""
        ...

    def pieces(self, taken: Mapping[str, str], asked: Asked, advance: Progress) -> Iterator[Piece]:
        """Give what comes after the positions, in the order in which it is to be stored.

        A piece is stored before the next one is asked for, unless the run begins anew: then all are stored at once. The
        same positions give the same rows as long as the place has them. Nothing is taken by asking.

        Args:
            taken: How far each partition was taken; those that never were are not in it.
            asked: What the run is to take. With bounds, pieces may hold other rows too: they are left out.
            advance: Told how far it is; see `unit`.

        Raises:
            NotFoundError: There is no such place. DataError: It gives what is no rows.
            UsageError: What is asked does not fit it. ConflictError: What was taken is not there any more.
            BackendError: It cannot be read now.
        """
        ...
