"""The other side of beside_feast.py, in Feast's environment: requests on stdin, answers on stdout, JSON lines."""

import json
import socket
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

FOLDER = Path(sys.argv[1])
WIDTHS = (7, 7, 7, 7, 7, 7, 7, 6)
ANSWERS = sys.stdout
sys.stdout = sys.stderr  # Feast prints

warnings.simplefilter("ignore")


def opened(kind):
    """Return a Feast store over the folder's Parquet files."""
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(FOLDER / f"feast-{kind}.db"),
            online_store={"type": "sqlite", "path": str(FOLDER / f"feast-{kind}-online.db")},
            offline_store={"type": kind},
            entity_key_serialization_version=3,
        )
    )
    user = Entity(name="user", join_keys=["user"], value_type=ValueType.INT64)
    views = [
        FeatureView(
            name=f"g{at}",
            entities=[user],
            ttl=timedelta(0),
            schema=[Field(name=f"g{at}_f{number}", dtype=Float64) for number in range(width)],
            source=FileSource(path=str(FOLDER / f"g{at}.parquet"), timestamp_field="ts"),
        )
        for at, width in enumerate(WIDTHS)
    ]
    store.apply([user, *views])
    return store


def names(groups):
    """Return the features of the first groups, as Feast names them."""
    return [f"g{at}:g{at}_f{number}" for at in range(groups) for number in range(WIDTHS[at])]


STORES = {}
EVERYTHING = names(8)


def store_of(kind):
    """Return a store, opened once."""
    if kind not in STORES:
        STORES[kind] = opened(kind)
    return STORES[kind]


def materialize(_):
    """Load the online store."""
    store = store_of("file")
    start = time.perf_counter()
    store.materialize(datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    return {"seconds": time.perf_counter() - start}


def online(request):
    """Read one entity a call."""
    store = store_of("file")
    took = []
    for key in request["keys"]:
        start = time.perf_counter_ns()
        store.get_online_features(EVERYTHING, [{"user": key}]).to_dict()
        took.append((time.perf_counter_ns() - start) / 1000)
    return {"took_us": took}


def values(request):
    """Return the values of one entity."""
    found = store_of("file").get_online_features(EVERYTHING, [{"user": request["key"]}]).to_dict()
    return {"values": {name: value[0] for name, value in found.items() if name != "user"}}


def historical(request):
    """Make a training set."""
    store = store_of(request["store"])
    asked = pd.read_parquet(FOLDER / "spine.parquet").rename(columns={"t": "event_timestamp"})
    start = time.perf_counter()
    found = store.get_historical_features(asked, names(request["groups"])).to_df()
    return {"seconds": time.perf_counter() - start, "rows": len(found)}


WHAT = {"materialize": materialize, "online": online, "values": values, "historical": historical}

if sys.argv[2:] == ["serve"]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    print(f"127.0.0.1:{port}", flush=True)
    store_of("file").serve("127.0.0.1", port, max_requests=0)  # else a worker ends after 1,000 requests

for line in sys.stdin:
    request = json.loads(line)
    ANSWERS.write(json.dumps(WHAT[request["what"]](request)) + "\n")
    ANSWERS.flush()
