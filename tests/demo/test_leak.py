"""What the demo calls a leak, on a year of two flights."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest

from asof.demo.leak import careful_join, naive_join
from asof.demo.source import load

UTC_US = pa.timestamp("us", tz="UTC")
NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def moments(*hours):
    return pa.array([NOON + timedelta(hours=hour) for hour in hours], UTC_US)


@pytest.fixture
def year():
    """One aircraft leaves at noon and lands at 15:00, 60 minutes late: known from 16:30 on."""
    flights = pa.table(
        {
            "tailnum": ["N1"],
            "sched_dep": moments(0),
            "landed": moments(3),
            "arr_delay": pa.array([60], pa.int64()),
            "dep_delay": pa.array([50], pa.int64()),
        }
    )
    days = pa.table(
        {
            "origin": ["JFK"],
            "dest": ["LAX"],
            "day_end": moments(12),
            "late_share": [1.0],
            "mean_delay": [60.0],
        }
    )
    return SimpleNamespace(flights=lambda: flights, route_days=lambda: days)


def asked_at(*hours, last_arr_delay, route_late_share):
    count = len(hours)
    return pa.table(
        {
            "origin": ["JFK"] * count,
            "dest": ["LAX"] * count,
            "tailnum": ["N1"] * count,
            "as_of": moments(*hours),
            "last_arr_delay": pa.array(last_arr_delay, pa.int64()),
            "last_dep_delay": pa.array([v and 50 for v in last_arr_delay], pa.int64()),
            "route_late_share": pa.array(route_late_share, pa.float64()),
            "route_mean_delay": pa.array([v and 60.0 for v in route_late_share], pa.float64()),
        }
    )


def test_a_value_leaks_until_the_time_from_which_it_is_known(year):
    # At 14:00 it flies; at 16:00 it has landed, nobody has heard of it; at 16:30 it is known.
    # The day ends at midnight, and its figures are known at 6:00.
    frame = asked_at(2, 4, 4.5, 18, last_arr_delay=[None, None, 60, 60], route_late_share=[None, None, None, 1.0])
    arrivals, days = naive_join(year, load("features"), frame)
    assert (arrivals.answered, arrivals.leaked, arrivals.differing) == (4, 2, 2)
    assert (days.answered, days.leaked, days.differing) == (4, 3, 3)


def test_the_join_on_the_time_from_which_it_is_known_leaks_nothing(year):
    frame = asked_at(2, 4, 4.5, 18, last_arr_delay=[None, None, 60, 60], route_late_share=[None, None, None, 1.0])
    tables = {"aircraft_arrivals": year.flights(), "route_days": year.route_days()}
    arrivals, days = careful_join(tables, load("features"), frame)
    assert (arrivals.answered, arrivals.leaked, arrivals.differing) == (2, 0, 0)
    assert (days.answered, days.leaked, days.differing) == (1, 0, 0)


def test_the_join_forgets_a_value_in_the_microsecond_in_which_it_expires(year):
    ttl_hours = 3 * 24
    before = timedelta(microseconds=1) / timedelta(hours=1)
    frame = asked_at(3 + ttl_hours - before, 3 + ttl_hours, last_arr_delay=[60, None], route_late_share=[1.0, 1.0])
    arrivals, days = careful_join(
        {"aircraft_arrivals": year.flights(), "route_days": year.route_days()}, load("features"), frame
    )
    assert (arrivals.answered, arrivals.differing) == (1, 0)
    assert (days.answered, days.differing) == (2, 0)
