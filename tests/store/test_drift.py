"""Drift between commits, tags, windows, frames and what is served; and which commit moved it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count
from asof.errors import NotFoundError, UsageError

airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup(
    "weather",
    entity=airport,
    event_time="t",
    features=[Feature("temp", "float64"), Feature("wind", "float64"), Feature("sky", "string")],
    known="event",
    online=True,
)
view = FeatureView("departure", features=[weather["temp"], weather["sky"].alias("look")], log=1.0)
START = datetime(2023, 1, 1, tzinfo=UTC)


def month(seed, rows=600, temp=15.0, wind_missing=0.02, airports=3):
    """Return hourly rows of some airports."""
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "origin": [("JFK", "LGA", "EWR")[at % airports] for at in range(rows)],
            "t": [START + timedelta(days=30 * seed, hours=at) for at in range(rows)],
            "temp": random.normal(temp, 5.0, rows),
            "wind": pa.array(random.normal(10.0, 2.0, rows), mask=random.random(rows) < wind_missing),
            "sky": np.array(["clear", "cloudy", "rain"])[random.integers(0, 3, rows)],
        }
    )


@pytest.fixture
def months(store, clock):
    """Give a store with four months, of which the last is warmer and has less wind data."""
    store.apply(weather, view)
    for seed in (1, 2, 3):
        store.write("weather", month(seed), meta={"file": f"weather-{seed}.csv"})
        clock.move(days=1)
    store.catalog.tag("spring")
    store.write("weather", month(4, temp=25.0, wind_missing=0.4), meta={"file": "weather-4.csv"})
    clock.move(days=1)
    return store


def verdicts(found):
    return {each.name: each.verdict for each in found.features}


def test_a_month_that_drifted_is_found_with_its_commit(months):
    found = months.quality.drift("weather", baseline="spring", current="weather:4")
    assert verdicts(found) == {"temp": "drifted", "wind": "drifted", "sky": "same"}
    assert [each.feature for each in found.drifted] == ["temp", "wind"]
    assert found["temp"].why[0].startswith("psi ")
    assert "were missing" in found["wind"].why[0]
    (mover,) = found["temp"].moved_by
    assert (mover.id, mover.meta, mover.without) == ("weather@1:4", {"file": "weather-4.csv"}, None)
    assert mover.writer
    assert "weather-4.csv" in str(found)
    assert "<table>" in found._repr_html_()


def test_like_months_have_not_drifted(months):
    found = months.quality.drift("weather", baseline=(1, 2), current=(3, 3))
    assert set(verdicts(found).values()) == {"same"}
    assert not found.drifted
    assert all(not each.moved_by for each in found.features)


def test_the_commit_that_moved_it_is_named_among_several(months):
    found = months.quality.drift("weather", baseline=(1, 1), current=(2, 4))
    assert verdicts(found)["temp"] == "drifted"
    first = found["temp"].moved_by[0]
    assert first.first == 4
    assert first.without < 0.1 < first.whole
    assert found["wind"].moved_by[0].measure == "missing"
    assert found["wind"].moved_by[0].first == 4


def test_windows_of_commit_time_are_compared(months, clock):
    middle = clock.now - timedelta(days=1, hours=12)
    found = months.quality.drift("weather", baseline=(None, middle), current=(middle, None))
    assert [each.baseline_rows for each in found.features] == [1800] * 3
    assert [each.current_rows for each in found.features] == [600] * 3
    assert verdicts(found)["temp"] == "drifted"
    assert found.baseline.startswith("commits up to 2024-")


def test_a_training_set_is_compared_with_commits_of_a_view(months):
    frame = months.historical("departure", month(2).select(["origin", "t"]), time="t")
    for given in (frame, frame.to_pandas(), frame.to_arrow().to_pydict()):
        found = months.quality.drift("departure", baseline=given, current="weather:4")
        assert verdicts(found) == {"temp": "drifted", "look": "same"}
        assert found.of == "departure@1"
        assert found["temp"].moved_by[0].id == "weather@1:4"
    pinned = months.quality.drift("departure", baseline=frame.commits, current="spring")
    assert pinned.baseline == "pins"


def test_what_is_served_is_compared_with_history(months, clock):
    clock.now = START + timedelta(days=500)
    found = months.quality.drift("departure", baseline="offline", current="online")
    assert set(verdicts(found).values()) == {"same"}
    assert {each.baseline_rows for each in found.features} == {3}
    for _ in range(30):
        months.online("departure", [{"origin": name} for name in ("JFK", "LGA", "EWR")])
    months.quality.serving_log("departure", flush=True)
    served = months.quality.drift("departure", baseline="spring", current="served")
    assert {each.current_rows for each in served.features} == {90}
    assert served["temp"].verdict == "drifted"


def test_segments_are_compared_for_themselves(store):
    store.apply(weather)
    store.write("weather", month(1, rows=1200))
    warm = month(2, rows=1200)
    jfk = np.array([name == "JFK" for name in warm["origin"].to_pylist()])
    temps = warm["temp"].to_numpy() + np.where(jfk, 12.0, 0.0)
    store.write("weather", warm.set_column(2, "temp", pa.array(temps)))
    found = store.quality.drift("weather", baseline="weather:1", current="weather:2", by="origin", features=["temp"])
    assert verdicts(found) == {"temp [JFK]": "drifted", "temp [LGA]": "same", "temp [EWR]": "same"}
    assert found["temp [JFK]"].baseline_rows == 400
    frames = store.quality.drift("weather", baseline=month(1), current=month(2, airports=2), by="origin")
    assert verdicts(frames)["temp [EWR]"] == "unknown"


def test_a_group_without_commits_of_its_own_is_compared_by_frames(months):
    made = FeatureGroup("counts", entity=airport, source=weather, features=[Count(over="30d")])
    both = FeatureView("both", features=[weather["temp"], made["count_30d"]])
    months.apply(weather, made, both)
    found = months.quality.drift("both", baseline="weather:1", current="weather:4")
    assert list(verdicts(found)) == ["temp"]
    assert "left out: count_30d" in found.notes[0]
    with pytest.raises(UsageError, match="made of"):
        months.quality.drift("both", baseline="weather:1", current="weather:4", features=["count_30d"])
    spine = month(2).select(["origin", "t"])
    frame = months.historical("both", spine, time="t")
    assert set(verdicts(months.quality.drift("both", baseline=frame, current=frame)).values()) == {"same"}


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({"baseline": None}, UsageError, "nothing that can be compared"),
        ({"baseline": "winter"}, NotFoundError, "winter"),
        ({"baseline": "weather:99"}, None, ""),
        ({"baseline": (1, 2, 3)}, UsageError, "nothing that can be compared"),
        ({"baseline": (datetime(2024, 1, 1), None)}, UsageError, "no time zone"),  # noqa: DTZ001
        ({"baseline": 7}, UsageError, "int"),
        ({"baseline": {"x": [1.0]}}, UsageError, "no column"),
        ({"features": "temp"}, UsageError, "no list"),
        ({"features": ["tmp"]}, NotFoundError, "temp"),
        ({"by": "orign"}, NotFoundError, "origin"),
        ({"by": "temp"}, UsageError, "no segments"),
        ({"alpha": 2}, UsageError, "alpha=2"),
        ({"current": "served"}, UsageError, "no serving log"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(months, asked, error, told):
    given = {"baseline": "weather:1", "current": "weather:4"} | asked
    if error is None:
        assert set(verdicts(months.quality.drift("weather", **given)).values()) == {"unknown"}
        return
    with pytest.raises(error, match=told):
        months.quality.drift("weather", **given)
    with pytest.raises(NotFoundError):
        months.quality.drift("wether", baseline="weather:1", current="weather:4")


@pytest.mark.slow
def test_segments_of_like_rows_raise_an_alarm_no_more_often_than_alpha(store):
    """All segments x features count as one comparison. `scripts/drift_false_alarms.py --segments 10` does it longer."""
    store.apply(weather)
    random = np.random.default_rng(3)
    alpha, comparisons, rows = 0.2, 40, 1200

    def drawn():
        return pa.table(
            {
                "origin": random.choice(["JFK", "LGA", "EWR", "BOS", "ORD", "SFO"], rows),
                "temp": pa.array(random.normal(10.0, 5.0, rows).round(1), mask=random.random(rows) < 0.05),
                "sky": random.choice(["clear", "rain"], rows),
            }
        )

    found = [
        store.quality.drift(
            "weather", baseline=drawn(), current=drawn(), by="origin", alpha=alpha, psi=0.0, missing=0.0
        )
        for _ in range(comparisons)
    ]
    assert {len(each.features) for each in found} == {6 * 2}
    alarms = sum(bool(each.drifted) for each in found)
    assert binomtest(alarms, comparisons, alpha, alternative="greater").pvalue > 0.01
    uncorrected = sum(
        any(
            measured.p is not None and measured.p <= alpha
            for feature in each.features
            for measured in feature.measures.values()
        )
        for each in found
    )
    assert uncorrected > comparisons / 2, "without the correction most comparisons would be alarms"
