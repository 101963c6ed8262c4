"""The newest values in this process's memory: for tests, for verification, and for stores that need no disk."""

import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from asof.online.port import HEAD_BYTES, Applied, Change, WithoutFiles, marked, pending


class MemoryOnlineStore(WithoutFiles):
    """The online port over dicts; rebuilt from history whenever a process starts."""

    waits = False

    def __init__(self, url: str = "memory:", *, root: str = "", repair: bool = False) -> None:
        """Start empty; the arguments are those of every adapter and mean nothing here."""
        del url, root, repair
        self._lock = threading.RLock()
        self._rows: dict[int, dict[bytes, bytes]] = {}
        self._applied: dict[int, Applied] = {}

    @contextmanager
    def snapshot(self, until: float | None = None) -> Generator["_Snapshot"]:
        """See `OnlineStore.snapshot`; writers wait meanwhile, and readers for nobody: `until` means nothing."""
        del until
        with self._lock:
            yield _Snapshot(self._rows, self._applied)

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`."""
        with self._lock:
            marks = dict(self._applied)  # a new one: receipts are made from what a snapshot saw, after it is closed
            for change in pending(changes, marks) or ():
                rows = self._rows.setdefault(change.group_id, {})
                for key, row in zip(change.keys, change.rows, strict=True):
                    if row is None:
                        rows.pop(key, None)
                    elif change.replace or row[:HEAD_BYTES] > rows.get(key, b"")[:HEAD_BYTES]:
                        rows[key] = row
                marks[change.group_id] = marked(change, marks.get(change.group_id, Applied()))
            self._applied = marks
            return {change.group_id: marks.get(change.group_id, Applied()) for change in changes}

    def clear(self, group_id: int) -> None:
        """See `OnlineStore.clear`."""
        with self._lock:
            self._rows.pop(group_id, None)
            self._applied = {group: mark for group, mark in self._applied.items() if group != group_id}

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """See `OnlineStore.erase`."""
        with self._lock:
            rows = self._rows.get(group_id, {})
            return sum(rows.pop(key, None) is not None for key in keys)

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        return len(self._rows.get(group_id, {}))

    def check(self) -> list[str]:
        """See `OnlineStore.check`: memory has no files."""
        return []

    def close(self) -> None:
        """See `OnlineStore.close`."""


class _Snapshot:
    def __init__(self, rows: Mapping[int, Mapping[bytes, bytes]], applied: Mapping[int, Applied]) -> None:
        self._rows = rows
        self.applied = applied

    def get(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        rows = self._rows
        return [rows[group].get(key) if group in rows else None for group, key in requests]

    def get_many(self, wanted: Sequence[tuple[int, Sequence[bytes]]]) -> list[list[bytes | None]]:
        return [[self._rows.get(group, {}).get(key) for key in keys] for group, keys in wanted]
