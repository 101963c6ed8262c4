"""What a group or view is: keys, clocks, owner."""

from collections.abc import Mapping
from typing import Any

from asof.clock import show_us
from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.durations import show_duration
from asof.definitions.serving_log import log_name
from asof.definitions.view import show_budget
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.health import state_of
from asof.ui.links import cell_of_ref
from asof.ui.page import Section, Subject
from asof.ui.shown import age, moment
from asof.ui.tables import Cell

Fact = tuple[str, list[Cell]]


def _group(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    group, asked = subject.registered, subject.asked
    own = group.definition
    facts: list[Fact] = [("entity", [Cell(own.entity.name, href=f"/entities/{own.entity.name}")])]
    facts.append(("keys", [Cell(f"{name}: {dtype}", tone="code") for name, dtype in own.entity.keys.items()]))
    if group.source is not None:
        facts.append(("made of the events of", [cell_of_ref(group.source.ref, asked.seen)]))
    else:
        facts.append(_fact("event time", own.event_time or "none: a static group"))
        facts.append(_fact("ttl", "values never expire" if own.ttl_us is None else show_duration(own.ttl_us)))
        facts.append(_fact("delay", show_duration(own.delay_us)))
    if group.origin is not None:
        facts.append(("made from", [cell_of_ref(group.origin.ref, asked.seen)]))
    if own.taken_from is not None:
        facts.append(("taken from", [Cell(str(own.taken_from), tone="code")]))
    if own.transform is not None:
        facts.append((f"by {own.transform.language}", [Cell(str(own.transform), tone="code")]))
    facts.append(_fact("read by default", f"known={group.known!r}"))
    facts.append(_fact("online", "yes" if own.online else "no"))
    if own.external is not None:
        facts.append(_fact("rows stay at", own.external))
    if own.retention_us is not None:
        facts.append(_fact("retention", show_duration(own.retention_us)))
    if own.on_unchanged != "store":
        facts.append(_fact("unchanged rows", "are not stored again"))
    if own.checks:
        facts.append((f"checks ({own.on_violation})", [Cell(str(check), tone="code") for check in own.checks]))
    return {"facts": [*facts, *_about(own), _fact("created", show_us(group.created_at_us)[:10])], **_stand(subject)}


def _stand(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    """Return how much there is, and how new it is."""
    asked, group = subject.asked, subject.registered
    now_us = asked.sight.now_us
    state = state_of(group, asked.sight.total(group), asked.sight.last_reports().get(group.id), now_us)
    totals = state.totals
    event, committed = totals.max_event_us, totals.committed_at_us
    of, newest = ("events", "newest event") if group.source is not None else ("rows", "newest row")
    figures = [
        (of, f"{totals.rows:,}", "", ""),
        ("commits", f"{totals.commits:,}", "", ""),
        (
            newest,
            age(event, now_us),
            "warn" if state.stale else "",
            "" if event is None else moment(event),
        ),
        ("last commit", age(committed, now_us), "", "" if committed is None else moment(committed)),
    ]
    if totals.quarantined:
        figures.append(("put aside", f"{totals.quarantined:,}", "bad", ""))
    return {"figures": figures if group.definition.external is None else [], "why": state.why}


def _view(subject: Subject[RegisteredView]) -> Mapping[str, Any]:
    view, seen = subject.registered, subject.asked.seen
    own = view.definition
    facts: list[Fact] = [
        ("keys", [Cell(f"{name}: {dtype}", tone="code") for name, dtype in own.spine_keys.items()]),
        ("request", [Cell(f"{name}: {dtype}", tone="code") for name, dtype in own.requests.items()]),
        ("reads", [cell_of_ref(group.ref, seen) for group in view.groups.values()]),
    ]
    offline = [group.definition.name for group in view.groups.values() if not group.definition.online]
    facts.append(_fact("online", f"no: {', '.join(offline)} is offline only" if offline else "yes"))
    if own.log:
        kept = "" if own.log_retention_us is None else f", kept for {show_duration(own.log_retention_us)}"
        name = log_name(own.name)
        facts.append(("serving log", [Cell(f"{own.log:.0%} of the answers{kept}", href=f"/groups/{name}")]))
    if own.budget_us is not None:
        facts.append(_fact("budget", show_budget(own.budget_us, own.on_slow)))
    facts.extend(_fact("transforms", str(chain)) for chain in own.transforms)
    return {
        "facts": [*facts, *_about(own), _fact("created", show_us(view.created_at_us)[:10])],
        "figures": [],
        "why": "",
    }


def _about(own: FeatureGroup | FeatureView) -> list[Fact]:
    shared = own.shared_with if isinstance(own, FeatureGroup) else ()
    facts: list[Fact] = [
        ("owner", [Cell(own.owner)] if own.owner else []),
        ("project", [Cell(own.project)] if own.project else []),
        ("shared with", [Cell(name or "the default project") for name in shared]),
        ("tags", [Cell(f"{name}={value}", tone="code") for name, value in own.tags.items()]),
    ]
    return [(name, cells) for name, cells in facts if cells]


def _fact(name: str, text: str) -> Fact:
    return name, [Cell(text)]


OF_GROUP: Section[RegisteredGroup] = Section("About", "sections/facts.html", _group)
OF_VIEW: Section[RegisteredView] = Section("About", "sections/facts.html", _view)
