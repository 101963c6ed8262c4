"""The bodies of requests and answers; the OpenAPI document is made of them. Values: see `asof.server.values`."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from asof.records import Status

Row = dict[str, Any]
"""Values by column."""

OnConflict = Literal["error", "last"]


class OnlineRequest(Struct, forbid_unknown_fields=True):
    """Which newest values are wanted.

    Attributes:
        keys: The view's key columns with their values; or a list of them.
        request: Inputs of the request, kept in the receipt.
        orient: For a list of keys: "rows" gives an object for each, "columns" a list for each feature.
        statuses: Whether to say if each value is PRESENT, NULL, MISSING, EXPIRED or RETIRED.
        event_times: Whether to say when each value was true.
        receipt: Whether to say what the answer was made from, for replay.
    """

    keys: Row | list[Row]
    request: Row | None = None
    orient: Literal["rows", "columns"] = "rows"
    statuses: bool = False
    event_times: bool = False
    receipt: bool = False


class OnlineRow(Struct, kw_only=True):
    """The newest values of one key set.

    Attributes:
        values: The value of each feature; null unless it is PRESENT.
        statuses: The status of each feature, if wanted.
        event_times: The event time of the row that answered each feature, if wanted.
        receipt: What the answer was made from, if wanted.
    """

    values: Row
    statuses: dict[str, Status] | UnsetType = UNSET
    event_times: dict[str, str | None] | UnsetType = UNSET
    receipt: Row | UnsetType = UNSET


class OnlineRows(Struct):
    """The newest values of several key sets, in their order."""

    rows: list[OnlineRow]


class OnlineColumns(Struct, kw_only=True):
    """The newest values of several key sets, by feature: lists in the order of the keys."""

    columns: dict[str, list[Any]]
    statuses: dict[str, list[Status]] | UnsetType = UNSET
    event_times: dict[str, list[str | None]] | UnsetType = UNSET
    receipts: list[Row] | UnsetType = UNSET


class PushRequest(Struct, forbid_unknown_fields=True):
    """Records that arrive now.

    Attributes:
        records: One record, or several; they are stored as one commit.
        meta: Kept with the commit.
        idempotency_key: The same key with the same records is stored once: send it again after a time-out.
        on_conflict: What to do with differing records of one key and event time.
    """

    records: Row | list[Row]
    meta: dict[str, str] | None = None
    idempotency_key: str = ""
    on_conflict: OnConflict = "error"


OnlineAnswer = OnlineRow | OnlineRows | OnlineColumns


class ChangedFeature(Struct):
    """In how many of the rows of a load, that were compared with their predecessors, a feature changed."""

    feature: str
    rows: int


class CommitAnswer(Struct, kw_only=True):
    """A commit of a group.

    Attributes:
        commit: Its name.
        group: The group's version.
        number: Its number within the group.
        kind: "write", "backfill", "push", "retire" or "retract".
        committed_at: When it became visible.
        availability: Since when its rows count as known: "commit", "delay" (event time and delay) or "column".
        rows: Rows that it added.
        unchanged: How many of them were equal to their predecessors, and are kept as confirmations.
        retired: Keys that a full load lacked, and that were retired.
        compared: Rows that were compared with their predecessors.
        changed: How many of these changed, by feature.
        quarantined: Rows that were put aside.
        retracts: The commit that it hides.
        reason: Why, for a retract.
        meta: What the writer said of it.
        writer: Who wrote.
        repeated: Whether it had been stored before, under the same idempotency key.
    """

    commit: str
    group: str
    number: int
    kind: str
    committed_at: str
    availability: str
    rows: int
    unchanged: int
    retired: int
    compared: int
    changed: list[ChangedFeature]
    quarantined: int
    retracts: int | None
    reason: str
    meta: dict[str, str]
    writer: str
    repeated: bool


class Commits(Struct):
    """Commits, the oldest first."""

    commits: list[CommitAnswer]


class ReplayedAnswer(Struct):
    """An answer made again, from history."""

    values: Row
    statuses: dict[str, Status]
    event_times: dict[str, str | None]


class GroupSummary(Struct):
    """A version of a group."""

    name: str
    version: int
    keys: dict[str, str]
    event_time: str | None
    features: dict[str, str]
    online: bool
    description: str
    owner: str
    tags: dict[str, str]


class Groups(Struct):
    """Every version of every group."""

    groups: list[GroupSummary]


class ViewSummary(Struct):
    """A version of a view."""

    name: str
    version: int
    keys: dict[str, str]
    features: dict[str, str]
    groups: list[str]
    description: str
    owner: str
    tags: dict[str, str]


class Views(Struct):
    """Every version of every view."""

    views: list[ViewSummary]


class DescribedFeature(Struct):
    """A feature of a group, or of a view."""

    name: str
    type: str
    unit: str
    description: str


class Described(Struct):
    """What there is to know about a group or view, as `asof describe` shows it."""

    name: str
    kind: Literal["group", "view"]
    facts: dict[str, str]
    features: list[DescribedFeature]


class LineageAnswer(Struct):
    """What a group or view reads, and what reads it."""

    name: str
    reads: list[str]
    read_by: list[str]


class HitAnswer(Struct):
    """Something that a search found; the greater its score the better."""

    kind: Literal["group", "feature", "view"]
    name: str
    where: str
    text: str
    score: int


class Hits(Struct):
    """What a search found, the best first."""

    hits: list[HitAnswer]


class Health(Struct):
    """How the server does."""

    status: Literal["ok"]
    version: str
