"""What the parts of a store tell each other about history: commits, data files, pins.

Times are int64 microseconds since the epoch, UTC. Source: SEMANTICS section 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from asof.clock import from_us

SEMANTICS = 1
"""Version of the rules that every manifest and receipt records."""

CommitKind = Literal["write", "push", "backfill", "retire", "retract"]

Availability = Literal["commit", "delay", "column"]
"""Since when a commit's rows count as servable: committed_at; min(event_time + delay, committed_at); recorded."""

Family = Literal["hot", "cold"]
"""Where the features of a split group lie: those that change often, and those that hardly ever do."""

Role = Literal["reader", "writer", "admin"]
"""What a key may do in a project: each may what those before it may."""

Status = Literal["PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED", "STALE", "UNAVAILABLE"]
"""How a value came out; the last two only online, of views that say so of a slow store: see `FeatureView.on_slow`."""

COMMIT_COLUMN = "__commit"
AVAILABLE_COLUMN = "__available_at"
RETIRED_COLUMN = "__retired"
NAMED_EVENT_COLUMN = "__named_event"
NAMED_COMMIT_COLUMN = "__named_commit"


OWN_KEY = "asof-client:"
"""Begins the idempotency keys that a remote store makes for itself, one for each call, so that a lost answer is no
second commit: their content is not compared."""

