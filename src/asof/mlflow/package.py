"""MLflow itself: of an extra, and seconds to import."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from asof.errors import (
    AsofError,
    BackendError,
    DeniedError,
    MissingDependencyError,
    NotFoundError,
    TransientError,
    UsageError,
)

ERRORS: dict[str, type[AsofError]] = {
    "BAD_REQUEST": UsageError,
    "ENDPOINT_NOT_FOUND": UsageError,
    "INVALID_PARAMETER_VALUE": UsageError,
    "NOT_FOUND": NotFoundError,
    "PERMISSION_DENIED": DeniedError,
    "REQUEST_LIMIT_EXCEEDED": TransientError,
    "RESOURCE_DOES_NOT_EXIST": NotFoundError,
    "TEMPORARILY_UNAVAILABLE": TransientError,
    "UNAUTHENTICATED": DeniedError,
}
"""Ours for the codes of MLflow; any other is a BackendError."""

_USER = re.compile(r"://[^/\s]+@")
"""User and password in a URL."""


def package() -> Any:  # noqa: ANN401 - what we use of it takes and gives anything
    """Return MLflow.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import_module("mlflow.pyfunc")  # it wants pandas
        import mlflow  # noqa: PLC0415 - of an extra, and seconds
    except ModuleNotFoundError as error:
        raise MissingDependencyError(str(error.name).partition(".")[0], extra="mlflow") from error
    return mlflow


@contextmanager
def asking(what: str, *, where: str) -> Generator[None]:
    """Turn what MLflow raises in the block into our errors.

    Args:
        what: What is done, for the message: "register the model".
        where: Whose it is.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - of an extra

    try:
        yield
    except AsofError:
        raise
    except MlflowException as error:
        kind = ERRORS.get(error.error_code, BackendError)
        raise kind(f"MLflow cannot {what}: {_without_users(error.message)}", where=where) from error
    except Exception as error:  # a database's driver, a client of object storage: whatever they raise
        raise BackendError(
            f"MLflow cannot {what}: {type(error).__name__}: {_without_users(str(error))}", where=where
        ) from error


def _without_users(text: str) -> str:
    """Return a text without what URLs in it keep secret."""
    return _USER.sub("://", text)
