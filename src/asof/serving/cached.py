"""What was made of definitions, kept between two looks at the registry."""

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from asof.errors import AsofError, TransientError

T = TypeVar("T")

MOST = 1000
"""So many names are remembered; callers may combine features at will, and those looked up longest ago go first."""

REFRESH_SECONDS = 5.0
"""So late may another process's new definition be noticed."""

SOON_SECONDS = REFRESH_SECONDS - 0.5
"""From this age on something may be too old when it is used."""


END_SECONDS = 2.0
"""How long `end` waits for a look-up."""


class Cached(Generic[T]):
    """Something by name that is looked up again after a while. What cannot be found is asked for each time.

    While one caller looks it up again, and while the registry is away, the others go on with what was known.
    """

    def __init__(self, find: Callable[[str], T], beside: Callable[[T], bool] = lambda _: False) -> None:
        """Keep how to find it.

        Args:
            find: Finds it.
            beside: Whether nobody is to wait while this is looked up again: it goes on, and a thread looks.
        """
        self._find = find
        self._beside = beside
        self._known: dict[str, tuple[float, T]] = {}
        self._threads: set[threading.Thread] = set()

    def __call__(self, name: str) -> T:
        """Return it, at most some seconds old."""
        known = self._known.get(name)
        if known is None:
            found = self._find(name)
            self._known[name] = time.monotonic(), found
            for first in list(self._known)[:-MOST]:
                self._known.pop(first, None)
            return found
        if time.monotonic() - known[0] <= REFRESH_SECONDS:
            return known[1]
        looking = self._known[name] = math.inf, known[1]
        if not self._beside(known[1]):
            return self._again(name, looking)
        thread = threading.Thread(target=self._look, args=(name, looking), name="asof-definitions", daemon=True)
        self._threads.add(thread)
        thread.start()
        return known[1]

    def end(self) -> None:
        """Wait for who looks something up: what it asks is about to be closed; but not for one that hangs."""
        for thread in list(self._threads):
            thread.join(END_SECONDS)

    def _look(self, name: str, looking: tuple[float, T]) -> None:
        try:
            with suppress(AsofError):  # the next who asks hears of it
                self._again(name, looking)
        finally:
            self._threads.discard(threading.current_thread())

    def _again(self, name: str, looking: tuple[float, T]) -> T:
        known = looking[1]
        try:
            known = self._find(name)
        except TransientError:
            pass
        except AsofError:
            self._known.pop(name, None)
            raise
        finally:
            if self._known.get(name) is looking:  # else all was forgotten meanwhile
                self._known.pop(name, None)  # so that it moves to the end
                self._known[name] = time.monotonic(), known
        return known

    def fresh(self, name: str) -> T | None:
        """Return it if it was looked up lately; else the next call looks it up again, and must be one that may wait."""
        known = self._known.get(name)
        if known is None or time.monotonic() - known[0] <= SOON_SECONDS:
            return None if known is None else known[1]
        self._known[name] = -math.inf, known[1]  # so that one waits for it, and not all who ask until it is too old
        return None

    @property
    def known(self) -> set[str]:
        """The names that are remembered."""
        return set(self._known)

    def forget(self) -> None:
        """Look everything up again."""
        self._known.clear()
