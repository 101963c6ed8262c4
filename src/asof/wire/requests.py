"""What may be asked, a struct a verb. What the store itself checks has no type here, so that it says what is wrong."""

from typing import Any

import msgspec

from asof.wire.definitions import Declared

Given = Any
"""A caller's value as it came: the store refuses what it must."""


class Request(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every request may say.

    Attributes:
        progress: Whether to tell how far it is.
    """

    progress: bool = False


class Nothing(Request):
    """For verbs that take no words."""


class Named(Request):
    """Something by its name."""

    name: Given


class Definitions(Request):
    """For `plan` and `apply`."""

    definitions: list[Declared]


class Write(Request):
    """For `write` and `backfill`; the rows are the stream.

    Attributes:
        ends: Whether the stream must end with a message that counts its rows: one that breaks off stores nothing.
        together: The number of the transaction that the rows belong to.
    """

    group: Given
    keys: Given = None
    event_time: Given = None
    available_at: Given = None
    meta: Given = None
    idempotency_key: Given = ""
    on_conflict: Given = "error"
    truncate: bool = False
    absent: Given = "keep"
    ends: bool = False
    together: str = ""


class Push(Request):
    """For `push`."""

    group: Given
    records: Given
    meta: Given = None
    idempotency_key: Given = ""
    on_conflict: Given = "error"


class Retire(Request):
    """For `retire`; `keys` is a table as an Arrow stream."""

    group: Given
    keys: bytes
    event_time: Given = None
    meta: Given = None


class Retract(Request):
    """For `retract`."""

    commit: Given
    reason: Given


class Forget(Request):
    """For `forget`; `keys` is a table as an Arrow stream."""

    entity: Given
    keys: bytes
    reason: Given = ""
    dry_run: bool = False


class Historical(Request):
    """For `historical`; the spine is the stream.

    Attributes:
        compare: Answer with the report's comparison instead.
        dry: Only check the spine, and answer with the columns and pins.
    """

    view: Given
    time: Given = None
    known: Given = None
    commits: Given = None
    statuses: bool = False
    full_names: bool = False
    timezone: Given = None
    truncate: bool = False
    explain: bool = False
    compare: bool = False
    dry: bool = False


class SentLabel(msgspec.Struct, forbid_unknown_fields=True):
    """A label that is looked up: a feature of a group version, under columns of the spine, some time after the row's.

    Attributes:
        name: What its column is called; "" for the feature's name.
    """

    group: str
    feature: str
    on: dict[str, str]
    horizon_us: int
    name: str = ""


class TrainingSet(Request):
    """For `training_set`; the spine is the stream.

    Attributes:
        label: A label that is looked up.
        column: The column of the spine that is the label.
        split: A split, as `asof.definitions.splits.split_document` gives it.
        code: Commit of the caller's code.
        ends: As in `Write`.
    """

    name: Given
    view: Given
    time: Given = None
    split: Given = None
    label: SentLabel | None = None
    column: Given = None
    known: Given = None
    commits: Given = None
    timezone: Given = None
    truncate: bool = False
    batch_rows: Given = None
    code: str = ""
    ends: bool = True


class Read(Request):
    """For `read`.

    Attributes:
        direct: Whether the answer may be what is needed to read the files oneself, in place of rows: what
            `asof.wire.direct.packed_read` gives, as "direct" beside the pins.
    """

    group: Given
    start: Given = None
    end: Given = None
    columns: Given = None
    known: Given = None
    commits: Given = None
    latest: bool = False
    clocks: bool = False
    direct: bool = False


class Online(Request):
    """For `online`: the keys are here, or the rows of the stream.

    Attributes:
        request: The request's inputs, as JSON: an object, or an array with one for each key set.
        card: The card that the client has.
    """

    view: Given
    keys: Given = None
    request: str | None = None
    card: str = ""


class Replay(Request):
    """For `replay`."""

    receipt: dict[str, Given]


class Verify(Request):
    """For `verify`."""

    view: Given
    instants: Given = 40
    keys: Given = 50
    logged: Given = 500


class Compact(Request):
    """For `compact`."""

    group: Given = None


class Materialize(Request):
    """For `materialize`."""

    group: Given
    start: Given = None
    end: Given = None
    full: bool = False
    backfill: bool = False


class Explain(Request):
    """For `quality.explain`."""

    view: Given
    keys: dict[str, Given]
    at: Given = None
    feature: Given = None
    known: Given = None
    commits: Given = None
    limit: Given = 10


class Check(Request):
    """For `quality.check`; `frame` is a table as an Arrow stream."""

    group: Given
    frame: bytes


class Reports(Request):
    """For `quality.reports`."""

    group: Given
    limit: Given = None


class Quarantine(Request):
    """For `quality.quarantine`."""

    group: Given


class ReplayItems(Request):
    """For `quality.replay`; `frame` is a table as an Arrow stream, or None."""

    group: Given
    frame: bytes | None = None
    backfill: bool = False


class Dismiss(Request):
    """For `quality.dismiss`."""

    group: Given
    items: Given
    reason: Given


class Statistics(Request):
    """For `quality.statistics`."""

    group: Given
    commits: Given = None
    start: Given = None
    end: Given = None
    rebuild: bool = False


class Drift(Request):
    """For `quality.drift`; a side that is a frame is a table as an Arrow stream."""

    view: Given
    baseline: Given
    current: Given
    features: Given = None
    by: Given = None
    alpha: Given = 0.01
    psi: Given = 0.1
    missing: Given = 0.05


class MonitorRequest(Request):
    """For `quality.monitor`; `monitor` is a monitor's parts, `view` among them."""

    view: Given
    monitor: dict[str, Given]


class MonitorRuns(Request):
    """For `quality.monitor_runs`."""

    view: Given
    monitor: Given = None
    limit: Given = None


class Doctor(Request):
    """For `quality.doctor`."""

    repair: bool = False


class ServingLog(Request):
    """For `quality.serving_log`."""

    view: Given
    flush: bool = False


class Commits(Request):
    """For `catalog.commits`."""

    group: Given = None
    matching: Given = ""
    limit: Given = None


class Nearest(Request):
    """For `nearest`."""

    group: Given
    feature: Given
    vector: Given
    k: Given = 10
    metric: Given = "cosine"
    where: Given = None
    columns: Given = None
    exact: Given = True


class Audit(Request):
    """For `catalog.audit`."""

    matching: Given = ""
    limit: Given = None


class Tag(Request):
    """For `catalog.tag`."""

    name: Given
    message: Given = ""


class Words(Request):
    """For `catalog.search`."""

    words: Given


class Split(Request):
    """For `catalog.split`."""

    group: Given
    cold: Given


class Together(Request):
    """For `together.commit` and `together.leave`.

    Attributes:
        together: The number of the transaction.
        keys: The idempotency keys of its writes, in order, if the client made them: a commit that is asked for again
            is found by them when the server has forgotten the transaction.
    """

    together: str
    keys: list[str] = []
