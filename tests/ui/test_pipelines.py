"""What pages show of features that are made on demand, and of training sets."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.on_demand_features import comfort, view, weather
from tests.ui.conftest import Ui

import asof

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pipelines") / "store"
    with asof.open(folder) as store:
        store.apply(weather, comfort, view)
        hours = [NOW - timedelta(hours=h) for h in range(5)]
        rows = [{"origin": "JFK", "time_hour": at, "temp": 40.0, "wind": 4, "note": "calm"} for at in hours]
        store.backfill("weather", rows)
        spine = [{"origin": "JFK", "at": at, "hour": 1, "limit": 3.0} for at in hours]
        store.training_set("departure-2026", view="departure", spine=spine, time="at")
    ui = Ui(folder)
    yield ui
    ui.stop()


def test_a_view_names_its_functions_its_inputs_and_its_training_sets(pages):
    page = pages.get("/views/departure")[1]
    assert "tests.on_demand_features:warmer_at(weather.temp, hour)" in page
    assert "hour: int64" in page
    assert "limit: float64" in page
    assert "departure-2026@1" in page
    assert "request={" in page
    assert "asof online" in page
    assert "limit=1" in page


def test_the_console_asks_for_what_a_request_brings(pages):
    assert "key.hour" in pages.get("/views/departure/lookup")[1]
    found = pages.get("/views/departure/lookup?key.origin=JFK&key.hour=5&key.limit=100")[1]
    assert "EXPIRED" in found
    assert "too_cold" in found
    assert "is no int64" in pages.get("/views/departure/lookup?key.origin=JFK&key.hour=x&key.limit=1")[1]


def test_lineage_leads_from_a_view_to_its_training_set(pages):
    page = pages.get("/lineage/departure")[1]
    assert "departure_2026_v1@1" in page
    assert pages.get("/groups/departure_2026_v1")[0] == 200
