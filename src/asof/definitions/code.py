"""Functions of users, by the name under which they can be imported, and the hash of their source.

They are named, never stored. Source: SEMANTICS section 6.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any

from asof.errors import ConflictError, UsageError
from asof.source_code import current_source

Function = Callable[..., Any]
"""A function of a user: what it takes and gives is said where it is used."""

TODO = 'define it at the top level of a module, and name it "module:function"'


def name_of(given: str | Function, *, what: str, where: str) -> str:
    """Return the "module:function" of a function, or the text as it is.

    Args:
        given: The function, or its name.
        what: What it is, for messages: "transformation".
        where: Whose it is.

    Raises:
        UsageError: It cannot be imported by a name.
    """
    if isinstance(given, str):
        return given
    code = own_name(given, what=what, where=where)
    if imported(code, what=what, where=where) is not given:
        raise UsageError(f"{code} is another function than the one given", where=where, todo=TODO)
    return code


def own_name(given: Function | type, *, what: str, where: str) -> str:
    """Return the "module:name" that a function or class was defined under; another thing may go by it, or will.

    Raises:
        UsageError: It is not of the top level of a module that can be imported.
    """
    if not isinstance(given, FunctionType | type):
        raise UsageError(f"the {what} {given!r} cannot be imported by a name", where=where, todo=TODO)
    module, name = given.__module__, given.__qualname__
    if not name.isidentifier():
        raise UsageError(f"the {what} {name} cannot be imported by a name", where=where, todo=TODO)
    if module == "__main__" or module not in sys.modules:
        raise UsageError(f"the {what} {name} of {module} cannot be imported by a name", where=where, todo=TODO)
    return f"{module}:{name}"


def imported(code: str, *, what: str, where: str) -> Function:
    """Return the function of a name.

    Raises:
        UsageError: It is no such name, cannot be imported, or is no function.
    """
    found = named(code, what=what, where=where)
    if not isinstance(found, FunctionType):
        raise UsageError(f"the {what} {code} is no function", where=where, todo=TODO)
    return found


def named(code: str, *, what: str, where: str) -> object:
    """Return what a module has under a name, whatever it is.

    Raises:
        UsageError: It is no such name, or cannot be imported.
    """
    module, colon, name = code.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"the {what} {code!r} is no module:function", where=where, todo=TODO)
    try:
        found: object = getattr(sys.modules.get(module) or import_module(module), name)
    except Exception as error:  # the user's own code may fail in any way
        reason = f"{type(error).__name__}: {error}"
        todo = f"make the module {module!r} importable here: install it, or set PYTHONPATH"
        raise UsageError(f"the {what} {code} cannot be imported: {reason}", where=where, todo=todo) from error
    return found


def digest_of(function: Function, *, where: str) -> str:
    """Return the SHA-256 of a function's source.

    Raises:
        UsageError: It has none. ConflictError: The file is not any more what runs.
    """
    plain = inspect.unwrap(function)
    current_source(sys.modules[plain.__module__], [plain], where=where)
    try:
        return hash_of(inspect.getsource(plain))
    except OSError as error:
        todo = "define it at the top level of a module that lies in a file"
        raise UsageError(f"{plain.__qualname__} has no source to hash", where=where, todo=todo) from error


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def unchanged(code: str, digest: str, *, what: str, where: str) -> Function:
    """Return the function of a name, if its source is what it was.

    Raises:
        UsageError: It cannot be imported. ConflictError: Its source is not what it was.
    """
    function = imported(code, what=what, where=where)
    if digest_of(function, where=where) != digest:
        raise ConflictError(
            f"the source of {code} is not what it was when it was applied",
            where=where,
            todo="apply the definition again: that makes a new version; or bring the code back",
        )
    return function
