"""The rows that this process read last, for views that answer from them where the online store is slow.

They lie in memory only, the least recently used go first, and `forget` drops all of them.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from asof.online.port import Applied

MOST_ANSWERS = 200_000
MOST_BYTES = 64_000_000
"""What is kept; beyond either, the least recently used goes."""

ANSWER_BYTES, ROW_BYTES, MARK_BYTES = 600, 80, 150
"""About what Python takes for an answer, for each of its rows and of its groups, besides their bytes."""


class Last(NamedTuple):
    """What a read found.

    Attributes:
        rows: The row of each look-up, as it is stored.
        applied: How far the groups were applied, by group id.
        t_us: T of its answer.
    """

    rows: Sequence[bytes | None]
    applied: Mapping[int, Applied]
    t_us: int


class LastRows:
    """What was read last, by what was asked for. Safe to use from several threads."""

    def __init__(self, most: int = MOST_ANSWERS, most_bytes: int = MOST_BYTES) -> None:
        """Know nothing yet."""
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, tuple[Last, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self.generation = 0
        """Grows when all is forgotten: what was read before must not be kept after it."""

    def put(self, asked: Hashable, found: Last, generation: int) -> None:
        """Keep what was read, unless all was forgotten since a generation."""
        size = ANSWER_BYTES + ROW_BYTES * len(found.rows) + MARK_BYTES * len(found.applied)
        size += sum(len(row) for row in found.rows if row is not None)
        with self._lock:
            if generation != self.generation:
                return
            _, before = self._kept.pop(asked, (None, 0))
            self._kept[asked] = found, size
            self._bytes += size - before
            while len(self._kept) > self._most or self._bytes > self._most_bytes:
                _, (_, gone) = self._kept.popitem(last=False)
                self._bytes -= gone

    def get(self, asked: Hashable) -> Last | None:
        """Return what was read last; None if nothing was, or it is not kept any more."""
        with self._lock:
            known = self._kept.get(asked)
            if known is None:
                return None
            self._kept.move_to_end(asked)
            return known[0]

    def forget(self) -> None:
        """Forget all."""
        with self._lock:
            self.generation += 1
            self._kept.clear()
            self._bytes = 0

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    @property
    def size_bytes(self) -> int:
        """About how many bytes they take."""
        return self._bytes
