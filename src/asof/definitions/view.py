"""Feature views: the features that one model reads, over several groups and entities."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, get_args

from asof import notebook
from asof.definitions.chain import Chain, Transforms, chains_of
from asof.definitions.durations import duration_us, show_duration
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup, FeatureRef, GroupOn
from asof.definitions.names import checked_name, checked_project
from asof.definitions.on_demand import OnDemand, Request, distinct_requests, requests_of
from asof.definitions.types import DType
from asof.errors import NotFoundError, UsageError

LOG_SUFFIX = "_log"
LONGEST_NAME = 63

OnSlow = Literal["fail", "stale", "default"]
"""What a view answers where the online store gave no answer within its budget."""

LEAST_BUDGET_US, MOST_BUDGET_US = 1_000, 10_000_000

HIDDEN = "__"
"""How columns begin that are read or made on the way, and shown to nobody."""

Source = str | tuple[int, str]
"""A key's source in a look-up: a spine column, or (index of an earlier look-up, feature)."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """One group under one set of keys: the unit in which a view is answered.

    Attributes:
        group: The group.
        sources: One per key of the group, in their order.
        outputs: (feature, column); "" for a feature that only serves as a key, hidden for one of which an on-demand
            feature is made.
    """

    group: FeatureGroup
    sources: tuple[Source, ...]
    outputs: tuple[tuple[Feature, str], ...]

    @property
    def shown(self) -> tuple[tuple[Feature, str], ...]:
        """The outputs that the view names."""
        return tuple((feature, name) for feature, name in self.outputs if name and not name.startswith(HIDDEN))


@dataclass(frozen=True, slots=True)
class Derivation:
    """An on-demand feature of a view, with the columns that it is made of.

    Attributes:
        feature: What is made.
        name: Its column: an output, or hidden.
        inputs: Columns of look-ups, of the request, or of derivations before it.
    """

    feature: OnDemand
    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeatureView:
    """The features that one model reads.

    Args:
        name: Unique among views.
        features: References (`group["x"]`, `group.on(key="column")["x"].alias("y")`), whole groups, on-demand features
            (`@on_demand`), or what other views have: all (`view`), or one (`view["x"]`).
        description: For people and search.
        owner: Whom to ask.
        tags: For search.
        log: Which share of the online answers is kept in the serving log, the group `<name>_log`, which `apply`
            registers beside the view; 0.0 for none.
        log_retention: How long answers are kept in the log; None: for ever.
        project: Whose it is, as of a group. It reads groups of its project, and those that are shared with it.
        transforms: What becomes of features on their way to a model, fitted on the training split: the output name of
            a feature, or a tuple of them, to a transform of `asof.transforms`, one of scikit-learn, or a list of them.
        budget: How long an online read may wait for an online store on a server, all groups of the view together,
            "1ms" to "10s"; None: as long as the store's own time-outs let it.
        on_slow: What an online read does when the budget is used up, or the store cannot be reached: "fail" raises
            TransientError; "stale" answers from the rows that this process read last for the same keys, as STALE, and
            as "default" where it has none; "default" answers null for every stored feature, as UNAVAILABLE.

    Raises:
        NotFoundError: A transform is of no feature of the view.
        UsageError: Two features would have the same name, `log` is no share, `log_retention` is given without it,
            a transform takes no values of the feature's type, `budget` is out of bounds, or `on_slow` is unknown or
            given without it.
    """

    name: str
    features: tuple[FeatureRef | OnDemand, ...]
    description: str = ""
    owner: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    log: float = 0.0
    log_retention_us: int | None = None
    project: str = ""
    transforms: tuple[Chain, ...] = ()
    budget_us: int | None = None
    on_slow: OnSlow = "fail"

    def __init__(  # noqa: PLR0913 - a declaration: all but the name by keyword
        self,
        name: str,
        *,
        features: "Sequence[FeatureRef | FeatureGroup | GroupOn | OnDemand | FeatureView]",
        description: str = "",
        owner: str = "",
        tags: Mapping[str, str] | None = None,
        log: float = 0.0,
        log_retention: str | timedelta | None = None,
        project: str = "",
        transforms: Transforms | None = None,
        budget: str | timedelta | None = None,
        on_slow: OnSlow = "fail",
    ) -> None:
        """Check and keep the parts."""
        put = object.__setattr__
        refs: list[FeatureRef | OnDemand] = []
        for item in features:
            match item:
                case FeatureRef() | OnDemand():
                    refs.append(item)
                case FeatureView():
                    refs.extend(item.features)
                case FeatureGroup():
                    refs.extend(GroupOn(item, ()).all())
                case GroupOn():
                    refs.extend(item.all())
        if not refs:
            raise UsageError("a view needs at least one feature", where=f"view {name}")
        put(self, "name", checked_name(name, "view"))
        put(self, "features", tuple(refs))
        put(self, "description", description)
        put(self, "owner", owner)
        put(self, "tags", dict(tags or {}))
        put(self, "log", _checked_rate(log, name))
        if log_retention is not None and not log:
            todo = "leave it out: what a log holds is kept as long as the view said when it logged"
            raise UsageError("log_retention= needs log=", where=f"view {name}", todo=todo)
        kept_us = None if log_retention is None else duration_us(log_retention, what="log_retention")
        put(self, "log_retention_us", kept_us)
        put(self, "project", checked_project(project))
        put(self, "budget_us", _checked_budget(budget, on_slow, name))
        put(self, "on_slow", on_slow)
        self._check_requests(self.output_names())
        put(self, "transforms", chains_of(transforms, self.types, where=f"view {name}"))

    def _repr_html_(self) -> str:
        rows = [
            (name, ref.feature.dtype, made_as(ref), ref.feature.unit, ref.feature.description)
            for name, ref in zip(self.output_names(), self.features, strict=True)
        ]
        keys = ", ".join(f"{key}: {dtype}" for key, dtype in self.spine_keys.items())
        brings = f"a request brings {requests_of(self.requests)}" if self.requests else ""
        facts = (self.description, f"asked by {keys}", brings, f"owner {self.owner}" if self.owner else "")
        table = notebook.table(("feature", "type", "from", "unit", "description"), rows)
        return notebook.paragraph(f"view {self.name}", facts) + table

    def __getitem__(self, name: str) -> FeatureRef | OnDemand:
        """Return one of the features, by its output name, for another view."""
        names = self.output_names()
        if name not in names:
            raise NotFoundError.named("feature", name, names, where=f"view {self.name}")
        return self.features[names.index(name)].alias(name)

    def output_names(self, *, full_names: bool = False) -> tuple[str, ...]:
        """Return the output column of each feature, in their order.

        A feature is named by its alias, else by its own name where that is unambiguous, else `group__feature`.

        Raises:
            UsageError: Two features still share a name.
        """
        plain = Counter(_given_name(ref) or ref.feature.name for ref in self.features)
        names = [
            f"{ref.group.name}__{ref.feature.name}"
            if isinstance(ref, FeatureRef) and not ref.name and (full_names or plain[ref.feature.name] > 1)
            else _given_name(ref) or ref.feature.name
            for ref in self.features
        ]
        for name, count in Counter(names).items():
            if count > 1:
                raise UsageError(
                    f"two features are named {name!r}",
                    where=f"view {self.name}",
                    todo=f'name one of them, such as group["{name.rpartition("__")[2]}"].alias("other_name")',
                )
        return tuple(names)

    def lookups(self, *, full_names: bool = False) -> tuple[Lookup, ...]:
        """Return what must be looked up, each after the look-ups that its keys come from."""
        columns = self._columns(full_names=full_names)
        shown = zip(self.features, self.output_names(full_names=full_names), strict=True)
        stored = [(ref, name) for ref, name in shown if isinstance(ref, FeatureRef)]
        given = {name for _, name in stored}
        stored += [(ref, name) for ref, name in columns.values() if name not in given]
        return lookups_of([ref for ref, _ in stored], [name for _, name in stored])

    def derivations(self, *, full_names: bool = False) -> tuple[Derivation, ...]:
        """Return the on-demand features, each after those that it is made of."""
        columns = self._columns(full_names=full_names)
        names = self.output_names(full_names=full_names)
        own = {_bare(each): name for each, name in zip(self.features, names, strict=True) if isinstance(each, OnDemand)}
        made: dict[OnDemand, Derivation] = {}

        def column(given: FeatureRef | Request | OnDemand) -> str:
            match given:
                case FeatureRef():
                    return columns[_place(given)][1]
                case OnDemand():
                    return place(_bare(given)).name
                case Request():
                    return given.name

        def place(feature: OnDemand) -> Derivation:
            if feature not in made:
                inputs = tuple(map(column, feature.inputs))
                made[feature] = Derivation(feature, own.get(feature, f"{HIDDEN}made_{len(made)}"), inputs)
            return made[feature]

        for feature in own:
            place(feature)
        again = [
            Derivation(each, name, place(_bare(each)).inputs)
            for each, name in zip(self.features, names, strict=True)
            if isinstance(each, OnDemand) and own[_bare(each)] != name
        ]
        return (*made.values(), *again)

    def _columns(self, *, full_names: bool) -> "dict[_Place, tuple[FeatureRef, str]]":
        """Return the column of each stored feature of which an on-demand feature is made, shown or hidden."""
        shown = zip(self.features, self.output_names(full_names=full_names), strict=True)
        outputs = {_place(ref): name for ref, name in reversed([*shown]) if isinstance(ref, FeatureRef)}
        found: dict[_Place, tuple[FeatureRef, str]] = {}
        for ref in (ref for each in self.on_demand for ref in each.stored()):
            place = _place(ref)
            found.setdefault(place, (ref, outputs.get(place, f"{HIDDEN}input_{len(found)}")))
        return found

    def _check_requests(self, names: Sequence[str]) -> None:
        """Refuse inputs of the request that would be two columns of one name in a spine's answer."""
        for each in distinct_requests(self.on_demand, where=f"view {self.name}"):
            if each in names:
                what = f"{each!r} is both a feature and an input of the request"
                raise UsageError(
                    what, where=f"view {self.name}", todo=f'name the feature otherwise: .alias("other_{each}")'
                )

    @property
    def types(self) -> dict[str, DType]:
        """The output columns with their types, in their order, before any transform."""
        return {name: ref.feature.dtype for name, ref in zip(self.output_names(), self.features, strict=True)}

    @property
    def on_demand(self) -> tuple[OnDemand, ...]:
        """The features that are made when they are asked for."""
        return tuple(each for each in self.features if isinstance(each, OnDemand))

    @property
    def stored(self) -> tuple[FeatureRef, ...]:
        """The features that are read from groups, those too of which others are made."""
        own = [each for each in self.features if isinstance(each, FeatureRef)]
        return (*own, *(ref for each in self.on_demand for ref in each.stored()))

    @property
    def requests(self) -> dict[str, DType]:
        """What a request must bring, by name; a name that is also a key of the view may be left out."""
        return distinct_requests(self.on_demand, where=f"view {self.name}")

    @property
    def spine_keys(self) -> dict[str, DType]:
        """The columns that a spine must have for this view, with the types of their keys.

        A column that serves keys of several types is listed with the first; each look-up converts it for itself.
        """
        columns: dict[str, DType] = {}
        for lookup in self.lookups():
            for key, source in zip(lookup.group.keys, lookup.sources, strict=True):
                if isinstance(source, str):
                    columns.setdefault(source, lookup.group.entity.keys[key])
        return columns

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The groups that the view reads, each once."""
        return tuple({lookup.group.name: lookup.group for lookup in self.lookups()}.values())


_Place = tuple[str, str, tuple[tuple[str, "str | FeatureRef"], ...]]
"""What tells a stored feature from another: group, feature, and under which keys."""


def _place(ref: FeatureRef) -> _Place:
    return ref.group.name, ref.feature.name, ref.on


def _bare(feature: OnDemand) -> OnDemand:
    """Return a feature without the name that a view gave it: it is made once, whatever it is called."""
    return replace(feature, renamed="")


def _given_name(ref: FeatureRef | OnDemand) -> str:
    return ref.name if isinstance(ref, FeatureRef) else ref.renamed


def made_as(ref: FeatureRef | OnDemand) -> str:
    """Return where a feature comes from, for people: its column, or the function with what it is given."""
    return f"{ref.group.name}.{ref.feature.name}" if isinstance(ref, FeatureRef) else str(ref)


def lookups_of(refs: Sequence[FeatureRef], names: Sequence[str]) -> tuple[Lookup, ...]:
    """Return the look-ups that answer the references, sources before the look-ups that use them."""
    found: dict[tuple[str, tuple[Source, ...]], tuple[int, FeatureGroup, list[tuple[Feature, str]]]] = {}

    def place(ref: FeatureRef, name: str) -> int:
        given = dict(ref.on)
        sources: list[Source] = []
        for key in ref.group.keys:
            source = given.get(key, key)
            sources.append((place(source, ""), source.feature.name) if isinstance(source, FeatureRef) else source)
        index, _, outputs = found.setdefault((ref.group.name, tuple(sources)), (len(found), ref.group, []))
        if name or not any(feature == ref.feature for feature, _ in outputs):
            outputs.append((ref.feature, name))
        return index

    for ref, name in zip(refs, names, strict=True):
        place(ref, name)
    return tuple(Lookup(group, sources, tuple(outputs)) for (_, sources), (_, group, outputs) in found.items())


def view_of_group(group: FeatureGroup) -> FeatureView:
    """Return the view that reads all features of one group under its own keys."""
    return FeatureView(group.name, features=[group])


def show_budget(budget_us: int, on_slow: OnSlow) -> str:
    """Return what a view does where the online store is slow, for people."""
    return f"{show_duration(budget_us)}, then {on_slow}"


def _checked_budget(budget: object, on_slow: object, view: str) -> int | None:
    """Return how long a view may wait, in microseconds.

    Raises:
        UsageError: It is no length of time, or out of bounds; `on_slow` is unknown, or has no budget.
    """
    where = f"view {view}"
    if on_slow not in get_args(OnSlow):
        raise UsageError(f"on_slow={on_slow!r} is not known", where=where, todo=f"use {', '.join(get_args(OnSlow))}")
    if budget is None:
        if on_slow != "fail":
            raise UsageError(f"on_slow={on_slow!r} needs budget=", where=where, todo='add one, such as budget="20ms"')
        return None
    if not isinstance(budget, str | timedelta):
        raise UsageError(f"budget={budget!r} is no length of time", where=where, todo='write "20ms", or "1s"')
    budget_us = duration_us(budget, what="budget")
    if not LEAST_BUDGET_US <= budget_us <= MOST_BUDGET_US:
        todo = f"use {show_duration(LEAST_BUDGET_US)} to {show_duration(MOST_BUDGET_US)}"
        raise UsageError(f"budget={show_duration(budget_us)} is out of bounds", where=where, todo=todo)
    return budget_us


def _checked_rate(rate: object, view: str) -> float:
    """Return which share of a view's answers is logged.

    Raises:
        UsageError: It is no number from 0 to 1, or the log's name would be too long.
    """
    where = f"view {view}"
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        todo = "pass 1.0 to log every answer, 0.1 for one in ten, 0.0 for none"
        raise UsageError(f"log={rate!r} is no share of the answers", where=where, todo=todo)
    excess = len(view) + len(LOG_SUFFIX) - LONGEST_NAME
    if rate and excess > 0:
        todo = f"shorten the name of the view by {excess}, or leave out log="
        raise UsageError(
            f"its log would be named {view + LOG_SUFFIX!r}, longer than {LONGEST_NAME}", where=where, todo=todo
        )
    return float(rate)
