"""Predict with a model: in batches from history, and one by one from the online store, by the very same features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, overload

import pyarrow as pa

from asof.arrow.frames import Frame, to_table
from asof.arrow.streams import in_parts, known_rows, to_batches, whole
from asof.errors import ConflictError, DataError, UsageError
from asof.fitted import Fitted
from asof.models.calling import Caller, single
from asof.models.into_group import Keeps, Stored, into_group
from asof.parts import Pins
from asof.progress import Progress, showing
from asof.records import SEMANTICS, Status
from asof.serving.online import Vector, Vectors
from asof.serving.receipt import Receipt, Requests
from asof.training.frame import HistoricalFrame
from asof.training.model import Model
from asof.training.sets.training_set import TrainingSet

Value = Any
"""A Python value of any of our types."""

Keys = Mapping[str, Value]

PART_BYTES = 128 * 1024**2
"""Of a spine that is read as it goes, so much is answered at a time at most."""


class Reads(Protocol):
    """What a predictor asks of a store, here or behind a server."""

    def historical(  # noqa: D102, PLR0913 - see Store
        self,
        view: str,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> HistoricalFrame: ...

    @overload
    def online(self, view: str, keys: Keys, *, request: Mapping[str, Any] | None = None) -> Vector: ...
    @overload
    def online(self, view: str, keys: Sequence[Keys], *, request: Requests = None) -> Vectors: ...


class Whole(Reads, Keeps, Protocol):
    """What predictions are read from, and may be written to: a store."""


class Prediction:
    """What a model said of one key set.

    Attributes:
        values: What it gives, by name.
        vector: The features that it was given, with their statuses and receipt.
        model: The version, "delays@3".
    """

    __slots__ = ("model", "values", "vector")

    def __init__(self, model: str, values: dict[str, Value], vector: Vector) -> None:
        """Keep the parts."""
        self.model = model
        self.values = values
        self.vector = vector

    @property
    def value(self) -> Value:
        """The prediction; of a model that gives several values, all of them by name."""
        return next(iter(self.values.values())) if single(tuple(self.values)) else self.values

    @property
    def features(self) -> dict[str, Value]:
        """The features as they were read, before transforms."""
        return self.vector.values

    @property
    def statuses(self) -> dict[str, Status]:
        """The status of each feature."""
        return self.vector.statuses

    @property
    def receipt(self) -> Receipt:
        """What the features were answered from: `store.replay` gives them again."""
        return self.vector.receipt

    def __repr__(self) -> str:
        """Return the prediction, and the status of features that are not PRESENT."""
        odd = {name: status for name, status in self.statuses.items() if status != "PRESENT"}
        return f"<Prediction {self.value!r} of {self.model}" + (f" {odd}" if odd else "") + ">"


Log = Callable[[Vector, Mapping[str, Value]], None]
"""Takes the features that were answered, and what a model made of them."""


class Predictor:
    """A model with the features that it was fitted on; get one with `store.models.load`.

    Safe to use from several threads if the model is.

    Args:
        model: The model's record.
        made: The training set that it was fitted on.
        call: The model itself.
        reads: The store.
        log: Is told of online predictions; None: nobody is.

    Raises:
        ConflictError: Training set, transforms or rules are not those that the model was fitted with.
    """

    def __init__(self, model: Model, made: TrainingSet, call: Caller, reads: Whole, log: Log | None = None) -> None:
        """Refuse what does not fit together."""
        self.model = model
        self._known = made.manifest.mode
        self._features = made.features
        self._fitted = fitted_with(model, made)
        self._call = call
        self._reads = reads
        self._log = log

    def predict(  # noqa: PLR0913 - those of `historical`
        self,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        features: bool = False,
        progress: Progress | bool = False,
    ) -> HistoricalFrame:
        """Predict for each row of a spine, by the features that were known at its time.

        Args:
            spine: As for `historical`.
            time: As for `historical`.
            known: As for `historical`; default: as the training set was made.
            commits: As for `historical`.
            timezone: As for `historical`.
            truncate: As for `historical`.
            features: Keep the features, as they were read, between the spine and the predictions.
            progress: As for `historical`.

        Returns:
            The spine's columns, then what the model gives: `prediction`, or a column for each of its outputs.

        Raises:
            As `historical`. DataError: The model failed, or a column of the spine has the name of an output.
        """
        table, origin = to_table(whole(spine), where="spine")
        parts = list(self.batches(
            table, time=time, known=known, commits=commits, timezone=timezone, truncate=truncate, features=features,
            progress=progress,
        ))  # fmt: skip
        found, pins = parts[0][0] if len(parts) == 1 else pa.concat_tables([each for each, _ in parts]), parts[-1][1]
        return HistoricalFrame(found, origin, pins)

    def batches(  # noqa: PLR0913 - those of `predict`
        self,
        spine: Frame,
        *,
        time: str | datetime | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        features: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> Iterator[tuple[pa.Table, Mapping[str, int]]]:
        """Predict so many rows at a time: neither spine nor answers need fit memory.

        Args:
            spine: As for `predict`; a Parquet file's path, a pyarrow dataset or reader is read as it goes.
            time: As for `predict`.
            known: As for `predict`.
            commits: As for `predict`.
            timezone: As for `predict`.
            truncate: As for `predict`.
            features: As for `predict`.
            batch_rows: As for `historical`; None: all at once.
            progress: As for `historical`.

        Returns:
            Tables with their pins.

        Raises:
            As `predict`.
        """
        alone, done = batch_rows is None, 0
        parts, total = parts_of_spine(spine, batch_rows)
        text = f"predicting with {self.model.ref}"
        with showing(text, progress=False if alone else progress, unit="rows") as advance:
            for part in parts:
                self._refuse_features(part.column_names)
                frame = self._reads.historical(
                    self.model.view, part, time=time, known=known or self._known, commits=commits, timezone=timezone,
                    truncate=truncate, progress=progress if alone else False,
                )  # fmt: skip
                commits = frame.commits  # all parts are read as the first was
                yield self._predicted(frame.to_arrow(), keep=features), frame.commits
                done += len(frame)
                advance(done, max(done, total))

    def into_group(  # noqa: PLR0913 - those of `batches`
        self,
        group: str,
        spine: Frame,
        *,
        time: str,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        timezone: str | None = None,
        truncate: bool = False,
        features: bool = False,
        batch_rows: int | None = None,
        progress: Progress | bool = False,
    ) -> Stored:
        """Predict for each row of a spine, and write what the model gives into a group: it is features for others then.

        All or nothing, as one commit: the rows arrive now, are true at their time, and say in a column `model` which
        version predicted. The same predictions again are stored once, unless that commit was retracted. Until all are
        made they wait in a file without a name.

        Args:
            group: Name of the group. One that is not there is made, keyed as the model's view and served online.
            spine: As for `batches`.
            time: The spine's column of times, which is the group's event time.
            known: As for `predict`.
            commits: As for `predict`.
            timezone: As for `predict`.
            truncate: As for `predict`.
            features: Keep the features too.
            batch_rows: As for `batches`.
            progress: As for `batches`.

        Raises:
            As `predict`, and as `Store.write`. UsageError: The group has other columns: nothing was predicted.
            DataError: A key is null, of which a group has no row.
        """
        if not isinstance(time, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            todo = "name the spine's column of times"
            raise UsageError("each row of a group has a time of its own", where=f"group {group}", todo=todo)
        fixed = self.fixed()
        predicted = fixed.batches(
            spine, time=time, known=known, commits=commits, timezone=timezone, truncate=truncate, features=features,
            batch_rows=batch_rows, progress=progress,
        )  # fmt: skip
        return into_group(self._reads, fixed.model, predicted, group, time, features=features)

    def fixed(self) -> "Predictor":
        """Return what predicts with one version and no other: where a server follows a name, the one of now."""
        return self

    def predict_one(self, keys: Keys, request: Mapping[str, Value] | None = None) -> Prediction:
        """Predict for one key set, by the newest features.

        Args:
            keys: As for `online`.
            request: Inputs of the request, as for `online`.

        Raises:
            As `online`. DataError: The model failed.
        """
        if not isinstance(keys, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{type(keys).__name__} is no key set", where=self.model.view, todo="pass a dict")
        return self._for_one(keys, request)

    def predict_many(self, keys: Sequence[Keys], request: Requests = None) -> list[Prediction]:
        """Predict for several key sets, by the newest features of one snapshot.

        Args:
            keys: As for `online`.
            request: Inputs of the request: a dict for all, or a list with one for each key set.

        Raises:
            As `online`. DataError: The model failed.
        """
        if isinstance(keys, Mapping) or not isinstance(keys, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            what = f"{type(keys).__name__} is no sequence of keys"
            raise UsageError(what, where=self.model.view, todo="pass a list of dicts")
        return self._for_many(keys, request)

    def __repr__(self) -> str:
        """Return what it predicts with."""
        return f"<Predictor of {self.model.ref}, {self.model.view}>"

    def _for_one(self, keys: Keys, request: Mapping[str, Value] | None) -> Prediction:
        return self._one(self._reads.online(self.model.view, keys, request=request))

    def _for_many(self, keys: Sequence[Keys], request: Requests) -> list[Prediction]:
        return [self._one(vector) for vector in self._reads.online(self.model.view, keys, request=request)]

    def _one(self, vector: Vector) -> Prediction:
        read = vector.values
        row = {name: read[name] for name in self._features}
        values = self._call.one(row if self._fitted is None else self._fitted.values(row))
        if self._log is not None:
            self._log(vector, values)
        return Prediction(self.model.ref, values, vector)

    def _refuse_features(self, names: Sequence[str]) -> None:
        """Refuse a spine that has columns of the features.

        Raises:
            UsageError: It has one.
        """
        name = next((name for name in self._features if name in names), None)
        if name is not None:
            todo = "leave it out: the store knows it; or rename it, if it is something else"
            raise UsageError(
                f"the spine has a column {name!r}, which is a feature", where=f"model {self.model.ref}", todo=todo
            )

    def _predicted(self, answered: pa.Table, *, keep: bool) -> pa.Table:
        """Return the spine of answered rows with what the model gives."""
        names = answered.column_names
        first = min(names.index(name) for name in self._features)  # a group may have features that came later
        answers = answered.select(list(self._features))
        found = self._call.table(answers if self._fitted is None else self._fitted.table(answers))
        spine = answered.select(range(first))
        twice = set(spine.column_names) & set(found.column_names)
        if twice:
            what = f"the spine has a column {min(twice)!r}, which the model gives"
            raise DataError(what, where=f"model {self.model.ref}", todo="rename it")
        return beside(spine, *([answers] if keep else []), found)


def beside(*tables: pa.Table) -> pa.Table:
    """Return tables of equally many rows as one, with the columns of all."""
    columns = [column for table in tables for column in table.columns]
    return pa.Table.from_arrays(columns, names=[name for table in tables for name in table.column_names])


def parts_of_spine(spine: Frame, rows: int | None) -> tuple[Iterator[pa.Table], int]:
    """Return a spine in tables of about so many rows, or in one; and how many rows it has, 0 if nobody knows."""
    if rows is None:
        return iter([to_table(whole(spine), where="spine")[0]]), 0
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"batch_rows={rows!r} is no number of rows", todo="pass 1 or more")
    batches = to_batches(spine, where="spine")
    if batches is not None:
        return in_parts(batches, most_rows=rows, most_bytes=PART_BYTES), known_rows(spine)
    table, _ = to_table(spine, where="spine")
    return (table.slice(at, rows) for at in range(0, max(table.num_rows, 1), rows)), table.num_rows


def fitted_with(model: Model, made: TrainingSet) -> Fitted | None:
    """Return the transforms that a model was fitted with, None if its view has none.

    Raises:
        ConflictError: Training set, transforms or rules are not those that the model was fitted with.
    """
    where, todo = f"model {model.ref}", "fit a new version on a training set as it is now"
    if made.digest != model.kept.training_digest:
        what = f"{made.ref} is another training set than the model was fitted on"
        raise ConflictError(what, where=where, todo="open the store that it was fitted in")
    if made.manifest.semantics != SEMANTICS:
        what = f"it was fitted under version {made.manifest.semantics} of the rules, this is {SEMANTICS}"
        raise ConflictError(what, where=where, todo=todo)
    fitted = made.fitted if model.said.transforms else None
    if fitted is not None and fitted.digest != model.said.transforms:
        what = f"{made.ref} holds other transforms than the model was fitted with"
        raise ConflictError(what, where=where, todo=todo)
    return fitted
