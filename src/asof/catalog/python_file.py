"""Definitions as callers give them: objects, or Python files."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from asof.definitions import FeatureGroup, FeatureView
from asof.errors import AsofError, NotFoundError, UsageError

Definition = FeatureGroup | FeatureView


def load_definitions(path: Path) -> list[FeatureGroup | FeatureView]:
    """Return the groups and views that a Python file defines at its top level, in their order.

    The file is run as a module of its own, with its folder importable; it is the user's own code.

    Raises:
        NotFoundError: There is no such file. UsageError: It cannot be run, or defines nothing.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {str(path)!r}", todo="name a Python file with definitions")
    module = ModuleType(f"asof_definitions_{path.stem}")
    module.__file__ = str(path)
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        # Not by import: Python would take the compiled file of a text as long as this one and of the same second.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the user's own code
    except AsofError:
        raise
    except Exception as error:  # the user's own code may fail in any way
        raise UsageError(f"{path.name} cannot be run: {type(error).__name__}: {error}", where=str(path)) from error
    finally:
        sys.path.remove(folder)
    found = [value for value in vars(module).values() if isinstance(value, FeatureGroup | FeatureView)]
    if not found:
        raise UsageError(f"{path.name} defines no group and no view", where=str(path))
    return list({id(value): value for value in found}.values())


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
