"""What a registry must do: remember definitions, and be the one truth about which commits are visible."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from asof.definitions import FeatureGroup, FeatureView
from asof.errors import AsofError, ConflictError
from asof.records import ApiKey, Commit, DataFile, Deed, Draft, Erasure, Snapshot, Span, Tag, Totals
from asof.registry.contents import Contents
from asof.registry.models import Models
from asof.registry.monitors import Monitors
from asof.registry.plan import Plan
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.registry.reports import Reports
from asof.registry.statistics import Statistics
from asof.registry.streams import Streams
from asof.registry.training_sets import TrainingSets


class StaleDefinitionsError(ConflictError):
    """Definitions changed since the drafts were prepared: nothing was published, prepare them again."""


class StaleRowsError(ConflictError):
    """Rows that a draft's confirmations name may be gone: nothing was published, compare it again."""


class StalePositionsError(ConflictError):
    """A stream was read further, or not so far, than a draft's steps begin: nothing was published, look again."""


class Registry(Protocol):
    """Remembers definitions. All methods are atomic, and safe to call from several threads and processes."""

    def plan(self, definitions: Sequence[FeatureGroup | FeatureView]) -> Plan:
        """Return what `apply` would change, and change nothing.

        Raises:
            UsageError: A change that is not allowed; NotFoundError: a view reads an unknown group.
        """
        ...

    def apply(self, definitions: Sequence[FeatureGroup | FeatureView], *, now_us: int, writer: str = "") -> Plan:
        """Register definitions, all or none, against the state at that moment; repeating it changes nothing.

        Concurrent applies of different definitions all survive. What changed is a deed of the writer.
        """
        ...

    def generation(self) -> int:
        """Return a number that grows with every change of a definition."""
        ...

    def group(self, name: str) -> RegisteredGroup:
        """Return the newest version of "weather", or version 1 of "weather@1".

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def view(self, name: str) -> RegisteredView:
        """Return the newest version of "departure", or version 1 of "departure@1".

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def groups(self) -> list[RegisteredGroup]:
        """Return every version of every group, by name and version."""
        ...

    def made(self) -> list[RegisteredGroup]:
        """Return every version of the groups that are made of others; asked for all the time."""
        ...

    def views(self) -> list[RegisteredView]:
        """Return every version of every view, by name and version."""
        ...

    def split(self, name: str, cold: Sequence[str], *, now_us: int = 0, writer: str = "") -> RegisteredGroup:
        """Have a group version store some of its features apart from the others, from now on; return it.

        It is no change of the definition, and `apply` leaves it alone; but it begins another generation. Features that
        are added later are not cold. Repeating it changes nothing. It is a deed of the writer.

        Raises:
            NotFoundError: Unknown group or feature. UsageError: No feature would be cold, or all of them, or the group
                does not skip unchanged rows. ConflictError: It is split already, with other features.
        """
        ...

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> list[RegisteredGroup]:
        """Forget a group or view: one version ("x@1") or all ("x"); return the group versions that are gone.

        It is a deed of the writer, and the commits of a group become deeds of those who made them.

        Raises:
            NotFoundError: Unknown name. ConflictError: Something depends on it; the dependants are named.
        """
        ...


