"""What the pages read of a store. Definitions are read once for each generation of them, figures every few seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import pyarrow as pa

from asof.access import Caller
from asof.catalog.search import Hit, Index
from asof.checks import CheckReport, report_from
from asof.clock import to_us
from asof.definitions.entity import Entity
from asof.definitions.names import checked_text
from asof.errors import NotFoundError
from asof.ingest.materialize import state_of
from asof.ingest.take import is_taken, told_positions
from asof.models.quality import ModelQuality, QualityAsked, bucket_us, quality
from asof.parts import Parts
from asof.quality.explanation import Explanation
from asof.quality.verify import Verification
from asof.records import Commit, Deed, Role, Tag, Totals
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.serving.cached import Cached
from asof.serving.log import LogCounts
from asof.serving.online import OnlineReader, Vector
from asof.statistics import GroupStatistics
from asof.statistics.drift import Drift
from asof.store import Store
from asof.training.model import Model
from asof.training.read import read_rows
from asof.training.sets.manifest import Manifest

Registered = TypeVar("Registered", RegisteredGroup, RegisteredView)

RECENT = 500
"""Commits that are looked through for those that a caller may see."""

MOST_ROLES = 32
"""Sets of roles for which it is remembered which definitions they may read."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rows of a group are made.

    Attributes:
        origin: The version of the group that they are made from, or what lies outside.
        code: What makes them; "" if they are taken as they are.
        reached: How far: the last commit of the origin, or places outside.
        behind: Commits of the origin since then; None if nobody knows.
    """

    origin: str
    code: str
    reached: str
    behind: int | None = None


@dataclass(frozen=True)
class Seen:
    """The definitions that a caller may read: for him the rest is not there.

    Attributes:
        groups: Every version of the groups, by name and version.
        views: Every version of the views, by name and version.
    """

    groups: Sequence[RegisteredGroup]
    views: Sequence[RegisteredView]

    @cached_property
    def newest_groups(self) -> Mapping[str, RegisteredGroup]:
        """The newest version of each group."""
        return {each.definition.name: each for each in self.groups}

    @cached_property
    def newest_views(self) -> Mapping[str, RegisteredView]:
        """The newest version of each view."""
        return {each.definition.name: each for each in self.views}

    @cached_property
    def refs(self) -> Mapping[str, RegisteredGroup | RegisteredView]:
        """Every version by its name and number."""
        return {each.ref: each for each in (*self.groups, *self.views)}

    @cached_property
    def entities(self) -> Mapping[str, tuple[Entity, list[RegisteredGroup]]]:
        """Each entity, with the newest version of its groups."""
        found: dict[str, tuple[Entity, list[RegisteredGroup]]] = {}
        for group in self.newest_groups.values():
            found.setdefault(group.definition.entity.name, (group.definition.entity, []))[1].append(group)
        return dict(sorted(found.items()))

    def group(self, name: str) -> RegisteredGroup:
        """Return a group by its name, or a version of it by "name@1".

        Raises:
            NotFoundError: With names that come close, of those that the caller may read.
        """
        return _named("group", name, self.newest_groups, self.groups)

    def view(self, name: str) -> RegisteredView:
        """Return a view by its name, or a version of it by "name@1"; see `group`."""
        return _named("view", name, self.newest_views, self.views)

    def entity(self, name: str) -> tuple[Entity, list[RegisteredGroup]]:
        """Return an entity, and the groups of it; see `group`."""
        found = self.entities.get(name)
        if found is None:
            raise NotFoundError.named("entity", name, self.entities)
        return found

    def search(self, words: str) -> Sequence[Hit]:
        """Return what matches all the words, the best first."""
        return self._index.found(checked_text(words, "words"))

    @cached_property
    def _index(self) -> Index:
        return Index(self.groups, self.views)


class Sight:
    """What the pages read of a store. Safe to use from several threads.

    Args:
        store: The store; closed by whoever opened it.
    """

    def __init__(self, store: Store) -> None:
        """Have read nothing yet."""
        self._store = store
        self._defined: tuple[int, Seen, dict[frozenset[tuple[str, Role]], Seen]] = (-1, Seen((), ()), {})
        self._reader = OnlineReader(self._parts, patient=True)
        self._totals: Cached[Mapping[int, Totals]] = Cached(lambda _: self._parts.log.totals())
        self._reports: Cached[Mapping[int, CheckReport]] = Cached(lambda _: self._newest_reports())

    @property
    def _parts(self) -> Parts:
        return self._store._parts  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no word of users

    @property
    def name(self) -> str:
        """What the store is called: its folder."""
        return self._parts.root.name

    @property
    def now_us(self) -> int:
        """The store's time."""
        return self._parts.now_us()

    def seen(self, caller: Caller) -> Seen:
        """Return the definitions that a caller may read."""
        generation = self._parts.registry.generation()
        known, seen, by_roles = self._defined
        if known != generation:
            seen, by_roles = Seen(self._parts.registry.groups(), self._parts.registry.views()), {}
            self._defined = generation, seen, by_roles
            self._reader.forget_plans()
        if caller.reads_all:
            return seen
        roles = frozenset(caller.roles.items())
        own = by_roles.get(roles)
        if own is None:
            own = Seen(_readable(seen.groups, caller), _readable(seen.views, caller))
            if len(by_roles) < MOST_ROLES:
                by_roles[roles] = own
        return own

    def totals(self) -> Mapping[int, Totals]:
        """Return what the commits of each group version add up to, by its id; some seconds old."""
        return self._totals("")

    def total(self, group: RegisteredGroup) -> Totals:
        """Return what the commits of the group add up to, or those of the group that it is made of."""
        return self.totals().get(group.stored.id, Totals())

    def last_reports(self) -> Mapping[int, CheckReport]:
        """Return what checks said of the last write to each group version, by its id; some seconds old."""
        return self._reports("")

    def _newest_reports(self) -> Mapping[int, CheckReport]:
        return {id_: report_from(each.body) for id_, each in self._parts.reports.newest().items()}

    def reports(self, group: RegisteredGroup, *, limit: int) -> list[CheckReport]:
        """Return what checks said of the newest writes to a group, the newest first."""
        return self._store.quality.reports(group.ref, limit=limit)[::-1]

    def quarantine(self, group: RegisteredGroup) -> pa.Table:
        """Return the rows of a group that broke a check, and that are still to be looked after."""
        return self._store.quality.quarantine(group.ref).to_arrow()

    def statistics(self, group: RegisteredGroup, commits: str | Commit | None) -> GroupStatistics:
        """Return the statistics of what was written to a group: by a commit, up to a tag, or (None) ever."""
        return self._store.quality.statistics(group.ref, commits=commits)

    def drift(self, group: RegisteredGroup, *, baseline: str | tuple[int, int], current: str, by: str) -> Drift:
        """Return which features of a group moved between commits; by a column each segment for itself, "" for none."""
        return self._store.quality.drift(group.ref, baseline=baseline, current=current, by=by or None)

    def tags(self) -> list[Tag]:
        """Return the tags, the newest first."""
        return self._store.catalog.tags()[::-1]

    def commits(self, group: RegisteredGroup, *, limit: int) -> list[Commit]:
        """Return the newest commits of a group, the oldest first."""
        return self._parts.log.commits(group, limit=limit)

    def recent(self, seen: Seen, *, limit: int, matching: str = "") -> list[Commit]:
        """Return the newest commits of all groups that are seen, the newest first."""
        found = self._parts.log.find(matching, limit=RECENT)
        return [each for each in reversed(found) if each.group in seen.refs][:limit]

    def rows(
        self, group: RegisteredGroup, *, limit: int, at: datetime | None, known: datetime | None
    ) -> tuple[pa.Table, bool]:
        """Return the newest row of the first keys as of a time, with its clocks; and whether there are more keys.

        As few of the rows of other keys are read as can be, so that it costs about the same however many there are.

        Args:
            group: A group with rows of its own.
            limit: How many keys.
            at: Only event times up to it.
            known: Only rows that were available then.
        """
        table = read_rows(
            self._parts,
            group.ref,
            start_us=None,
            end_us=None if at is None else to_us(at),
            columns=None,
            known=known,
            commits=None,
            latest=True,
            clocks=True,
            batch_rows=None,
            first=limit + 1,
        ).to_arrow()
        return table.slice(0, limit), table.num_rows > limit

    def look_up(
        self, names: Sequence[str], keys: Mapping[str, Any], request: Mapping[str, Any] | None = None
    ) -> list[Vector]:
        """Return what groups and views serve now for a key set, all of it from one snapshot of the online store.

        Nothing of it goes to the serving log.
        """
        return self._reader.read_each(names, keys, request)

    def explain(self, name: str, keys: Mapping[str, Any], *, feature: str | None, at: datetime | None) -> Explanation:
        """Return why the answer for a key set is what it is."""
        return self._store.quality.explain(name, keys, feature=feature, at=at)

    def streams(self, group: RegisteredGroup) -> Mapping[tuple[str, str], str]:
        """Return the streams that are read into a group: the last place of each partition."""
        return self._parts.streams.positions(group)

    def audit(self, *, matching: str, limit: int) -> list[Deed]:
        """Return the newest changes and denied tries, the newest first."""
        return self._store.catalog.audit(matching=matching, limit=limit)[::-1]

    def serving_log(self, view: RegisteredView) -> LogCounts:
        """Return what happened to the answers of a view that were to be logged, in this process."""
        return self._store.quality.serving_log(view.definition.name)

    def models(self, seen: Seen) -> list[Model]:
        """Return every version of the models that read what is seen, by name and version."""
        return [each for each in self._store.models.all() if each.view in seen.refs]

    def fitted_on(self, models: Sequence[Model]) -> Mapping[str, str]:
        """Return by the version of each training set that models were fitted on the group that keeps its rows."""
        names = {each.training_set for each in models}
        return {each.ref: each.group for each in self._parts.training_sets.all() if each.ref in names}

    def labels(self, models: Sequence[Model]) -> set[str]:
        """Return the groups of which the labels of models are looked up."""
        names = {each.training_set for each in models}
        kept = [each for each in self._parts.training_sets.all() if each.ref in names]
        said = [Manifest.from_json(each.manifest).label for each in kept]
        return {label.group for label in said if label is not None and label.group}

    def model_quality(self, versions: Sequence[Model], *, every: str, start: datetime) -> ModelQuality:
        """Return how good the online predictions of some versions of a model were since a time."""
        name = versions[0].name
        self._store.models.logged(name, flush=True)
        known = {each.ref: each for each in versions}
        return quality(self._parts, QualityAsked(name, known, to_us(start), None, bucket_us(every), None))

    def progress(self, group: RegisteredGroup) -> Progress:
        """Return how far the rows of a group are made, that are made from others or taken from outside."""
        origin, outside, code = group.origin, group.definition.taken_from, str(group.definition.transform or "")
        if origin is None or is_taken(group):
            source = str(outside) if origin is None else origin.ref
            return Progress(source, code, told_positions(self._parts, group))
        reached = state_of(self._parts, group).position
        return Progress(origin.ref, code, str(reached), len(self._parts.log.commits(origin, after=reached)))

    def verify(self, view: RegisteredView, *, instants: int, keys: int, logged: int) -> Verification:
        """Compare online answers of a view with history, some of them."""
        return self._store.verify(view.ref, instants=instants, keys=keys, logged=logged)


def _named(kind: str, name: str, newest: Mapping[str, Registered], versions: Sequence[Registered]) -> Registered:
    found = newest.get(name) or next((each for each in versions if each.ref == name), None)
    if found is None:
        raise NotFoundError.named(kind, name, newest)
    return found


def _readable(every: Sequence[Registered], caller: Caller) -> list[Registered]:
    return [each for each in every if caller.may("reader", each.definition)]
