"""The group that predictions are written to, so that they are features for others."""

import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa

from asof.arrow.frames import Frame
from asof.catalog import Catalog
from asof.definitions import Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.names import suggest_name
from asof.definitions.types import DType
from asof.errors import DataError, NotFoundError, UsageError, warn
from asof.parts import question_of
from asof.records import Commit
from asof.registry.plan import Plan
from asof.training.model import Model
from asof.training.sets.digest import TableDigest


class Keeps(Protocol):
    """What keeps predictions: a store, here or behind a server."""

    @property
    def catalog(self) -> Catalog: ...  # noqa: D102 - see Store
    def plan(self, *definitions: FeatureGroup) -> Plan: ...  # noqa: D102 - see Store
    def apply(self, *definitions: FeatureGroup) -> Plan: ...  # noqa: D102 - see Store
    def write(  # noqa: D102 - see Store
        self, group: str, frame: Frame, *, meta: dict[str, str] | None = None, idempotency_key: str = ""
    ) -> Commit: ...


@dataclass(frozen=True, slots=True)
class Stored:
    """Predictions that were written into a group.

    Attributes:
        commit: Their commit; an earlier one, `repeated`, if the same ones were there.
        rows: How many predictions.
        schema: Their columns as `predict` gives them: those of the spine, then what the model gives.
        commits: At what the features were read.
    """

    commit: Commit
    rows: int
    schema: pa.Schema
    commits: Mapping[str, int]


MODEL = "model"
"""The column that says which version predicted, "delays@3"."""


def into_group(
    store: Keeps,
    model: Model,
    predicted: Iterator[tuple[pa.Table, Mapping[str, int]]],
    name: str,
    time: str,
    *,
    features: bool,
) -> Stored:
    """Write predictions into a group, as one commit; see `Predictor.into_group`.

    Args:
        store: Keeps them.
        model: The model.
        predicted: What it gives, with pins; nothing is asked of it before the group is known to take them.
        name: Name of the group.
        time: The spine's column of times.
        features: Whether the features are among them.
    """
    group, new = _group(store, model, name, time, features=features)
    table, pins = next(predicted)
    counts: list[int] = []

    def tables() -> Iterator[pa.Table]:
        for each in chain([table], (later for later, _ in predicted)):
            counts.append(each.num_rows)
            yield each

    with held(tables(), group, time, model.ref) as (rows, digest):
        if new:
            warn(f"group {name!r} was inferred and registered:\n{store.plan(group)}")
            store.apply(group)
        meta = {"model": model.ref, "training_set": model.training_set}
        commit = store.write(name, rows, meta=meta, idempotency_key=_key(store, name, digest, new=new))
    return Stored(commit, sum(counts), table.schema, pins)


def _group(store: Keeps, model: Model, name: str, time: str, *, features: bool) -> tuple[FeatureGroup, bool]:
    """Return the group that takes the predictions, and whether it is not there yet.

    Raises:
        UsageError: There is another one, or a view, of that name.
    """
    view = question_of(model.view, store.catalog.find).view
    wanted = wanted_group(name, model, view, time, features=features)
    try:
        known = store.catalog.find(name).definition
    except NotFoundError:
        return wanted, True
    if not isinstance(known, FeatureGroup):
        raise UsageError(f"{name!r} is a view", todo="name a group")
    check_group(known, wanted)
    return known, False


def _key(store: Keeps, group: str, digest: str, *, new: bool) -> str:
    """Return the key under which predictions are stored once: another one if a commit of them was retracted."""
    key = f"predictions-{digest[:32]}"
    commits = [] if new else store.catalog.commits(group)
    hidden = {each.target for each in commits if each.kind == "retract"}
    return f"{key}-{sum(each.idempotency_key.startswith(key) and each.number in hidden for each in commits)}"


