"""`store.catalog` and `store.quality` of a remote store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from asof.arrow.frames import Frame, Origin, to_table
from asof.catalog import Catalog
from asof.catalog.catalog import Description, Lineage
from asof.catalog.search import Hit
from asof.catalog.split import Split
from asof.checks import CheckReport
from asof.client.link import Link
from asof.client.training_sets import KeptThere
from asof.definitions.monitor import Monitor
from asof.erasure import Certificate
from asof.parts import Pins
from asof.progress import Progress, showing
from asof.quality import Quality
from asof.quality.doctor import Diagnosis
from asof.quality.drift import Compared, is_frame
from asof.quality.explain import LIMIT
from asof.quality.explanation import Explanation
from asof.quality.monitors import MonitorRun
from asof.quality.statistics import Commits
from asof.records import Commit, Deed, Tag
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.registry.training_sets import KeptSet
from asof.serving.log import LogCounts
from asof.statistics import Drift, GroupStatistics
from asof.statistics.drift import ALPHA, MISSING, PSI
from asof.statistics.packing import unpack
from asof.training.frame import HistoricalFrame
from asof.training.sets.training_set import TrainingSet
from asof.wire import requests
from asof.wire.definitions import KnownGroup, KnownView, group_of, view_of
from asof.wire.reports import explanation_of
from asof.wire.tables import from_bytes, to_bytes
from asof.wire.values import record


class RemoteCatalog(Catalog):
    """Everything about knowing, asked of a server; see `Catalog`."""

    def __init__(self, link: Link, changed: Callable[[], None], read: Callable[..., HistoricalFrame]) -> None:
        """Keep the way to it; `read` is the store's."""
        self._link = link
        self._changed = changed
        self._read = read

    def groups(self) -> list[RegisteredGroup]:
        """See `Catalog.groups`."""
        found = record(list[KnownGroup], self._link.act("catalog.groups", requests.Nothing()))
        return list(map(group_of, found))

    def views(self) -> list[RegisteredView]:
        """See `Catalog.views`."""
        return list(map(view_of, record(list[KnownView], self._link.act("catalog.views", requests.Nothing()))))

    def training_sets(self) -> list[TrainingSet]:
        """See `Catalog.training_sets`."""
        found = record(list[KeptSet], self._link.act("catalog.training_sets", requests.Nothing()))
        return [TrainingSet(kept, KeptThere(self._link, self._read)) for kept in found]

    def remove_training_set(self, name: str) -> list[str]:
        """See `Catalog.remove_training_set`."""
        asked = requests.Named(name=name)
        return record(list[str], self._link.act("catalog.remove_training_set", asked, again=False, long=True))

    def find(self, name: str) -> RegisteredGroup | RegisteredView:
        """See `Catalog.find`."""
        found: Mapping[str, Any] = self._link.act("catalog.find", requests.Named(name=name))
        return view_of(record(KnownView, found)) if "groups" in found else group_of(record(KnownGroup, found))

    def commits(self, group: str | None = None, *, matching: str = "", limit: int | None = None) -> list[Commit]:
        """See `Catalog.commits`."""
        asked = requests.Commits(group=group, matching=matching, limit=limit)
        return record(list[Commit], self._link.act("catalog.commits", asked))

    def tag(self, name: str, *, message: str = "") -> Tag:
        """See `Catalog.tag`."""
        return record(Tag, self._link.act("catalog.tag", requests.Tag(name=name, message=message), again=False))

    def tags(self) -> list[Tag]:
        """See `Catalog.tags`."""
        return record(list[Tag], self._link.act("catalog.tags", requests.Nothing()))

    def untag(self, name: str) -> None:
        """See `Catalog.untag`."""
        self._link.act("catalog.untag", requests.Named(name=name), again=False)

    def erasures(self) -> list[Certificate]:
        """See `Catalog.erasures`."""
        return record(list[Certificate], self._link.act("catalog.erasures", requests.Nothing()))

    def audit(self, *, matching: str = "", limit: int | None = None) -> list[Deed]:
        """See `Catalog.audit`."""
        return record(list[Deed], self._link.act("catalog.audit", requests.Audit(matching=matching, limit=limit)))

    def search(self, words: str) -> list[Hit]:
        """See `Catalog.search`."""
        return record(list[Hit], self._link.act("catalog.search", requests.Words(words=words)))

    def describe(self, name: str) -> Description:
        """See `Catalog.describe`."""
        return record(Description, self._link.act("catalog.describe", requests.Named(name=name)))

    def lineage(self, name: str) -> Lineage:
        """See `Catalog.lineage`."""
        return record(Lineage, self._link.act("catalog.lineage", requests.Named(name=name)))

    def split(self, group: str, *, cold: Sequence[str]) -> Split:
        """See `Catalog.split`."""
        return record(Split, self._link.act("catalog.split", requests.Split(group=group, cold=cold)))

    def remove(self, name: str) -> list[str]:
        """See `Catalog.remove`."""
        gone = record(list[str], self._link.act("catalog.remove", requests.Named(name=name), again=False, long=True))
        self._changed()
        return gone


