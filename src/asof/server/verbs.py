"""The verbs of the remote store: what each needs to be asked, who may ask it, and what the store does then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from asof.access.caller import calling
from asof.definitions.monitor import monitors_from
from asof.parts import question_of
from asof.progress import Wanted
from asof.records import Role
from asof.registry.registered import RegisteredGroup
from asof.server import training_sets
from asof.server.rights import found, readable
from asof.statistics.packing import pack
from asof.store import Store
from asof.wire import requests
from asof.wire.definitions import KnownGroup, KnownView, definition_of, known_group, known_view
from asof.wire.tables import from_bytes, to_bytes

R = TypeVar("R", bound=requests.Request)

Result = Any
"""A record of ours, a list of them, bytes, or None."""


@dataclass(frozen=True, slots=True)
class Verb(Generic[R]):
    """One verb.

    Attributes:
        request: What it needs to be asked.
        role: Who may ask it.
        of: What it is about, "group", "view", "name" or "entity", as the request's field is named; "" for the store.
        act: What answers it; None for a verb whose rows come or go as a stream.
        job: Whether it reads or writes history for a while: of these so many run at once.
    """

    request: type[R]
    role: Role
    of: str = ""
    act: Callable[[Store, R, Wanted], Result] | None = None
    job: bool = False


def _definition(found: Any) -> KnownGroup | KnownView:  # noqa: ANN401 - one of two
    return known_group(found) if isinstance(found, RegisteredGroup) else known_view(found)


def _words(request: requests.Request, *left_out: str) -> Mapping[str, Any]:
    """Return a request as the words of the store's method."""
    names = (name for name in request.__struct_fields__ if name not in ("progress", *left_out))
    return {name: getattr(request, name) for name in names}


def _forget(store: Store, asked: requests.Forget, progress: Wanted) -> Result:
    keys = from_bytes(asked.keys)
    return store.forget(asked.entity, keys, reason=asked.reason, dry_run=asked.dry_run, progress=progress)


def _retire(store: Store, asked: requests.Retire, _: Wanted) -> Result:
    return store.retire(asked.group, from_bytes(asked.keys), event_time=asked.event_time, meta=asked.meta)


def _verify(store: Store, asked: requests.Verify, progress: Wanted) -> Result:
    return store.verify(asked.view, **_words(asked, "view"), progress=progress)


def _nearest(store: Store, asked: requests.Nearest, _: Wanted) -> Result:
    found = store.nearest(**_words(asked))
    return {"rows": to_bytes(found.to_arrow()), "commits": found.commits, "found": found.found}


def _explain(store: Store, asked: requests.Explain, _: Wanted) -> Result:
    explained = store.quality.explain(asked.view, asked.keys, **_words(asked, "view", "keys"))
    for source in dict.fromkeys(each.made_of for each in explained.lookups if each.made_of):
        calling().need("reader", store.catalog.find(source).definition)  # it shows single events
    return explained


def _quarantine(store: Store, asked: requests.Quarantine, _: Wanted) -> Result:
    found = store.quality.quarantine(asked.group)
    return {"rows": to_bytes(found.to_arrow()), "commits": found.commits}


def _replay_items(store: Store, asked: requests.ReplayItems, _: Wanted) -> Result:
    frame = None if asked.frame is None else from_bytes(asked.frame)
    return store.quality.replay(asked.group, frame, backfill=asked.backfill)


def _statistics(store: Store, asked: requests.Statistics, _: Wanted) -> Result:
    if asked.rebuild:
        calling().need("writer", store.catalog.find(asked.group).definition)
    return pack(store.quality.statistics(asked.group, **_words(asked, "group")))


def _drift(store: Store, asked: requests.Drift, _: Wanted) -> Result:
    sides = {"baseline": asked.baseline, "current": asked.current}
    frames = {name: from_bytes(side) if isinstance(side, bytes) else side for name, side in sides.items()}
    if asked.by is not None:  # its values are told, and the view may not have it
        for group in question_of(asked.view, store.catalog.find).groups.values():
            calling().need("reader", group.definition)
    return store.quality.drift(asked.view, **frames, **_words(asked, "view", *sides))


