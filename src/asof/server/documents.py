"""What the store's objects look like in an answer."""

import msgspec

from asof.catalog.catalog import Description, Lineage
from asof.catalog.search import Hit
from asof.clock import show_us
from asof.records import Commit
from asof.registry.port import RegisteredGroup, RegisteredView
from asof.server.messages import (
    ChangedFeature,
    CommitAnswer,
    Described,
    DescribedFeature,
    GroupSummary,
    HitAnswer,
    LineageAnswer,
    ReplayedAnswer,
    ViewSummary,
)
from asof.serving.replay import Replayed


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


def replayed_answer(found: Replayed) -> ReplayedAnswer:
    """Return an answer made again."""
    return ReplayedAnswer(dict(found.values), dict(found.statuses), msgspec.to_builtins(dict(found.event_times)))


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
    )


def view_summary(view: RegisteredView) -> ViewSummary:
    """Return a version of a view."""
    own = view.definition
    types = [str(reference.feature.dtype) for reference in own.features]
    return ViewSummary(
        name=own.name,
        version=view.version,
        keys={name: str(dtype) for name, dtype in own.spine_keys.items()},
        features=dict(zip(own.output_names(), types, strict=True)),
        groups=sorted(group.ref for group in view.groups.values()),
        description=own.description,
        owner=own.owner,
        tags=dict(own.tags),
    )


def described(found: Description) -> Described:
    """Return what there is to know about a group or view."""
    features = [DescribedFeature(*feature) for feature in found.features]
    return Described(found.name, "group" if found.kind == "group" else "view", dict(found.facts), features)


def lineage_answer(found: Lineage) -> LineageAnswer:
    """Return what something reads, and what reads it."""
    return LineageAnswer(found.name, list(found.reads), list(found.read_by))


def hit_answer(hit: Hit) -> HitAnswer:
    """Return something that a search found."""
    return HitAnswer(hit.kind, hit.name, hit.where, hit.text, hit.score)
