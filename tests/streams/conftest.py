"""A store with a group of arrivals, and messages for it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import asof.store
from asof import Check, Entity, Feature, FeatureGroup

START = datetime(2024, 1, 1, tzinfo=UTC)

arrivals = FeatureGroup(
    "arrivals",
    entity=Entity("flight", keys={"id": "int64"}),
    event_time="at",
    features=[Feature("delay", "float64"), Feature("dest", "string")],
    checks=[Check.between("delay", -100, 5000)],
    online=True,
)


def message(number: int, **other: object) -> bytes:
    row = {
        "id": number,
        "at": (START + timedelta(seconds=number)).isoformat(),
        "delay": number % 50 + 0.5,
        "dest": "JFK",
    }
    return json.dumps(row | other).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[asof.store.Store]:
    with asof.open(tmp_path / "store") as opened:
        opened.apply(arrivals)
        yield opened


def stored(store) -> list[int]:
    """Return the ids of all stored rows, of every version, in order."""
    return sorted(store.read("arrivals").to_arrow().column("id").to_pylist())
