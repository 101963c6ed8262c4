"""`store.catalog`: everything about knowing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asof.access import audit
from asof.catalog.description import Description
from asof.catalog.models import describe_model, model_of
from asof.catalog.search import Hit, search
from asof.catalog.split import Split, split
from asof.catalog.training_sets import describe_training_set, training_set_of, training_sets
from asof.clock import show_us
from asof.definitions import Call, FeatureGroup, FeatureView
from asof.definitions.aggregate import told
from asof.definitions.durations import show_duration
from asof.definitions.names import checked_tag, checked_text
from asof.definitions.on_demand import requests_of
from asof.definitions.serving_log import log_name
from asof.definitions.view import made_as, show_budget
from asof.erasure import Certificate, certificates
from asof.errors import UsageError
from asof.ingest.materialize import state_of
from asof.ingest.take import is_taken, told_positions
from asof.online.port import Applied
from asof.parts import Parts, definition, tables_of
from asof.records import Commit, Deed, Snapshot, Tag
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.training.sets.removing import remove as remove_training_sets
from asof.training.sets.training_set import TrainingSet


@dataclass(frozen=True, slots=True)
class Lineage:
    """What something is made of, and what is made of it; names are versions ("weather@1").

    Attributes:
        name: The thing.
        reads: What it reads: for a view, its groups; for a model, its training set and its view.
        read_by: What reads it: for a group, views; for a view, training sets and live models.
    """

    name: str
    reads: tuple[str, ...]
    read_by: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a small tree."""
        lines = [
            self.name,
            *(f"  <- {name}" for name in self.reads),
            *(f"  -> {name}" for name in self.read_by),
        ]
        return "\n".join(lines)


