"""Serving logs: the groups that keep what was answered online, by a view or by a model.

They are groups like any other, so that `read`, `describe` and `compact` know them. `apply` registers one beside a view
with `log=`, `store.models.register` one beside a model with `log=`. A row is an answer: its receipt, values and
statuses; that of a model holds its prediction too.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from asof.definitions.entity import Entity
from asof.definitions.feature import Feature
from asof.definitions.group import FeatureGroup
from asof.definitions.kept import ABOUT, about, kept_type
from asof.definitions.training_set import DERIVED, kept_columns, plain_name
from asof.definitions.types import DType
from asof.definitions.view import LOG_SUFFIX, LONGEST_NAME, FeatureView, Lookup, Source
from asof.errors import UsageError
from asof.records import Status

KEY = "answer"
CLOCK = "clock"
MODEL, PREDICTION = "model", "prediction"
"""Columns of what a model predicted: the version, "delays@3", and a struct of what it gave."""

PREDICTIONS_SUFFIX = "_predictions"
PREDICTIONS_OF = "predictions_of"
"""Tag of the group that keeps the predictions of a model: its name."""

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
    return _log(
        log_name(view.name),
        view,
        what=f"what the view {view.name} answered online (serving log, written by asof)",
        tags={"serving_log": view.name},
        retention_us=view.log_retention_us,
    )


def predictions_name(model: str) -> str:
    """Return the name of the group that keeps the predictions of a model.

    Raises:
        UsageError: It would be too long.
    """
    name = plain_name(model) + PREDICTIONS_SUFFIX
    if len(name) > LONGEST_NAME:
        todo = f"shorten the name of the model by {len(name) - LONGEST_NAME}, or leave out log="
        what = f"its predictions would be logged in {name!r}, longer than {LONGEST_NAME}"
        raise UsageError(what, where=f"model {model}", todo=todo)
    return name


def predictions_group(
    model: str,
    outputs: Mapping[str, DType],
    view: FeatureView,
    *,
    retention_us: int | None = None,
    also: Iterable[str] = (),
) -> FeatureGroup:
    """Return the group that keeps the predictions of a model, with the answers that it was given.

    Args:
        model: Its name.
        outputs: What it gives. A name that no field may have is kept under another one; see `kept_columns`.
        view: What it reads.
        retention_us: How long they are kept; None: for ever.
        also: Whom rows are about that are there already, as their tag says it, word by word.

    Raises:
        UsageError: The name of the group would be too long.
    """
    fields = tuple((kept.field, kept_type(kept.dtype)) for kept in kept_columns(outputs))
    return _log(
        predictions_name(model),
        view,
        what=f"what the model {model} predicted online (serving log, written by asof)",
        tags={PREDICTIONS_OF: model},
        retention_us=retention_us,
        also=also,
        beside=(
            Feature(MODEL, "string", description="version of the model", nullable=False),
            Feature(PREDICTION, DType("struct", (), fields), description="what it predicted", nullable=False),
        ),
    )


def _log(  # noqa: PLR0913 - a declaration
    name: str,
    view: FeatureView,
    *,
    what: str,
    tags: Mapping[str, str],
    retention_us: int | None,
    also: Iterable[str] = (),
    beside: tuple[Feature, ...] = (),
) -> FeatureGroup:
    """Return a group that keeps answers of a view, and what stands beside each."""
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
        features += (Feature(DERIVED, DType("struct", (), derived), description="keys that came from answers"),)
    if late:
        features += (
            Feature("late", "string", description="stale or default, if the online store was slow"),
            Feature("read_at", "timestamp", description="T for which the rows of a stale answer were read"),
        )
    said = about((entity, way) for entity, several in ways(view).items() for way in several)
    return FeatureGroup(
        name,
        entity=Entity(name, {KEY: "string"}, f"an answer of the view {view.name}"),
        event_time=CLOCK,
        features=(*features, *beside),
        retention=None if retention_us is None else timedelta(microseconds=retention_us),
        description=what,
        owner=view.owner,
        project=view.project,
        tags={**tags, ABOUT: " ".join(sorted({*said.split(), *also}))},
    )


def is_log(group: FeatureGroup) -> bool:
    """Return whether a group has the shape of a serving log."""
    features = ["view", "keys", "values", "statuses", "commits", "request", "semantics", "applying"]
    return group.keys == (KEY,) and group.event_time == CLOCK and [f.name for f in group.features][:8] == features
