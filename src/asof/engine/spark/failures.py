"""Errors of Spark as ours."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from asof import errors
from asof.errors import AsofError, BackendError, PermanentError, TransientError

OURS = re.compile(r"^asof\.errors\.(?P<name>\w+): (?P<message>.*)$", re.MULTILINE)
"""What a task raised, as the text of Spark's error shows it."""


@contextmanager
def translated() -> Generator[None]:
    """Raise Spark's errors of a block as ours, and those that tasks raised as they raised them."""
    from py4j.protocol import Py4JError  # noqa: PLC0415 - an extra
    from pyspark.errors import PySparkException  # noqa: PLC0415

    try:
        yield
    except (PySparkException, Py4JError) as error:
        raise _translation(str(error)) from error


def _translation(text: str) -> AsofError:
    raised = OURS.search(text)
    kind = getattr(errors, raised["name"], None) if raised else None
    if raised and isinstance(kind, type) and issubclass(kind, AsofError):
        return kind(raised["message"])
    return _backend(text)


def _backend(text: str) -> BackendError:
    reason = " ".join(text.partition("\n")[0].split()) or "no reason was given"
    if "PATH_NOT_FOUND" in text or "FILE_NOT_EXIST" in text or "FileNotFoundException" in text:
        return TransientError(f"a data file is gone: {reason}", todo="read again; if it stays, run `asof doctor`")
    return PermanentError(f"Spark failed: {reason}", todo="see its log; run `asof doctor`")
