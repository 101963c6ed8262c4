"""What a historical read says beside its rows, and why a view answered: as messages."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from asof.engine.port import Profile
from asof.errors import UsageError
from asof.quality.explanation import Explained, ExplainedWindow, Explanation, Version
from asof.records import ExternalRead, Status
from asof.training.frame import HistoricalFrame
from asof.training.plan import ReadPlan
from asof.training.report import Comparison, Report
from asof.wire.values import record


class SentReport(msgspec.Struct):
    """A `Report`, but for what it can do."""

    rows: int
    counts: dict[str, dict[Status, int]]
    coincide: dict[str, int]
    known: dict[str, str]
    profiles: dict[str, Profile] | None = None
    external: dict[str, ExternalRead] = {}


def sent_report(frame: HistoricalFrame) -> SentReport:
    """Return a frame's report as a message."""
    report = frame.report
    profiles: Mapping[str, Profile] | None = None
    try:
        profiles = report.plan.profiles
    except UsageError:  # nobody asked
        profiles = None
    return SentReport(
        report.rows,
        {group: dict(counts) for group, counts in report.counts.items()},
        dict(report.coincide),
        dict(report.known),
        None if profiles is None else dict(profiles),
        dict(report.external),
    )


def report_of(sent: SentReport, compare: Callable[[], Comparison]) -> Report:
    """Return the report of a message."""
    plan = None if sent.profiles is None else ReadPlan(sent.profiles)
    return Report(sent.rows, sent.counts, sent.coincide, sent.known, compare, plan, external=sent.external)


def explanation_of(said: Mapping[str, Any]) -> Explanation:
    """Return the explanation of a message.

    Raises:
        UsageError: It is none.
    """
    try:
        lookups = tuple(map(_explained, said["lookups"]))
        return Explanation(said["view"], said["keys"], said["at"], lookups)
    except (KeyError, TypeError) as error:
        raise UsageError(f"this is no explanation: {error}") from error


def _explained(said: Mapping[str, Any]) -> Explained:
    """Return a look-up of an explanation; msgspec takes no type that is a text or a time, as `known` is."""
    answer = None if said["answer"] is None else record(Version, said["answer"])
    others, windows = record(list[Version], said["others"]), record(list[ExplainedWindow], said["windows"])
    parts: dict[str, Any] = {**said, "answer": answer, "others": tuple(others), "windows": tuple(windows)}
    return Explained(**parts)
