"""What an online store must do: keep the newest row of each key, and say which commits it has applied.

It stores bytes. A row is 16 bytes of version (event_time and commit, see `version_head`) and a payload, which is empty
for a retirement. Everything in it can be rebuilt from history.

Source: SEMANTICS sections 1 (version order) and 3.
"""

import struct
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from asof.errors import TransientError
from asof.records import Commit

HEAD_BYTES = 16
_HEAD = struct.Struct(">QQ")
_SIGN = 1 << 63


def version_head(event_us: int, commit: int) -> bytes:
    """Return a version as 16 bytes whose order is the version order; event_us is 0 in static groups."""
    return _HEAD.pack(event_us + _SIGN, commit)


def version_of(row: bytes) -> tuple[int, int]:
    """Return (event_us, commit) of a stored row."""
    event, commit = _HEAD.unpack_from(row)
    return event - _SIGN, commit


@dataclass(frozen=True, slots=True)
class Applied:
    """How far a group's history is applied.

    Attributes:
        commit: All commits up to this one are applied; 0 for none.
        committed_at_us: When that commit became visible.
        applying: Whether a further commit is being applied in several steps.
    """

    commit: int = 0
    committed_at_us: int = 0
    applying: bool = False

    @classmethod
    def of(cls, commit: Commit) -> "Applied":
        """Return that a commit is applied, and all before it."""
        return cls(commit.number, commit.committed_at_us)


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit, or one step of it, does to a group.

    Attributes:
        group_id: The group version.
        after: The commit before it in the group's log; 0 for the first.
        commit: The commit.
        committed_at_us: When it became visible.
        keys: Encoded keys, each once, in order.
        rows: For each key a row (version and payload), or None to delete it (only with `replace`).
        replace: Set the rows whatever is there (a retract); else a row applies only if its version is greater. They are
            made of what was there: nothing is applied where a commit between `after` and this one is already.
        final: Whether this is the commit's last step.

    A change that comes after its own commit tidies what this commit and those before it left: it replaces rows, where
    exactly this commit is applied, by others that give the same answers, and leaves the mark as it is.
    """

    group_id: int
    after: int
    commit: int
    committed_at_us: int
    keys: Sequence[bytes] = ()
    rows: Sequence[bytes | None] = ()
    replace: bool = False
    final: bool = True

    @property
    def tidies(self) -> bool:
        """Whether it comes after its own commit."""
        return self.after == self.commit


class StaleSnapshotError(TransientError):
    """A store that holds no snapshot open cannot answer from the state of the first read any more: open another."""


class OnlineSnapshot(Protocol):
    """One consistent state of the store: that of the first read.

    A remote store brings `applied` along with the rows: who wants both in one round trip calls `get` first.
    """

    @property
    def applied(self) -> Mapping[int, Applied]:
        """How far each group is applied; a group without an entry has nothing. It stays readable after the block."""
        ...

    def get(self, requests: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        """Return the row of each (group id, key), None where there is none; in one round trip.

        Raises:
            StaleSnapshotError: Others changed what is asked for since the first read, and the store keeps no past.
        """
        ...

    def get_many(self, wanted: Sequence[tuple[int, Sequence[bytes]]]) -> list[list[bytes | None]]:
        """Return the rows of many keys of each group id, a list for each pair, as `get` does; in one round trip."""
        ...


class OnlineStore(Protocol):
    """Keeps the newest row of each key. Safe to call from several threads, and processes if it is shared by them."""

    @property
    def waits(self) -> bool:
        """Whether an answer waits for another process, such as a server, which may hang; it is always the same.

        A store that does not wait may be read where nothing else goes on meanwhile, as on an event loop.
        """
        ...

    def snapshot(self, until: float | None = None) -> AbstractContextManager[OnlineSnapshot]:
        """Open a consistent state for reading; keep it short.

        Args:
            until: A time of the monotonic clock, of a store that waits: a read of the snapshot that has no answer then
                raises TransientError at once, whatever the server does. None: the store's own time-outs.
        """
        ...

    def apply(self, changes: Sequence[Change]) -> dict[int, Applied]:
        """Apply changes in one step, all or none.

        A change whose commit is applied already is skipped, unless it tidies: repeating is harmless. If a group has not
        applied the commit that a change comes `after`, or, of one that replaces rows, a later one, nothing at all is
        applied; the caller sees it in the answer, applies the missing commits or makes the change anew, and tries
        again.

        Returns:
            How far each group of the changes is applied now.

        Raises:
            TransientError, PermanentError: The store failed; nothing was applied.
        """
        ...

    def clear(self, group_id: int) -> None:
        """Delete all rows of a group and what it has applied."""
        ...

    def erase(self, group_id: int, keys: Sequence[bytes]) -> int:
        """Delete the rows of keys, and leave none of their bytes behind in the store's own files.

        What is applied stays as it is. Absent keys do not matter; repeating it is harmless.

        Returns:
            How many rows there were.

        Raises:
            TransientError: The rows are deleted, and readers still hold their old bytes: try again.
        """
        ...

    def count(self, group_id: int) -> int:
        """Return the number of keys of a group, retired ones included."""
        ...

    @property
    def suspect(self) -> bool:
        """Whether the machine stopped before the store was closed: it may lack commits that it says are applied."""
        ...

    def trust(self) -> None:
        """Say that a suspect store was rebuilt."""
        ...

    @property
    def mended(self) -> str:
        """What was wrong when the store was opened for repair: it began empty then; "" if nothing was."""
        ...

    def check(self) -> list[str]:
        """Return what is wrong with the store's files, a line each; nothing if all is well."""
        ...

    def close(self) -> None:
        """Release the store; what was applied is on disk then."""
        ...


class WithoutFiles:
    """A store that has no files of its own: what it loses, in memory or on a server, goes with the marks of it."""

    @property
    def mended(self) -> str:
        """See `OnlineStore.mended`."""
        return ""

    @property
    def suspect(self) -> bool:
        """See `OnlineStore.suspect`: no mark says that what is lost is applied."""
        return False

    def trust(self) -> None:
        """See `OnlineStore.trust`."""


def pending(changes: Sequence[Change], applied: Mapping[int, Applied]) -> list[Change] | None:
    """Return the changes that still have to be applied; None if a group lacks an earlier commit, or has a later one.

    Every adapter decides with this one function.
    """
    reached = {change.group_id: applied.get(change.group_id, Applied()).commit for change in changes}
    todo: list[Change] = []
    for change in changes:
        if change.tidies:
            if reached[change.group_id] != change.commit:
                return None
            todo.append(change)
            continue
        if reached[change.group_id] >= change.commit:
            continue
        if reached[change.group_id] < change.after or (change.replace and reached[change.group_id] > change.after):
            return None
        todo.append(change)
        if change.final:
            reached[change.group_id] = change.commit
    return todo


def marked(change: Change, before: Applied) -> Applied:
    """Return how far a group is applied after a change."""
    if change.tidies:
        return before
    if change.final:
        return Applied(change.commit, change.committed_at_us)
    return Applied(before.commit, before.committed_at_us, applying=True)
