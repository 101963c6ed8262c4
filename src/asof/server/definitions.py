"""Definitions as a client sends them: the documents that the registry keeps, with defaults. Nothing of them is run."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.check import CheckKind
from asof.definitions.documents import group_from, view_from
from asof.definitions.group import Known, OnUnchanged, OnViolation
from asof.errors import NotFoundError
from asof.server.problems import RequestError

LONGEST_US = 10_000 * 366 * 86_400_000_000
"""Ten thousand years: what lies between the first and the last time that Python knows."""

DEEPEST = 8
"""So many groups may stand behind each other, each giving the key of the next."""

Length = Annotated[int, Meta(ge=0, le=LONGEST_US, description="A length of time in microseconds.")]


class EntityDefinition(Struct, forbid_unknown_fields=True):
    """A thing that features describe.

    Attributes:
        name: Unique among entities.
        keys: Key columns with their types, such as "int64", in their order.
        description: What it is.
    """

    name: str
    keys: dict[str, str]
    description: str = ""


class FeatureDefinition(Struct, forbid_unknown_fields=True):
    """A column of a group.

    Attributes:
        name: The column's name.
        dtype: Its type: bool, int8 to int64, float32, float64, string, bytes, date, timestamp, decimal(p, s), list<T>,
            vector<T, n>, struct<a: T>.
        description: What it says.
        unit: Unit of measure.
        nullable: Whether a null may be written.
        tags: For search.
    """

    name: str
    dtype: str
    description: str = ""
    unit: str = ""
    nullable: bool = True
    tags: dict[str, str] = {}


class CheckDefinition(Struct, forbid_unknown_fields=True):
    """A rule over the values of a column.

    Attributes:
        kind: Which rule.
        column: Of which column.
        low: Of "between": the least value; null for none.
        high: Of "between": the greatest value; null for none.
        values: Of "one_of".
        pattern: Of "matches": an RE2 pattern.
    """

    kind: CheckKind
    column: str
    low: float | None = None
    high: float | None = None
    values: list[str | bool | int | float] = []
    pattern: str = ""


class GroupDefinition(Struct, forbid_unknown_fields=True):
    """A feature group.

    Attributes:
        name: Unique among groups and views.
        entity: What the features describe.
        features: The columns.
        event_time: Column that says when a row was true; null makes a static group.
        ttl_us: How long after its event time a value is answered, in microseconds; null: for ever.
        delay_us: How long after its event a backfilled row counts as available, in microseconds.
        online: Whether the newest rows are served.
        known: Default knowledge mode of historical reads; null: "served" if created online, else "event".
        timezone: Zone of naive event times; null refuses them.
        retention_us: How long superseded history is kept, in microseconds; null: for ever.
        checks: Rules over the values.
        on_violation: What happens to rows that break a check.
        on_unchanged: "skip" stores no values of rows that are equal to the newest row of their key.
        description: For people and search.
        owner: Whom to ask.
        tags: For search.
        project: Whose it is; "" is the default project.
        shared_with: Projects that may read it; "*" for all.
    """

    name: str
    entity: EntityDefinition
    features: list[FeatureDefinition]
    event_time: str | None = None
    ttl_us: Length | None = None
    delay_us: Length = 0
    online: bool = False
    known: Known | None = None
    timezone: str | None = None
    retention_us: Length | None = None
    checks: list[CheckDefinition] = []
    on_violation: OnViolation = "strict"
    on_unchanged: OnUnchanged = "store"
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}
    project: str = ""
    shared_with: list[str] = []


class ReferenceDefinition(Struct, forbid_unknown_fields=True):
    """A feature of a group, as a view uses it.

    Attributes:
        group: The group: "weather" is that of the same request, or else the newest; "weather@1" a registered one.
        feature: The feature.
        alias: Its name in the view; "" for its own.
        on: Keys of the group with where they come from: another column of the spine, or a feature of another group.
    """

    group: str
    feature: str
    alias: str = ""
    on: dict[str, "str | ReferenceDefinition"] = {}


class ViewDefinition(Struct, forbid_unknown_fields=True):
    """A feature view.

    Attributes:
        name: Unique among groups and views.
        features: What it reads.
        description: For people and search.
        owner: Whom to ask.
        tags: For search.
        log: Which share of the online answers is kept in the serving log.
        log_retention_us: How long answers are kept there, in microseconds; null: for ever.
        project: Whose it is; "" is the default project.
    """

    name: str
    features: list[ReferenceDefinition]
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}
    log: Annotated[float, Meta(ge=0, le=1)] = 0.0
    log_retention_us: Length | None = None
    project: str = ""


class Definitions(Struct, forbid_unknown_fields=True):
    """Groups and views, to be registered together.

    Attributes:
        groups: Feature groups.
        views: Feature views, over these groups or registered ones.
    """

    groups: list[GroupDefinition] = []
    views: list[ViewDefinition] = []


def definitions_from(
    asked: Definitions, registered: Callable[[str], FeatureGroup], *, most: int
) -> list[FeatureGroup | FeatureView]:
    """Return the definitions of a request.

    Args:
        asked: What the client sent.
        registered: Gives a group that the store has.
        most: Features of one request, those of views among them.

    Raises:
        RequestError: There are more. UsageError, NotFoundError: A definition does not fit.
    """
    count = sum(1 + len(each.features) for each in asked.groups)
    count += sum(1 + sum(1 for _ in _references(view)) for view in asked.views)
    if count > most:
        title = f"{count:,} definitions and features are more than the {most:,} of one request"
        raise RequestError(413, title, todo="send them in parts")
    groups = [group_from(_document(each)) for each in asked.groups]
    beside = {group.name: group for group in groups}

    @cache
    def find(name: str) -> FeatureGroup:
        try:
            return beside[name] if name in beside else registered(name)
        except NotFoundError as error:
            plain = name.partition("@")[0]
            if plain not in beside:
                raise
            todo = f"write {plain!r} for the group of the same request"
            raise NotFoundError(error.what, where=error.where, todo=todo, data=error.data) from error

    return [*groups, *(view_from(_document(each), find) for each in asked.views)]


def _document(definition: GroupDefinition | ViewDefinition) -> dict[str, Any]:
    return to_builtins(definition)


def _references(view: ViewDefinition) -> Iterator[ReferenceDefinition]:
    """Iterate over the references of a view, those that give keys too."""
    waiting = [(each, 1) for each in view.features]
    while waiting:
        reference, depth = waiting.pop()
        if depth > DEEPEST:
            title = f"view {view.name!r}: more than {DEEPEST} groups give keys to each other"
            raise RequestError(400, title, todo="send a flatter view")
        yield reference
        sources = (source for source in reference.on.values() if isinstance(source, ReferenceDefinition))
        waiting += [(source, depth + 1) for source in sources]
