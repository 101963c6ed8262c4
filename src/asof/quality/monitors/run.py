"""One run of a monitor: a comparison, the age of the newest event, and what is kept of both."""

from datetime import datetime

import msgspec

from asof.clock import from_us, show_us
from asof.definitions.durations import show_duration
from asof.definitions.monitor import Monitor
from asof.parts import Parts, definition, resolve
from asof.quality.drift import drift, side_from
from asof.registry.monitor_runs import Alert, Kept, MonitorRun
from asof.registry.monitors import MonitorFound
from asof.registry.registered import RegisteredGroup
from asof.statistics import Drift, Limits

COMMITS = 1_000
"""The newest commits among which the newest event is looked for."""


def run_monitor(parts: Parts, monitor: Monitor) -> MonitorRun:
    """Run a monitor, and keep what it found; see `Quality.monitor`."""
    name = definition(parts.registry, monitor.view).definition.name
    now_us = parts.now_us()
    found = MonitorRun(monitor.name, name, now_us, parts.writer)
    if monitor.baseline:
        found = _compared(found, monitor, _drift(parts, monitor, from_us(now_us)))
    found = msgspec.structs.replace(found, alerts=(*found.alerts, *_aged(parts, monitor, now_us)))
    body = msgspec.json.encode(found).decode()
    parts.monitors.add(MonitorFound(name, monitor.name, now_us, parts.writer, body))
    return found


def runs(parts: Parts, view: str, *, monitor: str | None, limit: int | None) -> list[MonitorRun]:
    """Return what monitors found; see `Quality.monitor_runs`."""
    name = definition(parts.registry, view).definition.name
    kept = parts.monitors.of(name, monitor=monitor, limit=limit)
    return [msgspec.json.decode(each.body, type=MonitorRun) for each in kept]


def _drift(parts: Parts, monitor: Monitor, now: datetime) -> Drift:
    return drift(
        parts,
        monitor.view,
        baseline=side_from(monitor.baseline, now),
        current=side_from(monitor.current, now),
        features=list(monitor.features) or None,
        by=monitor.by or None,
        limits=Limits(monitor.alpha, monitor.psi, monitor.missing),
    )


def _compared(found: MonitorRun, monitor: Monitor, drift: Drift) -> MonitorRun:
    alerts = [
        Alert("drift", each.feature, str(each), each.moved_by[0].id if each.moved_by else "", each.segment)
        for each in drift.drifted
    ]
    for each in drift.features:
        if each.current_rows < monitor.min_rows:
            told = f"{each.name}: {each.current_rows:,} rows, and {monitor.min_rows:,} are wanted"
            alerts.append(Alert("rows", each.feature, told, segment=each.segment))
        if monitor.max_missing is not None and each.current_missing > monitor.max_missing:
            told = f"{each.name}: {each.current_missing:.1%} are missing, and {monitor.max_missing:.1%} may be"
            alerts.append(Alert("missing", each.feature, told, segment=each.segment))
    features = tuple(
        Kept(
            each.feature,
            each.verdict,
            each.p,
            {name: measured.value for name, measured in each.measures.items()},
            each.current_missing,
            each.current_rows,
            each.segment,
        )
        for each in drift.features
    )
    return msgspec.structs.replace(
        found, baseline=drift.baseline, current=drift.current, alerts=tuple(alerts), features=features, by=drift.by
    )


def _aged(parts: Parts, monitor: Monitor, now_us: int) -> list[Alert]:
    """Return what is said of groups whose newest event is too old."""
    most_us = monitor.max_age_us
    if most_us is None:
        return []
    groups = {group.stored.id: group.stored for group in resolve(parts, monitor.view).groups.values()}
    found: list[Alert] = []
    for group in groups.values():
        newest_us = None if group.definition.external is not None else _newest_us(parts, group)
        if newest_us is None or now_us - newest_us > most_us:
            last = "nothing was written yet" if newest_us is None else f"the newest is of {show_us(newest_us)}"
            told = f"{group.ref}: {last}, and it may be {show_duration(most_us)} old"
            found.append(Alert("age", group.ref, told))
    return found


def _newest_us(parts: Parts, group: RegisteredGroup) -> int | None:
    """Return the greatest event time among the newest commits; of a static group the time of the newest commit."""
    commits = [each for each in parts.log.commits(group, limit=COMMITS) if each.rows + each.unchanged]
    if group.definition.static:
        return max((each.committed_at_us for each in commits), default=None)
    return max((each.max_event_us for each in commits if each.max_event_us is not None), default=None)
