"""Log a model: its files and its version go to MLflow, the record of it to the store."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any

from asof.errors import UnsupportedError, UsageError
from asof.mlflow import flavors
from asof.mlflow.flavors import packages
from asof.mlflow.tags import tags_of
from asof.mlflow.tracking import Tracking, digest_of, parts_of
from asof.models import Model
from asof.models.registering import Wanted, described, recorded
from asof.parts import Parts
from asof.registry.models import Stage
from asof.store import Store
from asof.training.model import MLFLOW, Facts
from asof.training.sets.inputs import Inputs, Takes
from asof.training.sets.kept import KeptHere
from asof.training.sets.training_set import TrainingSet
from asof.training.sets.verb import opened


def log_model(  # noqa: PLR0913 - those of `store.models.register`, and MLflow's
    model: object,
    *,
    training_set: TrainingSet | str,
    name: str,
    store: Store | None = None,
    flavor: ModuleType | None = None,
    stage: Stage = "none",
    method: str = "predict",
    takes: Takes = "pandas",
    metrics: Mapping[str, float] | None = None,
    description: str = "",
    log: float = 0.0,
    log_retention: str | timedelta | None = None,
    code_commit: str | None = None,
    **options: Any,  # noqa: ANN401 - those of the flavour
) -> Model:
    """Log a model to the active run of MLflow, register it there, and keep the record of it in the store.

    Before it is registered it is loaded back and tried on rows of its training set. The run has the training set as
    its input, and the version has tags that say what it was fitted on. If anything fails, neither MLflow's registry
    nor the store has a version more than before.

    Args:
        model: A model of scikit-learn, kept by skops, without pickle; an `mlflow.pyfunc.PythonModel`, or the path
            of the Python file that makes one; or a model of the library of `flavor`.
        training_set: What it was fitted on, or its name.
        name: Of the model, here and there: lower-case letters, digits and dashes.
        store: With the name of a training set: the store that keeps it.
        flavor: The module of MLflow that logs it, such as `mlflow.xgboost`.
        stage: As for `store.models.register`.
        method: As for `store.models.register`: of a model of scikit-learn; any other is called by MLflow's `predict`.
        takes: As for `store.models.register`.
        metrics: What you measured, logged to the run too; default: those that the run has already.
        description: For people.
        log: As for `store.models.register`.
        log_retention: As for `store.models.register`.
        code_commit: As for `store.models.register`.
        **options: Those of the flavour's `log_model`.

    Returns:
        The record: its `artefact` is the name in MLflow, "models:/delays/3".

    Raises:
        ConflictError: MLflow logs elsewhere than the store says; or as `store.models.register`.
        UsageError, DataError, NotFoundError: As `store.models.register`.
        UnsupportedError: The store is behind a server; or skops cannot keep the model.
        BackendError: MLflow cannot. MissingDependencyError: It is not installed.
    """
    made = _made(training_set, store)
    parts = _parts(made)
    tracking = Tracking(parts)
    from asof.mlflow.datasets import dataset_of  # noqa: PLC0415 - it stands on MLflow, which is there now

    wanted = Wanted(
        name, made, model, stage=stage, method=method, takes=takes, metrics=metrics or {}, description=description,
        log=log, log_retention=log_retention, code=code_commit,
    )  # fmt: skip
    wanted.check()
    inputs = Inputs(made.inputs, takes)
    with tracking.run() as run:
        if metrics is None:
            wanted = replace(wanted, metrics=tracking.metrics(run))
        info = flavors.logged(model, name, flavor, inputs, options, where=wanted.where)
        with _or_undone(lambda: tracking.client.delete_logged_model(info.model_id)):
            with tracking.logged(info.model_id) as files:
                said = Facts(loader=MLFLOW, inputs=(), outputs=(), packages=packages(), bytes=digest_of(files)[1])
                said = described(wanted, said, lambda: flavors.opened(files, where=wanted.where))
            tags = tags_of(parts.root, made, said)
            tracking.tell_run(dataset_of(parts.root, made), tags, metrics or {}, info.model_id)
            version = tracking.register(name, info, tags, description)
            with _or_undone(lambda: tracking.client.delete_model_version(version.name, version.number)):
                with tracking.files(version) as files:
                    digest, _ = digest_of(files)
                return recorded(parts, wanted, said, version.uri, digest)


def _made(given: TrainingSet | str, store: Store | None) -> TrainingSet:
    """Return a training set, or the one of a name in a store.

    Raises:
        UsageError: A name without a store. NotFoundError: With names that come close.
    """
    if isinstance(given, TrainingSet):
        return given
    if store is None:
        todo = "pass the training set itself; or its name, and store="
        raise UsageError(f"which store keeps the training set {given!r}?", where="mlflow", todo=todo)
    return opened(lambda: parts_of(store), given)


def _parts(made: TrainingSet) -> Parts:
    """Return the parts of the store that keeps a training set.

    Raises:
        UnsupportedError: It is behind a server.
    """
    if not isinstance(made.makes, KeptHere):
        what = f"{made.ref} is kept behind a server, which takes no model from here"
        raise UnsupportedError(what, where="mlflow", todo="log the model where the store's folder is")
    return made.makes.parts


@contextmanager
def _or_undone(undo: Callable[[], None]) -> Generator[None]:
    """Undo what was done if the block fails; it is the block's error that is told."""
    try:
        yield
    except BaseException:  # an interrupt too
        with suppress(Exception):
            undo()
        raise
