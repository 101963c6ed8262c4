"""What the catalog knows of models."""

from contextlib import suppress

from asof.catalog.description import Description
from asof.errors import NotFoundError
from asof.parts import Parts, is_defined
from asof.training.model import Model


def model_of(parts: Parts, name: str) -> Model | None:
    """Return the model of a name that no group and no view has; None if there is none."""
    if is_defined(parts, name):
        return None
    with suppress(NotFoundError):
        return Model(parts.models.get(name))
    return None


def describe_model(model: Model) -> Description:
    """Return what there is to know about a model."""
    inputs = [(name, str(dtype), "", "") for name, dtype in model.inputs.items()]
    outputs = [(name, str(dtype), "", "what it gives") for name, dtype in model.outputs.items()]
    return Description(model.ref, "model", tuple(model.facts()), (*inputs, *outputs))
