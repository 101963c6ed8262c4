"""How the rows of a group are made from those of its source: a function that can be imported, or SQL.

Functions are named, never stored: a version knows the place and the hash of the source. Source: SEMANTICS section 6.
"""

import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType
from typing import Any, Literal, cast

from asof.errors import ConflictError, UsageError
from asof.source_code import current_source

Batch = Any
"""A pyarrow.Table, or a polars or pandas frame: what the function's annotation says."""

TODO = 'define it at the top level of a module, and name it "module:function"'


@dataclass(frozen=True, slots=True)
class SQL:
    """A statement that makes rows: one SELECT from the source, by its name.

    Attributes:
        text: The statement.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no text."""
        if not isinstance(self.text, str) or not self.text.strip():  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{self.text!r} is no SQL", todo='write SQL("SELECT ... FROM source")')


@dataclass(frozen=True, slots=True)
class Transformation:
    """What makes the rows of a group.

    Attributes:
        language: "python" or "sql".
        code: "module:function", or the statement.
        digest: SHA-256 of the function's source, or of the statement.
    """

    language: Literal["python", "sql"]
    code: str
    digest: str

    def __post_init__(self) -> None:
        """Refuse what is none, as a client may send it."""
        if self.language not in ("python", "sql") or not isinstance(self.code, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{self.language!r} is no language of transformations", todo='use "python" or "sql"')

    def __str__(self) -> str:
        """Return what people call it."""
        return self.code if self.language == "python" else " ".join(self.code.split())


Given = str | SQL | Callable[[Batch], Batch] | Transformation
"""What a declaration may say: "module:function", the function itself, SQL."""


def transformation_of(given: Given, *, where: str) -> Transformation:
    """Return what a declaration says; functions are imported, to hash their source.

    Raises:
        UsageError: It cannot be imported by a name, or has no source.
    """
    if isinstance(given, Transformation):
        return given
    if isinstance(given, SQL):
        return Transformation("sql", given.text, _hash(given.text))
    code = given if isinstance(given, str) else _name_of(given, where)
    function = _imported(code, where)
    if not isinstance(given, str) and function is not given:
        raise UsageError(f"{code} is another function than the one given", where=where, todo=TODO)
    return Transformation("python", code, _digest_of(function, where))


def function_of(transformation: Transformation, *, where: str) -> Callable[[Batch], Batch]:
    """Return the function of a transformation in Python.

    Raises:
        UsageError: It cannot be imported. ConflictError: Its source is not what it was.
    """
    function = _imported(transformation.code, where)
    if _digest_of(function, where) != transformation.digest:
        raise ConflictError(
            f"the source of {transformation.code} is not what it was when it was applied",
            where=where,
            todo="apply the definition again: that makes a new version; or bring the code back",
        )
    return function


def frame_of(function: Callable[[Batch], Batch]) -> Literal["arrow", "polars", "pandas"]:
    """Return what a function takes, as the annotation of its first argument says; without one: pyarrow tables."""
    annotated = next(iter(inspect.signature(function).parameters.values())).annotation
    package = (annotated if isinstance(annotated, str) else getattr(annotated, "__module__", "")).partition(".")[0]
    if package in ("pl", "polars"):
        return "polars"
    return "pandas" if package in ("pd", "pandas") else "arrow"


def _name_of(function: Callable[[Batch], Batch], where: str) -> str:
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not isinstance(function, FunctionType) or not name.isidentifier() or module == "__main__":
        what = f"{name or function!r} of __main__" if module == "__main__" else name or repr(function)
        raise UsageError(f"the transformation {what} cannot be imported by a name", where=where, todo=TODO)
    return f"{module}:{name}"


def _imported(code: str, where: str) -> Callable[[Batch], Batch]:
    module, colon, name = code.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"the transformation {code!r} is no module:function", where=where, todo=TODO)
    try:
        found: object = getattr(sys.modules.get(module) or import_module(module), name)
    except Exception as error:  # the user's own code may fail in any way
        reason = f"{type(error).__name__}: {error}"
        todo = f"make the module {module!r} importable here: install it, or set PYTHONPATH"
        raise UsageError(f"the transformation {code} cannot be imported: {reason}", where=where, todo=todo) from error
    if not isinstance(found, FunctionType):
        raise UsageError(f"the transformation {code} is no function", where=where, todo=TODO)
    if len(inspect.signature(found).parameters) != 1:
        raise UsageError(f"{code} does not take one argument", where=where, todo="it is given a batch of rows")
    return cast("Callable[[Batch], Batch]", found)


def _digest_of(function: Callable[[Batch], Batch], where: str) -> str:
    plain = inspect.unwrap(function)
    current_source(sys.modules[plain.__module__], [plain], where=where)
    return _hash(inspect.getsource(plain))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
