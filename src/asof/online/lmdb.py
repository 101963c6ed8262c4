"""The newest values in LMDB: one memory-mapped file, many reader processes, one writer at a time.

LMDB does not sync on each commit: what a power cut takes is applied again from history. A killed process loses nothing,
since the pages belong to the kernel. After a reboot without a clean close the file is not trusted: `suspect` says so,
and the store is rebuilt.
"""

import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import compress
from pathlib import Path
from typing import Any, Self

import lmdb
import msgspec

from asof.errors import BackendError, PermanentError, TransientError
from asof.file_locks import close, lock, turn
from asof.online import lmdb_file
from asof.online.lmdb_erase import erase, forget_pages
from asof.online.lmdb_file import DATA, MARKS, UnusableError
from asof.online.port import HEAD_BYTES, Applied, Change, marked, pending

SPARE_BYTES = 64 * 1024 * 1024
"""A disk with less space left is full, as far as a write of ours is concerned."""
CLEAN = "CLEAN"
DAMAGED = "data.mdb.damaged"

_Marks = dict[int, tuple[int, int, bool]]
_decode_marks = msgspec.msgpack.Decoder(_Marks).decode
_encode_marks = msgspec.msgpack.Encoder().encode


class LmdbOnlineStore:
    """The online port over one LMDB environment.

    Args:
        url: "lmdb:FOLDER", the folder relative to the store's.
        root: The store's folder.
        repair: Look at every page first; move a damaged file aside and start empty.

    Raises:
        PermanentError: The file is damaged, or the folder cannot be written.
        TransientError: It is to be repaired, and another process has it open.
    """

    patience_seconds = 30.0
    """How long `erase` waits for readers of old states."""

    waits = False

    def __init__(self, url: str, *, root: str = "", repair: bool = False) -> None:
        """Open the environment, shared with every other open of the same folder in this process."""
        self.folder = Path(root) / url.removeprefix("lmdb:")
        self.mended = ""
        """See `OnlineStore.mended`."""
        with _translated(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if repair:
                self.mended = _set_aside(self.folder)
            self._shared = _Shared.open(self.folder.resolve())
        self._env = self._shared.env
        self._tables = self._shared.tables
        self._marks_seen: tuple[bytes, Mapping[int, Applied]] = (b"", {})
        self._opened: Mapping[int, Applied] = {}

    def snapshot(self, until: float | None = None) -> "_Snapshot":  # noqa: ARG002 - it waits for nobody
        """See `OnlineStore.snapshot`."""
        try:
            while True:
                txn = self._env.begin()
                applied = self._marks(txn)
                if applied is self._opened:
                    return _Snapshot(txn, applied, self._tables, self.folder)
                txn.abort()
                # Other processes began groups: a table is of use only to transactions that begin after it is opened.
                for group in applied:
                    self._table(group)
                self._opened = applied
        except (lmdb.Error, OSError) as error:
            raise _translation(error, self.folder) from error

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

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """See `OnlineStore.erase`. Other processes that wrote the rows should be started anew: see `lmdb_erase`."""
        if self._table(group_id) is None:
            return 0
        asked = msgspec.msgpack.encode((group_id, list(keys), self.patience_seconds))
        code = f"import sys; from {__name__} import erase_rows; erase_rows(sys.argv[1])"
        command = [sys.executable, "-c", code, str(self.folder)]
        done = subprocess.run(command, input=asked, capture_output=True, check=False)  # noqa: S603 - our own code
        if done.returncode:
            reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["the process died"])[-1]
            raise TransientError(
                f"rows may not be erased yet: {reason}", where=str(self.folder), todo="end long reads, and erase again"
            )
        with _translated(self.folder):
            forget_pages(self._env)
            (self.folder / DAMAGED).unlink(missing_ok=True)  # what a repair set aside
        return int(done.stdout)

    def count(self, group_id: int) -> int:
        """See `OnlineStore.count`."""
        table = self._table(group_id)
        if table is None:
            return 0
        with _translated(self.folder), self._env.begin() as txn:
            return int(txn.stat(table)["entries"])

    def check(self) -> list[str]:
        """See `OnlineStore.check`: walks every page, in a process of its own, since LMDB aborts on some faults."""
        faults = _probed(self.folder)
        if self.suspect:
            faults.append(f"{self.folder}: the machine stopped before the store was closed; it may miss commits")
        return faults

    @property
    def suspect(self) -> bool:
        """See `OnlineStore.suspect`: the machine restarted since the file was last closed cleanly."""
        return self._shared.suspect

    def trust(self) -> None:
        """See `OnlineStore.trust`."""
        self._shared.trust()

    def close(self) -> None:
        """See `OnlineStore.close`."""
        self._shared.release()

    def _table(self, group_id: int, *, create: bool = False) -> Any:  # noqa: ANN401 - LMDB's handle has no public type
        table = self._tables.get(group_id)
        if table is None:
            try:
                # In a transaction of ours: open_db's own waits for a writer while it holds Python's lock, which that
                # writer needs to go on.
                with _translated(self.folder), self._env.begin(write=True) as txn:
                    table = self._env.open_db(b"g%d" % group_id, txn=txn, create=create)
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
            pairs = [(key, row) for key, row in zip(change.keys, change.rows, strict=True) if row is not None]
            if len(found) == len(pairs) == len(change.keys):  # a full load: nobody is new, and they come in order
                old = [row[:HEAD_BYTES] for _, row in found]
                newer = [row[:HEAD_BYTES] > head for head, (_, row) in zip(old, pairs, strict=True)]
                pairs = pairs if all(newer) else list(compress(pairs, newer))
            elif found:
                present: dict[bytes, bytes] = dict(found)
                newer = [row[:HEAD_BYTES] > present.get(key, b"")[:HEAD_BYTES] for key, row in pairs]
                pairs = list(compress(pairs, newer))
            cursor.putmulti(pairs)