COMPARED, ABSENT = "", "-"
"""In `Commit.changes`, the rows compared and the keys that a full load lacked: no features have these names."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One immutable file of a group's history.

    Attributes:
        path: Place of the file, relative to the history's root.
        rows: Number of rows.
        size_bytes: Size.
        min_event_us: Least event time; 0 in a static group.
        max_event_us: Greatest event time; 0 in a static group.
        late: Whether some row of a stamped file became available after its event time.
        width: How many features of the group's layout it has: those added later are not in it. None: all.
        confirms: Whether it holds confirmations: keys, event times and the rows that they name, in place of features.
        family: The family whose features it has; None: all, and it belongs to both.
        stamped: Whether the file itself says the commit and arrival of each row (after compaction); else its rows
            are those of one commit, which the registry names.
        first_commit: Least commit in it; 0 until it is published.
        last_commit: Greatest commit in it; 0 until it is published.
    """

    path: str
    rows: int
    size_bytes: int
    min_event_us: int
    max_event_us: int
    width: int | None = None
    confirms: bool = False
    stamped: bool = False
    late: bool = True
    family: Family | None = None
    first_commit: int = 0
    last_commit: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """Messages of one partition of a stream that a commit takes in: those after one place, up to another.

    Attributes:
        stream: The stream's name.
        partition: The partition.
        before: The last message before them: an offset, a sequence or an id, as the broker says it; "" for none.
        reached: The last of them.
    """

    stream: str
    partition: str
    before: str
    reached: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of a stream, or a row of one, that was not stored: in quarantine, with the reason.

    Attributes:
        stream: The stream's name.
        partition: Its partition.
        place: The message: its offset, sequence or id.
        row: The row in the message, from 0; None for the whole message.
        reason: Why.
        body: What could not be stored, as it came; empty once an erasure went over it, or if it was too long.
        commit: The commit that took in what was good of its batch; 0 until it is published.
        at_us: When that was committed.
    """

    stream: str
    partition: str
    place: str
    reason: str
    row: int | None = None
    body: bytes = b""
    commit: int = 0
    at_us: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """What a commit took from streams.

    Attributes:
        steps: Its messages; a partition once.
        letters: Those that are not among its rows.
    """

    steps: tuple[Step, ...]
    letters: tuple[Letter, ...] = ()


@dataclass(slots=True)  # not frozen: each push makes one, and that took it another 3 us
class Draft:
    """A commit that is not published: it has no number and no time yet.

    Attributes:
        group_id: The group version.
        kind: What it does.
        availability: How its rows become servable.
        rows: Rows that it adds.
        files: Its data files, already durable.
        payload: Its rows in the journal's form (pushes), instead of files.
        min_event_us: Least event time of its rows, None without rows.
        max_event_us: Greatest event time of its rows, None without rows.
        target: The commit that a retract hides.
        reason: Why, for a retract.
        idempotency_key: The caller's name for this write, "" for none.
        digest: Hash of the content, with an idempotency_key.
        unchanged: Rows that were equal to their predecessor.
        changes: See `Commit.changes`.
        drops: `Snapshot.drops` when the rows were read that it was made from, if it was compared with history.
        quarantined: Rows that were set aside.
        meta: What the caller wants to remember with the commit.
        writer: Who writes, if it is not who publishes.
        taken: What it took from streams, if it did.
        report: What checks said of it, as JSON; "" for nothing.
        aside: The rows that checks put aside: a commit of the group's quarantine, published with it.
        statistics: Those of its rows, as bytes (`asof.statistics.packing`); None if its rows go to the journal.
    """

    group_id: int
    kind: CommitKind
    availability: Availability = "commit"
    rows: int = 0
    files: tuple[DataFile, ...] = ()
    payload: bytes | None = None
    min_event_us: int | None = None
    max_event_us: int | None = None
    target: int | None = None
    reason: str = ""
    idempotency_key: str = ""
    digest: str = ""
    unchanged: int = 0
    changes: Mapping[str, int] = field(default_factory=dict[str, int])
    drops: int | None = None
    quarantined: int = 0
    meta: Mapping[str, str] = field(default_factory=dict[str, str])
    writer: str = ""
    taken: Taken | None = None
    report: str = ""
    aside: "Draft | None" = None
    statistics: bytes | None = None

    @property
    def all_files(self) -> tuple[DataFile, ...]:
        """Its files, and those of what was put aside."""
        return self.files if self.aside is None else (*self.files, *self.aside.files)


class Commit(msgspec.Struct, frozen=True):  # noqa: PLW1641 - its meta is a dict: it has no hash
    """A published commit of a group; a struct, since a frozen dataclass takes each push another 3 us.

    Attributes:
        group: The group, "weather@1".
        number: Its number: the total order of the writes of this group. Numbers may have gaps.
        committed_at_us: When it became visible, strictly increasing with the number.
        kind: What it did.
        rows: Rows that it added.
        unchanged: Rows that were equal to their predecessor: of them there are confirmations, and no values.
        changes: What the comparison with history found: by feature, in how many of the rows compared it changed; their
            number as ""; and as "-" the keys that were retired since a full load lacked them. Empty without comparison.
        writer: Who published it: "user@host", or what ASOF_WRITER said; "" before it was recorded.
        repeated: Whether this answer is the first commit of a repeated idempotency_key.
    """

    group: str
    number: int
    committed_at_us: int
    kind: CommitKind
    availability: Availability
    rows: int
    unchanged: int = 0
    quarantined: int = 0
    target: int | None = None
    reason: str = ""
    idempotency_key: str = ""
    meta: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    min_event_us: int | None = None
    max_event_us: int | None = None
    changes: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    writer: str = ""
    repeated: bool = False

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same commit; an answer that repeats it is, too."""
        same = isinstance(other, Commit)
        return same and msgspec.structs.astuple(self)[:-1] == msgspec.structs.astuple(other)[:-1]

    @property
    def id(self) -> str:
        """The commit's name, such as "weather@1:17"."""
        return f"{self.group}:{self.number}"

    @property
    def committed_at(self) -> datetime:
        """When it became visible."""
        return from_us(self.committed_at_us)

    @property
    def compared(self) -> int:
        """How many rows had a predecessor with which they were compared."""
        return self.changes.get(COMPARED, 0)

    @property
    def retired(self) -> int:
        """How many keys were retired because a full load lacked them."""
        return self.changes.get(ABSENT, 0)

    @property
    def changed(self) -> dict[str, int]:
        """In how many of the rows compared each feature changed."""
        return {name: count for name, count in self.changes.items() if name not in (COMPARED, ABSENT)}

    @property
    def cold(self) -> tuple[str, ...]:
        """Features that hardly ever change beside others that do: stored apart (`split`) they would be skipped.

        A feature is cold if it changed in a tenth of the rows that changed, or in fewer. They are named if one row in
        a hundred changed, or more, and if at least half of the features are cold, and not all of them.
        """
        rows = self.compared - self.unchanged
        cold = tuple(name for name, count in self.changed.items() if count * 10 <= rows)
        told = 0 < self.compared <= rows * 100 and len(self.changed) > len(cold) >= len(self.changed) / 2
        return cold if told else ()


@dataclass(frozen=True, slots=True)
class Totals:
    """What the commits of a group add up to.

    Attributes:
        commits: How many there are.
        rows: Rows that they added.
        quarantined: Rows that were put aside.
        max_event_us: Greatest event time of their rows; None without rows, or in a static group.
        committed_at_us: When the last one became visible; None without commits.
    """

    commits: int = 0
    rows: int = 0
    quarantined: int = 0
    max_event_us: int | None = None
    committed_at_us: int | None = None


class ExternalRead(msgspec.Struct, frozen=True):
    """What a read saw of a group whose rows stay outside of the store.

    Attributes:
        place: Where they lie.
        what: What was found there, for people.
        reproducible: Whether the same can be read again after the place has changed: by the pin.
        pin: What `frame.commits` holds: a version of a Delta table, a fingerprint of files; None: no pin there.
        read_at_us: When it was looked at.
        files: Files with sizes in bytes and times of change in microseconds.
    """

    place: str
    what: str
    reproducible: bool
    pin: int | None
    read_at_us: int
    files: tuple[tuple[str, int, int], ...] = ()

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.place}: {self.what}, " + ("pinned" if self.reproducible else "not reproducible")


