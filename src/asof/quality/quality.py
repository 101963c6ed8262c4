"""`store.quality`: everything about trust."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asof.ingest.feed import OnlineFeed
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts, Pins
from asof.progress import Progress, showing
from asof.quality.doctor import Diagnosis, diagnose
from asof.quality.explain import LIMIT, explain
from asof.quality.explanation import Explanation
from asof.quality.statistics import Commits, statistics
from asof.serving.log import LogCounts, ServingLog
from asof.statistics import GroupStatistics


class Quality:
    """Everything about trust."""

    def __init__(self, parts: Parts, feed: OnlineFeed, upkeep: Upkeep, log: ServingLog) -> None:
        """Keep the parts."""
        self._parts = parts
        self._feed = feed
        self._upkeep = upkeep
        self._log = log

    def doctor(self, *, repair: bool = False, progress: Progress | bool = False) -> Diagnosis:
        """Read every file and row of the store and say what is wrong.

        Args:
            repair: Apply commits that the online store lacks, rebuild it where it is wrong, mirror the commit log in
                Delta, delete debris. A damaged data file of history cannot be repaired; it is named.
            progress: True for a bar, or a callable that is told (done, total) of rows read and online keys compared.
        """
        with showing("examining", progress=progress, unit="rows") as advance:
            return diagnose(
                self._parts, self._feed, self._upkeep, repair=repair, unlogged=self._log.failures(), progress=advance
            )

    def serving_log(self, view: str, *, flush: bool = False) -> LogCounts:
        """Return what happened to the answers of a view that were to be logged, in this process.

        Args:
            view: Name of a view.
            flush: Write what waits first; else it is written within some seconds, and when the store is closed.

        Raises:
            NotFoundError: Unknown view.
        """
        name = self._parts.registry.view(view).definition.name
        if flush:
            self._log.flush()
        return self._log.counts(name)

    def explain(  # noqa: PLR0913 - one question
        self,
        view: str,
        keys: Mapping[str, Any],
        *,
        at: datetime | None = None,
        feature: str | None = None,
        known: str | datetime | None = None,
        commits: Pins | str | None = None,
        limit: int = LIMIT,
    ) -> Explanation:
        """Say which row answers for one key set, where it came from, and why the other rows of the key do not.

        Of a group that is made of events: which of them are in its windows, and why the entity's other rows are not.

        For an online answer pass what its receipt says: `at=receipt.clock, known="served", commits=receipt.commits`.

        Args:
            view: Name of a view, or of a group.
            keys: The view's key columns with their values, as in `online`.
            at: T; default: that of an online answer now.
            feature: One feature of the view, by its output name; default: all.
            known: Knowledge mode, as in `historical`.
            commits: Pins, as in `historical`.
            limit: How many of the other rows to show; of events that count the first so many, and the last.

        Raises:
            NotFoundError: Unknown view, key column or feature. UsageError: A key is missing, a time has no zone.
            DataError: A key of the wrong type, or a time before what retention left.
        """
        return explain(self._parts, view, keys, at=at, feature=feature, known=known, commits=commits, limit=limit)

    def statistics(
        self,
        group: str,
        *,
        commits: Commits = None,
        start: datetime | None = None,
        end: datetime | None = None,
        rebuild: bool = False,
    ) -> GroupStatistics:
        """Return statistics of the rows that were written to a group, merged from those kept with its commits.

        No row is read, but for those that wait in the journal. They are of what was written: of a key as many rows
        count as came, retirements apart, and what retention dropped counts on. Rows of retracted commits do not.

        Spans of older commits are merged in the background, those of a day first. One that a bound cuts counts where
        it ends, and `approximate` says so; a tag is no bound that cuts.

        Args:
            group: Name of a group.
            commits: A tag, pins, a commit or its name ("weather:17"), or (first, last) numbers; default: all.
            start: Only what was committed after this time.
            end: Only what was committed at this time or before.
            rebuild: Make what is missing first, from the files of history: of commits from before there were
                statistics.

        Raises:
            NotFoundError: Unknown group or tag. UsageError: The group has no rows of its own, or `commits` are none.
        """
        return statistics(self._parts, group, commits=commits, start=start, end=end, rebuild=rebuild)