class _Snapshot:
    """A read transaction that ends with its block; a class, since a generator takes as long as the reads."""

    __slots__ = ("_folder", "_tables", "_txn", "applied")

    def __init__(
        self, txn: lmdb.Transaction, applied: Mapping[int, Applied], tables: Mapping[int, Any], folder: Path
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._folder = folder
        self.applied = applied

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._txn.abort()
        if isinstance(error, lmdb.Error):
            raise _translation(error, self._folder) from error

    def get(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        get: Any = self._txn.get  # gives bytes, since we never ask for buffers
        tables = self._tables
        applied = self.applied
        return [get(key, None, tables[group]) if group in applied else None for group, key in requests]

    def get_many(self, wanted: Sequence[tuple[int, Sequence[bytes]]]) -> list[list[bytes | None]]:
        get: Any = self._txn.get
        found: list[list[bytes | None]] = []
        for group, keys in wanted:
            if group in self.applied:
                table = self._tables[group]
                found.append([get(key, None, table) for key in keys])
            else:
                found.append([None] * len(keys))
        return found


class _Shared:
    """One environment for all opens of a folder in this process: LMDB forbids two."""

    opened: dict[tuple[int, Path], "_Shared"] = {}  # noqa: RUF012 - the registry of opens
    lock = threading.Lock()

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.users = 0
        self.tables: dict[int, Any] = {}
        self.usage = (folder / CLEAN).open("a+")
        try:
            alone = lock(self.usage, wait=False)
            self.env = _environment(folder)
            if not alone:
                lock(self.usage, shared=True)  # waits while the one that was first looks at the mark
            self.suspect = self._restarted_since_close()
            lock(self.usage, shared=True)  # as long as it is open: nobody else can call it closed
        except BaseException:  # an interrupt too must not keep the file locked
            close(self.usage)
            raise

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
            try:
                self._finish()
            finally:
                close(self.usage)

    def _finish(self) -> None:
        with _translated(self.folder):
            self.env.sync(True)  # noqa: FBT003 - LMDB's own signature
            closed_at = self.env.info()["last_txnid"]
            self.env.close()
            if not self.suspect and lock(self.usage, wait=False):
                self._mark(f"{_boot()} {closed_at}")

    def trust(self) -> None:
        self.suspect = False
        self._mark(IN_USE.format(_boot()))

    def _restarted_since_close(self) -> bool:
        self.usage.seek(0)
        mark = self.usage.read().strip()
        boot, _, closed_at = mark.partition(" ")
        last = self.env.info()["last_txnid"]
        suspect = bool(last) and boot != _boot() and closed_at != str(last)
        if not suspect and mark != IN_USE.format(_boot()):
            self._mark(IN_USE.format(_boot()))
        return suspect

    def _mark(self, text: str) -> None:
        """Write the mark in one piece: others may read it at the same time, and none would mean a restart to them."""
        with (self.folder / CLEAN).open("r+b") as file:
            file.write(text.ljust(MARK_BYTES).encode())
            file.flush()
            os.fsync(file.fileno())  # else a power cut soon after may bring the mark of a clean close back


MARK_BYTES = 80
IN_USE = "{} -1"
"""The mark of a store that is open, or was when its process died: the run of the machine, and no transaction."""


def _probed(folder: Path) -> list[str]:
    """Return the faults that another process finds when it reads all of a folder's store; its death is one."""
    if not (folder / DATA).exists():
        return []
    # "-P": beside the program lies a module that has the name of LMDB's package.
    command = [sys.executable, "-P", lmdb_file.__file__, str(folder), str(HEAD_BYTES)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own code
    faults = [f"{folder}: {line}" for line in done.stdout.decode(errors="replace").splitlines()]
    if done.returncode:
        stderr = done.stderr.decode(errors="replace")
        reason = (stderr.strip().splitlines() or [f"reading it ends the process ({done.returncode})"])[-1]
        faults.append(f"{folder / DATA} is damaged: {reason}")
    return faults


def erase_rows(folder: str) -> None:
    """Erase the rows that stdin names, and print how many there were."""
    given = sys.stdin.buffer.read()
    group, keys, patience_seconds = msgspec.msgpack.decode(given, type=tuple[int, list[bytes], float])
    env = _environment(Path(folder))
    with env.begin(write=True) as txn:
        table = env.open_db(b"g%d" % group, txn=txn)
    try:
        print(erase(env, table, keys, patience_seconds=patience_seconds))  # noqa: T201 - what the parent reads
    except TransientError as error:
        sys.exit(str(error))
    env.sync(True)  # noqa: FBT003 - LMDB's own signature
    env.close()


def _set_aside(folder: Path) -> str:
    """Move a damaged file aside, if nobody else has it open; return what was wrong with it."""
    faults = _probed(folder)
    if not faults:
        return ""
    (folder / CLEAN).touch()
    with turn(folder / CLEAN, wait=False) as alone:
        if not alone:
            raise TransientError(
                f"another process has the online store open, and it is damaged: {'; '.join(faults)}",
                where=str(folder),
                todo="end the processes that use the store, then repair it",
            )
        (folder / DATA).replace(folder / DAMAGED)
        (folder / "lock.mdb").unlink(missing_ok=True)
        os.truncate(folder / CLEAN, 0)
    return f"{'; '.join(faults)}; it was moved to {DAMAGED}, and built again from history"


def _leave_parents_environments() -> None:
    """Let a forked child open for itself what its parent has open.

    The parent's environments must not be closed here: that would free its readers' slots. But py-lmdb refuses to open
    the same files twice, and takes the parent's for ours (py-lmdb 3.0); so the child gets names of its own for files.
    """
    _Shared.lock = threading.Lock()
    with suppress(ImportError):
        files: Any = importlib.import_module("lmdb._envid")
        pid, original = os.getpid(), files.env_keys

        def env_keys(path: Any, subdir: Any) -> tuple[Any, ...]:  # noqa: ANN401 - py-lmdb's own
            return tuple((pid, *key) for key in original(path, subdir))

        files.env_keys = env_keys


os.register_at_fork(after_in_child=_leave_parents_environments)


def _boot() -> str:
    """Name the run of the machine; where it has no name every run is one, and only `doctor` finds a torn file."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _environment(folder: Path) -> lmdb.Environment:
    try:
        return lmdb_file.environment(folder)
    except UnusableError as error:
        what, where, todo = error.args
        raise PermanentError(what, where=where, todo=todo) from error


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
    # LMDB calls a write that a full disk cut short an "Input/output error"; so does a disk that fails.
    cut_short = "Input/output error" in str(error) and shutil.disk_usage(folder).free < SPARE_BYTES
    if isinstance(error, lmdb.MapFullError) or "No space left" in str(error) or cut_short:
        return PermanentError(f"no space for the online store: {error}", where=where, todo="free some disk space")
    if isinstance(error, lmdb.ReadersFullError | lmdb.LockError | lmdb.MapResizedError):
        return TransientError(f"the online store is busy: {error}", where=where, todo="try again")
    if isinstance(error, lmdb.ReadonlyError | PermissionError) or "Permission denied" in str(error):
        return PermanentError(f"the online store cannot be written: {error}", where=where, todo="check permissions")
    if "already open in this process" in str(error):
        return PermanentError(
            f"the online store was open when this process was forked: {error}",
            where=where,
            todo="open the store after the fork, or upgrade the package lmdb",
        )
    return PermanentError(
        f"the online store is damaged: {error}",
        where=where,
        todo="run `asof doctor --repair`: it is rebuilt from history",
    )
