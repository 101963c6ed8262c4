"""Sources outside of the store, whose rows `Store.materialize` takes into a group: files, and functions that give rows.

Definitions name them; nothing is read, and to know a definition no code is imported.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any, Literal

from asof.definitions.code import Function, digest_of, imported, name_of
from asof.definitions.durations import duration_us, show_duration
from asof.definitions.names import checked_name
from asof.definitions.types import DType, parse_type
from asof.errors import UsageError

WHAT = "source"

NAME = "source"
"""What a statement in SQL calls a source that is no group."""


@dataclass(frozen=True, slots=True)
class Files:
    """CSV, Parquet or Arrow files: a folder with those below it, a glob, or one file.

    Args:
        path: Where they are; a relative path lies in the store's folder. Names that begin with "_" or "." are left
            out: their writers have not finished them.
        columns: Columns of the files with their types, such as {"temp": "float64"}: only these are read. None: the
            files have the group's columns, and no others.

    Raises:
        UsageError: It is no path, or a column has no name or type.
    """

    path: str
    columns: Mapping[str, DType] | None

    def __init__(self, path: str | PurePath, *, columns: Mapping[str, str | DType] | None = None) -> None:
        """Check and keep the parts."""
        path = str(path) if isinstance(path, PurePath) else path
        if not isinstance(path, str) or not path.strip() or "\0" in path:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"{path!r} is no path of files", todo='write Files("exports/*.csv")')
        if "://" in path:
            raise UsageError(f"{path!r} is no path on this machine", todo="bring the files near, or use a function")
        if columns is not None and not (isinstance(columns, Mapping) and columns):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            raise UsageError(f"columns={columns!r} are no columns", todo='write columns={"temp": "float64"}')
        types = {checked_name(name, "column"): parse_type(dtype) for name, dtype in (columns or {}).items()}
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "columns", types or None)

    def __hash__(self) -> int:
        """Return a hash of the path: columns are a dict."""
        return hash(self.path)

    def __str__(self) -> str:
        """Return what people call it."""
        return f"files {self.path}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function that gives rows, named "module:function".

    Of one parameter, it is given the last cursor, None at first, and yields (rows, cursor): each pair becomes a
    commit. Of two, it is given (start, end), and gives the rows with event times in (start, end]; start may be None.

    Args:
        function: The function, or its name.
        every: Of a function of (start, end): the longest time that it is asked for at once, such as "1d"; each becomes
            a commit. None: all that is new.

    Attributes:
        code: "module:function".
        digest: SHA-256 of the function's source.
        asks: What it is asked for: "cursor" or "span".
        every_us: See `every`.

    Raises:
        UsageError: It cannot be imported by a name, or takes neither one argument nor two.
    """

    code: str
    digest: str
    asks: Literal["cursor", "span"]
    every_us: int | None

    def __init__(self, function: str | Function, *, every: str | timedelta | None = None) -> None:
        """Import the function, to hash its source."""
        code = name_of(function, what=WHAT, where="source=")
        found = imported(code, what=WHAT, where="source=")
        asks = asks_of(found, code)
        every_us = None if every is None else duration_us(every, what="every")
        if every_us is not None and (asks == "cursor" or every_us == 0):
            what = "is no length of time" if asks == "span" else "cuts times, and this function goes by a cursor"
            raise UsageError(f"every={every!r} {what}", where=code)
        self._put(code, digest_of(found, where="source="), asks, every_us)

    def _put(self, code: str, digest: str, asks: str, every_us: int | None) -> None:
        for name, value in (("code", code), ("digest", digest), ("asks", asks), ("every_us", every_us)):
            object.__setattr__(self, name, value)

    @classmethod
    def known(cls, code: str, digest: str, asks: str, every_us: int | None) -> "Call":
        """Return one that was declared before; nothing is imported."""
        call = object.__new__(cls)
        call._put(code, digest, asks, every_us)
        return call

    def __str__(self) -> str:
        """Return what people call it."""
        return f"function {self.code}"


Outside = Files | Call

Given = Files | Call | str | Function
"""What a declaration may say."""


def outside_of(given: Given) -> Outside:
    """Return what a declaration says; functions are imported.

    Raises:
        UsageError: It is none.
    """
    if isinstance(given, str) and ":" not in given:
        todo = 'name a function "module:function"; pass a group itself, and files as Files("exports/*.csv")'
        raise UsageError(f"the source {given!r} is no module:function", where="source=", todo=todo)
    return given if isinstance(given, Files | Call) else Call(given)


def asks_of(function: Function, code: str) -> Literal["cursor", "span"]:
    """Return what a function is asked for, as its parameters say.

    Raises:
        UsageError: It takes other ones.
    """
    match len(inspect.signature(function).parameters):
        case 1:
            return "cursor"
        case 2:
            return "span"
        case number:
            todo = "take the last cursor, or (start, end)"
            raise UsageError(f"{code} takes {number} arguments, not one or two", where="source=", todo=todo)


def outside_document(outside: Outside) -> dict[str, Any]:
    """Return a source as a document."""
    if isinstance(outside, Files):
        columns = None if outside.columns is None else {name: str(dtype) for name, dtype in outside.columns.items()}
        return {"kind": "files", "path": outside.path, "columns": columns}
    return {
        "kind": "call",
        "code": outside.code,
        "digest": outside.digest,
        "asks": outside.asks,
        "every_us": outside.every_us,
    }


def outside_from(document: Mapping[str, Any]) -> Outside:
    """Return the source of a document; nothing is imported."""
    if document["kind"] == "files":
        return Files(document["path"], columns=document["columns"])
    return Call.known(document["code"], document["digest"], document["asks"], document["every_us"])


AMENDABLE = ("path", "every_us")
"""Parts of a source's document that are not what its rows are: these change in place."""


def outside_identity(document: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what of a source's document a version fixes."""
    return None if document is None else {name: part for name, part in document.items() if name not in AMENDABLE}


def show_outside(document: Mapping[str, Any] | None) -> str:
    """Return a source's document as text, with the beginning of its code's hash."""
    if document is None:
        return "none"
    if document["kind"] == "files":
        columns: Mapping[str, str] = document["columns"] or {}
        named = ", ".join(f"{name}: {dtype}" for name, dtype in columns.items())
        return f"files {document['path']}" + (f" ({named})" if named else "")
    every = "" if document["every_us"] is None else f", every {show_duration(document['every_us'])}"
    return f"function {document['code']} ({document['digest'][:12]}){every}"
