"""The serving log of a view: the group that keeps what was answered online.

It is a group like any other, so that `read`, `describe` and `compact` know it; `apply` registers it beside a view with
`log=`. A row is an answer: its receipt, values and statuses.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup
from asof.definitions.kept import ABOUT, about, kept_type
from asof.definitions.types import DType
from asof.definitions.view import LOG_SUFFIX, FeatureView, Lookup, Source
from asof.records import Status

KEY = "answer"
CLOCK = "clock"
STATUS_LETTERS: Mapping[str, Status] = {
    "P": "PRESENT",
    "N": "NULL",
    "M": "MISSING",
    "E": "EXPIRED",
    "R": "RETIRED",
    "S": "STALE",
    "U": "UNAVAILABLE",
}
"""How the log writes statuses: a letter for each value, in the order of the outputs."""

LATE_LETTERS = "SU"
"""Those of views that do not fail where the online store is slow."""


def log_name(view: str) -> str:
    """Return the name of a view's serving log."""
    return view + LOG_SUFFIX


def logged_key(source: Source, lookups: Sequence[Lookup]) -> str:
    """Return the name under which a part of a key is logged: that of the spine's column, or of whose answer it was."""
    if isinstance(source, str):
        return source
    index, feature = source
    return f"{lookups[index].group.name}__{feature}__{index}"


def ways(view: FeatureView) -> dict[str, set[tuple[str, ...]]]:
    """Return for each entity the columns of a log that hold its keys, in their order; perhaps there are several."""
    lookups = view.lookups()
    found: dict[str, set[tuple[str, ...]]] = {}
    for lookup in lookups:
        columns = tuple(logged_key(source, lookups) for source in lookup.sources)
        found.setdefault(lookup.group.entity.name, set()).add(columns)
    return found


def derived_keys(view: FeatureView) -> dict[str, tuple[Source, DType]]:
    """Return the keys of a view that come from other groups' answers: where from, and their types."""
    lookups = view.lookups()
    return {
        logged_key(source, lookups): (source, lookup.group.entity.keys[key])
        for lookup in lookups
        for key, source in zip(lookup.group.keys, lookup.sources, strict=True)
        if not isinstance(source, str)
    }


def log_group(view: FeatureView) -> FeatureGroup:
    """Return the group that keeps the answers of a view: offline only, a row an answer, at its clock T."""
    keys = tuple(view.spine_keys.items())
    outputs = tuple(
        (n, kept_type(ref.feature.dtype)) for n, ref in zip(view.output_names(), view.features, strict=True)
    )
    late = view.on_slow != "fail"
    letters = ", ".join(f"{x} {status}" for x, status in STATUS_LETTERS.items() if late or x not in LATE_LETTERS)
    features = (
        Feature("view", "string", description="version of the view", nullable=False),
        Feature("keys", DType("struct", (), keys), description="the keys that were asked for", nullable=False),
        Feature("values", DType("struct", (), outputs), description="the values that were answered", nullable=False),
        Feature("statuses", "string", description=f"a letter for each value: {letters}", nullable=False),
        Feature("commits", "string", description="applied commit of each group, as JSON", nullable=False),
        Feature("request", "string", description="inputs of the request, as JSON"),
        Feature("semantics", "int32", description="version of the rules", nullable=False),
        Feature("applying", "bool", description="whether a bulk load was being applied", nullable=False),
    )
    derived = tuple((name, dtype) for name, (_, dtype) in derived_keys(view).items())
    if derived:  # `forget` finds by them whom an answer was about
        features += (Feature("derived", DType("struct", (), derived), description="keys that came from answers"),)
    if late:
        features += (
            Feature("late", "string", description="stale or default, if the online store was slow"),
            Feature("read_at", "timestamp", description="T for which the rows of a stale answer were read"),
        )
    said = about((entity, way) for entity, several in ways(view).items() for way in several)
    name = log_name(view.name)
    return FeatureGroup(
        name,
        entity=Entity(name, {KEY: "string"}, f"an answer of the view {view.name}"),
        event_time=CLOCK,
        features=features,
        retention=None if view.log_retention_us is None else timedelta(microseconds=view.log_retention_us),
        description=f"what the view {view.name} answered online (serving log, written by asof)",
        owner=view.owner,
        project=view.project,
        tags={"serving_log": view.name, ABOUT: said},
    )


def is_log(group: FeatureGroup) -> bool:
    """Return whether a group has the shape of a serving log."""
    features = ["view", "keys", "values", "statuses", "commits", "request", "semantics", "applying"]
    return group.keys == (KEY,) and group.event_time == CLOCK and [f.name for f in group.features][:8] == features
