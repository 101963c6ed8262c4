"""A store with a few rows, and a guard that sees whether anything was written."""

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView

NOW = datetime(2024, 1, 2, tzinfo=UTC)
DATABASE = ("registry.db", "registry.db-wal", "registry.db-shm")


@pytest.fixture(scope="session")
def at():
    """Give the moment some hours after 2024-01-01T00:00Z; the clock stands at 24."""
    return lambda hours=0.0: NOW - timedelta(days=1) + timedelta(hours=hours)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


@pytest.fixture(scope="session")
def weather():
    return FeatureGroup(
        "weather",
        entity=Entity("airport", keys={"origin": "string"}),
        event_time="time_hour",
        online=True,
        features=[
            Feature("temp", "float64"),
            Feature("runways", "int32"),
            Feature("open", "bool", nullable=False),
            Feature("code", "string"),
            Feature("parts", "list<string>"),
            Feature("box", "struct<at: timestamp, note: string>"),
        ],
        checks=[Check.between("temp", -60, 140), Check.one_of("code", "A", "B"), Check.matches("origin", "^[A-Z]*$")],
    )


@pytest.fixture(scope="session")
def gates():
    return FeatureGroup(
        "gates",
        entity=Entity("gate", keys={"number": "int16", "wing": "int64"}),
        event_time="t",
        online=True,
        features=[Feature("busy", "bool")],
    )


@pytest.fixture(scope="session")
def filled(tmp_path_factory, weather, gates, at):
    """Give the folder of a closed store with a few rows: a copy of it takes half the time of another."""
    folder = tmp_path_factory.mktemp("filled") / "features"
    row = row_of_weather(at)
    with asof.open(folder, clock=lambda: NOW) as made:
        made.apply(weather, gates, FeatureView("departure", features=[weather["temp"], gates["busy"]]))
        made.backfill("weather", [row])
        made.push("weather", {**row, "time_hour": at(2)})
        made.backfill("gates", [{"number": 1, "wing": 1, "t": at(1), "busy": True}])
    return folder


@pytest.fixture
def store(filled, folder):
    shutil.copytree(filled, folder)
    with asof.open(folder, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def good(at):
    """Give a row that weather accepts."""
    return row_of_weather(at)


def row_of_weather(at):
    return {
        "origin": "JFK",
        "time_hour": at(1),
        "temp": 1.0,
        "runways": 4,
        "open": True,
        "code": "A",
        "parts": ["x"],
        "box": {"at": at(0), "note": "n"},
    }


def picture(store, folder):
    """Return all that a write could change."""
    files = sorted(
        (str(path.relative_to(folder)), path.read_bytes() if path.suffix == ".parquet" else b"")
        for path in folder.rglob("*")
        if path.name not in DATABASE and "_delta_log" not in path.parts
    )
    groups = store.catalog.groups()
    with store._parts.online.snapshot() as snapshot:
        applied = dict(snapshot.applied)
    return (
        files,
        [group.ref for group in groups],
        {group.ref: [c.number for c in store.catalog.commits(group.ref)] for group in groups},
        {group.ref: store._parts.online.count(group.id) for group in groups},
        {group.ref: store._parts.log.snapshot(group) for group in groups},
        applied,
    )


@pytest.fixture
def nothing_written(store, folder):
    """Give a block in which nothing may be written."""

    @contextmanager
    def block():
        store._writer.upkeep.close()  # what runs in the background from before ends first
        before = picture(store, folder)
        yield
        assert picture(store, folder) == before

    return block
