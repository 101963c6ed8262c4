"""`asof model quality`."""

from datetime import UTC, datetime, timedelta

import pytest
from sklearn.linear_model import LinearRegression

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

NOW = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def predicted(tmp_path):
    """Give the folder of a store with a model that predicted three times."""
    folder, moment = tmp_path / "features", [NOW]
    airport = Entity("airport", keys={"origin": "string"})
    weather = FeatureGroup(
        "weather", entity=airport, event_time="at", features=[Feature("temp", "float64")], online=True
    )
    with asof.open(folder, clock=lambda: moment[0]) as store:
        store.apply(weather, FeatureView("departure", features=[weather]))
        times = [NOW - timedelta(hours=hour) for hour in range(1, 30)]
        store.backfill("weather", [{"origin": "JFK", "at": at, "temp": float(at.hour)} for at in times])
        spine = [{"origin": "JFK", "at": at, "delay": 2.0 * at.hour} for at in times]
        made = store.training_set("d", view="departure", spine=spine, time="at", label="delay")
        store.models.register("delays", LinearRegression().fit(*made.xy()), training_set=made, log=1.0)
        predictor = store.models.load("delays")
        for _ in range(3):
            moment[0] += timedelta(hours=1)
            predictor.predict_one({"origin": "JFK"})
    return folder


def test_it_counts_and_measures_by_rows_of_a_file(typed, document, predicted, tmp_path):
    found = document("model", "quality", predicted, "delays")
    assert [(row["model"], row["predictions"], row["outcomes"], row["pending"]) for row in found["rows"]] == [
        ("delays@1", 3, 0, 3)
    ]
    assert "is a column of its spine: pass outcomes=" in found["notes"][0]
    file = tmp_path / "came.csv"
    file.write_text("origin,at,delay\nJFK,2026-03-04T02:00:00Z,40.0\nJFK,2026-03-04T05:00:00Z,44.0\n")
    found = document("model", "quality", predicted, "delays@1", "--outcomes", file, "--every", "1h")
    assert found["every"] == "1h"
    assert [row["outcomes"] for row in found["rows"]] == [1, 1, 1]
    assert [round(row["measures"]["bias"]) for row in found["rows"]] == [6, 6, 2]
    shown = typed("model", "quality", predicted, "delays", "--outcomes", file).stdout
    assert "mae" in shown
    assert "delay of the rows given" in shown


def test_bounds_are_times_and_what_is_wrong_is_said(typed, document, predicted):
    words = ("--start", "2026-03-04T01:00:00Z", "--end", "2026-03-04T02:00:00Z")
    assert [row["predictions"] for row in document("model", "quality", predicted, "delays", *words)["rows"]] == [1]
    words = ("--start", "2027-01-01T00:00:00Z")
    assert document("model", "quality", predicted, "delays", *words)["rows"] == []
    assert "no prediction is logged" in typed("model", "quality", predicted, "delays", *words).stdout
    assert "is no length of time" in typed("model", "quality", predicted, "delays", "--every", "daily", code=2).stderr
