"""The source of code of users, to hash it: of what runs, and of nothing else.

A file that was edited after Python imported it says what does not run; so does one for which Python took a compiled
module of a source of the same second and length. Both are refused.
"""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from asof.errors import ConflictError, UsageError


def current_source(module: ModuleType, functions: Iterable[Callable[..., Any]], *, where: str) -> str:
    """Return the source of a module.

    Args:
        module: The module.
        functions: What is run of it: that which it does not define itself is not looked at.
        where: What they are of, for messages.

    Raises:
        UsageError: It has no source. ConflictError: Its file says something else by now.
    """
    try:
        lines, _ = inspect.findsource(module)  # reads the file again, if it was edited
        written = compile("".join(lines), module.__file__ or "", "exec", dont_inherit=True)
    except (OSError, SyntaxError, TypeError) as error:
        todo = "define it at the top level of a module that lies in a file"
        raise UsageError(f"the module {module.__name__} has no source to hash", where=where, todo=todo) from error
    own = [each.__code__ for each in map(inspect.unwrap, functions) if _is_of(each, module)]
    spec = getattr(module, "__spec__", None)
    as_written = type(getattr(spec, "loader", None)) is SourceFileLoader  # others may add to the code, as pytest's does
    if as_written and not set(own) <= set(_codes(written)):
        todo = "start Python again; if that does not help, delete the __pycache__ beside the file"
        raise ConflictError(f"the file of {module.__name__} was edited after Python took it", where=where, todo=todo)
    return "".join(lines)


def _is_of(function: object, module: ModuleType) -> bool:
    return isinstance(function, FunctionType) and sys.modules.get(function.__module__) is module


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Return the code of everything that is defined within."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)
