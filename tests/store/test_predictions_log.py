"""What models predicted online: logged with features and receipts, replayed, kept for a while, erased."""

import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, UsageError
from asof.serving import log as serving_log

pytestmark = pytest.mark.embedded("models are registered in the process that keeps the store")

LOG = "delays_predictions"


@pytest.fixture
def made(store, weather, airport, hourly, at, clock):
    """Give a training set of a day of weather, with what became of each hour."""
    group = weather(ttl=None)
    arrivals = FeatureGroup("arrivals", entity=airport, event_time="at", features=[Feature("delay", "float64")])
    store.apply(group, arrivals, FeatureView("departure", features=[group["temp"], group["visib"]], owner="ana"))
    store.backfill("weather", hourly())
    rows = [{"origin": o, "at": at(h + 0.5), "delay": 2.0 * h} for o in ("JFK", "LGA") for h in range(24)]
    store.backfill("arrivals", rows)
    spine = [{"origin": o, "t": at(h + 0.25)} for h in range(12) for o in ("JFK", "LGA")]
    return store.training_set(
        "departure-2024", view="departure", spine=spine, time="t", label=arrivals["delay"].after("2h")
    )


def registered(store, made, name="delays", model=None, **words):
    x, y = made.xy()
    fitted = (model or LinearRegression()).fit(x.fillna(0.0), y if model is None else y > sorted(y)[len(y) // 2])
    return store.models.register(name, fitted, training_set=made, **{"log": 1.0, **words})


def logged(store, name=LOG):
    return store.read(name).to_arrow().to_pylist()


def test_a_prediction_is_logged_with_its_features_and_its_receipt_answers_the_same(store, made, clock):
    registered(store, made)
    predictor = store.models.load("delays")
    asked = [predictor.predict_one({"origin": "JFK"}), *predictor.predict_many([{"origin": "LGA"}, {"origin": "JFK"}])]
    assert store.models.logged("delays", flush=True).written == 3
    rows = logged(store)
    assert len(rows) == 3
    for row, said in zip(sorted(rows, key=lambda each: each["answer"]), asked, strict=True):
        assert row["model"] == "delays@1"
        assert row["prediction"] == said.values
        assert row["values"] == said.features
        assert (row["view"], row["keys"]) == (said.receipt.view, said.receipt.keys)
        again = store.replay(row)
        assert (again.values, again.receipt) == (said.features, said.receipt)
    facts = dict(store.catalog.describe(LOG).facts)
    assert facts["tags"] == "predictions_of=delays, about=airport=origin"
    assert facts["owner"] == "ana"


def test_a_share_is_logged_and_without_a_share_there_is_no_group(store, made):
    registered(store, made, log=0.3)
    predictor = store.models.load("delays")
    predictor.predict_many([{"origin": "JFK"}] * 400)
    assert 60 < store.models.logged("delays", flush=True).written < 180
    registered(store, made, "silent", log=0.0)
    store.models.load("silent").predict_one({"origin": "JFK"})
    assert store.models.logged("silent", flush=True) == serving_log.LogCounts()
    assert "silent_predictions" not in {group.definition.name for group in store.catalog.groups()}


def test_versions_that_give_other_columns_log_side_by_side(store, made):
    registered(store, made)
    registered(store, made, model=LogisticRegression(), method="predict_proba")
    before, after = store.models.load("delays@1"), store.models.load("delays@2")
    for predictor in (before, after, before):
        predictor.predict_one({"origin": "JFK"})
    assert store.models.logged("delays", flush=True).written == 3
    assert [row["model"] for row in logged(store, f"{LOG}@1")] == ["delays@1"] * 2
    (row,) = logged(store, f"{LOG}@2")
    assert set(row["prediction"]) == {"prediction_False", "prediction_True"}


def test_a_model_of_a_group_logs_the_features_that_it_learned_from(store, made, airport, at):
    features = [Feature("x", "float64"), Feature("y", "float64")]
    store.apply(FeatureGroup("spot", entity=airport, event_time="at", features=features, online=True))
    store.backfill("spot", [{"origin": "JFK", "at": at(h), "x": float(h), "y": 1.0 * h * h} for h in range(9)])
    spine = [{"origin": "JFK", "t": at(h + 0.25), "delay": 3.0 * h} for h in range(9)]
    registered(store, store.training_set("spot-2024", view="spot", spine=spine, time="t", label="delay"))
    predictor = store.models.load("delays")
    predictor.predict_one({"origin": "JFK"})
    more = [*features, Feature("z", "float64")]
    store.apply(FeatureGroup("spot", entity=airport, event_time="at", features=more, online=True))
    predictor.predict_one({"origin": "JFK"})
    assert store.models.logged("delays", flush=True).written == 2
    for row in logged(store):
        assert (row["values"], row["statuses"]) == ({"x": 8.0, "y": 64.0}, "PP")
        assert store.replay(row).values == row["values"]


def test_predictions_of_a_view_that_answers_late_say_so_and_are_replayed(store, made, weather, at):
    group = weather(ttl=None)
    features = [group["temp"], group["visib"]]
    store.apply(group, FeatureView("patient", features=features, budget="5s", on_slow="default"))
    spine = [{"origin": "JFK", "t": at(h + 0.25), "delay": float(h)} for h in range(12)]
    late = store.training_set("patient-2024", view="patient", spine=spine, time="t", label="delay")
    registered(store, late)
    said = store.models.load("delays").predict_one({"origin": "JFK"})
    assert store.models.logged("delays", flush=True).written == 1
    (row,) = logged(store)
    assert (row["late"], row["read_at"], row["prediction"]) == (None, None, said.values)
    assert store.replay(row).values == said.features


def test_predictions_are_kept_as_long_as_it_says(store, made, clock, monkeypatch):
    monkeypatch.setattr(serving_log, "JOURNAL_ROWS", 1)
    registered(store, made, log_retention="30d")
    assert "kept for 30d" in repr(store.models.get("delays"))
    predictor = store.models.load("delays")
    predictor.predict_one({"origin": "JFK"})
    store.models.logged("delays", flush=True)
    clock.move(days=31)
    predictor.predict_one({"origin": "LGA"})
    store.models.logged("delays", flush=True)
    store.compact(LOG)
    assert [row["keys"]["origin"] for row in logged(store)] == ["LGA"]


def test_forget_takes_the_predictions_about_a_key(store, made, folder):
    registered(store, made)
    predictor = store.models.load("delays")
    for origin in ("JFK", "LGA"):
        predictor.predict_one({"origin": origin})
    store.models.logged("delays", flush=True)
    predictor.predict_one({"origin": "JFK"})  # this one is not written yet
    certificate = store.forget("airport", {"origin": "JFK"})
    assert [each.rows for each in certificate.erased if each.what == f"{LOG}@1"] == [1]
    assert [row["keys"]["origin"] for row in logged(store)] == ["LGA"]


def test_rows_of_another_view_stay_about_those_whom_they_are_about(store, made, weather, at):
    """The same columns of other entities: the tag says both."""
    registered(store, made)
    store.models.load("delays").predict_one({"origin": "JFK"})
    store.models.logged("delays", flush=True)
    city = Entity("city", {"origin": "string"})
    other = FeatureGroup(
        "city_weather", entity=city, event_time="time_hour",
        features=[Feature("temp", "float64"), Feature("visib", "float64")], online=True,
    )  # fmt: skip
    store.apply(other, FeatureView("departure_city", features=[other]))
    store.backfill("city_weather", [{"origin": "NYC", "time_hour": at(0), "temp": 1.0, "visib": 1.0}])
    spine = [{"origin": "NYC", "t": at(h), "delay": float(h)} for h in range(1, 9)]
    second = store.training_set("city-2024", view="departure_city", spine=spine, time="t", label="delay")
    registered(store, second)
    assert [group.ref for group in store.catalog.groups() if group.definition.name == LOG] == [f"{LOG}@1"]
    store.models.load("delays").predict_one({"origin": "NYC"})
    store.forget("airport", {"origin": "JFK"})
    assert [row["keys"]["origin"] for row in logged(store)] == ["NYC"]
    store.forget("city", {"origin": "NYC"})
    assert logged(store) == []


def test_the_log_of_a_live_model_is_not_removed(store, made):
    registered(store, made)
    with pytest.raises(ConflictError, match="model delays@1 logs its predictions in delays_predictions"):
        store.catalog.remove(LOG)
    store.models.move("delays@1", "archived")
    assert store.catalog.remove(LOG) == [f"{LOG}@1"]


def test_a_log_that_is_gone_is_told_and_predicting_goes_on(store, made):
    registered(store, made)
    predictor = store.models.load("delays")
    store.models.move("delays@1", "archived")
    store.catalog.remove(LOG)
    assert predictor.predict_one({"origin": "JFK"}).value is not None
    counts = store.models.logged("delays", flush=True)
    assert (counts.written, counts.failed) == (0, 1)
    assert "the serving log 'delays_predictions' is gone -> register the model 'delays' again" in counts.last_error
    assert any("answers of model delays: the serving log" in str(each) for each in store.quality.doctor().findings)


def test_a_group_of_that_name_is_nobodys_log(store, made, airport):
    store.apply(FeatureGroup(LOG, entity=airport, event_time="at", features=[Feature("x", "int64")]))
    with pytest.raises(ConflictError, match="would be the group 'delays_predictions', which is something else"):
        registered(store, made)
    assert store.models.all() == []


def test_two_models_do_not_share_a_log(store, made):
    registered(store, made, "air-delays")
    with pytest.raises(ConflictError, match="'air_delays_predictions', which is something else"):
        registered(store, made, "air_delays")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"log": 0.0, "log_retention": "30d"}, "log_retention= needs log="),
        ({"log": 1.0, "log_retention": "soon"}, "log_retention"),
        ({"log": True}, "is no share"),
        ({"log": 1.1}, "is no share"),
        ({"name": "a" * 57}, "shorten the name of the model by 6"),
    ],
)
def test_what_makes_no_sense_is_refused(store, made, words, message):
    with pytest.raises(UsageError, match=message):
        registered(store, made, **words)
    assert store.models.all() == []
