"""`store.quality`: everything about trust."""

from asof.ingest.feed import OnlineFeed
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts
from asof.quality.doctor import Diagnosis, diagnose


class Quality:
    """Everything about trust."""

    def __init__(self, parts: Parts, feed: OnlineFeed, upkeep: Upkeep) -> None:
        """Keep the parts."""
        self._parts = parts
        self._feed = feed
        self._upkeep = upkeep

    def doctor(self, *, repair: bool = False) -> Diagnosis:
        """Read every file and row of the store and say what is wrong.

        Args:
            repair: Apply commits that the online store lacks, rebuild it where it is wrong, mirror the commit log in
                Delta, delete debris. A damaged data file of history cannot be repaired; it is named.
        """
        return diagnose(self._parts, self._feed, self._upkeep, repair=repair)