def wanted_group(
    name: str, model: Model, view: FeatureView, event_time: str, *, features: bool = False
) -> FeatureGroup:
    """Return the group for predictions of a model: keyed as its view, true at the time of the row.

    It is served online, and has the entity of a group of the view, if one has just the view's keys.

    Args:
        name: Name of the group.
        model: The model.
        view: Its view.
        event_time: The spine's column of times.
        features: Whether it keeps the features too.

    Raises:
        UsageError: A column cannot be one of a group.
    """
    keys = view.spine_keys
    outputs = {feature_name(each): dtype for each, dtype in model.outputs.items()}
    columns = {**(view.types if features else {}), **outputs}
    where = f"group {name}"
    if len(columns) < len(model.outputs) + (len(view.types) if features else 0):
        raise UsageError("two outputs, or an output and a feature, have one name", where=where, todo="write a file")
    for given, todo in ((MODEL, "alias it in the view, or leave features out"), (event_time, "rename it in the spine")):
        if given in columns or given in keys:
            raise UsageError(f"there are two columns {given!r}", where=where, todo=todo)
    kept = [Feature(column, dtype) for column, dtype in columns.items()]
    kept.append(Feature(MODEL, "string", description="the version of the model that predicted"))
    entity = next((group.entity for group in view.groups if dict(group.entity.keys) == keys), None)
    return FeatureGroup(
        name,
        entity=entity or Entity(name, keys=keys),
        features=kept,
        event_time=event_time,
        online=True,
        description=f"predictions of {model.name}",
    )


def feature_name(output: str) -> str:
    """Return the name of a feature for what a model gives: "prediction_false" of the class False."""
    return suggest_name(output) or output


def check_group(known: FeatureGroup, wanted: FeatureGroup) -> None:
    """Refuse a group that is there, and does not take the predictions.

    Raises:
        UsageError: With what differs.
    """
    if known.event_time is None:
        raise UsageError("the group is static, and predictions have times", where=f"group {known.name}")
    differences = [*_differences(known.entity.keys, wanted.entity.keys, "key")]
    differences += _differences(_features(known), _features(wanted), "feature")
    if differences:
        todo = "name another group, or declare it as the predictions are"
        raise UsageError(
            f"the predictions do not fit: {'; '.join(differences)}", where=f"group {known.name}", todo=todo
        )


@contextmanager
def held(
    predicted: Iterable[pa.Table], group: FeatureGroup, time: str, ref: str
) -> Generator[tuple[pa.RecordBatchReader, str]]:
    """Give predictions as rows of their group, with the hash of their values: all are made before any is written.

    They are in a file without a name until the block ends: it goes with the process.

    Args:
        predicted: The spine with what the model gave.
        group: The group.
        time: The spine's column of times.
        ref: The version of the model.
    """
    with tempfile.TemporaryFile() as file, ExitStack() as opened:
        digest: TableDigest | None = None
        writer: Any = None
        for table in predicted:
            rows = _rows_of(table, group, time, ref)
            if digest is None:
                digest = TableDigest(rows.schema)
                writer = opened.enter_context(pa.ipc.new_stream(file, rows.schema))
            digest.update(rows)
            writer.write_table(rows)
        opened.close()
        file.seek(0)
        yield pa.ipc.open_stream(file), "" if digest is None else digest.hexdigest()


def _rows_of(predicted: pa.Table, group: FeatureGroup, time: str, ref: str) -> pa.Table:
    """Return predictions as rows of their group.

    Raises:
        DataError: A key is null, of which a group has no row.
    """
    columns = {name: predicted.column(name) for name in group.keys}
    for name, column in columns.items():
        if column.null_count:
            what = f"key {name!r} is null in {column.null_count:,} rows, and a group has no row of that"
            raise DataError(what, where=f"group {group.name}", todo="leave these rows out, or write a file with --out")
    columns[group.event_time or time] = predicted.column(time)
    made = {feature_name(name): name for name in predicted.column_names}  # what the model gives is last
    columns |= {each.name: predicted.column(made[each.name]) for each in group.features if each.name != MODEL}
    return with_version(pa.table(columns), ref)


def with_version(table: pa.Table, ref: str) -> pa.Table:
    """Return predictions with a column that says which version predicted.

    Raises:
        UsageError: They have such a column already.
    """
    if MODEL in table.column_names:
        raise UsageError(f"there are two columns {MODEL!r}", where=f"predictions of {ref}", todo="rename it")
    return table.append_column(MODEL, pa.repeat(pa.scalar(ref), table.num_rows))


def _features(group: FeatureGroup) -> Mapping[str, DType]:
    return {each.name: each.dtype for each in group.features}


def _differences(known: Mapping[str, DType], wanted: Mapping[str, DType], what: str) -> list[str]:
    missing = [f"it has no {what} {name} ({dtype})" for name, dtype in wanted.items() if name not in known]
    more = [f"its {what} {name} is not among them" for name in known if name not in wanted]
    other = [
        f"its {what} {name} is {known[name]}, not {dtype}"
        for name, dtype in wanted.items()
        if name in known and known[name] != dtype
    ]
    return [*missing, *more, *other]
