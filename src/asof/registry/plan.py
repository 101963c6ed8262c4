"""What applying definitions would change: the difference between what is declared and what is registered.

Source: SEMANTICS section 6.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from asof import notebook
from asof.definitions.chain import step_from
from asof.definitions.documents import AMENDABLE, VIEW_AMENDABLE
from asof.definitions.durations import show_duration
from asof.definitions.outside import outside_identity, show_outside
from asof.definitions.view import show_budget

FIXED = ("dtype", "nullable", "aggregation")
"""Parts of a feature that do not change in place."""

VIEW_DEFAULTS: Mapping[str, object] = {
    "log": 0.0,
    "log_retention_us": None,
    "project": "",
    "transforms": [],
    "budget_us": None,
    "on_slow": "fail",
}
"""What documents of views do not say that are older than these parts."""

Action = Literal["create", "amend", "new version", "unchanged"]
SIGNS: Mapping[Action, str] = {"create": "+", "amend": "~", "new version": "^", "unchanged": "="}


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a plan.

    Attributes:
        action: What happens.
        kind: "group" or "view".
        name: Which one.
        version: The version that it makes or touches.
        details: What differs, a line each.
    """

    action: Action
    kind: Literal["group", "view"]
    name: str
    version: int
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the step as a line, with its details below."""
        head = f"{SIGNS[self.action]} {self.kind} {self.name}@{self.version}: {self.action}"
        return "\n".join((head, *(f"    {line}" for line in self.details)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What changes, in the order in which it is done."""

    changes: tuple[Change, ...]

    def __iter__(self) -> Iterator[Change]:
        """Iterate over the steps."""
        return iter(self.changes)

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return any(change.action != "unchanged" for change in self.changes)

    def __str__(self) -> str:
        """Return the steps as text."""
        return "\n".join(map(str, self.changes)) if self.changes else "nothing to do"

    def _repr_html_(self) -> str:
        rows = [
            (SIGNS[c.action], c.action, c.kind, f"{c.name}@{c.version}", "; ".join(c.details)) for c in self.changes
        ]
        return notebook.table(("action", "kind", "name", "details"), rows) if rows else notebook.text(self)


def group_change(new: Mapping[str, Any], old: Mapping[str, Any] | None, version: int, known: str) -> Change:
    """Return the step that leads from a registered group document to a declared one.

    Args:
        new: The declared document.
        old: The newest registered document, None if there is none.
        version: The newest registered version, 0 if there is none.
        known: The default knowledge mode that the group has, or would be created with.
    """
    name = str(new["name"])
    if old is None:
        entity = new["entity"]
        return Change(
            "create",
            "group",
            name,
            1,
            (
                f"keys {', '.join(f'{k}: {t}' for k, t in entity['keys'].items())} (entity {entity['name']})",
                _rows(new),
                *([f"external: its rows stay at {new['external']}"] if new["external"] else []),
                _features([str(f["name"]) for f in new["features"]]),
                f"historical reads default to known={known!r}; " + ("online" if new["online"] else "offline only"),
            ),
        )
    beside: dict[str, Any] = {"project": "", "shared_with": [], "source": None, "source_keys": {}}
    old = {
        **beside,
        "external": None,
        "available_at": None,
        "origin": None,
        "transform": None,
        "taken_from": None,
        **old,
    }  # stores from before these
    details = tuple(_differences(old, new))
    if not details:
        return Change("unchanged", "group", name, version)
    if _amendable(old, new):
        if new["online"] and not old["online"] and known == "event":
            details += ("historical reads still default to known='event'; declare known='served' to change that",)
        if new["on_unchanged"] != old["on_unchanged"]:
            details += ("what is stored stays as it is; rows are compared from now on, or no more",)
        if new["external"] != old["external"]:
            details += ("the rows are read there from now on",)
        if new["taken_from"] != old["taken_from"]:
            details += ("what was taken stays; the next run takes what is new there",)
        return Change("amend", "group", name, version, details)
    anew = () if new["source"] else (_begins(new),)
    return Change("new version", "group", name, version + 1, (*details, *anew))


def _rows(new: Mapping[str, Any]) -> str:
    """Return where the rows of a new group come from, or when they are true."""
    if new["source"]:
        return f"made of the events of {new['source']}"
    if new["origin"]:
        return f"made from the rows of {new['origin']} by {_shown(new['transform'])}"
    if new["taken_from"]:
        by = f", by {_shown(new['transform'])}" if new["transform"] else ""
        return f"taken from {show_outside(new['taken_from'])}{by}"
    return f"event_time {new['event_time']}" if new["event_time"] else "static: no event time"


