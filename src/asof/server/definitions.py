"""Definitions as a client sends them: the documents that the registry keeps, with defaults. Nothing of them is run."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.check import CheckKind, Scope
from asof.definitions.documents import group_from, view_from
from asof.definitions.group import Known, OnUnchanged, OnViolation
from asof.definitions.view import LEAST_BUDGET_US, MOST_BUDGET_US, OnSlow
from asof.errors import NotFoundError
from asof.server.problems import RequestError
from asof.windows.kinds import Kind
from asof.wire.definitions import refuse_code

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


class WindowDefinition(Struct, forbid_unknown_fields=True):
    """Which events count at a time T.

    Attributes:
        kind: exact (the last length_us), hop (up to the last multiple of hop_us), sawtooth (from a multiple of hop_us
            on), lifetime (all), session (those that came less than length_us after the one before, if it goes on).
        length_us: How far it reaches back, or the gap of a session, in microseconds; 0 of a lifetime.
        hop_us: What its ends are multiples of, in microseconds; 0 if they are of nothing.
    """

    kind: Kind
    length_us: Length = 0
    hop_us: Length = 0


class AggregationDefinition(Struct, forbid_unknown_fields=True):
    """How a feature is made of the events of the group's source.

    Attributes:
        function: Such as count, sum, mean, min, max, first, last, last_k, count_distinct. "module:name" is what the
            registry may have; it is not taken from a client.
        window: Which events count.
        column: The column of the source; null: the events themselves.
        most: How many values, of a function that gives several; else 0.
        where: Which events count, such as ["and", [">", "delay", 15], ["not", ["null", "dest"]]]; null: all.
        q: Which quantile, from 0 to 1; null of other functions.
        digest: What the registry knows of "module:name"; it is left out of others.
    """

    function: str
    window: WindowDefinition
    column: str | None = None
    most: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    where: list[Any] | None = None
    q: Annotated[float, Meta(ge=0, le=1)] | None = None
    digest: str | UnsetType = UNSET


class TransformDefinition(Struct, forbid_unknown_fields=True):
    """How the rows of a group are made.

    Attributes:
        language: "sql": one SELECT from the group `origin`, by its name, that gives one row of each row. "python" is
            what the registry may have; it is not taken from a client.
        code: The statement.
        digest: What the registry makes of it; it may be left out.
    """

    language: Literal["sql", "python"]
    code: str
    digest: str = ""


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
        aggregation: How it is made, in a group that has a source.
    """

    name: str
    dtype: str
    description: str = ""
    unit: str = ""
    nullable: bool = True
    tags: dict[str, str] = {}
    aggregation: AggregationDefinition | UnsetType = UNSET


class CheckDefinition(Struct, forbid_unknown_fields=True):
    """A rule over the rows of a group.

    Attributes:
        kind: Which rule.
        column: Of which column; "" for rules of several columns, or of none.
        low: Of rules with bounds: the least that is allowed; null for anything.
        high: Of rules with bounds: the most that is allowed; null for anything. Of "max_null_share": the share. Of
            "freshness": seconds.
        values: Of "one_of".
        pattern: Of "matches": an RE2 pattern.
        columns: Of "unique" and "in_group".
        q: Of "quantile": which, from 0 to 1.
        group: Of "in_group": the group whose keys are asked for.
        code: Of "sql": the expression. "function" is what the registry may have; it is not taken from a client.
        strictly: Of "increasing": whether equal values break it.
        scope: Of "sql": whether it is true of each row, or of all rows of a write together.
    """

    kind: CheckKind
    column: str = ""
    low: float | None = None
    high: float | None = None
    values: list[str | bool | int | float] = []
    pattern: str = ""
    columns: list[str] = []
    q: Annotated[float, Meta(ge=0, le=1)] | None = None
    group: str = ""
    code: str = ""
    strictly: bool = False
    scope: Scope = "rows"


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
        source: The group of events that the features are made of: "trips" is that of the same request, or else the
            newest; "trips@1" a registered one. Such a group has no rows of its own.
        source_keys: Keys of the entity with the source's columns, where their names differ.
        external: Where the rows lie, if they stay outside of the store; it takes the role admin in all projects.
        available_at: Column of rows from outside of the store that says since when each was known.
        origin: The group that the rows are made from, named as `source` is; it has the same entity and event time.
        transform: What makes them, when the group is materialized.
        taken_from: The files or the function that rows are taken from, as the registry may have it; it is not taken
            from a client.
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
    source: str | None = None
    source_keys: dict[str, str] = {}
    external: str | None = None
    available_at: str | None = None
    origin: str | None = None
    transform: TransformDefinition | None = None
    taken_from: dict[str, Any] | None = None


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


class ChainDefinition(Struct, forbid_unknown_fields=True):
    """Transforms of features of a view, one after the other.

    Attributes:
        features: Their names in the view.
        steps: Each with its `kind`, and its parts where they are not the default: see docs/transforms.md.
    """

    features: list[str]
    steps: list[dict[str, Any]]


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
        transforms: What becomes of features on their way to a model.
        budget_us: How long an online read may wait for the online store, in microseconds; null: for its time-outs.
        on_slow: What is answered when that is used up: an error, the last rows that the server read, or null.
    """

    name: str
    features: list[ReferenceDefinition]
    description: str = ""
    owner: str = ""
    tags: dict[str, str] = {}
    log: Annotated[float, Meta(ge=0, le=1)] = 0.0
    log_retention_us: Length | None = None
    project: str = ""
    transforms: list[ChainDefinition] = []
    budget_us: Annotated[int, Meta(ge=LEAST_BUDGET_US, le=MOST_BUDGET_US)] | None = None
    on_slow: OnSlow = "fail"


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
    beside: dict[str, FeatureGroup] = {}

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

    groups: list[FeatureGroup] = []
    for each in _in_order(asked.groups):
        document = _document(each)
        refuse_code(document)
        groups.append(group_from(document, find))
        beside[each.name] = groups[-1]
    views = [_document(each) for each in asked.views]
    for document in views:
        refuse_code(document)
    return [*groups, *(view_from(document, find) for document in views)]


def _in_order(groups: list[GroupDefinition]) -> list[GroupDefinition]:
    """Return groups, those that others of the request are made of before these."""
    waiting = {each.name: each for each in groups}

    def depth(group: GroupDefinition, most: int = DEEPEST) -> int:
        parent = waiting.get(group.source or group.origin or "")
        if not most:
            raise RequestError(400, f"more than {DEEPEST} groups are made of each other", todo="send a flatter store")
        return 0 if parent is None else 1 + depth(parent, most - 1)

    return sorted(groups, key=depth)


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
