"""Feature groups: features of one entity that are written together and share their clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asof.definitions.check import Check
from asof.definitions.durations import duration_us
from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.names import EVERY_PROJECT, checked_name, checked_project, checked_projects
from asof.errors import NotFoundError, UsageError

Known = Literal["served", "event"]
OnViolation = Literal["strict", "quarantine", "warn", "off"]
OnUnchanged = Literal["store", "skip"]


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Features of one entity that are written together.

    Args:
        name: Unique among groups.
        entity: What the features describe; its keys are columns of the group.
        features: The columns.
        event_time: Column that says when a row was true; None makes a static group, whose order is that of commits.
        ttl: A value is EXPIRED at T when its event_time <= T - ttl. None: never.
        delay: How long after its event a backfilled row counts as available.
        online: Whether the newest rows are served.
        known: Default knowledge mode of historical reads; None: "served" if the group is created with
            `online=True`, else "event". Fixed at creation.
        timezone: Zone of naive event times; None refuses them.
        retention: How long superseded history is kept; None: for ever.
        checks: Rules over the values.
        on_violation: What happens to rows that break a check.
        on_unchanged: "skip" compares the rows of `write` and `backfill` with the newest row of their key, and stores
            no values of those that are equal: for groups whose rows are states. Two equal events are two events:
            a group of events must "store".
        description: For people and search.
        owner: Whom to ask.
        tags: For search.
        project: Whose it is: a key of the server has a role in a project. "" is the default project.
        shared_with: Projects that may read it; "*" for all.

    Raises:
        UsageError: Parts that do not fit together.

    Source: SEMANTICS sections 1, 2, 6, 7.
    """

    name: str
    entity: Entity
    features: tuple[Feature, ...]
    event_time: str | None = None
    ttl_us: int | None = None
    delay_us: int = 0
    online: bool = False
    known: Known | None = None
    timezone: str | None = None
    retention_us: int | None = None
    checks: tuple[Check, ...] = ()
    on_violation: OnViolation = "strict"
    on_unchanged: OnUnchanged = "store"
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    project: str = ""
    shared_with: tuple[str, ...] = ()

    def __init__(  # noqa: PLR0913 - a declaration: all but the name by keyword
        self,
        name: str,
        *,
        entity: Entity,
        features: Sequence[Feature],
        event_time: str | None = None,
        ttl: str | timedelta | None = None,
        delay: str | timedelta = "0s",
        online: bool = False,
        known: Known | None = None,
        timezone: str | None = None,
        retention: str | timedelta | None = None,
        checks: Sequence[Check] = (),
        on_violation: OnViolation = "strict",
        on_unchanged: OnUnchanged = "store",
        description: str = "",
        owner: str = "",
        tags: Mapping[str, str] | None = None,
        project: str = "",
        shared_with: Sequence[str] = (),
    ) -> None:
        """Check and keep the parts."""
        put = object.__setattr__
        put(self, "name", checked_name(name, "group"))
        put(self, "entity", entity)
        put(self, "features", tuple(features))
        put(self, "event_time", None if event_time is None else checked_name(event_time, "event time column"))
        put(self, "ttl_us", None if ttl is None else duration_us(ttl, what="ttl"))
        put(self, "delay_us", duration_us(delay, what="delay"))
        put(self, "online", online)
        put(self, "known", known)
        put(self, "timezone", timezone)
        put(self, "retention_us", None if retention is None else duration_us(retention, what="retention"))
        put(self, "checks", tuple(checks))
        put(self, "on_violation", on_violation)
        put(self, "on_unchanged", on_unchanged)
        put(self, "description", description)
        put(self, "owner", owner)
        put(self, "tags", dict(tags or {}))
        put(self, "project", checked_project(project))
        put(self, "shared_with", checked_projects(shared_with, where=f"group {name}"))
        self._check_parts()

    def _check_parts(self) -> None:
        where = f"group {self.name}"
        if not self.features:
            raise UsageError("a group needs at least one feature", where=where)
        seen: set[str] = set()
        for column in self.columns:
            if column in seen:
                raise UsageError(f"column {column!r} is declared twice", where=where)
            seen.add(column)
        for check in self.checks:
            if check.column not in seen:
                raise NotFoundError.named("column", check.column, seen, where=f"{where}, check {check}")
        if self.event_time is None and (self.ttl_us is not None or self.delay_us or self.retention_us is not None):
            raise UsageError(
                "a static group (no event_time) takes no ttl, delay or retention",
                where=where,
                todo="name event_time=",
            )
        if self.ttl_us == 0:
            raise UsageError("a ttl of 0 would expire every value", where=where)
        for option, value, allowed in (
            ("known", self.known, ("served", "event", None)),
            ("on_violation", self.on_violation, ("strict", "quarantine", "warn", "off")),
            ("on_unchanged", self.on_unchanged, ("store", "skip")),
        ):
            if value not in allowed:
                raise UsageError(f"{option}={value!r} is none of {', '.join(map(repr, allowed))}", where=where)
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a folder of zones is an OSError
                raise UsageError(f"unknown time zone {self.timezone!r}", where=where) from error

    @property
    def keys(self) -> tuple[str, ...]:
        """Key columns, in the entity's order."""
        return tuple(self.entity.keys)

    @property
    def static(self) -> bool:
        """Whether the group has no event time."""
        return self.event_time is None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that a row has: keys, event time, features."""
        clock = () if self.event_time is None else (self.event_time,)
        return (*self.keys, *clock, *(f.name for f in self.features))

    def open_to(self, project: str) -> bool:
        """Return whether a project may read the group: its own, or one that it is shared with."""
        return project == self.project or project in self.shared_with or EVERY_PROJECT in self.shared_with

    def __getitem__(self, feature: str) -> "FeatureRef":
        """Return a reference to one of the features."""
        return GroupOn(self, ())[feature]

    def on(self, **sources: "str | FeatureRef") -> "GroupOn":
        """Return the group looked up under other keys.

        Args:
            sources: Key of this group to a spine column's name, or to another group's feature (`planes["owner"]`),
                whose answer at the same time is the key.
        """
        for key in sources:
            if key not in self.keys:
                raise NotFoundError.named("key", key, self.keys, where=f"group {self.name}")
        return GroupOn(self, tuple((key, sources[key]) for key in self.keys if key in sources))


@dataclass(frozen=True, slots=True)
class GroupOn:
    """A group under other keys; `[...]` names a feature of it."""

    group: FeatureGroup
    sources: tuple[tuple[str, "str | FeatureRef"], ...]

    def __getitem__(self, feature: str) -> "FeatureRef":
        """Return a reference to one of the features."""
        for declared in self.group.features:
            if declared.name == feature:
                return FeatureRef(self.group, declared, "", self.sources)
        raise NotFoundError.named(
            "feature", feature, (f.name for f in self.group.features), where=f"group {self.group.name}"
        )

    def all(self) -> "tuple[FeatureRef, ...]":
        """Return references to all features."""
        return tuple(FeatureRef(self.group, f, "", self.sources) for f in self.group.features)


@dataclass(frozen=True, slots=True)
class FeatureRef:
    """A feature of a group, as a view uses it: `group["x"]`, perhaps under other spine keys or another name.

    Attributes:
        group: The group.
        feature: The feature.
        name: The name given by `alias`, "" for the feature's own.
        on: Key of the group to its source; keys that are not named come from the spine column of the same name.
    """

    group: FeatureGroup
    feature: Feature
    name: str = ""
    on: tuple[tuple[str, "str | FeatureRef"], ...] = ()

    def alias(self, name: str) -> "FeatureRef":
        """Return the same feature under another name."""
        return replace(self, name=checked_name(name, "feature"))
