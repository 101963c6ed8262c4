"""A store in a temporary folder under a clock that tests set."""

from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup

MIDNIGHT = datetime(2024, 1, 2, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = MIDNIGHT

    def __call__(self):
        return self.now

    def move(self, **step):
        self.now += timedelta(**step)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


@pytest.fixture
def store(folder, clock):
    with asof.open(folder, clock=clock) as opened:
        yield opened


@pytest.fixture
def at():
    """Give the moment some hours after 2024-01-01T00:00Z; the clock begins at 24."""
    return lambda hours=0.0: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


@pytest.fixture
def airport():
    return Entity("airport", keys={"origin": "string"}, description="where flights begin")


@pytest.fixture
def weather(airport):
    """Give a maker of the weather group; keywords change its parts."""

    def make(**parts):
        given = {
            "entity": airport,
            "event_time": "time_hour",
            "features": [
                Feature("temp", "float64", description="air temperature", unit="°F"),
                Feature("visib", "float64", unit="mi"),
            ],
            "ttl": "6h",
            "online": True,
            "owner": "ops",
            "tags": {"domain": "flights"},
            "checks": [Check.between("temp", -60, 140)],
        }
        return FeatureGroup("weather", **(given | parts))

    return make


@pytest.fixture
def hourly(at):
    """Give rows of two airports for the first `hours`: temp is the hour, visib ten times the hour."""

    def make(hours=24, airports=("JFK", "LGA")):
        return [
            {"origin": origin, "time_hour": at(hour), "temp": float(hour), "visib": hour * 10.0}
            for origin in airports
            for hour in range(hours)
        ]

    return make
