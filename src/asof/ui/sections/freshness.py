"""How fresh a group is: what was stored when, and how far behind its events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from asof.clock import from_us
from asof.records import Commit
from asof.registry.registered import RegisteredGroup
from asof.ui.charts import DAY_US, Bar, Point, bars, line
from asof.ui.page import Section, Subject
from asof.ui.shown import day, moment

COMMITS = 400
"""The newest commits are shown."""

MOST_DAYS = 60

FEW_DAYS = 3
"""Below so many days each commit has a bar of its own."""

BARS = 40

UNITS = ((DAY_US, "days"), (3_600_000_000, "hours"), (60_000_000, "minutes"), (1_000_000, "seconds"))


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any] | None:
    group = subject.registered
    commits = subject.asked.sight.commits(group.stored, limit=COMMITS)
    if len(commits) < 2:  # noqa: PLR2004 - of one there is no course
        return None
    return {"charts": [chart for chart in (_rows(commits), _behind(commits, group.definition.ttl_us)) if chart]}


def _rows(commits: Sequence[Commit]) -> Any:  # noqa: ANN401 - markup
    """Return how many rows were stored by day; by commit where there are few days."""
    by_day: Counter[str] = Counter()
    for commit in commits:
        by_day[day(commit.committed_at_us)] += commit.rows
    if len(by_day) < FEW_DAYS:
        each = [
            Bar(str(commit.number), commit.rows, f"{commit.id}: {commit.rows:,} rows, {moment(commit.committed_at_us)}")
            for commit in commits[-BARS:]
        ]
        return bars(each, unit="rows by commit", about=f"Rows of each of the newest {len(each)} commits")
    last = commits[-1].committed_at_us // DAY_US
    first = max(commits[0].committed_at_us // DAY_US, last - MOST_DAYS + 1)
    days = [day(number * DAY_US) for number in range(first, last + 1)]
    each = [Bar(name, by_day[name], f"{name}: {by_day[name]:,} rows") for name in days]
    return bars(each, unit="rows by day", about=f"Rows stored on each day from {days[0]} to {days[-1]}")


def _behind(commits: Sequence[Commit], ttl_us: int | None) -> Any:  # noqa: ANN401 - markup
    """Return how old the newest row of each commit was when it was stored; None if that says nothing."""
    known = [
        (commit.committed_at_us, commit.committed_at_us - commit.max_event_us)
        for commit in commits
        if commit.max_event_us is not None and commit.kind in ("write", "push")
    ]
    if len(known) < 2:  # noqa: PLR2004 - as above
        return None
    worst = max(behind for _, behind in known)
    size, unit = next(((size, unit) for size, unit in UNITS if worst >= size), UNITS[-1])
    level = ttl_us / size if ttl_us is not None and ttl_us <= 3 * worst else None
    points = [Point(at_us, behind / size) for at_us, behind in known]
    since = from_us(known[0][0]).date()
    about = f"Age in {unit} of the newest row of each commit when it was stored, since {since}"
    return line(points, unit=f"{unit} behind its events", about=about, level=level, named="ttl")


OF_GROUP: Section[RegisteredGroup] = Section("Freshness", "sections/charts.html", _made)
