"""What is tried again, and how often."""

import random
import secrets
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from asof.errors import TransientError
from asof.records import OWN_KEY

T = TypeVar("T")

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try, give or take a half: a server that is started again has about three."""


class NotSentError(TransientError):
    """The server was not reached: nothing was done."""


class LateError(TransientError):
    """The answer did not come in time: whoever waits has waited long enough."""


def pauses() -> Iterator[float]:
    """Return how long to wait before each further try; clients that failed together do not come together."""
    for seconds in PAUSES:
        yield seconds * random.uniform(0.5, 1.5)  # noqa: S311 - not a secret


def tried(work: Callable[[], T], *, again: bool) -> T:
    """Do something, and again if it fails for a reason that may pass.

    Args:
        work: What is to be done.
        again: Whether it may be done twice; else it is only tried again if the server was not reached.

    Raises:
        TransientError: The last try failed too.
    """
    for seconds in pauses():
        try:
            return work()
        except LateError:
            raise
        except TransientError as error:
            if not again and not isinstance(error, NotSentError):
                raise
        time.sleep(seconds)
    return work()


def key_of(given: str) -> str:
    """Return an idempotency key: the caller's, or one for this call alone, so that a retry is no second write."""
    return OWN_KEY + secrets.token_hex(16) if given == "" else given
