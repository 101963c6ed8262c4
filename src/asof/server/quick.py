"""Which views are answered on the event loop: those whose answers take less than going to a thread and back.

Only answers that are given there are measured: in a thread, the time of an answer is that of the others that run.
"""

QUICK_SECONDS = 0.0002
"""An embedded store takes a tenth to half of it for a view of several groups; a server takes more for any."""

SLOWER = 0.1
"""How much of a slower answer counts; a faster one counts in full."""

LOOK_AGAIN = 100
"""So many answers of a slow view go to threads before one is measured again."""


class Quick:
    """How long the answers of each view take."""

    def __init__(self) -> None:
        """Know of none."""
        self._seconds: dict[str, float] = {}
        self._passed: dict[str, int] = {}

    def is_quick(self, view: str) -> bool:
        """Return whether the next answer is to be given on the event loop; `took` is to be told of it then."""
        if self._seconds.get(view, 0.0) < QUICK_SECONDS:
            return True
        passed = self._passed.get(view, 0) + 1
        self._passed[view] = passed % LOOK_AGAIN
        return passed == LOOK_AGAIN

    def took(self, view: str, seconds: float) -> None:
        """Learn how long an answer took on the event loop."""
        known = self._seconds.get(view, seconds)
        self._seconds[view] = seconds if seconds < known else known + SLOWER * (seconds - known)
