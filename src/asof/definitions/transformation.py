"""How the rows of a group are made from those of its source: a function that can be imported, or SQL.

Functions are named, never stored: a version knows the place and the hash of the source. Source: SEMANTICS section 6.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from asof.definitions.code import digest_of, hash_of, imported, name_of, unchanged
from asof.errors import UsageError

Batch = Any
"""A pyarrow.Table, or a polars or pandas frame: what the function's annotation says."""

WHAT = "transformation"


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
        return Transformation("sql", given.text, hash_of(given.text))
    code = name_of(given, what=WHAT, where=where)
    function = imported(code, what=WHAT, where=where)
    _check(function, code, where)
    return Transformation("python", code, digest_of(function, where=where))


def function_of(transformation: Transformation, *, where: str) -> Callable[[Batch], Batch]:
    """Return the function of a transformation in Python.

    Raises:
        UsageError: It cannot be imported. ConflictError: Its source is not what it was.
    """
    function = unchanged(transformation.code, transformation.digest, what=WHAT, where=where)
    _check(function, transformation.code, where)
    return function


def frame_of(function: Callable[[Batch], Batch]) -> Literal["arrow", "polars", "pandas"]:
    """Return what a function takes, as the annotation of its first argument says; without one: pyarrow tables."""
    annotated = next(iter(inspect.signature(function).parameters.values())).annotation
    package = (annotated if isinstance(annotated, str) else getattr(annotated, "__module__", "")).partition(".")[0]
    if package in ("pl", "polars"):
        return "polars"
    return "pandas" if package in ("pd", "pandas") else "arrow"


def _check(function: Callable[[Batch], Batch], code: str, where: str) -> None:
    if len(inspect.signature(function).parameters) != 1:
        raise UsageError(f"{code} does not take one argument", where=where, todo="it is given a batch of rows")
