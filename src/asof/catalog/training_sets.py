"""What the catalog knows of training sets."""

from contextlib import suppress

from asof.catalog.description import Description
from asof.errors import NotFoundError
from asof.parts import Parts, is_defined
from asof.training.sets.kept import KeptHere
from asof.training.sets.training_set import TrainingSet


def training_sets(parts: Parts) -> list[TrainingSet]:
    """Return every version of every training set, by name and version."""
    makes = KeptHere(lambda: parts)
    return [TrainingSet(kept, makes) for kept in parts.training_sets.all()]


def training_set_of(parts: Parts, name: str) -> TrainingSet | None:
    """Return the training set of a name that no group and no view has; None if there is none."""
    if is_defined(parts, name):
        return None
    with suppress(NotFoundError):
        return TrainingSet(parts.training_sets.get(name), KeptHere(lambda: parts))
    return None


def describe_training_set(found: TrainingSet) -> Description:
    """Return what there is to know about a training set."""
    label = found.manifest.label
    features = [(each.name, each.dtype, "", "") for each in found.manifest.answers]
    if label is not None:
        features.append((label.column, label.dtype, "", "the label"))
    facts = (("rows", f"{len(found):,}"), *found.facts())
    return Description(found.ref, "training set", facts, tuple(features))
