"""Windows: which of the events that are visible at a time count at that time.

    exact(w)            (T - w, T]
    hop(w, h)           (floor(T) - w, floor(T)]
    sawtooth(w, h)      (floor(T - w), T]
    lifetime            (-inf, T]
    session(gap)        the run of events, each less than `gap` after the one before, that ends at the last event;
                        empty once T - last >= gap

floor is to a multiple of `h` since 1970-01-01T00:00Z, toward minus infinity. All times are int microseconds, UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from asof.errors import UsageError

Kind = Literal["exact", "hop", "sawtooth", "lifetime", "session"]


@dataclass(frozen=True, slots=True)
class Window:
    """A window.

    Attributes:
        kind: Its kind.
        length_us: How far it reaches back; the gap of a session; 0 for a lifetime.
        hop_us: What its ends are multiples of; 0 where they are of nothing.

    Raises:
        UsageError: A length that a window of this kind must have is missing, or has none.
    """

    kind: Kind
    length_us: int = 0
    hop_us: int = 0

    def __post_init__(self) -> None:
        """Check the parts."""
        wrong = {
            "a length above 0": (self.length_us > 0) != (self.kind != "lifetime"),
            "a hop above 0": (self.hop_us > 0) != (self.kind in ("hop", "sawtooth")),
        }
        for what, is_wrong in wrong.items():
            if is_wrong or self.length_us < 0 or self.hop_us < 0:
                raise UsageError(f"a window of kind {self.kind!r} has {what}, and no other has one")

    @property
    def reach_us(self) -> int | None:
        """How far back from T an event may lie that it holds; None: any event may."""
        return None if self.kind in ("lifetime", "session") else self.length_us + self.hop_us

    def bounds(self, t_us: int) -> tuple[int | None, int]:
        """Return (after, until): events with after < event_time <= until count; None: from the first one on.

        The bounds of a session hold more: `count_from` cuts them.
        """
        match self.kind:
            case "exact":
                return t_us - self.length_us, t_us
            case "hop":
                end = t_us - t_us % self.hop_us
                return end - self.length_us, end
            case "sawtooth":
                start = t_us - self.length_us
                return start - start % self.hop_us, t_us
            case _:
                return None, t_us

    def count_from(self, times_us: Sequence[int], t_us: int) -> int:
        """Return where in the sorted event times within the bounds the window begins; their number if it is empty."""
        if self.kind != "session":
            return 0
        if not times_us or t_us - times_us[-1] >= self.length_us:
            return len(times_us)
        at = len(times_us) - 1
        while at and times_us[at] - times_us[at - 1] < self.length_us:
            at -= 1
        return at