class CommitLog(Protocol):
    """The one truth about what is visible. A commit is visible when `publish` returns, and not before."""

    def publish(
        self,
        together: Sequence[Sequence[Draft]],
        *,
        clock: Callable[[], int],
        writer: str = "",
        generation: int | None = None,
    ) -> list[list[Commit] | AsofError]:
        """Give drafts their numbers and times, and make them visible, durably.

        The drafts of one inner sequence become visible as one and share `committed_at`; they must be of different
        groups. Inner sequences are independent: one that breaks a rule gives its error in the answer and publishes
        nothing. committed_at = max(now, previous + 1 us, greatest event_time), for each group.

        The clock (microseconds) is read after the log is locked: a writer that waited must not date its commit back to
        times at which readers have been answered without it.

        The commits say who the writer was: the draft's, or else this one.

        The numbers of a group are 1, 2, 3, ...: an online store knows by them whether it lacks a commit.

        With a generation of the definitions, nothing is published if it is not the present one.

        The steps of a draft move the group's positions in streams, in the same transaction: each must begin where the
        group's position in its partition stands, so that no message is taken twice and none left out. Its letters are
        kept then, with the commit.

        What a draft puts aside becomes a commit of another group in the same step, at the same time, unless the draft
        itself was published before; its meta says of which commit it is. What checks said is kept with the commit.

        Raises:
            StaleDefinitionsError: It is not.

        Answers in place of an inner sequence:
            ConflictError: An idempotency_key with other content, or a group that is gone.
            StaleRowsError: Rows of the group were dropped since the rows that a draft's confirmations name were read.
            StalePositionsError: A step begins elsewhere than the position stands.
            NotFoundError: A retract of an unknown commit. UsageError: a retract of a retract, or a second one.
        """
        ...

    def commits(self, group: RegisteredGroup, *, after: int = 0, limit: int | None = None) -> list[Commit]:
        """Return the commits of a group with number > `after`, in order; with a limit, the newest ones."""
        ...

    def commits_together(self, after: Sequence[tuple[RegisteredGroup, int]]) -> list[list[Commit]]:
        """Return the commits of each group after its number, as `commits` does, all from one consistent state."""
        ...

    def find(self, words: str, *, limit: int | None = None) -> list[Commit]:
        """Return the commits of all groups that hold every word, by time; with a limit, the newest ones.

        Words are looked for in meta, reason, idempotency key, writer and kind, whatever their case.
        """
        ...

    def heads(self) -> dict[int, Commit]:
        """Return the last commit of each group version that has one, by its id."""
        ...

    def totals(self) -> dict[int, Totals]:
        """Return what the commits of each group version that has one add up to, by its id; a look at each commit."""
        ...

    def snapshot(self, group: RegisteredGroup, *, pin: int | None = None, after: int = 0) -> Snapshot:
        """Return the history of a group up to a pin (None: all of it), from one consistent read.

        Args:
            group: The group.
            pin: The last commit that counts.
            after: Leave out files and journal rows all of whose commits are <= this one. If confirmations are left,
                `sources` is the history without leaving out anything. Of a split group so much is left in that both
                families have the same rows.

        Raises:
            ConflictError: Retention dropped rows that the pin could see.
            NotFoundError: The pin is not published yet: later commits would change what it sees.
        """
        ...

    def snapshots(self, pins: Sequence[tuple[RegisteredGroup, int | None]]) -> list[Snapshot]:
        """Return the histories of several groups, each up to its pin (None: all of it), from one consistent read.

        What was written together is in all of them or in none.

        Raises:
            As `snapshot`.
        """
        ...

    def replace_files(  # noqa: PLR0913 - one step
        self,
        group: RegisteredGroup,
        *,
        removed: Iterable[str],
        added: Sequence[DataFile],
        sealed: Iterable[int] = (),
        now_us: int,
        horizon: tuple[int, int] | None = None,
        read: int | None = None,
        statistics: Sequence[Span] = (),
        changed: Iterable[int] = (),
    ) -> None:
        """Put stamped files in the place of others and of the journal rows of the `sealed` commits, in one step.

        The replaced files are remembered until `forget_files`, since readers may still hold them.

        With a horizon (time, commit), rows that were superseded before that time are gone: earlier pins, and retracts
        of commits up to that one, are refused from then on.

        The sealed commits get their `statistics`. Rows of the `changed` commits were erased: the spans of statistics
        that hold one of them are dropped.

        With `read`, the last commit that was read, rows are left out: commits since then that were compared with
        history (`Commit.changes`) may be made from them.

        Raises:
            ConflictError: Some of them are gone, or the horizon's commit is not the last one, or there are
                such commits since `read`: somebody was first; nothing was changed.
        """
        ...

    def files(self, *, replaced_before_us: int | None = None) -> dict[str, bool]:
        """Return the path of every data file, and whether it is live (else it was replaced).

        Args:
            replaced_before_us: Return only files replaced before this time.
        """
        ...

    def forget_files(self, paths: Iterable[str]) -> None:
        """Drop the memory of replaced files that were deleted."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class Tags(Protocol):
    """Names for the commits of the whole store. Atomic, and safe to call from several threads and processes."""

    def add(self, name: str, *, message: str, writer: str, now_us: int) -> Tag:
        """Name the last commit of every group version, as one consistent state; a deed of the writer.

        Raises:
            ConflictError: The name is taken: a tag never moves.
        """
        ...

    def all(self) -> list[Tag]:
        """Return all tags, the oldest first. Pins of removed group versions are gone from them."""
        ...

    def get(self, name: str) -> Tag:
        """Return a tag.

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def remove(self, name: str, *, now_us: int = 0, writer: str = "") -> None:
        """Forget a tag, and no row; a deed of the writer.

        Raises:
            NotFoundError: With names that come close.
        """
        ...


