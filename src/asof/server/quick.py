"""Where the answers of an embedded store are given: on the event loop, in one thread beside it, or in many.

They are computing: on the event loop it takes least, in many threads, which take turns, most. But a file that is larger
than memory waits for the disk, which many threads do at once. Which it is, is measured on the event loop for each view:
in a thread, the time of an answer is that of the others that run.

Answers that wait for another process are no matter of this module: they never come to the event loop.
"""

from typing import Literal

Way = Literal["here", "beside", "in threads"]

QUICK_SECONDS = 0.0002
"""Of a key set: from memory it takes a tenth to half of it for a view of several groups."""

FEW_KEYS = 16
"""So many key sets are answered on the event loop; more would keep others waiting."""

SLOWER = 0.1
"""How much of a slower answer counts; a faster one counts in full."""

HELD_UP_SECONDS = 5 * QUICK_SECONDS
"""As so slow an answer counts at most: one that another process or the garbage collector held up makes no view slow."""

LOOK_AGAIN = 100
"""So many answers of a slow view are given in threads before one is measured again."""


class Quick:
    """How long the answers of each view take."""

    def __init__(self) -> None:
        """Know of none."""
        self._seconds: dict[str, float] = {}
        self._passed: dict[str, int] = {}

    def way(self, view: str, keys: int) -> Way:
        """Return where the next answer is to be given; of one "here" `took` is to be told."""
        seconds = self._seconds.get(view)
        if seconds is None:
            return "here"
        if seconds < QUICK_SECONDS:
            return "here" if keys <= FEW_KEYS else "beside"
        self._passed[view] = (self._passed.get(view, 0) + 1) % LOOK_AGAIN
        return "in threads" if self._passed[view] else "here"

    def took(self, view: str, keys: int, seconds: float) -> None:
        """Learn how long an answer for so many key sets took on the event loop."""
        each = min(seconds / max(keys, 1), HELD_UP_SECONDS)
        known = self._seconds.get(view, each)
        self._seconds[view] = each if each < known else known + SLOWER * (each - known)
