"""The newest values in LMDB: one memory-mapped file, many reader processes, one writer at a time.

LMDB does not sync on each commit: what a power cut takes is applied again from history. A killed process loses nothing,
since the pages belong to the kernel. After a reboot without a clean close the file is not trusted: `suspect` says so,
and the store is rebuilt.
"""

import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from asof.errors import BackendError, PermanentError, TransientError
from asof.online.port import HEAD_BYTES, Applied, Change, marked, pending

MAP_BYTES = (1 << 44, 1 << 40, 1 << 36, 1 << 33)
"""Sizes of the map to try, the largest first: it is sparse, and never resized beside running readers."""

MAX_GROUPS = 16_384
MARKS = b"applied"
CLEAN = "CLEAN"

_Marks = dict[int, tuple[int, int, bool]]
_decode_marks = msgspec.msgpack.Decoder(_Marks).decode
_encode_marks = msgspec.msgpack.Encoder().encode


class LmdbOnlineStore:
    """The online port over one LMDB environment.

    Args:
        url: "lmdb:FOLDER", the folder relative to the store's.
        root: The store's folder.

    Raises:
        PermanentError: The file is damaged, or the folder cannot be written.
    """

    def __init__(self, url: str, *, root: str = "") -> None:
        """Open the environment, shared with every other open of the same folder in this process."""
        self.folder = Path(root) / url.removeprefix("lmdb:")
        with _translated(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._shared = _Shared.open(self.folder.resolve())
        self._env = self._shared.env
        self._tables = self._shared.tables
        self._marks_seen: tuple[bytes, Mapping[int, Applied]] = (b"", {})
        self._opened: Mapping[int, Applied] = {}

    @contextmanager
    def snapshot(self) -> Generator["_Snapshot"]:
        """See `OnlineStore.snapshot`."""
        with _translated(self.folder):
            while True:
                with self._env.begin() as txn:
                    applied = self._marks(txn)
                    if applied is self._opened:
                        yield _Snapshot(txn, applied, self._tables)
                        return
                # Other processes began groups: a table is of use only to transactions that begin after it is opened.
                for group in applied:
                    self._table(group)
                self._opened = applied

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """See `OnlineStore.apply`."""
        for change in changes:
            self._table(change.group_id, create=True)
        with _translated(self.folder), self._env.begin(write=True) as txn:
            marks = dict(self._marks(txn))
            todo = pending(changes, marks)
            for change in todo or ():
                self._put(txn, change)
                marks[change.group_id] = marked(change, marks.get(change.group_id, Applied()))
            if todo:
                txn.put(
                    MARKS,
                    _encode_marks({g: (a.commit, a.committed_at_us, a.applying) for g, a in marks.items()}),
                )
        return {change.group_id: marks.get(change.group_id, Applied()) for change in changes}

    def clear(self, group_id: int) -> None:
        """See `OnlineStore.clear`."""
        table = self._table(group_id, create=True)
        with _translated(self.folder), self._env.begin(write=True) as txn:
            marks = {g: (a.commit, a.committed_at_us, a.applying) for g, a in self._marks(txn).items() if g != group_id}
            txn.drop(table, delete=False)
            txn.put(MARKS, _encode_marks(marks))

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        table = self._table(group_id)
        if table is None:
            return 0
        with _translated(self.folder), self._env.begin() as txn:
            return int(txn.stat(table)["entries"])

    def check(self) -> list[str]:
        """See `OnlineStore.check`: walks every page of every group."""
        faults: list[str] = []
        if self.suspect:
            faults.append(f"{self.folder}: the machine stopped before the store was closed; it may miss commits")
        try:
            with self._env.begin() as txn:
                names = [bytes(key) for key, _ in txn.cursor() if key != MARKS]
            for name in names:
                table = self._table(int(name[1:]))
                with self._env.begin() as txn:
                    rows = sum(1 for _, row in txn.cursor(table) if len(row) >= HEAD_BYTES)
                    if rows != txn.stat(table)["entries"]:
                        faults.append(f"{self.folder}: group {name[1:].decode()} has broken rows")
        except lmdb.Error as error:
            faults.append(f"{self.folder}: {error}")
        return faults

    @property
    def suspect(self) -> bool:
        """See `OnlineStore.suspect`: the machine restarted since the file was last closed cleanly."""
        return self._shared.suspect

    def trust(self) -> None:
        """See `OnlineStore.trust`."""
        self._shared.suspect = False

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._shared.release()

    def _table(self, group_id: int, *, create: bool = False) -> Any:  # noqa: ANN401 - LMDB's handle has no public type
        table = self._tables.get(group_id)
        if table is None:
            try:
                with _translated(self.folder):
                    table = self._env.open_db(b"g%d" % group_id, create=create)
            except KeyError:
                return None
            self._tables[group_id] = table
        return table

    def _marks(self, txn: lmdb.Transaction) -> Mapping[int, Applied]:
        raw = bytes(txn.get(MARKS) or b"")
        seen = self._marks_seen
        if raw != seen[0]:
            decoded: _Marks = _decode_marks(raw) if raw else {}
            seen = (raw, {group: Applied(*mark) for group, mark in decoded.items()})
            self._marks_seen = seen
        return seen[1]

    def _put(self, txn: lmdb.Transaction, change: Change) -> None:
        table = self._tables[change.group_id]
        if change.replace:
            for key, row in zip(change.keys, change.rows, strict=True):
                if row is None:
                    txn.delete(key, db=table)
                else:
                    txn.put(key, row, db=table)
            return
        with txn.cursor(table) as cursor:
            found: Any = cursor.getmulti(change.keys) if change.keys else ()  # bytes, since we never ask for buffers
            present: dict[bytes, bytes] = dict(found)
            pairs = [(key, row) for key, row in zip(change.keys, change.rows, strict=True) if row is not None]
            if present:
                newer = [row[:HEAD_BYTES] > present.get(key, b"")[:HEAD_BYTES] for key, row in pairs]
                pairs = list(compress(pairs, newer))
            cursor.putmulti(pairs)


class _Snapshot:
    __slots__ = ("_tables", "_txn", "applied")

    def __init__(self, txn: lmdb.Transaction, applied: Mapping[int, Applied], tables: Mapping[int, Any]) -> None:
        self._txn = txn
        self._tables = tables
        self.applied = applied

    def get(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        get: Any = self._txn.get  # gives bytes, since we never ask for buffers
        tables = self._tables
        applied = self.applied
        return [get(key, db=tables[group]) if group in applied else None for group, key in requests]


class _Shared:
    """One environment for all opens of a folder in this process: LMDB forbids two."""

    opened: dict[tuple[int, Path], "_Shared"] = {}  # noqa: RUF012 - the registry of opens
    lock = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users = 0
        self.tables: dict[int, Any] = {}
        self.env = _environment(folder)
        self.suspect = self._restarted_since_close()

    @classmethod
    def open(cls, folder: Path) -> "_Shared":
        with cls.lock:
            key = (os.getpid(), folder)  # a forked child must not use its parent's environment
            if key not in cls.opened:
                cls.opened[key] = cls(folder)
            shared = cls.opened[key]
            shared.users += 1
            return shared

    def release(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users:
                return
            self.opened.pop((os.getpid(), self.folder), None)
            with _translated(self.folder):
                self.env.sync(True)  # noqa: FBT003 - LMDB's own signature
                if not self.suspect:
                    (self.folder / CLEAN).write_text(self._state())
                self.env.close()

    def _state(self) -> str:
        return f"{_boot()} {self.env.info()['last_txnid']}"

    def _restarted_since_close(self) -> bool:
        mark = self.folder / CLEAN
        last = self.env.info()["last_txnid"]
        boot, _, closed_at = mark.read_text().partition(" ") if mark.exists() else ("", "", "")
        if not mark.exists():
            mark.write_text(f"{_boot()} -1")
            return bool(last)
        if boot == _boot():
            return False
        if closed_at == str(last):
            mark.write_text(f"{_boot()} -1")
            return False
        return True


def _boot() -> str:
    """Name the run of the machine; where it has no name every run is one, and only `doctor` finds a torn file."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _environment(folder: Path) -> lmdb.Environment:
    for size in MAP_BYTES:
        try:
            env = lmdb.open(
                str(folder),
                map_size=size,
                max_dbs=MAX_GROUPS,
                max_readers=1024,
                sync=False,
                max_spare_txns=16,
                metasync=False,
            )
        except MemoryError:
            continue
        except lmdb.Error as error:
            if "Cannot allocate memory" in str(error):
                continue
            raise
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        actual = (folder / "data.mdb").stat().st_size
        if env.info()["last_txnid"] and actual < needed:
            env.close()
            raise PermanentError(
                f"the online store is cut off: {actual:,} of {needed:,} bytes are there",
                where=str(folder / "data.mdb"),
                todo="run `asof doctor --repair`: it is rebuilt from history",
            )
        return env
    raise PermanentError("no address space for the online store", where=str(folder))


@contextmanager
def _translated(folder: Path) -> Generator[None]:
    try:
        yield
    except lmdb.NotFoundError as error:
        raise KeyError from error
    except (lmdb.Error, OSError) as error:
        raise _translation(error, folder) from error


def _translation(error: Exception, folder: Path) -> BackendError:
    where = str(folder)
    if isinstance(error, lmdb.MapFullError) or "No space left" in str(error):
        return PermanentError(f"no space for the online store: {error}", where=where, todo="free some disk space")
    if isinstance(error, lmdb.ReadersFullError | lmdb.LockError | lmdb.MapResizedError):
        return TransientError(f"the online store is busy: {error}", where=where, todo="try again")
    if isinstance(error, lmdb.ReadonlyError | PermissionError) or "Permission denied" in str(error):
        return PermanentError(f"the online store cannot be written: {error}", where=where, todo="check permissions")
    return PermanentError(
        f"the online store is damaged: {error}",
        where=where,
        todo="run `asof doctor --repair`: it is rebuilt from history",
    )
