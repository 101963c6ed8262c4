"""Feature groups: features of one entity that are written together and share their clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asof import notebook
from asof.definitions.aggregate import Aggregate, type_over
from asof.definitions.check import Check
from asof.definitions.durations import duration_us, show_duration
from asof.definitions.entity import Entity
from asof.definitions.external import checked_place
from asof.definitions.feature import Feature
from asof.definitions.foreign_checks import ForeignChecks, checks_of
from asof.definitions.label import Label
from asof.definitions.names import EVERY_PROJECT, checked_name, checked_project, checked_projects
from asof.definitions.outside import Call, Outside, outside_of
from asof.definitions.outside import Given as Source
from asof.definitions.transformation import Given, Transformation, transformation_of
from asof.definitions.types import DType
from asof.errors import NotFoundError, UsageError
from asof.windows.aggregation import Aggregation
from asof.windows.users import is_users

Known = Literal["served", "event"]
OnViolation = Literal["strict", "quarantine", "warn", "off"]
OnUnchanged = Literal["store", "skip"]


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Features of one entity that are written together.

    Args:
        name: Unique among groups.
        entity: What the features describe; its keys are columns of the group.
        features: The columns; of a group with a source, aggregates (`asof.aggregates`), and nothing is written to it.
        event_time: Column that says when a row was true; None makes a static group, whose order is that of commits.
        ttl: A value is EXPIRED at T when its event_time <= T - ttl. None: never.
        delay: How long after its event a backfilled row counts as available.
        online: Whether the newest rows are served.
        known: Default knowledge mode of historical reads; None: "served" if the group is created with
            `online=True`, else "event". Fixed at creation.
        timezone: Zone of naive event times; None refuses them.
        retention: How long superseded history is kept; None: for ever.
        checks: Rules over the rows: `Check`s, Pandera schemas, suites of Great Expectations; see docs/quality.md.
        on_violation: What happens to rows that break a check: "strict" refuses the write, "quarantine" stores the
            others and keeps these with the reasons, "warn" stores all of them and says so, "off" does not look.
        on_unchanged: "skip" compares the rows of `write` and `backfill` with the newest row of their key, and stores
            no values of those that are equal: for groups whose rows are states. Two equal events are two events:
            a group of events must "store".
        description: For people and search.
        owner: Whom to ask.
        tags: For search.
        project: Whose it is: a key of the server has a role in a project. "" is the default project.
        shared_with: Projects that may read it; "*" for all.
        source: The group of events that the features are made of; with `transform`, the group whose rows the rows of
            this one are made from. Or what lies outside of the store, and gives the rows when `Store.materialize`
            runs: `Files("exports/*.csv")`, "module:function" or `Call(...)`. It is kept as `taken_from` then.
        source_keys: Key of the entity to the source's column; keys that are not named are columns of the same name.
        external: Where the rows lie, if they stay outside of the store: "parquet:FOLDER" (or a file, or a glob),
            "delta:FOLDER", "postgresql://USER@HOST/DATABASE?table=NAME". They are read in place and never written.
        available_at: Column of external rows that says since when each was known; None: since event time and delay. Of
            rows that are taken from outside: such a column of them, that is not stored; None: since they are taken.
        transform: What makes the rows, one of each row of the source, when `Store.materialize` runs it: a function,
            "module:function" or `SQL(...)`. Entity and event time are the source's; nobody else writes to the group.
            It is kept as a `Transformation`, and the source as `origin`.

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
    source: "FeatureGroup | None" = None
    source_keys: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    external: str | None = None
    available_at: str | None = None
    transform: Transformation | None = None
    origin: "FeatureGroup | None" = None
    taken_from: Outside | None = None

    def __init__(  # noqa: PLR0913 - a declaration: all but the name by keyword
        self,
        name: str,
        *,
        entity: Entity,
        features: Sequence[Feature | Aggregate],
        event_time: str | None = None,
        ttl: str | timedelta | None = None,
        delay: str | timedelta = "0s",
        online: bool = False,
        known: Known | None = None,
        timezone: str | None = None,
        retention: str | timedelta | None = None,
        checks: Sequence[Check | ForeignChecks] = (),
        on_violation: OnViolation = "strict",
        on_unchanged: OnUnchanged = "store",
        description: str = "",
        owner: str = "",
        tags: Mapping[str, str] | None = None,
        project: str = "",
        shared_with: Sequence[str] = (),
        source: "FeatureGroup | Source | None" = None,
        source_keys: Mapping[str, str] | None = None,
        external: str | None = None,
        available_at: str | None = None,
        transform: Given | None = None,
    ) -> None:
        """Check and keep the parts."""
        put = object.__setattr__
        taken_from = None if source is None or isinstance(source, FeatureGroup) else outside_of(source)
        given = source if isinstance(source, FeatureGroup) else None
        origin, source = (None, given) if transform is None else (given, None)
        if event_time is None and origin is not None:
            event_time = origin.event_time
        put(self, "transform", None if transform is None else transformation_of(transform, where=f"group {name}"))
        put(self, "origin", origin)
        put(self, "taken_from", taken_from)
        put(self, "name", checked_name(name, "group"))
        put(self, "entity", entity)
        put(self, "source", source)
        put(self, "source_keys", {key: column for key, column in (source_keys or {}).items() if key != column})
        put(self, "features", _expanded(features, source, where=f"group {name}"))
        put(self, "event_time", None if event_time is None else checked_name(event_time, "event time column"))
        put(self, "ttl_us", None if ttl is None else duration_us(ttl, what="ttl"))
        put(self, "delay_us", duration_us(delay, what="delay"))
        put(self, "online", online)
        put(self, "known", known)
        put(self, "timezone", timezone)
        put(self, "retention_us", None if retention is None else duration_us(retention, what="retention"))
        put(self, "checks", checks_of(checks))
        put(self, "on_violation", on_violation)
        put(self, "on_unchanged", on_unchanged)
        put(self, "description", description)
        put(self, "owner", owner)
        put(self, "tags", dict(tags or {}))
        put(self, "project", checked_project(project))
        put(self, "shared_with", checked_projects(shared_with, where=f"group {name}"))
        put(self, "external", None if external is None else checked_place(external, where=f"group {name}"))
        put(self, "available_at", available_at)
        self._check_parts()
        self._check_external()

    def _check_parts(self) -> None:
        where = f"group {self.name}"
        if not self.features:
            raise UsageError("a group needs at least one feature", where=where)
        seen: set[str] = set()
        for column in self.columns:
            if column in seen:
                raise UsageError(f"column {column!r} is declared twice", where=where)
            seen.add(column)
        self._check_checks(seen, where)
        self._check_parent(where)
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

    def _check_checks(self, columns: set[str], where: str) -> None:
        """Refuse checks of columns that there are not, and of times of a group without any."""
        for check in self.checks:
            for column in check.read:
                if column not in columns:
                    raise NotFoundError.named("column", column, columns, where=f"{where}, check {check}")
            if check.kind in ("increasing", "freshness") and self.event_time is None:
                raise UsageError(f"check '{check}' is for groups with event_time=", where=where)

    def _check_parent(self, where: str) -> None:
        if self.source is not None:
            self._check_source(self.source, where)
        elif self.taken_from is not None:
            self._check_taken(self.taken_from, where)
        elif self.transform is not None:
            self._check_origin(self.origin, where)
        elif self.source_keys:
            raise UsageError("source_keys= needs source=", where=where)

    def _check_source(self, source: "FeatureGroup", where: str) -> None:
        """Refuse a source without events, keys that it has not, and what is said of rows: there are none here."""
        if source.event_time is None or source.source is not None:
            what = "is static" if source.source is None else "has no rows of its own"
            todo = "name a group with event_time= whose rows are events"
            raise UsageError(f"the source {source.name!r} {what}", where=where, todo=todo)
        if source.external is not None:
            todo = "load its rows into a group of the store"
            raise UsageError(f"the rows of the source {source.name!r} are outside of the store", where=where, todo=todo)
        types = source.types
        for key in self.source_keys:
            if key not in self.keys:
                raise NotFoundError.named("key", key, self.keys, where=where)
        for (key, dtype), column in zip(self.entity.keys.items(), self.source_columns, strict=True):
            if column not in types:
                raise NotFoundError.named("column", column, types, where=f"{where}, source {source.name}, key {key}")
            if types[column] != dtype:
                what = f"key {key!r} is {dtype}, column {column!r} of the source {source.name!r} is {types[column]}"
                raise UsageError(what, where=where)
        if len(set(self.source_columns)) < len(self.keys):
            raise UsageError(f"two keys are one column of the source {source.name!r}", where=where)
        given = {
            "event_time": self.event_time, "ttl": self.ttl_us, "timezone": self.timezone,
            "retention": self.retention_us, "delay": self.delay_us or None, "checks": self.checks or None,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                todo = f"declare it of the source {source.name!r}"
                raise UsageError(f"{option}= says something of rows, and this group has none", where=where, todo=todo)

    def _check_origin(self, origin: "FeatureGroup | None", where: str) -> None:
        """Refuse a source whose rows this group's cannot be made from, one of each."""
        if origin is None:
            raise UsageError("transform= of the rows of which group?", where=where, todo="pass source=")
        if origin.source is not None or origin.event_time is None:
            what = "is static" if origin.source is None else "has no rows of its own"
            todo = "name a group with event_time= that is written to, or made by a transformation itself"
            raise UsageError(f"the source {origin.name!r} {what}", where=where, todo=todo)
        if (origin.entity.name, origin.entity.keys) != (self.entity.name, self.entity.keys):
            todo = f"a transformation keeps the keys of each row: declare entity {origin.entity.name!r}"
            raise UsageError(f"the source {origin.name!r} has another entity", where=where, todo=todo)
        if self.event_time != origin.event_time:
            todo = f"a transformation keeps the time of each row: leave out event_time=, or say {origin.event_time!r}"
            raise UsageError(f"the source {origin.name!r} has another event time", where=where, todo=todo)
        for option, given in (("delay", self.delay_us), ("source_keys", self.source_keys)):
            if given:
                what = f"{option}= says nothing here: a made row has the keys and the arrival of its source's row"
                raise UsageError(what, where=where, todo="leave it out")

    def _check_taken(self, outside: Outside, where: str) -> None:
        """Refuse what says nothing of rows that are taken from outside, or what a source lacks."""
        if self.source_keys:
            raise UsageError("source_keys= is for a source that is a group", where=where, todo="leave it out")
        if isinstance(outside, Call):
            if outside.asks == "span" and self.event_time is None:
                raise UsageError(f"{outside} is asked for event times, and this group has none", where=where)
            return
        if outside.columns is None:
            if self.transform is not None:
                what, todo = "transform= is given which columns?", "say what the files have: Files(..., columns={...})"
                raise UsageError(what, where=where, todo=todo)
            return
        needed = self.columns if self.transform is None else ()
        for name in needed:
            if name not in outside.columns:
                raise NotFoundError.named("column", name, outside.columns, where=f"{where}, {outside}")

    @property
    def parent(self) -> "FeatureGroup | None":
        """The group that this one is made of: by aggregates, or by a transformation."""
        return self.source or self.origin

    @property
    def depth(self) -> int:
        """How many groups stand before this one, each made of the one before."""
        return 0 if self.parent is None else 1 + self.parent.depth

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The source's column of each key, in the order of the keys."""
        return tuple(self.source_keys.get(key, key) for key in self.keys)

    def _check_external(self) -> None:
        where = f"group {self.name}"
        if self.external is None and self.taken_from is None:
            if self.available_at is not None:
                todo = "pass it to backfill: it names a column of the frame"
                raise UsageError("available_at= is for rows from outside of the store", where=where, todo=todo)
            return
        if self.available_at is not None:
            if self.static or self.delay_us:
                raise UsageError("available_at= needs an event_time, and stands in place of a delay", where=where)
            if self.available_at in self.columns:
                raise UsageError(f"available_at={self.available_at!r} is declared as another column", where=where)
        if self.external is None:
            return
        for option, given in (
            ("source=", self.parent is not None or self.taken_from is not None),
            ("online=True", self.online),
            ("checks=", self.checks or self.on_violation != "strict"),
            ("on_unchanged='skip'", self.on_unchanged != "store"),
            ("retention=", self.retention_us is not None),
        ):
            if given:
                todo = f"leave it out, or load the rows into a group of the store for {option}"
                raise UsageError(f"{option} is not for rows that stay outside of the store", where=where, todo=todo)

    @property
    def keys(self) -> tuple[str, ...]:
        """Key columns, in the entity's order."""
        return tuple(self.entity.keys)

    @property
    def static(self) -> bool:
        """Whether the group's answers do not depend on a time."""
        return self.event_time is None and self.source is None

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that a row has: keys, event time, features."""
        clock = () if self.event_time is None else (self.event_time,)
        return (*self.keys, *clock, *(f.name for f in self.features))

    @property
    def types(self) -> dict[str, DType]:
        """The type of each column."""
        time = {} if self.event_time is None else {self.event_time: DType("timestamp")}
        return {**self.entity.keys, **time, **{feature.name: feature.dtype for feature in self.features}}

    def open_to(self, project: str) -> bool:
        """Return whether a project may read the group: its own, or one that it is shared with."""
        return project == self.project or project in self.shared_with or EVERY_PROJECT in self.shared_with

    def __getitem__(self, feature: str) -> "FeatureRef":
        """Return a reference to one of the features."""
        return GroupOn(self, ())[feature]

    def _repr_html_(self) -> str:
        keys = ", ".join(f"{key}: {dtype}" for key, dtype in self.entity.keys.items())
        rows = [(each.name, each.dtype, each.unit, each.description) for each in self.features]
        facts = (
            self.description,
            f"entity {self.entity.name} ({keys})",
            f"event time {self.event_time}" if self.event_time else "static",
            f"ttl {show_duration(self.ttl_us)}" if self.ttl_us is not None else "",
            "online" if self.online else "offline only",
            f"made of {self.parent.name}" if self.parent else "",
            f"owner {self.owner}" if self.owner else "",
            f"checks ({self.on_violation}): {'; '.join(map(str, self.checks))}" if self.checks else "",
        )
        table = notebook.table(("feature", "type", "unit", "description"), rows)
        return notebook.paragraph(f"group {self.name}", facts) + table

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


def _expanded(
    features: Sequence[Feature | Aggregate], source: FeatureGroup | None, *, where: str
) -> tuple[Feature, ...]:
    """Return the features, those of each aggregate in its place."""
    found: list[Feature] = []
    for each in features:
        if isinstance(each, Aggregate):
            if source is None:
                todo = "pass source=, the group whose rows are the events"
                raise UsageError(f"{each.function} of the events of which group?", where=where, todo=todo)
            found += each.features(source.types, where=f"source {source.name}")
        elif (each.aggregation is None) != (source is None):
            what = "is no aggregate" if source else "is an aggregate of no source"
            todo = "declare columns in the group that has the rows, and aggregates in one with source="
            raise UsageError(f"feature {each.name!r} {what}", where=where, todo=todo)
        else:
            if each.aggregation is not None and source is not None:
                _check_made(each, each.aggregation, source, where)
            found.append(each)
    return tuple(found)


def _check_made(feature: Feature, aggregation: Aggregation, source: FeatureGroup, where: str) -> None:
    if is_users(aggregation.function):  # looked at when it was declared: to know a definition, nothing is imported
        return
    made = type_over(aggregation, source.types, where=f"source {source.name}")
    if feature.dtype != made:
        raise UsageError(f"feature {feature.name!r} is made as {made}, and declared as {feature.dtype}", where=where)


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

    def after(self, horizon: str | timedelta) -> Label:
        """Return the label that the feature is, so long after a row's time; see `Label`."""
        return Label.of(self, horizon)