class Erasures(Protocol):
    """Remembers what was erased. Atomic, and safe to call from several threads and processes."""

    def begin(self, entity: str, pending: bytes, *, reason: str, writer: str, now_us: int) -> Erasure:
        """Remember what is to be erased, durably, so that a crash does not forget it."""
        ...

    def finish(self, erasure: Erasure, certificate: str, *, keys: Sequence[bytes]) -> None:
        """Keep the certificate, and of the encoded keys only salted hashes; if it is finished, change nothing.

        What is pending is empty then, and not None: the bytes that it left are still to be scrubbed.
        """
        ...

    def close(self, erasure: Erasure) -> None:
        """Remember that a finished erasure was scrubbed."""
        ...

    def all(self) -> list[Erasure]:
        """Return all erasures, the oldest first."""
        ...

    def of(self, entity: str, key: bytes) -> Erasure | None:
        """Return the last finished erasure of an encoded key, None if it was never erased."""
        ...

    def scrub(self) -> None:
        """Leave no bytes of deleted rows behind in the files of the database.

        Raises:
            TransientError: Readers of other processes hold old pages: try again.
        """
        ...


class Keys(Protocol):
    """API keys. Atomic, and safe to call from several threads and processes.

    None is ever deleted: a store that had a key once is never open again.
    """

    def add(self, key: ApiKey) -> None:
        """Keep a key; a deed of its writer.

        Raises:
            ConflictError: A key of that name is valid when this one is created.
        """
        ...

    def all(self) -> list[ApiKey]:
        """Return all keys, revoked and expired ones too, the oldest first."""
        ...

    def revoke(self, name: str, *, writer: str, now_us: int) -> list[ApiKey]:
        """Revoke the keys of a name, or the one of an id, and return them; a deed of the writer.

        Repeating it changes nothing.

        Raises:
            NotFoundError: With names that come close.
        """
        ...

    def used(self, used_at_us: Mapping[str, int]) -> None:
        """Remember when keys, by their ids, were used; only what is later than what was known."""
        ...


class Deeds(Protocol):
    """The audit log: what leaves no commit. Atomic, and safe to call from several threads and processes.

    What changes the registry records itself, in the same transaction: nothing is done that is not recorded.
    """

    def denied(self, deeds: Iterable[Deed]) -> None:
        """Keep tries that were denied; the oldest of them go when there are very many."""
        ...

    def find(self, words: str, *, limit: int | None = None) -> list[Deed]:
        """Return the deeds that hold every word, whatever its case, by time; with a limit, the newest ones."""
        ...


@dataclass(frozen=True, slots=True)
class Metadata:
    """What an adapter of the registry opens: thirteen ports on one database."""

    registry: Registry
    log: CommitLog
    tags: Tags
    erasures: Erasures
    keys: Keys
    deeds: Deeds
    streams: Streams
    reports: Reports
    statistics: Statistics
    monitors: Monitors
    training_sets: TrainingSets
    models: Models
    contents: Contents
