"""What MLflow is told of a model, as tags; they are compared with the store's record before anything is loaded."""

from collections.abc import Mapping
from pathlib import Path

from asof.errors import AsofError, ConflictError, UsageError
from asof.models import Model
from asof.records import SEMANTICS
from asof.training.model import Facts
from asof.training.sets.training_set import TrainingSet

STORE = "asof.store"
VIEW = "asof.view"
TRAINING_SET = "asof.training_set"
TRAINING_DIGEST = "asof.training_digest"
TRANSFORMS = "asof.transforms"
RULES = "asof.semantics"
VERSION = "asof.version"
CODE = "asof.code_commit"


def tags_of(root: Path, made: TrainingSet, said: Facts) -> dict[str, str]:
    """Return the tags of a model that is fitted on a training set of the store in a folder."""
    return {
        STORE: str(root),
        VIEW: made.view,
        TRAINING_SET: made.ref,
        TRAINING_DIGEST: made.digest,
        TRANSFORMS: said.transforms,
        RULES: str(SEMANTICS),
        VERSION: said.asof,
        CODE: said.code_commit,
    }


def unknown(tags: Mapping[str, str], root: Path, *, where: str) -> AsofError:
    """Return why a store has no record of a version that MLflow has: as the error to raise."""
    if STORE not in tags:
        todo = "log it by asof.mlflow.log_model: nothing says which features it takes"
        return UsageError("the model was not logged by asof: it has no tags of it", where=where, todo=todo)
    if tags[STORE] != str(root):
        what = f"it was logged with the store {tags[STORE]!r}, this is {str(root)!r}"
        return ConflictError(what, where=where, todo="open that store")
    what = "the store has no record of it: it was removed, or logging was broken off"
    return ConflictError(what, where=where, todo="log the model again")


def refuse_other(tags: Mapping[str, str], model: Model, *, where: str) -> None:
    """Refuse a version of MLflow whose tags say something else than the store's record.

    Raises:
        ConflictError: They do.
    """
    known = {
        VIEW: model.view,
        TRAINING_SET: model.training_set,
        TRAINING_DIGEST: model.kept.training_digest,
        TRANSFORMS: model.said.transforms,
    }
    for name, wanted in known.items():
        if (found := tags.get(name, "")) != wanted:
            said = f"{name} = {found!r}" if found else f"no {name}"
            what = f"MLflow says {said} of it, the record of {model.ref} says {wanted!r}"
            raise ConflictError(what, where=where, todo="somebody changed the tag: put it back, or log the model again")
    if tags.get(RULES) != str(SEMANTICS):
        what = f"it was fitted under version {tags.get(RULES)} of the rules, this is {SEMANTICS}"
        raise ConflictError(what, where=where, todo="fit a new version on a training set as it is now")
