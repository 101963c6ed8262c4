"""What of a prediction is held against what of an outcome, and so by which measures.

That follows from what the model gives and from the type of the outcome; only of numbers that are all 0 or 1 nobody can
tell before they are seen whether they are amounts or answers. So both are measured, and the whole decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.numbers import floats, is_number
from asof.models.calling import PREDICTION
from asof.models.quality.measures import Flags, Floats, of_classes, of_numbers, of_scores
from asof.training.model import Model

Kind = Literal["numbers", "scores", "classes"]
"""What is compared: amounts, scores of something that happens or not, or names of classes."""

_PAIR = 2


@dataclass(frozen=True, slots=True)
class Compared:
    """Predictions beside outcomes.

    Attributes:
        count: How many could be compared.
        measured: By kind what was measured; empty where nothing could be.
        two: Whether all of it was 0 or 1, or a score between: then it may be of more kinds than one.
    """

    count: int = 0
    measured: Mapping[Kind, Mapping[str, float]] = field(default_factory=dict["Kind", "Mapping[str, float]"])
    two: bool = True


def kind_of(cells: Sequence[Compared]) -> Kind | None:
    """Return what was compared in all of several cells; None if nothing was."""
    found: set[Kind] = {kind for each in cells for kind in each.measured}
    if len(found) > 1 and all(each.two for each in cells):
        found.discard("numbers")
    return "numbers" if "numbers" in found else next(iter(found), None)


def compared(model: Model, outcomes: pa.ChunkedArray, predicted: Mapping[str, pa.ChunkedArray]) -> Compared:
    """Hold predictions of a model against outcomes; rows in which one of the two is null or NaN are left out.

    Args:
        model: The model.
        outcomes: What came.
        predicted: What it gave, by name, in its order.
    """
    classes = classes_of(model)
    if classes:
        return _by_class(classes, outcomes, np.column_stack([floats(each) for each in predicted.values()]))
    if PREDICTION not in predicted:
        return Compared()
    found = predicted[PREDICTION]
    if is_number(outcomes.type) and is_number(found.type):
        return _numbers(outcomes, found)
    if _is_name(outcomes.type) or _is_name(found.type):
        return _names(outcomes, found)
    return Compared()


def classes_of(model: Model) -> list[str]:
    """Return the classes of which a model gives the probability of each; none of another model."""
    names = list(model.outputs)
    prefix = f"{PREDICTION}_"
    if model.said.method != "predict_proba" or len(names) < _PAIR or not all(name.startswith(prefix) for name in names):
        return []
    return [name.removeprefix(prefix) for name in names]


def _by_class(classes: Sequence[str], outcomes: pa.ChunkedArray, scores: Floats) -> Compared:
    """Compare probabilities of classes: of two classes, the second is what happens or not."""
    came = _places(classes, outcomes)
    there = np.isfinite(scores).all(axis=1) & np.asarray(pc.is_valid(outcomes))
    if len(classes) == _PAIR:
        there &= came >= 0
        return Compared(int(there.sum()), {"scores": of_scores(came[there] == 1, scores[there, 1])})
    return Compared(int(there.sum()), {"classes": of_classes(scores[there].argmax(axis=1) == came[there])})


def _places(classes: Sequence[str], outcomes: pa.ChunkedArray) -> np.ndarray:
    """Return which class came: 1, 1.0, "1" and true may all be the class 1; -1 is none of them."""
    if not is_number(outcomes.type):
        found = pc.index_in(pc.cast(outcomes, pa.string()), value_set=pa.array(classes))
        return np.asarray(pc.fill_null(found, -1)).astype(np.int64)
    values, found = floats(outcomes), np.full(len(outcomes), -1)
    for at, name in enumerate(classes):
        number = {"True": 1.0, "False": 0.0}.get(name)
        try:
            found[values == (float(name) if number is None else number)] = at
        except ValueError:
            continue  # the class has a name that is no number
    return found


def _numbers(outcomes: pa.ChunkedArray, predicted: pa.ChunkedArray) -> Compared:
    came, said = floats(outcomes), floats(predicted)
    there = np.isfinite(came) & np.isfinite(said)
    came, said = came[there], said[there]
    flag = pa.types.is_boolean(outcomes.type) or pa.types.is_boolean(predicted.type)
    score = pa.types.is_floating(predicted.type)
    two = _is_two(came) and (bool(((said >= 0) & (said <= 1)).all()) if score else _is_two(said))
    measured: dict[Kind, Mapping[str, float]] = {}
    if not flag:
        measured["numbers"] = of_numbers(came, said)
    if flag or two:
        measured["scores" if score else "classes"] = of_scores(came == 1, said) if score else of_classes(came == said)
    return Compared(len(came), measured, two)


def _names(outcomes: pa.ChunkedArray, predicted: pa.ChunkedArray) -> Compared:
    there = pc.and_(pc.is_valid(outcomes), pc.is_valid(predicted))
    came, said = (pc.cast(pc.filter(each, there), pa.string()) for each in (outcomes, predicted))
    right: Flags = np.asarray(pc.equal(came, said)).astype(bool)
    return Compared(len(right), {"classes": of_classes(right)})


def _is_two(values: Floats) -> bool:
    return bool(((values == 0) | (values == 1)).all())


def _is_name(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)