class Stamp(msgspec.Struct, frozen=True, gc=False):
    """What the rows of one commit share: number, time and how they become servable."""

    number: int
    committed_at_us: int
    availability: Availability


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The history of a group up to a pin, as the commit log knows it.

    Attributes:
        pin: The last commit in it; 0 for an empty history.
        committed_at_us: When the pin became visible.
        files: Data files, each with the stamp of its rows, or None if the file is stamped.
        journal: Rows not yet in files, in the journal's form, with their stamps, in commit order.
        retracted: Hidden commits to the time since which they are hidden; None: at every time (backfills).
        horizon_us: Before this time superseded history was dropped by retention; None: nothing was.
        drops: How often rows of the group were dropped, by retention or an erasure.
        sources: The whole history, if parts of it were left out and confirmations may name rows of them.
        cold: Features of the cold family, if the group is split: some files may have a family.
    """

    pin: int
    committed_at_us: int
    files: tuple[tuple[DataFile, Stamp | None], ...] = ()
    journal: tuple[tuple[Stamp, bytes], ...] = ()
    retracted: Mapping[int, int | None] = field(default_factory=dict[int, int | None])
    horizon_us: int | None = None
    drops: int = 0
    sources: "Snapshot | None" = None
    cold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reported:
    """What checks said of a write.

    Attributes:
        group: The group, "weather@1".
        commit: The number of the commit; 0 if the write was refused.
        at_us: When it was published or refused.
        writer: Who wrote.
        body: What they said, as JSON.
    """

    group: str
    commit: int
    at_us: int
    writer: str
    body: str


@dataclass(frozen=True, slots=True)
class Span:
    """Statistics of all rows of the commits of a group from one to another; spans of a group hold no commit twice.

    Attributes:
        first: The first commit.
        last: The last.
        first_committed_us: When the first was committed.
        last_committed_us: When the last was committed.
        commits: How many of them wrote rows.
        body: The statistics, as bytes; empty where only the span was asked for.
    """

    first: int
    last: int
    first_committed_us: int
    last_committed_us: int
    commits: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for the commits of the whole store at one moment.

    Attributes:
        name: The name.
        created_at_us: When it was given.
        message: What for.
        writer: Who gave it.
        pins: Each group version that there was, to its last commit then; 0 if it had none.
    """

    name: str
    created_at_us: int
    message: str
    writer: str
    pins: Mapping[str, int]

    @property
    def created_at(self) -> datetime:
        """When it was given."""
        return from_us(self.created_at_us)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure that was begun.

    Attributes:
        id: Its number.
        entity: The entity.
        started_at_us: When it began.
        writer: Who asked for it.
        reason: Why.
        pending: What is to be erased; empty once only its own bytes are to be scrubbed; None when all is done.
        certificate: What was done, as JSON; "" until it is finished.
    """

    id: int
    entity: str
    started_at_us: int
    writer: str
    reason: str
    pending: bytes | None = None
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by which a server knows a caller; its secret is nowhere.

    Attributes:
        id: What its token begins with, in clear.
        name: What people call it.
        digest: SHA-256 of the secret, as hexadecimal text.
        roles: Its role by project; "*" stands for all projects, "" for the default one.
        created_at_us: When it was made.
        expires_at_us: From when on it is not valid any more; None: never.
        writer: Who made it.
        revoked_at_us: When it was revoked.
        used_at_us: When it was used last, to the day.
    """

    id: str
    name: str
    digest: str
    roles: Mapping[str, Role]
    created_at_us: int
    expires_at_us: int | None = None
    writer: str = ""
    revoked_at_us: int | None = None
    used_at_us: int | None = None

    def valid(self, now_us: int) -> bool:
        """Return whether it opens anything at a time."""
        return self.revoked_at_us is None and (self.expires_at_us is None or now_us < self.expires_at_us)


@dataclass(frozen=True, slots=True)
class Deed:
    """A change of the store, or a try to change it. It holds no row and no key of an entity.

    Attributes:
        at_us: When.
        writer: Who, and from where: "key:nightly@10.0.0.3", "ana@host".
        what: What was done: "apply", "remove", "push", "keys add", ...
        about: To what: "weather@1:17", "departure@2", the name of a key.
        outcome: "done", or "denied" if the caller had no right to it.
        note: What else there is to say.
    """

    at_us: int
    writer: str
    what: str
    about: str
    outcome: Literal["done", "denied"] = "done"
    note: str = ""

    def holds(self, words: Sequence[str]) -> bool:
        """Return whether it holds every word, in lower case."""
        said = f"{self.writer} {self.what} {self.about} {self.outcome} {self.note}".lower()
        return all(word in said for word in words)
