"""The log of what a model predicted online: the group that keeps it, and how predictions get there.

A row is what the serving log of a view keeps of an answer, with the version of the model and what it gave. The same
queue writes it: who predicts does not wait.
"""

from collections.abc import Callable, Iterable, Mapping
from random import random

from asof.definitions import FeatureGroup, FeatureView
from asof.definitions.documents import group_document, group_identity
from asof.definitions.kept import ABOUT
from asof.definitions.serving_log import PREDICTIONS_OF, is_log, predictions_group, predictions_name
from asof.errors import ConflictError
from asof.parts import Parts, definition, resolve
from asof.registry.registered import RegisteredGroup
from asof.serving.log import ServingLog
from asof.serving.online import Vector
from asof.serving.receipt import Value
from asof.training.model import Facts, Model, typed
from asof.training.sets.training_set import TrainingSet


class Predictions:
    """Logs the online predictions of one version of a model.

    Args:
        model: The version.
        made: The training set that it was fitted on.
        log: Gives the log of the store.
    """

    def __init__(self, model: Model, made: TrainingSet, log: Callable[[], ServingLog]) -> None:
        """Log nothing yet."""
        self._model = model.ref
        self._share = model.said.log
        self._shape = _Shape(model.name, model.said, made.features)
        self._log = log
        log().warm()

    def told(self, vector: Vector, values: Mapping[str, Value]) -> None:
        """Hand over what was predicted, or not: a share of it is logged."""
        if random() < self._share:  # noqa: S311 - a sample
            self._log().put(vector.logged(self._shape, (self._model, *values.values())))


class _Shape:
    """How predictions are logged: the model and what it gave stand beside the features that it has learned from."""

    def __init__(self, model: str, said: Facts, features: tuple[str, ...]) -> None:
        self._model = model
        self._said = said
        self._features = features
        self._counted = counted_as(model)

    def todo(self, view: FeatureView) -> str:
        return f"register the model {self._model!r} again, which reads {view.name}"

    def name(self, view: FeatureView) -> str:
        del view
        return self._counted

    def group(self, view: FeatureView) -> FeatureGroup:
        return _group_of(self._model, self._said, view, self._features)


def counted_as(model: str) -> str:
    """Return under which name the log counts what it did with predictions of a model: no view has such a name."""
    return f"model {model}"


def keep_predictions(parts: Parts, name: str, said: Facts, made: TrainingSet) -> None:
    """Register the group that keeps the predictions of a model.

    An older version of the group stays, with what was logged in it.

    Raises:
        ConflictError: The group is something else.
    """
    view = resolve(parts, made.view).view
    about = definition(parts.registry, made.view)
    if isinstance(about, RegisteredGroup):
        own = about.definition
        view = FeatureView(own.name, features=list(view.features), owner=own.owner, project=own.project)
    wanted = _group_of(name, said, view, made.features)
    old = refuse_taken(parts, name)
    if old is not None and _identity(old.definition) == _identity(wanted):
        # Another view may give the same columns to other entities: what is there already stays about those of before.
        wanted = _group_of(name, said, view, made.features, also=old.definition.tags[ABOUT].split())
    parts.registry.apply([wanted], now_us=parts.now_us(), writer=parts.writer)


def refuse_taken(parts: Parts, model: str) -> RegisteredGroup | None:
    """Return the newest version of the group that keeps the predictions of a model; None if there is none yet.

    Raises:
        ConflictError: It is something else: a group of a user, or of a model with a name that differs by a dash.
    """
    name = predictions_name(model)
    found = [group for group in parts.registry.groups() if group.definition.name == name]
    if not found:
        return None
    newest = found[-1]
    if not (is_log(newest.definition) and newest.definition.tags.get(PREDICTIONS_OF) == model):
        what = f"the predictions of {model} would be the group {name!r}, which is something else"
        raise ConflictError(what, where=f"model {model}", todo="choose another name, or leave out log=")
    return newest


def _group_of(
    model: str, said: Facts, view: FeatureView, features: tuple[str, ...], *, also: Iterable[str] = ()
) -> FeatureGroup:
    """Return the group of a model; of a view that is a group, with the features that it had then."""
    if view.output_names() != features:
        read = [view[name] for name in features]
        view = FeatureView(view.name, features=read, owner=view.owner, project=view.project)
    return predictions_group(model, typed(said.outputs), view, retention_us=said.log_retention_us, also=also)


def _identity(group: FeatureGroup) -> str:
    return group_identity(group_document(group))
