"""Checks of other packages, taken as they are: Pandera schemas by their names, suites of Great Expectations by content.

Neither package is imported: a schema is known by its `validate`, a suite by its expectations.
"""

import sys
from collections.abc import Iterable
from typing import Any, cast

from asof.definitions.check import Check
from asof.definitions.expectations import Document, checks_of_suite
from asof.errors import UsageError

ForeignChecks = Any
"""A Pandera schema, a class of Pandera's models, or a suite of Great Expectations: the foreign edge."""


def checks_of(given: Iterable[Check | ForeignChecks]) -> tuple[Check, ...]:
    """Return what a declaration says as checks.

    Raises:
        UsageError: Something is no check, or a schema that cannot be imported by a name.
        UnsupportedError: A suite expects what no check says.
    """
    return tuple(check for each in given for check in _checks_of(each))


def _checks_of(given: Any) -> list[Check]:  # noqa: ANN401 - a foreign object
    if isinstance(given, Check):
        return [given]
    if hasattr(given, "validate") and _package(given) == "pandera":
        return [Check.function(_name_of(given))]
    if hasattr(given, "to_json_dict"):
        return checks_of_suite(given.to_json_dict())
    if isinstance(given, dict) and "expectations" in given:
        return checks_of_suite(cast("Document", given))
    what = f"a {type(cast('object', given)).__name__} is no check"
    raise UsageError(what, todo="pass a Check, a Pandera schema or a suite of Great Expectations")


def _package(thing: object) -> str:
    kinds = (thing if isinstance(thing, type) else type(thing)).__mro__
    return "pandera" if any(kind.__module__.partition(".")[0] == "pandera" for kind in kinds) else ""


def _name_of(schema: Any) -> str:  # noqa: ANN401 - Pandera's
    """Return "module:name" of a schema: of a class its own, of an object that of the module that holds it."""
    if isinstance(schema, type):
        return f"{schema.__module__}:{schema.__qualname__}"
    for module, holder in list(sys.modules.items()):
        for name, value in list(vars(holder).items()) if module != "__main__" else ():
            if value is schema:
                return f"{module}:{name}"
    todo = "define it at the top level of a module that is not the script itself"
    raise UsageError(f"this {type(schema).__name__} cannot be imported by a name", todo=todo)