class Catalog:
    """Everything about knowing: what is defined, what was written, how it hangs together."""

    def __init__(self, parts: Parts, changed: Callable[[], None]) -> None:
        """Keep the parts; `changed` is called when a definition goes."""
        self._parts = parts
        self._changed = changed

    def groups(self) -> list[RegisteredGroup]:
        """Return every version of every group, by name and version."""
        return self._parts.registry.groups()

    def views(self) -> list[RegisteredView]:
        """Return every version of every view, by name and version."""
        return self._parts.registry.views()

    def training_sets(self) -> list[TrainingSet]:
        """Return every version of every training set, by name and version."""
        return training_sets(self._parts)

    def remove_training_set(self, name: str) -> list[str]:
        """Remove a training set with its rows: one version ("departure-2026-11@1") or all ("departure-2026-11").

        Returns:
            The versions that are gone.

        Raises:
            NotFoundError: Unknown name.
        """
        gone = remove_training_sets(self._parts, checked_text(name, "name"))
        self._changed()
        return [kept.ref for kept in gone]

    def find(self, name: str) -> RegisteredGroup | RegisteredView:
        """Return a group or view: the version that is named ("weather@1"), or the newest one.

        Raises:
            NotFoundError: Unknown name.
        """
        return definition(self._parts.registry, checked_text(name, "name"))

    def commits(self, group: str | None = None, *, matching: str = "", limit: int | None = None) -> list[Commit]:
        """Return the commits of a group, or of all, in order; with a limit, the newest ones.

        Args:
            group: Name of the group; None for every group.
            matching: Only commits that hold every one of these words in meta, reason, idempotency key, writer or kind.
            limit: How many at most.

        Raises:
            NotFoundError: Unknown group.
        """
        checked_text(matching, "matching")
        if limit is not None and limit < 1:
            raise UsageError(f"limit={limit} is no number of commits", todo="pass 1 or more, or None for all")
        if group is None:
            return self._parts.log.find(matching, limit=limit)
        registered = self._parts.registry.group(group)
        if not matching:
            return self._parts.log.commits(registered, limit=limit)
        found = [commit for commit in self._parts.log.find(matching) if commit.group == registered.ref]
        return found if limit is None else found[-limit:]

    def tag(self, name: str, *, message: str = "") -> Tag:
        """Name the commits of the whole store as it stands: `historical(..., commits=name)` reads it again.

        A tag never moves. It keeps no row: what retention drops or `forget` erases is gone from it too.

        Args:
            name: Letters, digits, and ". _ -" between them, 63 at most.
            message: What for.

        Raises:
            UsageError: The name has another form. ConflictError: It is taken.
        """
        checked = checked_tag(name)
        checked_text(message, "message", where=f"tag {name}")
        return self._parts.tags.add(checked, message=message, writer=self._parts.writer, now_us=self._parts.now_us())

    def tags(self) -> list[Tag]:
        """Return all tags, the oldest first."""
        return self._parts.tags.all()

    def untag(self, name: str) -> None:
        """Forget a tag, and no row.

        Raises:
            NotFoundError: With names that come close.
        """
        self._parts.tags.remove(name, now_us=self._parts.now_us(), writer=self._parts.writer)

    def erasures(self) -> list[Certificate]:
        """Return the certificates of what was forgotten, the oldest first."""
        return certificates(self._parts)

    def audit(self, *, matching: str = "", limit: int | None = None) -> list[Deed]:
        """Return who changed what, when and from where, by time, and what was denied; with a limit, the newest.

        Args:
            matching: Only what holds every one of these words.
            limit: How many at most.
        """
        return audit(self._parts, matching=checked_text(matching, "matching"), limit=limit)

    def search(self, words: str) -> list[Hit]:
        """Return the groups, features and views that match all the words, the best first."""
        return search(self.groups(), self.views(), checked_text(words, "words"))

    def describe(self, name: str) -> Description:
        """Return what there is to know about a group, a view, a training set or a model.

        Raises:
            NotFoundError: Unknown name.
        """
        kept = training_set_of(self._parts, checked_text(name, "name"))
        if kept is not None:
            return describe_training_set(kept)
        model = model_of(self._parts, name)
        if model is not None:
            return describe_model(model)
        group = self.find(name)
        if isinstance(group, RegisteredView):
            return _describe_view(group)
        if group.source is not None:
            return _describe_made(group, group.source)
        if group.definition.external is not None:
            return _describe_external(group)
        with self._parts.online.snapshot() as snapshot:
            applied = snapshot.applied.get(group.id, Applied())
        keys = self._parts.online.count(group.id) if group.definition.online else 0
        stored = ("stored", _stored(self._parts.log.snapshot(group)))
        described = _describe_group(group, self._parts.log.commits(group), applied, keys, stored)
        return replace(described, facts=(*described.facts[:3], *self._made(group), *described.facts[3:]))

    def _made(self, group: RegisteredGroup) -> list[tuple[str, str]]:
        """Return how the rows of a group are made, and up to where they are, if a transformation makes them."""
        transform, origin, outside = group.definition.transform, group.origin, group.definition.taken_from
        if outside is None and origin is None:
            return []
        source = str(outside) if origin is None else f"{origin.ref}: one row of each of its rows"
        if isinstance(outside, Call):
            source += f" (sha256 {outside.digest})"
        made = [] if transform is None else [f"{transform.language}: {transform} (sha256 {transform.digest})"]
        if origin is None or is_taken(group):
            reached = told_positions(self._parts, group)
        else:
            position = state_of(self._parts, group).position
            behind = len(self._parts.log.commits(origin, after=position))
            reached = f"up to {origin.ref}:{position}, {behind:,} commits behind"
        return [("source", source), *(("transform", each) for each in made), ("materialized", reached)]

    def lineage(self, name: str) -> Lineage:
        """Return what a group, a view, a training set or a model reads, and what reads it: of models, live ones.

        Raises:
            NotFoundError: Unknown name.
        """
        kept = training_set_of(self._parts, name)
        models = self._parts.models.all()
        if kept is not None:
            fitted = tuple(each.ref for each in models if each.training_set == kept.ref)
            return Lineage(kept.ref, tuple(dict.fromkeys((kept.view, *sorted(kept.commits)))), fitted)
        model = model_of(self._parts, name)
        if model is not None:
            return Lineage(model.ref, (model.training_set, model.view), ())
        found = self.find(name)
        made = [each.ref for each in self._parts.training_sets.all() if found.ref in (each.view, *each.reads)]
        made += [each.ref for each in models if each.live and each.view == found.ref]
        if isinstance(found, RegisteredView):
            return Lineage(found.ref, tuple(sorted(group.ref for group in found.groups.values())), tuple(made))
        used = [view.ref for view in self.views() if any(g.ref == found.ref for g in view.groups.values())]
        used += [group.ref for group in self.groups() if group.parent is not None and group.parent.ref == found.ref]
        outside = found.definition.taken_from
        reads = (str(outside),) if outside is not None else () if found.parent is None else (found.parent.ref,)
        return Lineage(found.ref, reads, (*sorted(used), *made))

    def split(self, group: str, *, cold: Sequence[str]) -> Split:
        """Store features that hardly ever change apart from the others, from now on: the cold and the hot family.

        What a load stores is compared for each family by itself, so that a row of which only hot features changed does
        not store the cold ones again. Nothing else changes: no definition, no view, no answer, no row that is stored;
        it takes no time. Features that are added later are hot. Repeating it changes nothing.

        Args:
            group: The group; it must have `on_unchanged="skip"`.
            cold: Its cold features; see `Commit.cold`.

        Raises:
            NotFoundError: Unknown group or feature. UsageError: None or all of the features, or a group that does not
                skip unchanged rows. ConflictError: It is split already, with other features: a split stays.
        """
        return split(self._parts, group, cold)

    def remove(self, name: str) -> list[str]:
        """Remove a group with its data, or a view: one version ("weather@1") or all ("weather").

        Returns:
            The group versions whose data were deleted.

        Raises:
            NotFoundError: Unknown name. ConflictError: Something depends on it; the dependants are named.
        """
        gone = self._parts.registry.remove(name, now_us=self._parts.now_us(), writer=self._parts.writer)
        for group in gone:
            self._parts.online.clear(group.id)
            for table in tables_of(group):
                self._parts.history.drop(table)
        self._changed()
        return [group.ref for group in gone]


