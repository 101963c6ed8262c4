"""Load a model of MLflow to predict with: only one that the store has a record of, and only as it was logged."""

import atexit
import weakref
from collections.abc import Callable
from contextlib import ExitStack

from asof.errors import ConflictError, PermanentError, UsageError
from asof.mlflow import flavors
from asof.mlflow.tags import refuse_other, unknown
from asof.mlflow.tracking import Tracking, checked, digest_of, parts_of
from asof.models import Model, Predictor
from asof.models.artefacts import tell_other_packages
from asof.parts import Parts
from asof.registry.models import STAGES
from asof.store import Store

SCHEME = "models:"


def load(model: str, *, store: Store) -> Predictor:
    """Load a model to predict with, in batches and online, by the features that it was fitted on.

    Args:
        model: A version or an alias of MLflow, "models:/delays/3" or "models:/delays@champion"; or a name of the store,
            as for `store.models.load`.
        store: The store that it was logged with.

    Raises:
        NotFoundError: MLflow, or the store, has no such model. UsageError: It was not logged by asof.
        ConflictError: It was logged with another store; or its tags, training set, transforms, rules are not what they
            were; or MLflow says another stage than the store.
        UnsupportedError: The store is behind a server, which loads models by the store's names.
        PermanentError: Its files are not those that were logged.
        BackendError: MLflow cannot be reached, or cannot load it. MissingDependencyError: It is not installed.
    """
    if not isinstance(model, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{type(model).__name__} is no name of a model", todo="pass its name as text")
    name = _ref(parts_of(store), model) if model.startswith(SCHEME) else model
    return checked(store).models.load(name)


def loaded(parts: Parts, model: Model) -> object:
    """Return what predicts, of a record that says that MLflow keeps it: the entry point `asof.models`.

    Raises:
        As `load`.
    """
    where = f"model {model.ref}"
    tracking = Tracking(parts)
    version, _ = tracking.version(model.artefact)
    refuse_other(version.tags, model, where=where)
    with ExitStack() as kept:
        files = kept.enter_context(tracking.files(version))
        if digest_of(files)[0] != model.kept.digest:  # looked at before anything of it runs
            what = f"the files of {model.artefact} are not those that were logged"
            raise PermanentError(what, where=where, todo="log the model again")
        tell_other_packages(model.said, where=where)
        found = flavors.opened(files, where=where)
        _with(found, kept.pop_all().close)
    return found


def _with(found: object, end: Callable[[], None]) -> None:
    """Have something called when an object is collected, or the process ends: it may read its files until then."""
    try:
        weakref.finalize(found, end)
    except TypeError:  # a class with slots, of which nobody is told that it goes
        atexit.register(end)


def _ref(parts: Parts, uri: str) -> str:
    """Return the name in the store of a version, or an alias, of MLflow.

    Raises:
        As `load`.
    """
    version, alias = Tracking(parts).version(uri)
    kept = next((each for each in parts.models.all() if each.artefact == version.uri), None)
    if kept is None:
        raise unknown(version.tags, parts.root, where=version.uri)
    if alias in STAGES and alias != kept.stage:
        what = f"{uri} is {version.uri}, and the stage of {kept.ref} is {kept.stage!r}"
        todo = f"the store's stages count: move {kept.ref} there, or load {kept.name}@{alias}"
        raise ConflictError(what, where=uri, todo=todo)
    return kept.ref
