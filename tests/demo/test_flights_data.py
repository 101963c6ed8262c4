"""The facts about the flights of 2013 that the demo builds on, checked against the raw files."""

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from asof.demo.source import load

pytestmark = pytest.mark.slow

MINUTE_US = 60_000_000
END_OF_WEATHER = datetime(2013, 12, 30, 23, tzinfo=UTC)


@pytest.fixture(scope="module")
def data():
    return load("data")


@pytest.fixture(scope="module")
def flights(data) -> pd.DataFrame:
    return data.flights().to_pandas()


def test_the_counts_are_those_that_the_demo_names(data):
    assert data.facts() == {
        "flights": 336_776,
        "weather_hours": 26_115,
        "weather_hours_utc": 26_115,
        "weather_hours_local": 26_112,
        "impossible_winds": 1,
        "planes": 3_322,
        "no_outcome": 9_430,
        "no_tailnum": 2_512,
        "no_tailnum_with_outcome": 0,
        "no_plane": 50_094,
        "no_zone": 7_602,
        "departures": 327_346,
        "two_landings_at_once": 0,
    }


def test_the_scheduled_departure_is_new_york_local_time_in_utc(flights):
    local = pd.to_datetime(flights[["year", "month", "day"]]) + pd.to_timedelta(
        flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100, unit="min"
    )
    assert (local.dt.tz_localize("America/New_York").dt.tz_convert("UTC") == flights["sched_dep"]).all()
    assert (local.dt.day_of_week == flights["weekday"]).all()


def test_a_flight_is_known_two_hours_ahead_and_landed_after_its_time_in_the_air(flights):
    assert (flights["sched_dep"] - flights["as_of"] == pd.Timedelta("2h")).all()
    done = flights[flights["arr_delay"].notna()]
    motion = pd.to_timedelta(done["dep_delay"] + done["air_time"], unit="min")
    assert (done["landed"] == done["sched_dep"] + motion).all()
    assert flights.loc[flights["arr_delay"].isna(), "landed"].isna().all()


def test_ninety_minutes_cover_the_taxi_times_of_99_in_100_flights(data, flights):
    zones = pd.read_csv(data._folder() / "airports.csv", usecols=["faa", "tzone"])
    done = flights[flights["arr_delay"].notna()].merge(zones, left_on="dest", right_on="faa")
    clock_min = done["arr_time"] // 100 * 60 + done["arr_time"] % 100
    landed_min = pd.Series(0.0, index=done.index)
    for zone, rows in done.groupby("tzone").groups.items():
        local = done.loc[rows, "landed"].dt.tz_convert(zone)
        landed_min[rows] = local.dt.hour * 60 + local.dt.minute
    taxi_min = (clock_min - landed_min + 720) % 1440 - 720  # both are times of the day
    assert 0.985 < (taxi_min <= 90).mean() < 0.995
    assert 25 < taxi_min.median() < 31


def test_histories_have_one_row_per_key_and_time_and_no_null_among_them(data):
    for table, keys in (
        (data.weather(), ["origin", "time_hour"]),
        (data.airports(), ["origin"]),
        (data.planes(), ["tailnum"]),
        (data.arrivals(), ["tailnum", "landed"]),
        (data.route_days(), ["origin", "dest", "day_end"]),
        (data.arrival_events(), ["carrier", "flight", "sched_dep"]),
    ):
        assert table.group_by(keys).aggregate([]).num_rows == table.num_rows
        assert all(table[key].null_count == 0 for key in keys)


def test_carrier_and_landing_are_no_key_of_arrivals(data):
    done = data.flights().filter(pc.is_valid(data.flights()["arr_delay"]))
    times = done.group_by(["carrier", "landed"]).aggregate([([], "count_all")])
    shared = pc.sum(times.filter(pc.greater(times["count_all"], 1))["count_all"]).as_py()
    assert 0.05 < shared / done.num_rows < 0.2
    assert data.flights().group_by(["carrier", "flight", "sched_dep"]).aggregate([]).num_rows == 336_776


def test_arrivals_as_events_are_all_landings_of_three_months(data, flights):
    events = data.arrival_events()
    assert events.num_rows == (flights["arr_delay"].notna() & (flights["landed"] >= "2013-10-01")).sum()
    assert events["landed"].to_pylist() == sorted(events["landed"].to_pylist())


def test_weather_ends_where_the_clock_of_the_demo_stands(data):
    assert pc.max(data.weather()["time_hour"]).as_py() == END_OF_WEATHER


def test_the_one_impossible_wind_is_null(data):
    wind = data.weather()["wind_speed"]
    assert pc.max(wind).as_py() < 200
    assert wind.null_count == 5  # four are null in the file


def test_a_day_of_a_route_counts_the_flights_that_landed_before_its_end(data, flights):
    days = data.route_days()
    assert pc.sum(days["flights"]).as_py() == 327_346
    one = days.filter(
        (pc.field("origin") == "JFK")
        & (pc.field("dest") == "LAX")
        & (pc.field("day_end") == pa.scalar(datetime(2013, 7, 2, tzinfo=UTC), days["day_end"].type))
    ).to_pylist()
    landed = flights[
        (flights["origin"] == "JFK")
        & (flights["dest"] == "LAX")
        & (flights["landed"] >= "2013-07-01")
        & (flights["landed"] < "2013-07-02")
    ]
    assert len(one) == 1
    assert one[0]["flights"] == len(landed) > 10
    assert one[0]["late_share"] == pytest.approx((landed["arr_delay"] > 15).mean())
    assert one[0]["mean_delay"] == pytest.approx(landed["arr_delay"].mean())


def test_the_spine_has_every_departure_with_an_outcome_and_its_label(data, flights):
    spine = data.departures()
    assert spine.num_rows == 327_346
    assert spine["late"].null_count == 0
    assert pc.sum(spine["late"]).as_py() == (flights["arr_delay"] > 15).sum()
    assert spine["as_of"].to_pylist()[:1000] == sorted(spine["as_of"].to_pylist()[:1000])
    assert data.timetable().num_rows == 336_776
    assert "arr_delay" not in spine.column_names


def test_the_impossible_wind_is_the_1048_mph_that_the_demo_names(data):
    winds = pd.read_csv(data._folder() / "weather.csv", usecols=["wind_speed"])["wind_speed"]
    assert int(winds.max()) == 1048
