"""What the online stores on a server have in common: marks beside the rows, checked snapshots, bounded retries.

A server holds no snapshot open between two calls. So every read brings the marks along; a later read of the same
snapshot is compared with the first one, and refused if it may be of another state.
"""

import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from itertools import chain
from pathlib import Path
from typing import Generic, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, urlencode

from asof.errors import TransientError, UsageError
from asof.online.deadlines import Connecting, OutOfTimeError
from asof.online.port import Applied, Change, StaleSnapshotError, marked, version_of

_MARK = struct.Struct(">8q")

PAUSES = (0.0, 0.05, 0.2, 0.5)
"""Seconds before each further attempt to reach a server; a call that fails so often fails."""

LONGEST_NAME = 56
"""PostgreSQL cuts names after 63 bytes without a word."""

C = TypeVar("C")

Requests = Sequence[tuple[int, bytes]]
Wanted = Sequence[tuple[int, Sequence[bytes]]]


class Mark(NamedTuple):
    """What the server keeps about a group, 64 bytes.

    Attributes:
        group_id: The group.
        commit: See `Applied`.
        committed_at_us: See `Applied`.
        applying: See `Applied`; 0 or 1.
        created: The stamp of the change that made the mark. Stamps only grow.
        changed: The stamp of the group's last change.
        replaced: The stamp of the last change that may have taken rows away, or put older ones.
        loading: What an adapter needs to remember.
    """

    group_id: int
    commit: int = 0
    committed_at_us: int = 0
    applying: int = 0
    created: int = 0
    changed: int = 0
    replaced: int = 0
    loading: int = 0

    @property
    def applied(self) -> Applied:
        """How far the group is applied."""
        return Applied(self.commit, self.committed_at_us, bool(self.applying))

    def pack(self) -> bytes:
        """Return its bytes."""
        return _MARK.pack(*self)


class Marks:
    """The marks of all groups in one state of the server."""

    __slots__ = ("applied", "by_group", "raw")

    def __init__(self, raw: bytes) -> None:
        """Read the bytes of marks, one after the other."""
        self.raw = raw
        self.by_group = {fields[0]: Mark(*fields) for fields in _MARK.iter_unpack(raw)}
        self.applied: Mapping[int, Applied] = {group: mark.applied for group, mark in self.by_group.items()}

    def after(self, todo: Sequence[Change]) -> dict[int, Mark]:
        """Return the marks of the groups of changes after them, with their old stamps."""
        after: dict[int, Mark] = {}
        for change in todo:
            mark = after.get(change.group_id) or self.by_group.get(change.group_id) or Mark(change.group_id)
            commit, committed_at_us, applying = _fields(marked(change, mark.applied))
            after[change.group_id] = mark._replace(
                commit=commit, committed_at_us=committed_at_us, applying=int(applying)
            )
        return after

    def still(self, later: "Marks", requests: Requests, rows: Sequence[bytes | None]) -> bool:
        """Whether rows, read later, are those of this state.

        A row whose commit is applied here was there, unless a later change could put older rows.
        """
        if later is self:
            return True
        for (group_id, _), row in zip(requests, rows, strict=True):
            then, now = self.by_group.get(group_id), later.by_group.get(group_id)
            if then is not None and now is not None:
                if now.changed == then.changed:
                    continue
                if now.replaced > then.changed or (row is not None and version_of(row)[1] > then.commit):
                    return False
            elif then is not None or row is not None:
                return False
        return True


Until = float | None
"""A time of the monotonic clock by which an answer must be there; None: there is none."""


class CheckedSnapshot:
    """A snapshot over reads that each bring rows and marks of one state."""

    __slots__ = ("_read", "_read_many", "_seen", "_until")

    def __init__(
        self,
        read: Callable[[Requests, Until], tuple[Marks, list[bytes | None]]],
        read_many: Callable[[Wanted, Until], tuple[Marks, list[list[bytes | None]]]],
        until: Until,
    ) -> None:
        """Read nothing yet."""
        self._read = read
        self._read_many = read_many
        self._until = until
        self._seen: Marks | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """End; there is nothing to release."""

    @property
    def applied(self) -> Mapping[int, Applied]:
        """See `OnlineSnapshot.applied`."""
        if self._seen is None:
            self._seen, _ = self._read((), self._until)
        return self._seen.applied

    def get(self, requests: Requests) -> list[bytes | None]:
        """See `OnlineSnapshot.get`."""
        if not requests:
            return []
        marks, rows = self._read(requests, self._until)
        self._check(marks, requests, rows)
        return rows

    def get_many(self, wanted: Sequence[tuple[int, Sequence[bytes]]]) -> list[list[bytes | None]]:
        """See `OnlineSnapshot.get_many`."""
        if not wanted:
            return []
        marks, found = self._read_many(wanted, self._until)
        if self._seen is not None:
            requests = [(group, key) for group, keys in wanted for key in keys]
            self._check(marks, requests, list(chain.from_iterable(found)))
        self._seen = self._seen or marks
        return found

    def _check(self, marks: Marks, requests: Requests, rows: Sequence[bytes | None]) -> None:
        if self._seen is None:
            self._seen = marks
        elif not self._seen.still(marks, requests, rows):
            raise StaleSnapshotError("the online store changed between two reads of a snapshot", todo="read again")


