"""Definitions as callers give them: objects, or Python files."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from asof.definitions import FeatureGroup, FeatureView
from asof.errors import AsofError, NotFoundError, UsageError

Definition = FeatureGroup | FeatureView


def load_definitions(path: Path) -> list[FeatureGroup | FeatureView]:
    """Return the groups and views that a Python file defines at its top level, in their order.

    The file is run as the module of its name, with its folder importable; it is the user's own code. In this process it
    is that module from then on, so that functions in it can be named: unless the name belongs to another module.

    Raises:
        NotFoundError: There is no such file. UsageError: It cannot be run, or defines nothing.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {str(path)!r}", todo="name a Python file with definitions")
    module = _module_of(path)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        # Not by import: Python would take the compiled file of a text as long as this one and of the same second.
        code = compile(path.read_bytes(), str(module.__file__), "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - the user's own code
    except Exception as error:  # the user's own code may fail in any way
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]
        if isinstance(error, AsofError):
            raise
        raise UsageError(f"{path.name} cannot be run: {type(error).__name__}: {error}", where=str(path)) from error
    finally:
        sys.path.remove(folder)
    found = [value for value in vars(module).values() if isinstance(value, FeatureGroup | FeatureView)]
    if not found:
        raise UsageError(f"{path.name} defines no group and no view", where=str(path))
    return list({id(value): value for value in found}.values())


def _module_of(path: Path) -> ModuleType:
    """Return the empty module of a file; among those that are imported if its name is free, or was its own before."""
    name, file = path.stem, str(path.resolve())
    free = name.isidentifier() and _file_of(name) in ("", file)
    spec = spec_from_file_location(name if free else f"asof_definitions_{name}", file)
    if spec is None:
        raise UsageError(f"{path.name} is no Python file", where=str(path), todo="give it the ending .py")
    module = module_from_spec(spec)
    if free:
        sys.modules[name] = module
    return module


def _file_of(name: str) -> str:
    """Return the file of a module; "" if there is no such module, another text if it has no file."""
    known = sys.modules.get(name)
    spec = find_spec(name) if known is None else getattr(known, "__spec__", None)
    if spec is None:
        return "" if known is None else name
    return str(Path(spec.origin or name).resolve())


def definitions_of(given: Sequence[Definition | str | Path]) -> list[Definition]:
    """Return definitions, and those of the Python files among them.

    Raises:
        UsageError: Something is none.
    """
    found: list[Definition] = []
    for item in given:
        found += load_definitions(Path(item)) if isinstance(item, str | Path) else [item]
    for definition in found:
        if not isinstance(definition, FeatureGroup | FeatureView):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(
                f"{type(definition).__name__} is no definition", todo="pass groups, views, or a Python file"
            )
    return found