def _begins(new: Mapping[str, Any]) -> str:
    if new["external"]:
        return "its rows are read where they lie"
    made = new["origin"] or new["taken_from"]
    return f"the new version starts without history{'; materialize it' if made else ''}"


def view_change(new: Mapping[str, Any], old: Mapping[str, Any] | None, version: int) -> Change:
    """Return the step that leads from a registered view document to a declared one."""
    name = str(new["name"])
    if old is None:
        names = [_output_name(f) for f in new["features"]]
        kept_us = new["log_retention_us"]
        kept = "" if kept_us is None else f", kept for {show_duration(kept_us)}"
        logged = (f"log: {new['log']:g} of the answers{kept}",) if new["log"] else ()
        slow = (f"budget: {show_budget(new['budget_us'], new['on_slow'])}",) if new["budget_us"] else ()
        return Change("create", "view", name, 1, (_features(names), *logged, *slow, *map(_chain, new["transforms"])))
    old = {**VIEW_DEFAULTS, **old}
    details = tuple(_differences(old, new))
    if not details:
        return Change("unchanged", "view", name, version)
    changed = {key for key in new if new[key] != old.get(key)}
    if changed <= VIEW_AMENDABLE:
        return Change("amend", "view", name, version, details)
    return Change("new version", "view", name, version + 1, details)


def _amendable(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    changed = {key for key in new if new[key] != old.get(key)}
    if "features" in changed and _features_amendable(old["features"], new["features"]):
        changed.discard("features")
    if (
        "entity" in changed
        and old["entity"]["keys"] == new["entity"]["keys"]
        and list(old["entity"]["keys"]) == list(new["entity"]["keys"])
    ):
        changed.discard("entity")
    if old["external"] and new["external"]:  # the same rows elsewhere; what they are is compared when they are read
        changed.discard("external")
    if outside_identity(old["taken_from"]) == outside_identity(new["taken_from"]):
        changed.discard("taken_from")
    # The knowledge default and the zone of naive times change no stored row.
    return changed <= AMENDABLE | {"known", "timezone"}


def _features_amendable(old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> bool:
    before = {f["name"]: f for f in old}
    after = {f["name"]: f for f in new}
    kept = [n for n in after if n in before]
    return (
        kept == list(before)
        and all(after[n].get(part) == before[n].get(part) for n in kept for part in FIXED)
        and all(after[n]["nullable"] for n in after if n not in before)
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in new:
        if new[key] == old.get(key) and not (key == "entity" and list(new[key]["keys"]) != list(old[key]["keys"])):
            continue
        if key == "features":
            yield from _feature_differences(old[key], new[key])
        elif key == "transform":
            yield f"transform: {_shown(old[key])} -> {_shown(new[key])}"
        elif key == "transforms":
            yield from (f"- {_chain(each)}" for each in old[key] if each not in new[key])
            yield from (f"+ {_chain(each)}" for each in new[key] if each not in old[key])
        elif key == "taken_from":
            yield f"source: {show_outside(old[key])} -> {show_outside(new[key])}"
        else:
            yield f"{key}: {old.get(key)!r} -> {new[key]!r}"


def _feature_differences(old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> Iterator[str]:
    def label(feature: Mapping[str, Any]) -> str:
        return feature.get("name") or _output_name(feature) + (f" as {feature['alias']}" if feature["alias"] else "")

    before = {label(f): f for f in old}
    after = {label(f): f for f in new}
    for name, feature in after.items():
        if name not in before:
            yield f"+ {name}" + (f": {feature['dtype']}" if "dtype" in feature else "")
        elif feature != before[name]:
            parts = (f"{p}: {before[name].get(p)!r} -> {v!r}" for p, v in feature.items() if v != before[name].get(p))
            yield f"~ {name} ({'; '.join(parts)})"
    for name in before:
        if name not in after:
            yield f"- {name}"
    if list(before) != list(after) and set(before) == set(after):
        yield "order of features"


def _output_name(feature: Mapping[str, Any]) -> str:
    """Return what a view reads, or makes on demand."""
    return (
        f"{feature['on_demand']} (on demand)" if "on_demand" in feature else f"{feature['group']}.{feature['feature']}"
    )


def _shown(transform: Mapping[str, Any] | None) -> str:
    """Return a transformation with the beginning of its source's hash: the name may stay while the code changes."""
    return "none" if transform is None else f"{' '.join(transform['code'].split())} ({transform['digest'][:12]})"


def _chain(chain: Mapping[str, Any]) -> str:
    """Return the transforms of some features in a line."""
    return f"transforms of {', '.join(chain['features'])}: {', '.join(str(step_from(each)) for each in chain['steps'])}"


def _features(names: Sequence[str]) -> str:
    return f"{len(names)} feature{'s' if len(names) != 1 else ''}: {', '.join(names)}"
