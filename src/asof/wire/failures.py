"""Errors as messages: the parts, from which the same error with the same message is made on the other side."""

import msgspec

from asof import errors
from asof.errors import AsofError, PermanentError
from asof.wire.values import pack, record, unpack

KINDS: dict[str, type[AsofError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AsofError)
}

MOST_LETTERS = 20_000
"""Of a part: an error is for people, and travels in the head of an answer."""

MOST_BYTES = 32_000
"""Of a whole error: Flight sends it in base64 among the trailers, and Node breaks the connection at 64 KB of them."""

FEW_LETTERS = 2_000
"""Of a part of an error that has more bytes."""


class Failure(msgspec.Struct):
    """An error.

    Attributes:
        kind: Name of its class in `asof.errors`.
        what: What happened.
        where: The place.
        todo: What the caller can do.
        data: The facts behind it.
    """

    kind: str
    what: str
    where: str = ""
    todo: str = ""
    data: dict[str, object] = {}


def failure_of(error: Exception) -> Failure:
    """Return an error as its parts; of what is none of ours nothing is told."""
    if not isinstance(error, AsofError):
        return Failure("PermanentError", "the server failed; its log says how")
    kind = next(each.__name__ for each in type(error).__mro__ if KINDS.get(each.__name__) is each)
    what, where, todo = (part[:MOST_LETTERS] for part in (error.what, error.where, error.todo))
    return Failure(kind, what, where, todo, error.data)


def packed_failure(error: Exception) -> bytes:
    """Return an error as a message; of a very long one the beginning, without its facts."""
    failure = failure_of(error)
    try:
        packed = pack(failure)
    except errors.UsageError:  # facts that cannot be sent
        failure.data = {name: str(value) for name, value in failure.data.items()}
        packed = pack(failure)
    if len(packed) <= MOST_BYTES:
        return packed
    what, where, todo = (part[:FEW_LETTERS] for part in (failure.what, failure.where, failure.todo))
    return pack(Failure(failure.kind, what, where, todo))


def error_of(failure: Failure) -> AsofError:
    """Return the error that a failure tells of."""
    kind = KINDS.get(failure.kind, PermanentError)
    error = kind.__new__(kind)
    AsofError.__init__(error, failure.what, where=failure.where, todo=failure.todo, data=failure.data)
    return error


def unpacked_error(message: bytes) -> AsofError:
    """Return the error of a message.

    Raises:
        UsageError: It is no message of an error.
    """
    return error_of(record(Failure, unpack(message)))
