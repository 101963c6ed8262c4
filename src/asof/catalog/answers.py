"""What the store's records look like in JSON: in the answers of the server, and in what `asof --json` prints.

Times are RFC 3339 in UTC.
"""

from typing import Literal

from msgspec import Struct, field

from asof.catalog.catalog import Description, Lineage
from asof.catalog.search import Hit
from asof.clock import show_us
from asof.records import Commit
from asof.registry.plan import Action, Plan
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.training.report import Report


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


def commit_answer(commit: Commit) -> CommitAnswer:
    """Return a commit."""
    return CommitAnswer(
        commit=commit.id,
        group=commit.group,
        number=commit.number,
        kind=commit.kind,
        committed_at=show_us(commit.committed_at_us),
        availability=commit.availability,
        rows=commit.rows,
        unchanged=commit.unchanged,
        retired=commit.retired,
        compared=commit.compared,
        changed=[ChangedFeature(*each) for each in commit.changed.items()],
        quarantined=commit.quarantined,
        retracts=commit.target,
        reason=commit.reason,
        meta=dict(commit.meta),
        writer=commit.writer,
        repeated=commit.repeated,
    )


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
    project: str
    shared_with: list[str]
    external: str | None = None


def group_summary(group: RegisteredGroup) -> GroupSummary:
    """Return a version of a group."""
    own = group.definition
    return GroupSummary(
        name=own.name,
        version=group.version,
        keys={name: str(dtype) for name, dtype in own.entity.keys.items()},
        event_time=own.event_time,
        features={feature.name: str(feature.dtype) for feature in own.features},
        online=own.online,
        description=own.description,
        owner=own.owner,
        tags=dict(own.tags),
        project=own.project,
        shared_with=list(own.shared_with),
        external=own.external,
    )


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
    project: str


def view_summary(view: RegisteredView) -> ViewSummary:
    """Return a version of a view."""
    own = view.definition
    return ViewSummary(
        name=own.name,
        version=view.version,
        keys={name: str(dtype) for name, dtype in own.spine_keys.items()},
        features={name: str(dtype) for name, dtype in own.types.items()},
        groups=sorted(group.ref for group in view.groups.values()),
        description=own.description,
        owner=own.owner,
        tags=dict(own.tags),
        project=own.project,
    )


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


def described(found: Description) -> Described:
    """Return what there is to know about a group or view."""
    features = [DescribedFeature(*feature) for feature in found.features]
    return Described(found.name, "group" if found.kind == "group" else "view", dict(found.facts), features)


class LineageAnswer(Struct):
    """What a group or view reads, and what reads it."""

    name: str
    reads: list[str]
    read_by: list[str]


def lineage_answer(found: Lineage) -> LineageAnswer:
    """Return what something reads, and what reads it."""
    return LineageAnswer(found.name, list(found.reads), list(found.read_by))


class HitAnswer(Struct):
    """Something that a search found; the greater its score the better."""

    kind: Literal["group", "feature", "view"]
    name: str
    where: str
    text: str
    score: int


def hit_answer(hit: Hit) -> HitAnswer:
    """Return something that a search found."""
    return HitAnswer(hit.kind, hit.name, hit.where, hit.text, hit.score)


class ChangeAnswer(Struct):
    """One step of a plan.

    Attributes:
        action: What happens.
        kind: What it happens to.
        name: Which one.
        version: The version that it makes or touches.
        details: What differs, a line each.
    """

    action: Action
    kind: Literal["group", "view"]
    name: str
    version: int
    details: list[str]


class PlanAnswer(Struct):
    """What applying definitions changes, in the order in which it is done.

    Attributes:
        changes: The steps, those that change nothing among them.
        anything: Whether anything changes.
    """

    changes: list[ChangeAnswer]
    anything: bool


def plan_answer(plan: Plan) -> PlanAnswer:
    """Return a plan."""
    changes = [ChangeAnswer(c.action, c.kind, c.name, c.version, list(c.details)) for c in plan]
    return PlanAnswer(changes, bool(plan))


class GroupReport(Struct):
    """How the values of a group came out in a historical read.

    Attributes:
        group: The group, and the keys that it was looked up under if it stands in the view several times.
        known: The knowledge mode.
        coincide: Rows of the spine that fall on the very event time of the row that answered.
        present: How many values are PRESENT; the others likewise.
    """

    group: str
    known: str
    coincide: int
    present: int = field(name="PRESENT")
    null: int = field(name="NULL")
    missing: int = field(name="MISSING")
    expired: int = field(name="EXPIRED")
    retired: int = field(name="RETIRED")


def report_answer(report: Report) -> list[GroupReport]:
    """Return how the values of a historical read came out, group by group."""
    return [
        GroupReport(
            group=group,
            known=report.known[group],
            coincide=report.coincide[group],
            present=counts["PRESENT"],
            null=counts["NULL"],
            missing=counts["MISSING"],
            expired=counts["EXPIRED"],
            retired=counts["RETIRED"],
        )
        for group, counts in report.counts.items()
    ]
