"""Feature repositories of the shapes that are usual in public: a template, an old one, several files, a scoring one."""

from datetime import UTC, datetime, timedelta
from textwrap import dedent

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asof.feast.reading import read_repository

HOUR = datetime(2024, 1, 1, 12)  # naive, as pandas writes them  # noqa: DTZ001

SETTINGS = """
project: rides
registry: data/registry.db
provider: local
online_store:
    type: sqlite
    path: data/online_store.db
"""

TEMPLATE = """
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Float64, Int64, Map, String

driver = Entity(name="driver", join_keys=["driver_id"], description="who drives")
hourly = FileSource(
    name="hourly", path="data/trips.parquet", timestamp_field="event_timestamp", created_timestamp_column="created"
)
trips = FeatureView(
    name="driver_trips",
    entities=[driver],
    ttl=timedelta(days=1, hours=6),
    schema=[
        Field(name="conv_rate", dtype=Float64),
        Field(name="trips", dtype=Int64, description="in the last hour", tags={"unit": "trips"}),
        Field(name="extra", dtype=Map),
        Field(name="embedding", dtype=Array(Float32), vector_index=True, vector_length=2),
    ],
    online=True,
    source=hourly,
    tags={"team": "rides"},
    owner="ana@example.com",
    description="What drivers did",
)
asked = RequestSource(name="asked", schema=[Field(name="bonus", dtype=Int64), Field(name="more", dtype=Float64)])


@on_demand_feature_view(
    sources=[trips, asked],
    schema=[Field(name="score", dtype=Float64), Field(name="good", dtype=Float64), Field(name="odd", dtype=Float64)],
)
def scored(inputs: pd.DataFrame) -> pd.DataFrame:
    '''How good a driver is.'''
    df = pd.DataFrame()
    twice = inputs["conv_rate"] * 2
    df["score"] = (twice + inputs["bonus"]).astype("float64")
    df["good"] = (df["score"] - inputs["more"] / 4).clip(0, 100)
    df["odd"] = inputs["trips"].rolling(3).mean()
    return df


@on_demand_feature_view(
    sources=[trips[["trips"]]], schema=[Field(name="listed", dtype=Float64)], mode="python", singleton=True
)
def in_python(inputs):
    return {"listed": [trip * 1.0 for trip in inputs["trips"]]}


ranking = FeatureService(
    name="ranking",
    features=[trips[["conv_rate"]], scored],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="logs"), sample_rate=0.5),
)
everything = FeatureService(name="driver_trips", features=[trips, in_python], owner="bo")
fresh = FeatureView(
    name="driver_trips_fresh",
    entities=[driver],
    schema=[Field(name="conv_rate", dtype=Float64), Field(name="driver_id", dtype=Int64)],
    source=PushSource(name="trips_push", batch_source=hourly),
    online=True,
)
"""


def written(folder, **files):
    """Write a repository, its files by names with `__` for folders, and return its folder."""
    folder.mkdir(exist_ok=True)
    (folder / "feature_store.yaml").write_text(files.pop("settings", SETTINGS))
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text))
    return folder


def trips(folder):
    """Write the rows of the template's source."""
    (folder / "data").mkdir()
    times = [HOUR, HOUR + timedelta(hours=1)]
    rows = {
        "driver_id": pa.array([1, 2], pa.int64()),
        "event_timestamp": pa.array(times, pa.timestamp("ns")),
        "conv_rate": pa.array([0.5, None], pa.float64()),
        "trips": pa.array([10, 20], pa.int32()),
        "extra": pa.array(["x", "y"]),
        "embedding": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32())),
        "created": pa.array(times, pa.timestamp("ns")),
    }
    pq.write_table(pa.table(rows), folder / "data/trips.parquet")


@pytest.fixture
def template(tmp_path):
    """Give the folder of a repository as Feast's own template makes them, with the rows of its source."""
    folder = written(tmp_path / "repo", features=TEMPLATE)
    trips(folder)
    return folder


@pytest.fixture
def read(tmp_path):
    """Give what reads a repository of some files."""
    return lambda **files: read_repository(written(tmp_path / "repo", **files))


@pytest.fixture
def remarked():
    """Give what finds the remarks that hold a text."""

    def find(found, text):
        return [each for each in found.remarks if text in each.what]

    return find


@pytest.fixture
def at():
    """Give the time some hours after the first row."""
    return lambda hours: HOUR.replace(tzinfo=UTC) + timedelta(hours=hours)