class RemoteQuality(Quality):
    """Everything about trust, asked of a server; see `Quality`."""

    def __init__(self, link: Link) -> None:
        """Keep the way to it."""
        self._link = link

    def doctor(self, *, repair: bool = False, progress: Progress | bool = False) -> Diagnosis:
        """See `Quality.doctor`."""
        asked = requests.Doctor(repair=repair)
        with showing("examining", progress=progress, unit="rows") as advance:
            return record(Diagnosis, self._link.act("quality.doctor", asked, advance=advance, long=True))

    def serving_log(self, view: str, *, flush: bool = False) -> LogCounts:
        """See `Quality.serving_log`; counts are those of the server's process that answers."""
        return record(LogCounts, self._link.act("quality.serving_log", requests.ServingLog(view=view, flush=flush)))

    def check(self, group: str, frame: Frame) -> CheckReport:
        """See `Quality.check`."""
        asked = requests.Check(group=group, frame=_sent(frame, group))
        return record(CheckReport, self._link.act("quality.check", asked, long=True))

    def reports(self, group: str, *, limit: int | None = None) -> list[CheckReport]:
        """See `Quality.reports`."""
        return record(list[CheckReport], self._link.act("quality.reports", requests.Reports(group=group, limit=limit)))

    def quarantine(self, group: str) -> HistoricalFrame:
        """See `Quality.quarantine`."""
        found: Mapping[str, Any] = self._link.act("quality.quarantine", requests.Quarantine(group=group), long=True)
        return HistoricalFrame(from_bytes(found["rows"]), Origin("arrow"), found["commits"])

    def replay(self, group: str, frame: Frame | None = None, *, backfill: bool = False) -> list[Commit]:
        """See `Quality.replay`."""
        rows = None if frame is None else _sent(frame, group)
        asked = requests.ReplayItems(group=group, frame=rows, backfill=backfill)
        return record(list[Commit], self._link.act("quality.replay", asked, again=False, long=True))

    def dismiss(self, group: str, items: Sequence[str], *, reason: str) -> int:
        """See `Quality.dismiss`."""
        given = items if isinstance(items, str) else list(items)
        asked = requests.Dismiss(group=group, items=given, reason=reason)
        return record(int, self._link.act("quality.dismiss", asked, again=False))

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
        """See `Quality.explain`."""
        asked = requests.Explain(
            view=view, keys=dict(keys), at=at, feature=feature, known=known, commits=commits, limit=limit
        )
        return explanation_of(self._link.act("quality.explain", asked, long=True))

    def statistics(
        self,
        group: str,
        *,
        commits: Commits = None,
        start: datetime | None = None,
        end: datetime | None = None,
        rebuild: bool = False,
    ) -> GroupStatistics:
        """See `Quality.statistics`."""
        given = commits.id if isinstance(commits, Commit) else commits
        asked = requests.Statistics(group=group, commits=given, start=start, end=end, rebuild=rebuild)
        return unpack(self._link.act("quality.statistics", asked, long=True))

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
        """See `Quality.drift`."""
        asked = requests.Drift(
            view=view,
            baseline=_side(baseline, "baseline="),
            current=_side(current, "current="),
            features=features,
            by=by,
            alpha=alpha,
            psi=psi,
            missing=missing,
        )
        return record(Drift, self._link.act("quality.drift", asked, long=True))

    def monitor(self, monitor: Monitor) -> MonitorRun:
        """See `Quality.monitor`."""
        given = {name: part for name, part in asdict(monitor).items() if name not in ("view", "webhook")}
        asked = requests.MonitorRequest(view=monitor.view, monitor=given)
        return record(MonitorRun, self._link.act("quality.monitor", asked, again=False, long=True))

    def monitor_runs(self, view: str, *, monitor: str | None = None, limit: int | None = None) -> list[MonitorRun]:
        """See `Quality.monitor_runs`."""
        asked = requests.MonitorRuns(view=view, monitor=monitor, limit=limit)
        return record(list[MonitorRun], self._link.act("quality.monitor_runs", asked))


def _side(given: Compared, where: str) -> object:
    """Return a side of a comparison as it is sent: a frame as an Arrow stream, all else as it is."""
    if is_frame(given):
        return to_bytes(to_table(given, where=where)[0])
    return given.id if isinstance(given, Commit) else given


def _sent(frame: Frame, group: str) -> bytes:
    return to_bytes(to_table(frame, where=f"group {group}")[0])
