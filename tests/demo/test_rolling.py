"""What the demo calls a leak in windows, on three flights."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from asof.demo.rolling import over_the_timetable, over_what_was_known
from asof.demo.source import load

UTC_US = pa.timestamp("us", tz="UTC")
NOON = datetime(2013, 11, 1, 12, tzinfo=UTC)


def moments(*hours):
    return pa.array([NOON + timedelta(hours=hour) for hour in hours], UTC_US)


@pytest.fixture
def group():
    return load("features").carrier_arrivals


@pytest.fixture
def events():
    """UA leaves at noon and at 15:00, lands two hours later, and is heard of at 15:30 and 18:30; AA at noon."""
    return pa.table(
        {
            "carrier": ["UA", "UA", "AA"],
            "sched_dep": moments(0, 3, 0),
            "landed": moments(2, 5, 2),
            "arr_delay": pa.array([60, 10, 5], pa.int64()),
        }
    )


def frame_of(*departures, **of_store):
    """Return departures of UA, predicted two hours ahead, with values of the store; nothing counts if none are given."""
    count = len(departures)
    nothing = {name: [0] * count for name in ("count_6h", "count_24h", "late_6h", "late_24h")}
    nothing |= {name: [None] * count for name in ("arr_delay_mean_6h", "arr_delay_mean_24h")}
    return pa.table(
        {
            "carrier": ["UA"] * count,
            "sched_dep": moments(*departures),
            "as_of": moments(*(hour - 2 for hour in departures)),
            **{name: pa.array(values, pa.float64()) for name, values in (nothing | of_store).items()},
        }
    )


def test_a_window_over_the_timetable_holds_the_very_flight_and_those_in_the_air(events, group):
    # Departures at noon and at 15:00, asked for at 10:00 and at 13:00: nothing had been heard of.
    six, day = over_the_timetable(frame_of(0, 3), events, group)
    for window in (six, day):
        assert (window.held, window.unknown, window.differing) == (3, 3, 2)
    assert six.columns["count_6h"].to_pylist() == [1, 2]
    assert six.columns["late_6h"].to_pylist() == [1, 1]
    assert six.columns["arr_delay_mean_6h"].to_pylist() == [60, 35]


def test_a_window_over_what_was_known_begins_with_the_landing_and_ends_with_the_question(events, group):
    # Asked for at 15:30, when the first is heard of, and at 20:00, six hours after it landed: it is no more in 6h.
    one = {"count_6h": [1, 1], "late_6h": [1, 0], "arr_delay_mean_6h": [60, 10]}
    both = {"count_24h": [1, 2], "late_24h": [1, 1], "arr_delay_mean_24h": [60, 35]}
    six, day = over_what_was_known(frame_of(5.5, 10, **one, **both), events, group)
    assert (six.held, six.unknown, six.differing) == (2, 0, 0)
    assert (day.held, day.unknown, day.differing) == (3, 0, 0)


def test_a_mean_of_nothing_is_null_on_both_sides(events, group):
    six, day = over_what_was_known(frame_of(5.4), events, group)
    assert six.columns["arr_delay_mean_6h"].null_count == day.columns["arr_delay_mean_24h"].null_count == 1
    assert six.differing == day.differing == 0


def test_a_value_of_the_store_that_is_otherwise_is_counted(events, group):
    six, day = over_what_was_known(frame_of(5.4, count_6h=[1]), events, group)
    assert (six.differing, day.differing) == (1, 0)
