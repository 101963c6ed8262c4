"""The bodies of requests and answers; the OpenAPI document is made of them. Values: see `asof.arrow.json_values`."""

from datetime import datetime
from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from asof.catalog.answers import CommitAnswer, GroupReport, GroupSummary, HitAnswer, ViewSummary
from asof.records import Status

Row = dict[str, Any]
"""Values by column."""

OnConflict = Literal["error", "last"]


class OnlineRequest(Struct, forbid_unknown_fields=True):
    """Which newest values are wanted.

    Attributes:
        keys: The view's key columns with their values; or a list of them.
        request: Inputs of the request, kept in the receipt; for a list of keys one for all, or a list, one for each.
        orient: For a list of keys: "rows" gives an object for each, "columns" a list for each feature.
        statuses: Whether to say if each value is PRESENT, NULL, MISSING, EXPIRED or RETIRED; or STALE
            or UNAVAILABLE, of a view that says so where the online store is slow.
        event_times: Whether to say when each value was true.
        receipt: Whether to say what the answer was made from, for replay.
    """

    keys: Row | list[Row]
    request: Row | list[Row] | None = None
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


class HistoricalRequest(Struct, forbid_unknown_fields=True):
    """Which values are wanted, as they were known at the times of a spine.

    Attributes:
        spine: Keys and times, and whatever else: a list of rows, or a list of values for each column.
        time: The spine's column of times, or one time for all rows; may be left out where all groups are static.
        known: "served" (what the online store could have answered), "event" (by event time alone), or a time (what
            was known then); left out: each group's own.
        commits: The commits of an earlier answer, or the name of a tag, to read the same again.
        statuses: Whether to add a column FEATURE__status for each feature.
        full_names: Whether to name features GROUP__FEATURE.
        timezone: Zone of times without one.
        orient: "rows" gives an object for each row of the spine, "columns" a list for each column.
    """

    spine: list[Row] | dict[str, list[Any]]
    time: str | None = None
    known: str | None = None
    commits: dict[str, int] | str | None = None
    statuses: bool = False
    full_names: bool = False
    timezone: str | None = None
    orient: Literal["rows", "columns"] = "rows"


class HistoricalRows(Struct):
    """The rows of the spine in their order, with the values that were known.

    Attributes:
        rows: The rows.
        commits: The last commit seen of each group.
        report: How the values came out.
    """

    rows: list[Row]
    commits: dict[str, int]
    report: list[GroupReport]


class HistoricalColumns(Struct):
    """As HistoricalRows, by column."""

    columns: dict[str, list[Any]]
    commits: dict[str, int]
    report: list[GroupReport]


HistoricalAnswer = HistoricalRows | HistoricalColumns


class NearestRequest(Struct, forbid_unknown_fields=True):
    """Which neighbours are wanted.

    Attributes:
        feature: The feature that holds the vectors.
        vector: What they are compared with.
        k: At most so many neighbours.
        metric: How: the angle, the Euclidean distance, or minus the inner product.
        where: Values, or lists of values, by key or feature; or a list of such objects, one of which must hold.
        columns: The features of the answer; left out: all but the vector.
        exact: Whether the nearest of all are wanted; else likely ones, found faster among very many rows.
    """

    feature: str
    vector: list[float]
    k: int = 10
    metric: Literal["cosine", "l2", "dot"] = "cosine"
    where: Row | list[Row] | None = None
    columns: list[str] | None = None
    exact: bool = True


class NearestRows(Struct):
    """The nearest rows, the nearest first.

    Attributes:
        rows: Keys, distance and features.
        exact: Whether they are the nearest of all.
        recall: 1 if so; else recall@10, as it was measured.
        compared: Rows that could answer.
        applying: Whether a bulk load was half applied.
        clock: The T of the answer.
        commits: The last commit seen.
    """

    rows: list[Row]
    exact: bool
    recall: float
    compared: int
    applying: bool
    clock: str
    commits: dict[str, int]


class StoredRows(Struct):
    """Stored rows of a group, by key and event time.

    Attributes:
        rows: The rows.
        commits: The last commit seen.
        more: Whether there are more rows than these.
    """

    rows: list[Row]
    commits: dict[str, int]
    more: bool


class Commits(Struct):
    """Commits, the oldest first."""

    commits: list[CommitAnswer]


class ReplayedAnswer(Struct):
    """An answer made again, from history."""

    values: Row
    statuses: dict[str, Status]
    event_times: dict[str, str | None]


class PredictRequest(Struct, forbid_unknown_fields=True):
    """For which keys a model predicts.

    Attributes:
        keys: The key columns of the model's view with their values; or a list of them.
        request: Inputs of the request; for a list of keys one for all, or a list, one for each.
        statuses: Whether to say if each feature is PRESENT, NULL, MISSING, EXPIRED or RETIRED; or STALE
            or UNAVAILABLE, of a view with a budget.
        features: Whether to say which features the model was given, before transforms.
        receipt: Whether to say what the features were read from, for replay.
    """

    keys: Row | list[Row]
    request: Row | list[Row] | None = None
    statuses: bool = False
    features: bool = False
    receipt: bool = False


class PredictedRow(Struct, kw_only=True):
    """What a model says of one key set.

    Attributes:
        values: What it gives, by name: `prediction`, or each of its outputs.
        features: What it was given, if wanted.
        statuses: The status of each feature, if wanted.
        receipt: What the features were read from, if wanted.
    """

    values: Row
    features: Row | UnsetType = UNSET
    statuses: dict[str, Status] | UnsetType = UNSET
    receipt: Row | UnsetType = UNSET


class PredictedOne(PredictedRow, kw_only=True):
    """What a model says of one key set, and which version it is.

    Attributes:
        model: The version that predicted, "delays@3".
    """

    model: str


class PredictedRows(Struct):
    """What a model says of several key sets, in their order.

    Attributes:
        model: The version that predicted, "delays@3".
        rows: What it says.
    """

    model: str
    rows: list[PredictedRow]


PredictAnswer = PredictedOne | PredictedRows


class ModelSummary(Struct, kw_only=True):
    """A version of a model.

    Attributes:
        model: The version's name, "delays@3".
        name: The model's name.
        version: Its number.
        stage: "none", "staging", "production" or "archived".
        view: The view, or group, that it reads.
        training_set: What it was fitted on.
        outputs: What it gives, with types.
        metrics: What was measured.
        description: For people.
        created_at: When it was kept.
        served_as: Names under which this server answers with it; empty: it does not.
    """

    model: str
    name: str
    version: int
    stage: str
    view: str
    training_set: str
    outputs: dict[str, str]
    metrics: dict[str, float]
    description: str
    created_at: datetime
    served_as: list[str]


class Models(Struct):
    """Every version of every model."""

    models: list[ModelSummary]


class Groups(Struct):
    """Every version of every group."""

    groups: list[GroupSummary]


class Views(Struct):
    """Every version of every view."""

    views: list[ViewSummary]


class Hits(Struct):
    """What a search found, the best first."""

    hits: list[HitAnswer]


class Health(Struct):
    """How the server does."""

    status: Literal["ok"]
    version: str


class Served(Struct, kw_only=True):
    """What the server is.

    Attributes:
        version: Its version.
        protocol: The version of the remote store's messages.
        flight_port: The port of its Flight server; null if it has none.
    """

    version: str
    protocol: int
    flight_port: int | None = None
