"""How often callers may ask: a bucket of tokens each, in this process."""

import math
import threading
import time
from collections.abc import Callable

from asof.errors import TooOftenError

MOST = 10_000
"""Buckets that are remembered; those that are full again are forgotten first."""


class Rates:
    """Lets each caller ask so many times a second, and at once as often as in a second.

    Safe to use from several threads.

    Args:
        per_second: How often.
        now: A clock that never goes back, in seconds.
    """

    def __init__(self, per_second: float, *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin with full buckets."""
        self._rate = per_second
        self._burst = max(per_second, 1.0)
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, who: str) -> None:
        """Count a request.

        Raises:
            TooOftenError: It is one too many.
        """
        with self._lock:
            self._take(who, self._now())

    def _take(self, who: str, now: float) -> None:
        level, at = self._buckets.get(who, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        if level < 1.0:
            wait = (1.0 - level) / self._rate
            raise TooOftenError(
                f"more than {self._rate:g} requests a second",
                todo="wait, and send several keys or records in one request",
                data={"retry_after_seconds": math.ceil(wait)},
            )
        if len(self._buckets) >= MOST and who not in self._buckets:
            self._forget(now)
        self._buckets[who] = (level - 1.0, now)

    def _forget(self, now: float) -> None:
        full = [who for who, (level, at) in self._buckets.items() if level + (now - at) * self._rate >= self._burst]
        for who in full or list(self._buckets):
            self._buckets.pop(who, None)