def _describe_view(view: RegisteredView) -> Description:
    definition = view.definition
    outside = [f"{group.ref} ({place})" for group in view.groups.values() if (place := group.definition.external)]
    facts = [
        ("keys", ", ".join(f"{name}: {dtype}" for name, dtype in definition.spine_keys.items())),
        ("reads", ", ".join(sorted(group.ref for group in view.groups.values()))),
    ]
    if definition.requests:
        facts.append(("request", requests_of(definition.requests)))
    if outside:
        facts.append(("external", f"{', '.join(sorted(outside))}: offline only"))
    if definition.log:
        kept_us = definition.log_retention_us
        kept = "" if kept_us is None else f", kept for {show_duration(kept_us)}"
        facts.append(("log", f"{definition.log:.0%} of the online answers, in {log_name(definition.name)}{kept}"))
    if definition.budget_us is not None:
        facts.append(("budget", show_budget(definition.budget_us, definition.on_slow)))
    facts.extend(("transforms", str(chain)) for chain in definition.transforms)
    features = tuple(
        (name, str(ref.feature.dtype), ref.feature.unit, made_as(ref))
        for name, ref in zip(definition.output_names(), definition.features, strict=True)
    )
    return Description(
        view.ref,
        "view",
        (*facts, *_about(definition)),
        features,
    )


def _describe_made(group: RegisteredGroup, source: RegisteredGroup) -> Description:
    definition = group.definition
    keys = zip(definition.entity.keys.items(), definition.source_columns, strict=True)
    facts = [
        ("entity", definition.entity.name),
        ("keys", ", ".join(f"{key}: {dtype}" + (f" ({of})" if of != key else "") for (key, dtype), of in keys)),
        ("source", f"{source.ref}: made of its events, no rows of its own"),
        ("known", f"{group.known} (default of historical reads)"),
        ("online", "yes" if definition.online else "no"),
        *_about(definition),
    ]
    features = tuple((f.name, str(f.dtype), f.unit, f.description or told(f)) for f in definition.features)
    return Description(group.ref, "group", tuple(facts), features)


def _describe_group(
    group: RegisteredGroup, commits: list[Commit], applied: Applied, keys: int, stored: tuple[str, str]
) -> Description:
    definition = group.definition
    facts = [
        *_declared(group),
        ("online", f"{keys:,} keys, up to commit {applied.commit}" if definition.online else "no"),
        ("commits", f"{len(commits):,}"),
        ("rows", f"{sum(commit.rows for commit in commits):,}"),
        stored,
    ]
    if group.cold:
        facts.append(("split", f"stored apart: {', '.join(group.cold)}"))
    if commits:
        facts.append(("last commit", f"{commits[-1].id} at {show_us(commits[-1].committed_at_us)}"))
    events = [commit.max_event_us for commit in commits if commit.max_event_us is not None]
    if events:
        facts.append(("last event", show_us(max(events))))
    if definition.retention_us is not None:
        facts.append(("retention", show_duration(definition.retention_us)))
    if definition.checks:
        facts.append(("checks", "; ".join(map(str, definition.checks)) + f" ({definition.on_violation})"))
    facts += _about(definition)
    return Description(group.ref, "group", tuple(facts), _features(definition))


def _describe_external(group: RegisteredGroup) -> Description:
    """Say what is declared; what lies at the place is not looked at, it may be away."""
    definition = group.definition
    known = definition.available_at or "since event time and delay"
    facts = [
        *_declared(group),
        ("external", f"the rows stay at {definition.external}"),
        ("available_at", "always" if definition.static else known),
        ("online", "no: rows outside of the store are read offline only"),
        *_about(definition),
    ]
    return Description(group.ref, "group", tuple(facts), _features(definition))


def _declared(group: RegisteredGroup) -> list[tuple[str, str]]:
    definition = group.definition
    return [
        ("entity", definition.entity.name),
        ("keys", ", ".join(f"{name}: {dtype}" for name, dtype in definition.entity.keys.items())),
        ("event_time", definition.event_time or "none: a static group"),
        ("ttl", "never expires" if definition.ttl_us is None else show_duration(definition.ttl_us)),
        ("delay", show_duration(definition.delay_us)),
        ("known", f"{group.known} (default of historical reads)"),
    ]


def _features(definition: FeatureGroup) -> tuple[tuple[str, str, str, str], ...]:
    return tuple((f.name, str(f.dtype), f.unit, f.description) for f in definition.features)


def _stored(snapshot: Snapshot) -> str:
    """Return in what the rows of a group lie: many files are merged in the background, or by `compact`."""
    megabytes = sum(file.size_bytes for file, _ in snapshot.files) / 1e6
    return f"{len(snapshot.files):,} files, {megabytes:,.1f} MB; {len(snapshot.journal):,} commits in the journal"


def _about(definition: FeatureGroup | FeatureView) -> list[tuple[str, str]]:
    shared = definition.shared_with if isinstance(definition, FeatureGroup) else ()
    facts = (
        ("description", definition.description),
        ("owner", definition.owner),
        ("project", definition.project),
        ("shared with", ", ".join(name or "the default project" for name in shared)),
        ("tags", ", ".join(f"{name}={value}" for name, value in definition.tags.items())),
    )
    return [(what, how) for what, how in facts if how]
