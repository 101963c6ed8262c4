"""How MLflow keeps a model: by the flavour of its library."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from asof.definitions.types import DType
from asof.errors import UnsupportedError, UsageError
from asof.fitted.archive import written
from asof.mlflow.package import asking, package
from asof.models.artefacts import version_of
from asof.training.sets.inputs import Inputs

Model = Any
"""Whatever predicts."""

SKLEARN = "sklearn"
PACKAGES = ("mlflow-skinny", "numpy", "pandas", "scikit-learn", "skops")
"""Of which a model keeps the versions."""

_TYPES = {"string": "string", "bytes": "binary", "timestamp": "datetime", "date": "datetime"}
"""Those of MLflow; all else is given to a model as float64."""

_REFUSED = {
    "registered_model_name": "the name is the first argument; the version is registered once it is known to predict",
    "input_example": "its rows would lie where `forget` does not reach them; the signature is logged",
    "artifact_path": "the model is logged under its name",
    "name": "the model is logged under its name",
    "tags": "set them on the version that is made",
}


def packages() -> dict[str, str]:
    """Return the versions of the packages that a model is kept with."""
    return {name: found for name in PACKAGES if (found := version_of(name))}


def logged(
    model: Model, name: str, flavor: ModuleType | None, inputs: Inputs, options: Mapping[str, Any], *, where: str
) -> Any:  # noqa: ANN401 - MLflow's ModelInfo
    """Log a model to the active run; it is not registered.

    Args:
        model: The model.
        name: Its name.
        flavor: The module of MLflow that logs it; None: by its kind.
        inputs: What it is given.
        options: Those of the flavour.
        where: Whose it is, for messages.

    Raises:
        UsageError: No flavour, or an option that makes no sense here. UnsupportedError: skops cannot keep it.
        BackendError: MLflow cannot log it.
    """
    chosen = _chosen(model, where=where) if flavor is None else flavor
    for option, why in _REFUSED.items():
        if option in options:
            raise UsageError(f"{option}= is no option here: {why}", where=where)
    log: Callable[..., Any] | None = getattr(chosen, "log_model", None)
    if log is None:
        raise UsageError(f"{chosen!r} is no flavour of MLflow", where=where, todo="pass mlflow.xgboost, say")
    given = {"signature": signature(inputs), **_defaults(chosen, model, options, where), **options}
    with asking("log the model", where=where):
        if chosen.__name__ == "mlflow.pyfunc":
            return log(name=name, python_model=model, **given)
        return log(model, name=name, **given)


def opened(files: Path, *, where: str) -> object:
    """Return the model of MLflow's files: one of scikit-learn as it was, any other as MLflow's `pyfunc`.

    Raises:
        BackendError: It cannot be loaded.
    """
    mlflow = package()
    with asking("load the model", where=where):
        if SKLEARN in mlflow.models.Model.load(str(files)).flavors:
            return mlflow.sklearn.load_model(str(files))
        return mlflow.pyfunc.load_model(str(files))


def signature(inputs: Inputs) -> Any:  # noqa: ANN401 - MLflow's ModelSignature
    """Return what a model takes, in the words of MLflow; None for tables of Arrow, which it has no words for."""
    from mlflow.models import ModelSignature  # noqa: PLC0415 - of an extra
    from mlflow.types import ColSpec, Schema, TensorSpec  # noqa: PLC0415 - the same

    if inputs.takes == "arrow":
        return None
    if inputs.takes == "numpy":
        return ModelSignature(Schema([TensorSpec(np.dtype("float64"), (-1, len(inputs.names)))]))
    columns = [ColSpec(kind, name, required=False) for name, kind in column_types(inputs.types)]
    return ModelSignature(Schema(columns))


def column_types(types: Mapping[str, DType]) -> list[tuple[str, str]]:
    """Return the columns that a model that takes pandas is given, with their types in MLflow."""
    return [
        (name, _TYPES.get(dtype.name, "double"))
        for column, dtype in types.items()
        for name in Inputs({column: dtype}, "pandas").names
    ]


def _chosen(model: Model, *, where: str) -> ModuleType:
    """Return the flavour of a model that says by its class what it is."""
    mlflow = package()
    if any(each.__module__.partition(".")[0] == SKLEARN for each in type(model).__mro__):
        return import_module("mlflow.sklearn")
    if isinstance(model, mlflow.pyfunc.PythonModel | str | Path):  # a path is that of a model from code
        return import_module("mlflow.pyfunc")
    what = f"{type(model).__module__}.{type(model).__qualname__} says not how MLflow keeps it"
    raise UsageError(what, where=where, todo="pass flavor=mlflow.xgboost, or another module of MLflow")


def _defaults(flavor: ModuleType, model: Model, options: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return options of a model of scikit-learn: no pickle, and the packages that it needs, without a search."""
    if flavor.__name__ != "mlflow.sklearn":
        return {}
    needed = [f"{name}=={version}" for name, version in packages().items() if name != "mlflow-skinny"]
    found: dict[str, Any] = {"pip_requirements": needed}
    if "serialization_format" in options:
        return found
    try:
        _, trusted = written(model, where=where)
    except UnsupportedError as error:
        todo = 'pass serialization_format="cloudpickle": whoever loads it runs what it holds'
        raise UnsupportedError(error.what, where=where, todo=todo) from error
    return found | {"serialization_format": "skops", "skops_trusted_types": list(trusted)}
