"""Functions of users: `module:name` of a `Function` in a module that can be imported.

    # geometric.py
    from asof.windows.functions import Event, Function

    mean = Function("geometric mean", (0, 1), prepare=..., merge=..., finish=..., gives="float64")

    FeatureGroup(..., source=trips, features=[Custom("geometric:mean", "fare", over="7d")])

Nothing is called but what a `Function` holds: the name of something else in a module is refused. Its `merge` must be
associative and commutative, and `empty` neutral; `asof.testing.algebra` tries that out. States are made of None,
booleans, integers, floats, strings, bytes, dates, datetimes, decimals, and tuples of these.

The identity of an event orders events of one time, and tells them apart; it is not the same bytes in every store.

Source: SEMANTICS section 6, DESIGN ("Security").
"""

import re
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any, cast

from asof.errors import ConflictError, NotFoundError, UsageError
from asof.source_code import current_source
from asof.windows.functions import Function

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")


def is_users(name: str) -> bool:
    """Return whether a name has the form of a user's function."""
    return NAME.fullmatch(name) is not None


@cache
def users_function(name: str, digest: str = "") -> Function[Any]:
    """Return the function of a name, under that name. The module is imported.

    Args:
        name: The name.
        digest: The hash that its module must have; "" for any.

    Raises:
        NotFoundError: The module cannot be imported, or has nothing of this name.
        UsageError: What it has is no function of the algebra, or does not say what it gives.
        ConflictError: Its module has another hash.
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
    if digest and digest != source_hash(name):
        todo = "apply the definition again, as a new version; or bring the code back"
        raise ConflictError(f"the module of {name} is not what it was when it was applied", where=name, todo=todo)
    return replace(cast("Function[Any]", found), name=name)


def source_hash(name: str) -> str:
    """Return the SHA-256 of the source of the module that a user's function lies in.

    Of the whole module: what a function holds is spread over it. What that imports is not in it.

    Raises:
        NotFoundError, UsageError: There is no such function, or no source. ConflictError: See `current_source`.
    """
    found = users_function(name)
    module = import_module(name.partition(":")[0])
    return sha256(current_source(module, [found.prepare, found.merge, found.finish], where=name).encode()).hexdigest()
