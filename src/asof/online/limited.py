"""An online store whose quota allows so many writes a second: what is applied to it is paced.

The limit is that of one process. Reads are not slowed.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from asof.errors import UsageError
from asof.online.port import Applied, Change, OnlineSnapshot, OnlineStore

OPTION = "max_writes_per_second"

PIECES = 10
"""Pieces a second in which a large change comes: so that the server sees no burst."""


class LimitedOnlineStore:
    """Applies at most so many rows a second, in pieces; see `OnlineStore` for each method.

    A commit of more rows than a piece becomes visible in several steps, and receipts say `applying` meanwhile. What
    must be visible in one step (groups that were written together, pushes that share a transaction) stays whole: the
    next change waits the longer.
    """

    def __init__(self, store: OnlineStore, rows_per_second: str) -> None:
        """Pace a store.

        Raises:
            UsageError: The limit is no number of rows.
        """
        if not rows_per_second.isdecimal() or not int(rows_per_second):
            store.close()
            raise UsageError(
                f"{OPTION}={rows_per_second!r} is no number of rows",
                where="the URL of the online store",
                todo=f"write it as {OPTION}=5000",
            )
        self._store = store
        self._rate = int(rows_per_second)
        self._piece = max(1, self._rate // PIECES)
        self._lock = threading.Lock()
        self._free_at = 0.0

    def snapshot(self, until: float | None = None) -> AbstractContextManager[OnlineSnapshot]:
        """See `OnlineStore.snapshot`."""
        return self._store.snapshot() if until is None else self._store.snapshot(until)

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`; it waits for its turn."""
        if len(changes) != 1:
            self._wait(sum(len(change.keys) for change in changes))
            return self._store.apply(changes)
        (change,) = changes
        rest = change
        while len(rest.keys) > self._piece:
            self._wait(self._piece)
            first = replace(rest, keys=rest.keys[: self._piece], rows=rest.rows[: self._piece], final=False)
            applied = self._store.apply([first])
            reached = applied[change.group_id].commit
            if reached >= change.commit or reached < change.after:  # others did it, or must come first
                return applied
            rest = replace(rest, keys=rest.keys[self._piece :], rows=rest.rows[self._piece :])
        self._wait(len(rest.keys))
        return self._store.apply([rest])

    def clear(self, group_id: int) -> None:
        """See `OnlineStore.clear`."""
        self._store.clear(group_id)

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """See `OnlineStore.erase`; it is not slowed: what is to be forgotten goes at once."""
        return self._store.erase(group_id, keys)

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        return self._store.count(group_id)

    @property
    def waits(self) -> bool:
        """See `OnlineStore.waits`."""
        return self._store.waits

    @property
    def suspect(self) -> bool:
        """See `OnlineStore.suspect`."""
        return self._store.suspect

    def trust(self) -> None:
        """See `OnlineStore.trust`."""
        self._store.trust()

    @property
    def mended(self) -> str:
        """See `OnlineStore.mended`."""
        return self._store.mended

    def check(self) -> list[str]:
        """See `OnlineStore.check`."""
        return self._store.check()

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._store.close()

    def _wait(self, rows: int) -> None:
        """Wait until the rows of those who came before are paid for."""
        with self._lock:
            start = max(time.monotonic(), self._free_at)
            self._free_at = start + rows / self._rate
        left = start - time.monotonic()
        if left > 0:
            time.sleep(left)
