"""`store.models`: keep models with the training set that each was fitted on, and predict with them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from asof.arrow.frames import Frame
from asof.clock import bounds_us
from asof.definitions import Label
from asof.definitions.code import Function
from asof.errors import ConflictError, UsageError
from asof.models.artefacts import Artefacts, loaded
from asof.models.calling import Caller
from asof.models.log import Predictions, counted_as
from asof.models.predictor import Predictor, Whole
from asof.models.quality import ModelQuality, QualityAsked, bucket_us, quality
from asof.models.registering import Wanted, checked_set, checked_stage, places_used, register
from asof.parts import Parts, open_models
from asof.registry.models import Stage
from asof.serving.log import LogCounts, ServingLog
from asof.training.model import MLFLOW, Model
from asof.training.sets.inputs import Inputs, Takes
from asof.training.sets.training_set import TrainingSet
from asof.training.sets.verb import opened


class Models:
    """The models of a store.

    Args:
        parts: Gives the store's parts: in a forked child those that are opened there.
        reads: The store.
        log: Gives the log of what is answered online.
    """

    def __init__(self, parts: Callable[[], Parts], reads: Whole, log: Callable[[], ServingLog]) -> None:
        """Ask for the parts later."""
        self._asked = parts
        self._reads = reads
        self._log = log

    @property
    def _parts(self) -> Parts:
        return self._asked()

    def register(  # noqa: PLR0913 - all but name and model by keyword
        self,
        name: str,
        model: object = None,
        *,
        training_set: TrainingSet | str,
        path: str | Path | None = None,
        loader: str | Function | None = None,
        stage: Stage = "none",
        method: str = "predict",
        takes: Takes = "pandas",
        metrics: Mapping[str, float] | None = None,
        description: str = "",
        log: float = 0.0,
        log_retention: str | timedelta | None = None,
        code_commit: str | None = None,
    ) -> Model:
        """Keep a version of a model, with the training set that it was fitted on.

        It is tried on rows of that training set, so that what it gives is known. The same model again, of the same
        training set, makes no other version.

        Args:
            name: Lower-case letters, digits and dashes.
            model: A model of scikit-learn, or a pipeline of it: kept by skops, without pickle.
            training_set: What it was fitted on, or its name.
            path: In place of `model`: the file or folder in which you saved it; it is copied.
            loader: With `path`: the function that makes the model of it, "module:function"; it is given the path of the
                copy. Its source is hashed, and another one is refused when the model is loaded.
            stage: "none", "staging", "production" or "archived"; see `move`.
            method: What of the model is called with its inputs; "" for a model that is a function.
            takes: As what it is given them: "pandas", "numpy" (a float64 matrix) or "arrow"; as `TrainingSet.xy` does.
            metrics: What you measured.
            description: For people.
            log: The share of online predictions that is kept, with features and receipts, in the group
                `<name>_predictions`, for `quality`.
            log_retention: How long they are kept, of all versions; None: for ever.
            code_commit: Commit of the code that fitted it; default: what is checked out where this process stands.

        Raises:
            NotFoundError: Unknown training set. ConflictError: It was erased from, or removed meanwhile.
            DataError: The model cannot predict its rows. UsageError: An argument does not fit.
            UnsupportedError: skops cannot keep it, or it takes no features of a type.
        """
        made = opened(self._asked, checked_set(training_set))
        wanted = Wanted(
            name, made, model, path, loader, stage, method, takes, metrics or {}, description, log, log_retention,
            code_commit,
        )  # fmt: skip
        return register(self._parts, self._artefacts, wanted)

    def get(self, name: str) -> Model:
        """Return the newest live version of a model, the one of "delays@3", or that of a stage, "delays@production".

        Raises:
            NotFoundError: With names that come close. UsageError: It is a URI: the store's names count.
        """
        text = _text(name)
        if ":/" in text:
            raise _uri(text, self.all())
        return Model(self._parts.models.get(text))

    def all(self) -> list[Model]:
        """Return every version of every model, by name and version."""
        return [Model(kept) for kept in self._parts.models.all()]

    def move(self, name: str, stage: Stage) -> list[Model]:
        """Put a version ("delays@3") into a stage.

        `staging` and `production` have one version of a name: the one that was there before is archived. What a live
        model, one that is not archived, was fitted on is not removed.

        Returns:
            The versions whose stage changed.

        Raises:
            NotFoundError: With names that come close. UsageError: It is no stage.
            ConflictError: The version was archived, and its training set is gone.
        """
        parts = self._parts
        moved = parts.models.move(_version(name), checked_stage(stage), now_us=parts.now_us(), writer=parts.writer)
        return [Model(kept) for kept in moved]

    def remove(self, name: str) -> list[str]:
        """Remove a version of a model ("delays@3") or all ("delays"), with its files.

        Returns:
            The versions that are gone.

        Raises:
            NotFoundError: With names that come close. ConflictError: One of them is in production.
        """
        parts = self._parts
        gone = parts.models.remove(_text(name), now_us=parts.now_us(), writer=parts.writer)
        self._artefacts.sweep(lambda: places_used(parts))
        return [kept.ref for kept in gone]

    def load(self, name: str) -> Predictor:
        """Load a model, as `get` finds it, to predict with.

        Raises:
            NotFoundError: Unknown name. PermanentError: Its files are damaged, or cannot be loaded.
            ConflictError: No version is live, and none was named; or its training set, transforms, rules, or the source
                of its loader are not what they were.
            MissingDependencyError: MLflow keeps it, and is not installed.
        """
        model = self.get(name)
        where = f"model {model.ref}"
        if not model.live and name != model.ref:
            todo = f'load("{model.ref}") loads it all the same; move it to a stage, if it is to be used'
            raise ConflictError(f"{model.ref} is archived, and no other version is live", where=where, todo=todo)
        made = opened(self._asked, model.training_set)
        if model.said.loader == MLFLOW:
            found = open_models(MLFLOW)(self._parts, model)
        else:
            found = loaded(model.said, self._artefacts.path(model), where=where)
        inputs = Inputs(model.inputs, model.said.takes)
        said = model.said
        call = Caller(found, said.method, inputs, outputs=model.outputs, sizes=said.sizes, where=where)
        told = None if not said.log else Predictions(model, made, self._log).told
        return Predictor(model, made, call, self._reads, told)

    def logged(self, name: str, *, flush: bool = False) -> LogCounts:
        """Return what happened to the online predictions of a model that were to be logged, in this process.

        Args:
            name: A name of a model; of all its versions.
            flush: Write what waits first; else it is written within some seconds, and when the store is closed.

        Raises:
            NotFoundError: With names that come close.
        """
        model = self.get(name)
        if flush:
            self._log().flush()
        return self._log().counts(counted_as(model.name))

    def quality(
        self,
        name: str,
        *,
        outcomes: Label | Frame | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        every: str | timedelta = "1d",
    ) -> ModelQuality:
        """Return how good the online predictions of a model were, for each version and length of time.

        Only predictions whose outcome can be known by now are measured; the others are counted. Those of this process
        that wait to be logged are written first. In memory are a million predictions, or those of one bucket.

        Args:
            name: A model, of which all versions are measured, or a version, "delays@3".
            outcomes: What became of the predictions: a label, `group["x"].after("12h")`; or rows with the keys of the
                view, and the columns of time and label of the training set: then the first row of a key counts that is
                not before the prediction. Default: the label of the training set, looked up as it was for that.
            start: Exclusive lower bound of the clocks of predictions.
            end: Inclusive upper bound.
            every: The length of a bucket: whole multiples of it since the UTC epoch are its bounds.

        Raises:
            NotFoundError: Unknown model, or the rows lack a column. UsageError: An argument does not fit.
        """
        start_us, end_us = bounds_us(start, end)
        found = self.get(name)
        versions = [found] if name == found.ref else [each for each in self.all() if each.name == found.name]
        self._log().flush()
        asked = QualityAsked(name, {each.ref: each for each in versions}, start_us, end_us, bucket_us(every), outcomes)
        return quality(self._parts, asked)

    @property
    def _artefacts(self) -> Artefacts:
        return Artefacts(self._parts.root)


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise UsageError(f"{type(name).__name__} is no name of a model", todo="pass its name as text")
    return name


def _uri(uri: str, known: Sequence[Model]) -> UsageError:
    """Return what to say of a URI, such as MLflow's "models:/delays/3"."""
    what = f"{uri!r} is no name of the store's: models are code, and loaded only as the store has recorded them"
    found = next((model.ref for model in known if model.artefact == uri), None)
    todo = "pass the name that `asof model ls` shows; asof.mlflow.log_model records what it logs"
    return UsageError(what, todo=todo if found is None else f'pass "{found}", which is this one')


def _version(name: object) -> str:
    text = _text(name)
    if "@" not in text:
        raise UsageError(f"which version of {text}?", todo=f'pass "{text}@1", or another version')
    return text
