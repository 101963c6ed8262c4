"""Functions of users: `module:name` of a `Function` in a module that can be imported.

    # geometric.py
    from asof.windows.functions import Event, Function

    mean = Function("geometric mean", (0, 1), prepare=..., merge=..., finish=..., gives="float64")

    Aggregation("fare_geometric", "geometric:mean", window, "fare")

Nothing is called but what a `Function` holds: the name of something else in a module is refused. Its `merge` must be
associative and commutative, and `empty` neutral; `asof.testing.algebra` tries that out. States are made of None,
booleans, integers, floats, strings, bytes, dates, datetimes, decimals, and tuples of these.

The identity of an event orders events of one time, and tells them apart; it is not the same bytes in every store.

Source: SEMANTICS section 6, DESIGN ("Security").
"""

import inspect
import re
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any, cast

from asof.errors import NotFoundError, UsageError
from asof.windows.functions import Function

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")


def is_users(name: str) -> bool:
    """Return whether a name has the form of a user's function."""
    return NAME.fullmatch(name) is not None


@cache
def users_function(name: str) -> Function[Any]:
    """Return the function of a name, under that name. The module is imported.

    Raises:
        NotFoundError: The module cannot be imported, or has nothing of this name.
        UsageError: What it has is no function of the algebra, or does not say what it gives.
    """
    module, _, attribute = name.partition(":")
    if not is_users(name):
        raise UsageError(f"{name!r} is no function", todo="write module:name")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise NotFoundError(f"cannot import {module}: {error}", where=name, todo="install it here too") from error
    if found is None:
        raise NotFoundError(f"module {module} has no {attribute}", where=name)
    if not isinstance(found, Function):
        raise UsageError(
            f"{name} is {type(found).__name__}, no asof.windows.functions.Function", todo="name one, not what makes one"
        )
    if not found.gives:
        raise UsageError(f"{name} does not say what it gives", todo='write Function(..., gives="float64"), say')
    return replace(cast("Function[Any]", found), name=name)


def source_hash(name: str) -> str:
    """Return the SHA-256 of the source of the module that a user's function lies in.

    Of the whole module: what a function holds is spread over it. What that imports is not in it.
    """
    users_function(name)
    return sha256(inspect.getsource(import_module(name.partition(":")[0])).encode()).hexdigest()
