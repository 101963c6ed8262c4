"""The quality of a model over time: predictions of its log beside what became of them."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from asof import Feature, FeatureGroup, FeatureView
from asof.errors import NotFoundError, UsageError
from asof.models.quality import over_time

pytestmark = pytest.mark.embedded("models are registered in the process that keeps the store")

HORIZON = timedelta(hours=6)


@pytest.fixture
def arrivals(airport):
    features = [Feature("delay", "float64"), Feature("late", "bool"), Feature("kind", "string")]
    return FeatureGroup("arrivals", entity=airport, event_time="at", features=features)


def outcome(hour):
    """Give what came at an hour: late every third one."""
    late = hour % 3 == 0
    return {"delay": 2.0 * hour + 5 * late, "late": late, "kind": "late" if late else "even" if hour % 2 else "early"}


@pytest.fixture
def filled(store, weather, airport, arrivals, hourly, at):
    """Give the store with two days of weather, and what came of the first one."""
    group = weather(ttl=None)
    store.apply(group, arrivals, FeatureView("departure", features=[group["temp"], group["visib"]]))
    store.backfill("weather", hourly(hours=24))
    store.backfill(
        "arrivals", [{"origin": o, "at": at(h + 0.5), **outcome(h)} for o in ("JFK", "LGA") for h in range(24)]
    )
    return store


def spine(at):
    return [{"origin": o, "t": at(h + 0.25), **outcome(h)} for h in range(18) for o in ("JFK", "LGA")]


def fitted_on(store, made, model, name="delays", **words):
    x, y = made.xy()
    return store.models.register(name, model.fit(x.fillna(0.0), y), training_set=made, **{"log": 1.0, **words})


def predicted(store, clock, name="delays", hours=30):
    """Predict every hour, for both airports; return (clock, origin, values)."""
    predictor, found = store.models.load(name), []
    for _ in range(hours):
        clock.move(hours=1)
        for origin in ("JFK", "LGA"):
            said = predictor.predict_one({"origin": origin})
            found.append((said.receipt.clock, origin, said.values))
    return found


def came(store, moment, origin, hour):
    store.write("arrivals", [{"origin": origin, "at": moment, **outcome(hour)}])


def oracle(said, events, now, horizon=HORIZON, every=timedelta(days=1)):
    """Return per day what was predicted: (outcomes of it, pending, missing), the slow way."""
    found = {}
    for clock, origin, values in said:
        day = (clock - timedelta(microseconds=1)).date()
        cell = found.setdefault(day, ([], 0, 0))
        inside = [e for e in events if e[1] == origin and clock < e[0] <= clock + horizon and e[3] <= clock + horizon]
        if clock + horizon > now:
            found[day] = (cell[0], cell[1] + 1, cell[2])
        elif not inside:
            found[day] = (cell[0], cell[1], cell[2] + 1)
        else:
            cell[0].append((max(inside)[2], values))
    return found


def test_each_prediction_meets_the_newest_outcome_within_the_horizon(filled, arrivals, at, clock):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals["delay"].after(HORIZON))
    fitted_on(filled, made, LinearRegression())
    said = predicted(filled, clock)
    events = []
    for hour in range(0, 30, 4):
        moment = said[0][0] + timedelta(hours=hour, minutes=10)
        known = max(clock.now, moment)
        came(filled, moment, "JFK", hour)  # of LGA nobody knows
        events.append((moment, "JFK", outcome(hour)["delay"], moment))
        assert known
    found = filled.models.quality("delays")
    wanted = oracle(said, [(*e[:3], e[0]) for e in events], clock.now)
    assert [row.model for row in found.rows] == ["delays@1"] * len(wanted)
    for row, (day, (pairs, pending, missing)) in zip(found.rows, sorted(wanted.items()), strict=True):
        assert row.start.date() == day
        assert (row.predictions, row.outcomes, row.pending, row.missing) == (
            len(pairs) + pending + missing, len(pairs), pending, missing,
        )  # fmt: skip
        if pairs:
            errors = [values["prediction"] - delay for delay, values in pairs]
            assert row.kind == "numbers"
            assert row.measures["mae"] == pytest.approx(np.mean(np.abs(errors)))
            assert row.measures["bias"] == pytest.approx(np.mean(errors))
    assert "arrivals.delay after 6h, known until" in found.notes[0]


@pytest.mark.parametrize("run", [1, 7, 1_000_000])
def test_how_much_is_read_at_once_changes_nothing(filled, arrivals, at, clock, monkeypatch, run):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals["delay"].after(HORIZON))
    fitted_on(filled, made, LinearRegression())
    said = predicted(filled, clock, hours=9)
    for hour, (moment, origin, _) in enumerate(said):
        came(filled, moment + timedelta(minutes=1), origin, hour)
    whole = filled.models.quality("delays", every="2h", outcomes=arrivals["delay"].after("1h"))
    monkeypatch.setattr(over_time, "RUN_ROWS", run)
    assert filled.models.quality("delays", every="2h", outcomes=arrivals["delay"].after("1h")).rows == whole.rows
    assert len(whole) > 3


@pytest.mark.parametrize(
    ("label", "words", "kind", "measures"),
    [
        ("late", {"method": "predict_proba"}, "scores", {"log_loss", "brier", "accuracy"}),
        ("late", {}, "classes", {"accuracy"}),
        ("kind", {}, "classes", {"accuracy"}),
        ("kind", {"method": "predict_proba"}, "classes", {"accuracy"}),
    ],
)
def test_what_is_measured_follows_from_what_the_model_gives(filled, arrivals, at, clock, label, words, kind, measures):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals[label].after(HORIZON))
    fitted_on(filled, made, LogisticRegression(), **words)
    said = predicted(filled, clock, hours=6)
    for hour, (moment, origin, _) in enumerate(said):
        came(filled, moment + timedelta(minutes=1), origin, hour)
    clock.move(hours=12)
    (row,) = [
        row for row in filled.models.quality("delays", outcomes=arrivals[label].after("30m")).rows if row.outcomes
    ]
    assert row.kind == kind
    assert measures <= row.measures.keys()
    right = []
    for hour, (_, _, values) in enumerate(said):
        best = max(values, key=values.get).removeprefix("prediction_") if "method" in words else values["prediction"]
        right.append(str(best) == str(outcome(hour)[label]))
    assert row.measures["accuracy"] == pytest.approx(np.mean(right))


def test_versions_are_measured_side_by_side_and_one_alone_if_it_is_named(filled, arrivals, at, clock):
    label = arrivals["delay"].after(HORIZON)
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=label)
    fitted_on(filled, made, LinearRegression())
    fitted_on(filled, made, LinearRegression(positive=True), log=1.0)
    predicted(filled, clock, "delays@1", hours=2)
    predicted(filled, clock, "delays@2", hours=1)
    assert {row.model: row.predictions for row in filled.models.quality("delays").rows} == {
        "delays@1": 4,
        "delays@2": 2,
    }
    assert [row.model for row in filled.models.quality("delays@2").rows] == ["delays@2"]


def test_rows_of_the_caller_are_outcomes_where_the_label_was_a_column(filled, at, clock):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label="delay")
    fitted_on(filled, made, LinearRegression())
    said = predicted(filled, clock, hours=3)
    without = filled.models.quality("delays")
    assert [(row.outcomes, row.pending) for row in without.rows] == [(0, 6)]
    assert "the label delay of d@1 is a column of its spine: pass outcomes=" in without.notes
    rows = [{"origin": o, "t": t, "delay": v["prediction"] + 1} for t, o, v in said[:4]]
    rows.append({"origin": "JFK", "t": said[4][0], "delay": None})
    (row,) = filled.models.quality("delays", outcomes=rows).rows
    assert (row.outcomes, row.pending, row.missing) == (4, 2, 0)
    assert row.measures["bias"] == pytest.approx(-1.0)
    assert filled.models.quality("delays", outcomes=pa.Table.from_pylist(rows)).rows == (row,)
    (none,) = filled.models.quality("delays", outcomes=pa.Table.from_pylist(rows).slice(0, 0)).rows
    assert (none.outcomes, none.pending) == (0, 6)
    with pytest.raises(NotFoundError, match="column 'delay'"):
        filled.models.quality("delays", outcomes=[{"origin": "JFK", "t": said[0][0]}])
    with pytest.raises(UsageError, match="neither a label nor rows"):
        filled.models.quality("delays", outcomes="arrivals")


def test_bounds_are_exclusive_and_inclusive_and_there_may_be_nothing(filled, arrivals, at, clock):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals["delay"].after(HORIZON))
    fitted_on(filled, made, LinearRegression(), log=0.0)
    nothing = filled.models.quality("delays")
    assert (len(nothing), nothing.to_arrow().num_rows) == (0, 0)
    assert nothing.notes == ("no version logs its predictions: register one with log=",)
    assert "no prediction is logged" in repr(nothing)
    fitted_on(filled, made, LinearRegression())
    said = predicted(filled, clock, hours=3)
    bounded = filled.models.quality("delays", start=said[0][0], end=said[2][0])
    assert [row.predictions for row in bounded.rows] == [2]
    with pytest.raises(UsageError, match="is no length of time"):
        filled.models.quality("delays", every="0s")
    with pytest.raises(UsageError, match="is no length of time"):
        filled.models.quality("delays", every="daily")
    with pytest.raises(NotFoundError, match="delays"):
        filled.models.quality("delay")


def test_it_shows_itself_as_text_table_and_frames(filled, arrivals, at, clock):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals["delay"].after(HORIZON))
    fitted_on(filled, made, LinearRegression())
    said = predicted(filled, clock, hours=8)
    for hour, (moment, origin, _) in enumerate(said):
        came(filled, moment + timedelta(minutes=1), origin, hour)
    found = filled.models.quality("delays", outcomes=arrivals["delay"].after("30m"))
    lines = repr(found).splitlines()
    assert lines[0] == "<quality of delays, every 1d>"
    assert lines[1].split() == [
        "model",
        "after",
        "predictions",
        "outcomes",
        "pending",
        "missing",
        "mae",
        "rmse",
        "bias",
        "r2",
    ]
    assert "<table>" in found._repr_html_()
    table = found.to_arrow()
    assert table.schema.field("start").type == pa.timestamp("us", "UTC")
    assert found.to_pandas()["predictions"].tolist() == table.column("predictions").to_pylist()
    assert found.to_polars()["mae"].to_list() == table.column("mae").to_pylist()


def test_what_was_erased_is_measured_no_more(filled, arrivals, at, clock):
    made = filled.training_set("d", view="departure", spine=spine(at), time="t", label=arrivals["delay"].after(HORIZON))
    fitted_on(filled, made, LinearRegression())
    predicted(filled, clock, hours=2)
    assert filled.models.quality("delays").rows[0].predictions == 4
    filled.forget("airport", {"origin": "JFK"})
    assert filled.models.quality("delays").rows[0].predictions == 2
