"""Every error that asof raises.

    AsofError
    ├── UsageError (ValueError)                the call is wrong: correct it
    ├── NotFoundError (LookupError)            the name is unknown: see "did you mean"
    ├── DeniedError                            the caller has no right to it: ask for the role
    │   └── UnknownCallerError                 nobody knows the key: pass one that is valid
    ├── ConflictError                          somebody or something was there first: look, then decide
    ├── DataError                              the data break a rule: mend them, nothing was written
    ├── UnsupportedError                       this part cannot do it: choose another part
    ├── MissingDependencyError (ImportError)   a package is not installed: install it
    └── BackendError                           a part of the store failed
        ├── TransientError                     try again
        │   └── TooOftenError                  wait, then try again
        └── PermanentError                     repair first (`asof doctor`)

The branches answer "what can the caller do?". A message says what happened with the value, where, and what to do; it
never holds a secret.
"""

import inspect
import re
import warnings
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches


class AsofError(Exception):
    """Root of all errors of asof.

    Args:
        what: What happened, with the offending value.
        where: The place: a path, a group, a column and row.
        todo: What the caller can do.
        data: The facts behind the message, for programs.
    """

    def __init__(self, what: str, *, where: str = "", todo: str = "", data: Mapping[str, object] | None = None) -> None:
        """Compose the message from its parts."""
        self.what = what
        self.where = where
        self.todo = todo
        self.data = dict(data or {})
        place = f" [{where}]" if where else ""
        advice = f" -> {todo}" if todo else ""
        super().__init__(f"{what}{place}{advice}")


class UsageError(AsofError, ValueError):
    """The call itself is wrong."""


class NotFoundError(AsofError, LookupError):
    """A name that nobody registered."""

    @classmethod
    def named(cls, kind: str, name: str, known: Iterable[str], *, where: str = "") -> "NotFoundError":
        """Say which name is unknown and which known ones come close.

        Args:
            kind: What was looked for, in one word ("group").
            name: The name as given.
            known: The names that exist.
            where: The place that was searched.
        """
        names = sorted(known)
        close = get_close_matches(str(name), names, n=3, cutoff=0.5)
        if close:
            todo = "did you mean " + " or ".join(repr(c) for c in close) + "?"
        elif names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")  # noqa: PLR2004 - one line of names
            several = re.sub(r"(?<![aeiou])y\b", "ie", kind).replace(" or ", "s or ") + "s"
            todo = f"known {several}: {shown}"
        else:
            todo = f"there is no {kind} yet"
        return cls(f"unknown {kind} {name!r}", where=where, todo=todo, data={"kind": kind, "name": name})


class DeniedError(AsofError):
    """The caller is known, and has no right to it."""


class UnknownCallerError(DeniedError):
    """A key is wanted that is missing, unknown, expired or revoked."""


class ConflictError(AsofError):
    """Something else was there first."""


class DataError(AsofError):
    """The data break a rule; nothing was written."""


class UnsupportedError(AsofError):
    """A part of the store cannot do this."""


class MissingDependencyError(AsofError, ImportError):
    """A package of an extra is not installed."""

    def __init__(self, package: str, *, extra: str, todo: str = "") -> None:
        """Name the package and the command that installs it: that of the extra, unless another is given."""
        super().__init__(
            f"the package {package!r} is not installed",
            todo=todo or f'pip install "asof[{extra}]"',
            data={"package": package, "extra": extra},
        )


class DataWarning(UserWarning):
    """Something about data that were accepted, and that people usually want to know."""


_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(hear: Callable[[str], None]) -> Generator[None]:
    """Have the warnings of the block told to a callable: they are for somebody else, as a server's are."""
    token = _listener.set(hear)
    try:
        yield
    finally:
        _listener.reset(token)


def warn(message: str) -> None:
    """Give a DataWarning that names the line outside asof which led to it."""
    hear = _listener.get()
    if hear is not None:
        hear(message)
        return
    frame, level = inspect.currentframe(), 1
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asof":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, DataWarning, stacklevel=level)


class BackendError(AsofError):
    """A part of the store failed."""


class TransientError(BackendError):
    """A failure that may pass: try again."""


class TooOftenError(TransientError):
    """A caller asks more often than the server lets him."""


class PermanentError(BackendError):
    """A failure that stays until somebody repairs it."""