class Steps:
    """Remembers the commits that this process is applying in steps.

    A server that restarted, or was emptied, in the middle may have lost the first steps; the last one would call the
    commit applied all the same.
    """

    def __init__(self, where: str) -> None:
        """Remember nothing yet."""
        self._where = where
        self._left: dict[int, tuple[int, str, int]] = {}

    def check(self, todo: Sequence[Change], marks: Marks, server: str) -> None:
        """Refuse to go on with a commit if its first steps may be lost.

        Args:
            todo: What is about to be applied.
            marks: The server's marks.
            server: Names the run of the server.

        Raises:
            TransientError: They may be.
        """
        for change in todo:
            left = self._left.get(change.group_id)
            if left is None:
                continue
            mark = marks.by_group.get(change.group_id)
            if left[0] == change.commit and left[1:] != (server, mark.created if mark else 0):
                del self._left[change.group_id]
                raise TransientError(
                    f"the server restarted or was emptied while commit {change.commit} was applied in steps",
                    where=self._where,
                    todo="try again: it is applied from its first step",
                )

    def forget(self, group_id: int) -> None:
        """Forget a group: it begins anew."""
        self._left.pop(group_id, None)

    def done(self, todo: Sequence[Change], marks: Marks, server: str) -> None:
        """Remember what was applied, given the marks after it."""
        for change in todo:
            mark = marks.by_group.get(change.group_id)
            if change.final or mark is None:
                self._left.pop(change.group_id, None)
            else:
                self._left[change.group_id] = (change.commit, server, mark.created)


class Pool(Generic[C]):
    """Connections of one store, each used by one thread at a time; as many as threads call at once."""

    def __init__(self, connect: Callable[[], C], drop: Callable[[C], None]) -> None:
        """Connect when it is first needed."""
        self._connect = connect
        self._drop = drop
        self._idle: deque[C] = deque()
        self._soon = Connecting(self._connected_soon)
        self._closed = 0
        self._ended = False
        self._process = os.getpid()

    def take(self, until: Until = None) -> C:
        """Return a connection.

        Raises:
            OutOfTimeError: None could be had until then.
        """
        if self._process != os.getpid():  # after a fork the connections are the parent's
            self._idle, self._process = deque(), os.getpid()
            self._soon = Connecting(self._connected_soon)
        while True:
            if is_up(until):
                raise OutOfTimeError
            try:
                return self._idle.pop()
            except IndexError:
                if until is None:
                    return self._connect()
                self._soon.wait(until)

    def give(self, connection: C) -> None:
        """Keep a connection for the next who takes one; after the end nobody does."""
        self._idle.append(connection)
        if self._ended:
            self.close()

    def drop(self, connection: C | None) -> None:
        """Close a connection that failed."""
        if connection is not None:
            self._drop(connection)

    def close(self) -> None:
        """Close all that are idle: those of a server that went away are of no use."""
        self._closed += 1
        with suppress(IndexError):  # another thread may be closing them too
            while True:
                self._drop(self._idle.pop())

    def end(self) -> None:
        """Close all that are idle, and each that comes back."""
        self._ended = True
        self.close()

    def _connected_soon(self) -> None:
        """Put a new connection to the others, in a thread of its own."""
        closed = self._closed
        made = self._connect()
        if closed == self._closed:
            self.give(made)
        else:
            self._drop(made)


class Memo:
    """The marks that were read last: most reads see the same again."""

    def __init__(self) -> None:
        """Know of no marks."""
        self.last = Marks(b"")

    def of(self, raw: bytes) -> Marks:
        """Return marks, decoded once."""
        last = self.last
        if raw != last.raw:
            last = Marks(raw)
            self.last = last
        return last


def attempts(until: Until = None) -> Iterator[bool]:
    """Yield before each attempt to reach a server, after its pause: whether it is the last one."""
    for at, pause in enumerate(PAUSES):
        if pause:
            time.sleep(pause)
        last = at == len(PAUSES) - 1 or (until is not None and time.monotonic() + PAUSES[at + 1] >= until)
        yield last
        if last:
            return


def late(where: str) -> TransientError:
    """Return what says that a server gave no answer in time."""
    return TransientError("the online store gave no answer in time", where=where, todo="see whether it is busy")


def is_up(until: Until) -> bool:
    """Return whether the time of a read is used up."""
    return until is not None and time.monotonic() >= until


def without_option(url: str, option: str) -> tuple[str, str]:
    """Return a URL without one option of its query, and the option's value ("" without it)."""
    place, _, query = url.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    value = next((value for name, value in given if name == option), "")
    rest = urlencode([(name, each) for name, each in given if name != option])
    return f"{place}?{rest}" if rest else place, value


def place_of(url: str) -> str:
    """Return a URL as messages may show it: no user, no password, no options."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def name_of(option: str, given: str, root: str) -> str:
    """Return the name under which a store keeps its rows on a server: as given, or made of its folder's path.

    Two stores that share a database must not share rows: so the default is no constant.

    Raises:
        UsageError: The name is too long, or has braces, quotes or control characters.
    """
    folder = Path(root).resolve()
    digest = sha1(str(folder).encode(), usedforsecurity=False).hexdigest()[:8]
    name = given or f"{folder.name[: LONGEST_NAME // 4]}_{digest}"
    if len(name.encode()) > LONGEST_NAME or not name.isprintable() or set(name) & set("{}\"'"):
        raise UsageError(
            f"{name!r} cannot name rows on a server",
            where=option,
            todo=f"add ?{option}=NAME to the URL of the online store, at most {LONGEST_NAME} bytes",
        )
    return name


def _fields(applied: Applied) -> tuple[int, int, bool]:
    return applied.commit, applied.committed_at_us, applied.applying
