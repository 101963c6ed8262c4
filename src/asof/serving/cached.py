"""What was made of definitions, kept between two looks at the registry."""

import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from asof.errors import AsofError, TransientError

T = TypeVar("T")

MOST = 1000
"""So many names are remembered; callers may combine features at will, and those known longest go first."""

REFRESH_SECONDS = 5.0
"""So late may another process's new definition be noticed."""

SOON_SECONDS = REFRESH_SECONDS - 0.5
"""From this age on something may be too old when it is used."""


class Cached(Generic[T]):
    """Something by name that is looked up again after a while. What cannot be found is asked for each time.

    While one caller looks it up again, and while the registry is away, the others go on with what was known.
    """

    def __init__(self, find: Callable[[str], T]) -> None:
        """Keep how to find it."""
        self._find = find
        self._known: dict[str, tuple[float, T]] = {}

    def __call__(self, name: str) -> T:
        """Return it, at most some seconds old."""
        known = self._known.get(name)
        if known is None:
            found = self._find(name)
        elif time.monotonic() - known[0] <= REFRESH_SECONDS:
            return known[1]
        else:
            found = self._again(name, known[1])
        self._known[name] = time.monotonic(), found
        for first in list(self._known)[:-MOST]:
            self._known.pop(first, None)
        return found

    def _again(self, name: str, known: T) -> T:
        self._known[name] = math.inf, known
        try:
            return self._find(name)
        except TransientError:
            return known
        except AsofError:
            self._known.pop(name, None)
            raise
        except BaseException:
            self._known[name] = time.monotonic(), known
            raise

    def fresh(self, name: str) -> T | None:
        """Return it if it was looked up lately, and need not be again."""
        known = self._known.get(name)
        return None if known is None or time.monotonic() - known[0] > SOON_SECONDS else known[1]

    @property
    def known(self) -> set[str]:
        """The names that are remembered."""
        return set(self._known)

    def forget(self) -> None:
        """Look everything up again."""
        self._known.clear()