def _monitor(store: Store, asked: requests.MonitorRequest, _: Wanted) -> Result:
    parts = {**asked.monitor, "view": asked.view}
    parts.pop("name", None)
    (monitor,) = monitors_from({str(asked.monitor.get("name")): parts})
    return store.quality.monitor(monitor)


def _commits(store: Store, asked: requests.Commits, _: Wanted) -> Result:
    caller = calling()
    if asked.group is not None or caller.reads_all:
        return store.catalog.commits(asked.group, matching=asked.matching, limit=asked.limit)
    known = {group.ref for group in readable(store.catalog.groups(), caller)}
    found = [each for each in store.catalog.commits(matching=asked.matching) if each.group in known]
    return found if asked.limit is None else found[-asked.limit :]


def _lineage(store: Store, asked: requests.Named, _: Wanted) -> Result:
    found = store.catalog.lineage(asked.name)
    if calling().reads_all:
        return found
    known = {view.ref for view in readable(store.catalog.views(), calling())}
    known |= {kept.ref for kept in training_sets.readable(store)}
    return replace(found, read_by=tuple(ref for ref in found.read_by if ref in known))


def _defined(asked: requests.Definitions) -> Sequence[Any]:
    return [definition_of(each) for each in asked.definitions]


VERBS: Mapping[str, Verb[Any]] = {
    "plan": Verb(requests.Definitions, "reader", act=lambda store, asked, _: store.plan(*_defined(asked))),
    "apply": Verb(requests.Definitions, "admin", act=lambda store, asked, _: store.apply(*_defined(asked))),
    "write": Verb(requests.Write, "writer", "group"),
    "backfill": Verb(requests.Write, "writer", "group"),
    "push": Verb(
        requests.Push, "writer", "group", lambda store, asked, _: store.push(asked.group, **_words(asked, "group"))
    ),
    "together.write": Verb(requests.Write, "writer", "group"),
    "together.commit": Verb(requests.Together, "writer"),
    "together.leave": Verb(requests.Together, "writer"),
    "retire": Verb(requests.Retire, "writer", "group", _retire),
    "retract": Verb(
        requests.Retract, "writer", "commit", lambda store, asked, _: store.retract(asked.commit, reason=asked.reason)
    ),
    "materialize": Verb(
        requests.Materialize,
        "writer",
        "group",
        lambda store, asked, progress: store.materialize(**_words(asked), progress=progress),
        job=True,
    ),
    "forget": Verb(requests.Forget, "admin", "entity", _forget, job=True),
    "historical": Verb(requests.Historical, "reader", "view", job=True),
    "read": Verb(requests.Read, "reader", "group", job=True),
    "training_set": Verb(requests.TrainingSet, "writer", "view", job=True),
    "training_set.open": Verb(
        requests.Named, "reader", act=lambda store, asked, _: training_sets.found(store, asked.name, "reader").kept
    ),
    "training_set.rebuild": Verb(
        requests.Named, "reader", act=lambda store, asked, _: training_sets.rebuilt(store, asked.name), job=True
    ),
    "training_set.late": Verb(
        requests.Named, "reader", act=lambda store, asked, _: training_sets.late(store, asked.name), job=True
    ),
    "online": Verb(requests.Online, "reader", "view"),
    "nearest": Verb(requests.Nearest, "reader", "group", _nearest, job=True),
    "replay": Verb(requests.Replay, "reader", act=lambda store, asked, _: store.replay(asked.receipt)),
    "verify": Verb(requests.Verify, "reader", "view", _verify, job=True),
    "compact": Verb(
        requests.Compact,
        "admin",
        "group",
        lambda store, asked, progress: store.compact(asked.group, progress=progress),
        job=True,
    ),
    "catalog.groups": Verb(
        requests.Nothing,
        "reader",
        act=lambda store, _, __: list(map(known_group, readable(store.catalog.groups(), calling()))),
    ),
    "catalog.views": Verb(
        requests.Nothing,
        "reader",
        act=lambda store, _, __: list(map(known_view, readable(store.catalog.views(), calling()))),
    ),
    "catalog.find": Verb(
        requests.Named, "reader", "name", lambda store, asked, _: _definition(store.catalog.find(asked.name))
    ),
    "catalog.commits": Verb(requests.Commits, "reader", "group", _commits),
    "catalog.tag": Verb(
        requests.Tag, "writer", act=lambda store, asked, _: store.catalog.tag(asked.name, message=asked.message)
    ),
    "catalog.tags": Verb(requests.Nothing, "reader", act=lambda store, _, __: store.catalog.tags()),
    "catalog.untag": Verb(requests.Named, "writer", act=lambda store, asked, _: store.catalog.untag(asked.name)),
    "catalog.erasures": Verb(requests.Nothing, "admin", act=lambda store, _, __: store.catalog.erasures()),
    "catalog.audit": Verb(
        requests.Audit,
        "admin",
        act=lambda store, asked, _: store.catalog.audit(matching=asked.matching, limit=asked.limit),
    ),
    "catalog.training_sets": Verb(requests.Nothing, "reader", act=lambda store, _, __: training_sets.readable(store)),
    "catalog.remove_training_set": Verb(
        requests.Named, "writer", act=lambda store, asked, _: training_sets.removed(store, asked.name)
    ),
    "catalog.search": Verb(requests.Words, "reader", act=lambda store, asked, _: found(store, calling(), asked.words)),
    "catalog.describe": Verb(
        requests.Named, "reader", "name", lambda store, asked, _: store.catalog.describe(asked.name)
    ),
    "catalog.lineage": Verb(requests.Named, "reader", "name", _lineage),
    "catalog.split": Verb(
        requests.Split, "admin", "group", lambda store, asked, _: store.catalog.split(asked.group, cold=asked.cold)
    ),
    "catalog.remove": Verb(requests.Named, "admin", "name", lambda store, asked, _: store.catalog.remove(asked.name)),
    "quality.doctor": Verb(
        requests.Doctor,
        "admin",
        act=lambda store, asked, progress: store.quality.doctor(repair=asked.repair, progress=progress),
        job=True,
    ),
    "quality.serving_log": Verb(
        requests.ServingLog,
        "reader",
        "view",
        lambda store, asked, _: store.quality.serving_log(asked.view, flush=asked.flush),
    ),
    "quality.check": Verb(
        requests.Check,
        "writer",
        "group",
        lambda store, asked, _: store.quality.check(asked.group, from_bytes(asked.frame)),
        job=True,
    ),
    "quality.reports": Verb(
        requests.Reports,
        "reader",
        "group",
        lambda store, asked, _: store.quality.reports(asked.group, limit=asked.limit),
    ),
    "quality.quarantine": Verb(requests.Quarantine, "reader", "group", _quarantine, job=True),
    "quality.replay": Verb(requests.ReplayItems, "writer", "group", _replay_items, job=True),
    "quality.dismiss": Verb(
        requests.Dismiss,
        "writer",
        "group",
        lambda store, asked, _: store.quality.dismiss(asked.group, asked.items, reason=asked.reason),
    ),
    "quality.statistics": Verb(requests.Statistics, "reader", "group", _statistics, job=True),
    "quality.drift": Verb(requests.Drift, "reader", "view", _drift, job=True),
    "quality.monitor": Verb(requests.MonitorRequest, "writer", "view", _monitor, job=True),
    "quality.monitor_runs": Verb(
        requests.MonitorRuns,
        "reader",
        "view",
        lambda store, asked, _: store.quality.monitor_runs(asked.view, monitor=asked.monitor, limit=asked.limit),
    ),
    "quality.explain": Verb(requests.Explain, "reader", "view", _explain, job=True),
}
"""Everything that may be asked. Whoever is asked looks here for the role that it takes."""
