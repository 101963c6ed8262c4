"""`store.quality`: everything about trust."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from asof.arrow.frames import Frame
from asof.checks import CheckReport
from asof.definitions.monitor import Monitor
from asof.ingest.write import Writer
from asof.parts import Parts, Pins
from asof.progress import Progress, showing
from asof.quality.doctor import Diagnosis, Examined, diagnose
from asof.quality.drift import Compared, drift
from asof.quality.explain import LIMIT, explain
from asof.quality.explanation import Explanation
from asof.quality.monitors import MonitorRun, run_monitor, runs
from asof.quality.quarantine import check, dismiss, quarantine, replay, reports
from asof.quality.statistics import Commits, statistics
from asof.records import Commit
from asof.serving.log import LogCounts, ServingLog
from asof.statistics import Drift, GroupStatistics, Limits
from asof.statistics.drift import ALPHA, MISSING, PSI
from asof.training.frame import HistoricalFrame


class Quality:
    """Everything about trust.

    Args:
        parts: The store's parts.
        writer: Writes.
        log: The serving log.
        models: Examines the files of models; is told whether to repair.
    """

    def __init__(self, parts: Parts, writer: Writer, log: ServingLog, models: Callable[[bool], Examined]) -> None:
        """Keep the parts."""
        self._parts = parts
        self._writer = writer
        self._log = log
        self._models = models

    def doctor(self, *, repair: bool = False, progress: Progress | bool = False) -> Diagnosis:
        """Read every file and row of the store and say what is wrong.

        Args:
            repair: Apply commits that the online store lacks, rebuild it where it is wrong, mirror the commit log in
                Delta, delete debris, and what a registration of a model left that was broken off. A damaged file of
                history or of a model cannot be repaired; it is named.
            progress: True for a bar, or a callable that is told (done, total) of rows read and online keys compared.
        """
        with showing("examining", progress=progress, unit="rows") as advance:
            found = diagnose(
                self._parts,
                self._writer.feed,
                self._writer.upkeep,
                repair=repair,
                unlogged=self._log.failures(),
                progress=advance,
            )
        kept = self._models(repair)
        return replace(found, findings=(*found.findings, *kept.findings), models=kept.count)

    def check(self, group: str, frame: Frame) -> CheckReport:
        """Say what the checks of a group say of rows, and store nothing.

        Args:
            group: Name of a group.
            frame: Rows, as `write` takes them.

        Raises:
            NotFoundError: Unknown group. DataError: The rows have other columns or types.
        """
        return check(self._parts, group, frame)

    def reports(self, group: str, *, limit: int | None = None) -> list[CheckReport]:
        """Return what checks said of the writes to a group, the oldest first, refused ones among them.

        Args:
            group: Name of a group.
            limit: Only so many, the newest.

        Raises:
            NotFoundError: Unknown group.
        """
        return reports(self._parts, group, limit=limit)

    def quarantine(self, group: str) -> HistoricalFrame:
        """Return the rows of a group that broke a check, and that are still to be looked after.

        Those whose key and event time came again since, in whatever way, are settled, and not among them.

        Returns:
            The group's columns, and `__item` (its name), `__reasons` (the checks that it broke), `__row` (its number in
            the frame that came, from 0; null if it is not known), `__set_aside_at`, and `__commit` (that of the rows
            that came with it).

        Raises:
            NotFoundError: Unknown group.
        """
        return quarantine(self._parts, group)

    def replay(self, group: str, frame: Frame | None = None, *, backfill: bool = False) -> list[Commit]:
        """Store rows that are in quarantine, mended or as they are, and take them out of it, in one step.

        Checks are asked again: what still breaks one stays, with a warning; if all rows do, nothing is stored.

        Args:
            group: Name of a group.
            frame: What `quarantine` gave, mended: the rows that it still holds are stored, told by `__item`. None: all
                rows as they are, if a check was wrong and is mended.
            backfill: Count as known by event time and delay; else they are known from now on, as they were not before.

        Returns:
            The commits: one for each shape of rows, usually one.

        Raises:
            DataError: All of them still break a check, or have other columns or types. NotFoundError: Unknown group, or
                an item that is not in quarantine any more. UsageError: A frame that does not say which rows it mends.
        """
        return replay(self._parts, self._writer, group, frame, backfill=backfill)

    def dismiss(self, group: str, items: Sequence[str], *, reason: str) -> int:
        """Take rows out of quarantine that are not to be stored; history keeps them.

        Args:
            group: Name of a group.
            items: Their names: `__item` of `quarantine`.
            reason: Why; kept.

        Returns:
            How many they were.

        Raises:
            NotFoundError: Unknown group, or an item that is not in quarantine. UsageError: No reason.
        """
        return dismiss(self._parts, self._writer, group, items, reason=reason)

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

    def drift(  # noqa: PLR0913 - one question
        self,
        view: str,
        *,
        baseline: Compared,
        current: Compared,
        features: Sequence[str] | None = None,
        by: str | None = None,
        alpha: float = ALPHA,
        psi: float = PSI,
        missing: float = MISSING,
    ) -> Drift:
        """Say which features are of another distribution than they were, and which commits moved them.

        A feature has drifted if a test says so, corrected for all features, and the move is large enough: see
        `asof.statistics.drift`. Commits are compared by the statistics that are kept with them: no row is read, and
        `moved_by` names those of `current` without which the move would be least.

        Args:
            view: Name of a view, or of a group.
            baseline: With what to compare. A commit or its name, (first, last) numbers, a tag, pins; a window (start,
                end) of commit time, after the one and up to the other; a frame, such as a training set; "online" and
                "offline": what is served now, and what history says now, of a sample of 10,000 keys, to find which
                history is read; "served": the newest 100,000 answers of the serving log, about.
            current: What to compare, said in the same ways.
            features: Which, by their output names; default: all that both sides have, `notes` names the others.
            by: Compare each segment for itself: rows with the same value of this column. The rows of commits are read
                for that, and the column is one of their group; no commits are named.
            alpha: In which share of the comparisons of like with like some feature may be called drifted.
            psi: Least population stability index of a feature that drifted.
            missing: Or least change of its share of missing values.

        Raises:
            NotFoundError: Unknown view, feature, column, group or tag. UsageError: A side is nothing that can be
                compared, or nothing is on both sides.
        """
        limits = Limits(alpha, psi, missing)
        return drift(self._parts, view, baseline=baseline, current=current, features=features, by=by, limits=limits)

    def monitor(self, monitor: Monitor) -> MonitorRun:
        """Run a monitor now, and keep what it found. Nobody is told: `asof monitor run` does that.

        Raises:
            NotFoundError: Unknown view, feature or tag. UsageError: As `drift`.
        """
        return run_monitor(self._parts, monitor)

    def monitor_runs(self, view: str, *, monitor: str | None = None, limit: int | None = None) -> list[MonitorRun]:
        """Return what monitors of a view found, in the order of the runs; of each monitor the newest 1,000 are kept.

        Args:
            view: Name of a view, or of a group.
            monitor: Only those of this monitor.
            limit: Only so many, the newest.

        Raises:
            NotFoundError: Unknown view.
        """
        return runs(self._parts, view, monitor=monitor, limit=limit)
