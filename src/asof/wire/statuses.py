"""Which HTTP status says who can mend an error."""

from asof.errors import (
    AsofError,
    ConflictError,
    DataError,
    DeniedError,
    MissingDependencyError,
    NotFoundError,
    TooOftenError,
    TransientError,
    UnknownCallerError,
    UnsupportedError,
    UsageError,
)

STATUSES: tuple[tuple[type[AsofError], int], ...] = (
    (UnknownCallerError, 401),
    (DeniedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (DataError, 422),
    (UnsupportedError, 422),
    (UsageError, 400),
    (MissingDependencyError, 501),
    (TooOftenError, 429),
    (TransientError, 503),
    (AsofError, 500),
)
"""The first that fits an error; what is no error of asof is 500 without its text."""


def status_of(error: AsofError) -> int:
    """Return the status of an error."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))
