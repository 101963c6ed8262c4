"""Models: kept with what they were fitted on, and predicting the same in batches and one by one."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tests import on_demand_features, saved_models

from asof import Entity, Feature, FeatureGroup, FeatureView, TimeSplit
from asof.errors import (
    ConflictError,
    DataError,
    DataWarning,
    NotFoundError,
    PermanentError,
    UnsupportedError,
    UsageError,
)
from asof.file_locks import turn
from asof.transforms import Impute, OneHot, Standard

pytestmark = pytest.mark.embedded("models are kept, and loaded, where the store is")

KEYS = ("JFK", "LGA", "EWR")


@pytest.fixture
def fields():
    airport = Entity("airport", keys={"origin": "string"})
    names = {"temp": "float64", "visib": "float32", "gusts": "int64", "sky": "string", "emb": "vector<float32, 3>"}
    features = [*(Feature(name, dtype) for name, dtype in names.items()), Feature("calm", "bool")]
    return FeatureGroup("weather", entity=airport, event_time="at", features=features, online=True)


@pytest.fixture
def filled(store, fields, at, clock):
    """Give the store with ten days of weather, some of it null, and two views of it."""
    rng = np.random.default_rng(7)
    numbers = ["temp", "visib", "gusts", "calm"]
    plain = FeatureView("plain", features=[fields[name] for name in ["temp", "visib"]])
    transforms = {"temp": [Impute("median"), Standard()], ("visib", "gusts", "calm"): Impute("mean"), "sky": OneHot()}
    view = FeatureView("departure", features=[fields[n] for n in [*numbers, "sky", "emb"]], transforms=transforms)
    store.apply(fields, plain, view)
    rows = [
        {
            "origin": key,
            "at": at(-h),
            "temp": float(rng.normal(50, 20)) if rng.random() > 0.1 else None,
            "visib": float(np.float32(rng.random() * 10)),
            "gusts": int(rng.integers(0, 40)) if rng.random() > 0.1 else None,
            "sky": ["clear", "rain", None][int(rng.integers(3))],
            "emb": [float(np.float32(x)) for x in rng.random(3)],
            "calm": bool(rng.random() > 0.5),
        }
        for h in range(240)
        for key in KEYS
    ]
    store.backfill("weather", rows)
    return store


@pytest.fixture
def spine(at):
    """Give a time each half hour, with what became of it."""
    rng = np.random.default_rng(11)
    rows = [{"origin": key, "t": at(-h - 0.5)} for h in range(200) for key in KEYS]
    return [row | {"delay": float(rng.normal(10, 5)), "late": bool(rng.random() > 0.7)} for row in rows]


def made_of(store, spine, view="departure", label="delay", name="departures", **words):
    rows = [{name: row[name] for name in ("origin", "t", label) if name} for row in spine]
    return store.training_set(name, view=view, spine=rows, time="t", label=label, **words)


def clock_of(prediction):
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=prediction.receipt.clock_us)


def bits(column):
    return np.asarray(column.to_pylist(), dtype=np.float64).tobytes()


# ---- what a model is given


def test_xy_is_what_the_model_is_given_when_it_predicts(filled, spine, at):
    made = made_of(filled, spine, split=TimeSplit(at(-50)))
    x, y = made.xy("train")
    assert list(x.columns) == [
        "temp", "visib", "gusts", "calm", "sky=clear", "sky=rain", "emb_0", "emb_1", "emb_2",
    ]  # fmt: skip
    assert set(x.dtypes) == {np.dtype("float64")}
    assert list(made.inputs) == ["temp", "visib", "gusts", "calm", "sky=clear", "sky=rain", "emb"]
    assert len(x) == len(y) == made.splits["train"] < len(made)
    matrix, _ = made.xy("train", takes="numpy")
    assert np.array_equal(matrix, x.to_numpy(), equal_nan=True)
    table, _ = made.xy("train", takes="arrow")
    assert table.equals(made.transform(made.to_arrow("train")).select(list(made.inputs)))


def test_rows_without_a_label_teach_nothing(filled, spine):
    some = [row | {"delay": None if at % 3 else row["delay"]} for at, row in enumerate(spine)]
    x, y = made_of(filled, some, view="plain").xy()
    assert len(x) == len(y) == len(spine) / 3
    assert not np.isnan(y).any()


def test_raw_features_are_floats_and_objects_and_text_is_no_number(filled, spine):
    made = made_of(filled, spine, view="weather")
    x, _ = made.xy()
    assert x.dtypes["gusts"] == x.dtypes["calm"] == np.dtype("float64")
    assert x.dtypes["sky"] == np.dtype(object)
    assert x["gusts"].isna().any()
    with pytest.raises(UnsupportedError, match="'sky' of type string is no input of a model"):
        made.xy(takes="numpy")
    with pytest.raises(UsageError, match="takes='torch' is nothing that a model takes"):
        made.xy(takes="torch")


def test_there_is_no_y_without_a_label(filled, spine):
    rows = [{"origin": row["origin"], "t": row["t"]} for row in spine]
    made = filled.training_set("unlabelled", view="plain", spine=rows, time="t")
    with pytest.raises(UsageError, match="it has no label"):
        made.xy()


# ---- the same, to the bit

MODELS = {
    "linear": LinearRegression(),
    "trees": DecisionTreeRegressor(max_depth=4),
    "pipeline": make_pipeline(StandardScaler(), LinearRegression()),
    "net": MLPRegressor(hidden_layer_sizes=(16, 8), tol=1e9, n_iter_no_change=1, random_state=1),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("takes", ["pandas", "numpy"])
def test_online_is_batch_to_the_bit(filled, spine, kind, takes):
    made = made_of(filled, spine)
    kept = filled.models.register("delays", MODELS[kind].fit(*made.xy(takes=takes)), training_set=made, takes=takes)
    predictor = filled.models.load("delays")
    assert kept.outputs.keys() == {"prediction"}
    ones = [predictor.predict_one({"origin": key}) for key in KEYS]
    many = predictor.predict_many([{"origin": key} for key in KEYS])
    assert [each.value for each in many] == [each.value for each in ones]
    assert kept.said.sizes == ((1, 4096) if kind == "trees" else (64, 64))
    times = 2000
    rows = [{"origin": key} for _ in range(times) for key in KEYS]
    batch = predictor.predict(rows, time=clock_of(ones[0]), known="served").to_arrow()
    few = predictor.predict(rows[:3], time=clock_of(ones[0]), known="served").to_arrow()
    assert batch.column_names == ["origin", "prediction"]
    assert bits(few["prediction"]) == np.array([each.value for each in ones]).tobytes()
    assert bits(batch["prediction"]) == bits(few["prediction"]) * times
    assert filled.replay(ones[0].receipt).values == ones[0].features


@pytest.mark.parametrize("takes", ["pandas", "arrow"])
@pytest.mark.parametrize(("method", "sizes"), [("predict", (1, 4096)), ("sized", (64, 64)), ("placed", (1, 1))])
def test_a_model_is_called_with_as_many_rows_as_give_the_same(filled, plain, limit, method, sizes, takes):
    if (method, takes) == ("predict", "arrow"):
        method = "named"
    kept = filled.models.register(
        "warm", path=limit, loader=saved_models.warm, training_set=plain, method=method, takes=takes
    )
    assert kept.said.sizes == sizes
    predictor = filled.models.load("warm")
    one = predictor.predict_one({"origin": "JFK"})
    batch = predictor.predict([{"origin": "JFK"}] * 200, time=clock_of(one), known="served").to_arrow()
    assert set(batch["prediction"].to_pylist()) == {one.value}


def test_predictions_of_the_training_rows_are_those_of_the_model(filled, spine):
    made = made_of(filled, spine)
    x, y = made.xy()
    model = DecisionTreeRegressor(max_depth=4).fit(x, y)
    filled.models.register("delays", model, training_set=made)
    rows = [{"origin": row["origin"], "t": row["t"]} for row in spine]
    found = filled.models.load("delays").predict(rows, time="t").to_arrow()
    assert bits(found["prediction"]) == model.predict(x).tobytes()


def test_features_stay_between_spine_and_predictions_on_request(filled, spine):
    made = made_of(filled, spine, view="plain")
    filled.models.register("delays", DecisionTreeRegressor(max_depth=4).fit(*made.xy()), training_set=made)
    predictor = filled.models.load("delays")
    rows = [{"origin": row["origin"], "t": row["t"], "n": at} for at, row in enumerate(spine)]
    found = predictor.predict(rows, time="t", features=True).to_arrow()
    assert found.column_names == ["origin", "t", "n", "temp", "visib", "prediction"]
    parts = list(predictor.batches(rows, time="t", features=True, batch_rows=70))
    assert max(part.num_rows for part, _ in parts) == 70
    assert pa.concat_tables([part for part, _ in parts]).equals(found)
    assert predictor.predict(
        filled.historical("plain", rows[:2], time="t").to_pandas()[["origin", "t"]], time="t"
    ).commits


def test_no_rows_give_no_predictions(filled, spine):
    made = made_of(filled, spine, view="plain")
    filled.models.register("delays", DecisionTreeRegressor(max_depth=4).fit(*made.xy()), training_set=made)
    predictor = filled.models.load("delays")
    nothing = pa.table({"origin": pa.array([], pa.string()), "t": pa.array([], pa.timestamp("us", "UTC"))})
    found = predictor.predict(nothing, time="t").to_arrow()
    assert (found.num_rows, found.schema.field("prediction").type) == (0, pa.float64())
    assert predictor.predict_many([]) == []


def test_classes_and_probabilities(filled, spine):
    made = made_of(filled, spine, label="late")
    x, y = made.xy()
    forest = RandomForestClassifier(10, random_state=1).fit(x, y)
    shares = filled.models.register("late", forest, training_set=made, method="predict_proba")
    assert list(shares.outputs) == ["prediction_False", "prediction_True"]
    said = filled.models.load("late").predict_one({"origin": "JFK"})
    assert said.value == said.values
    assert sum(said.values.values()) == pytest.approx(1)
    names = np.where(y, "late", "in time").astype(object)
    filled.models.register("named", LogisticRegression(max_iter=1000).fit(x, names), training_set=made)
    assert filled.models.load("named").predict_one({"origin": "JFK"}).value in {"late", "in time"}
    assert str(filled.models.get("named").outputs["prediction"]) == "string"


def test_features_that_are_made_on_demand_are_asked_for(store, at):
    store.apply(on_demand_features.weather, on_demand_features.comfort)
    names = {"temp": 41.0, "wind": 4, "note": "calm"}
    store.backfill("weather", [{"origin": "JFK", "time_hour": at(-h), **names, "temp": 40.0 + h} for h in range(5)])
    rows = [{"origin": "JFK", "t": at(-h), "limit": 40.0, "late": h % 2} for h in range(5)]
    made = store.training_set("comfort", view="comfort", spine=rows, time="t", label="late")
    store.models.register("late", DecisionTreeRegressor(max_depth=4).fit(*made.xy()), training_set=made)
    predictor = store.models.load("late")
    said = predictor.predict_one({"origin": "JFK"}, {"limit": 40.0})
    batch = predictor.predict([{"origin": "JFK", "limit": 40.0}], time=clock_of(said)).to_arrow()
    assert batch["prediction"].to_pylist() == [said.value]
    with pytest.raises(UsageError, match="limit"):
        predictor.predict_one({"origin": "JFK"})


# ---- models that somebody else saved


@pytest.fixture
def limit(tmp_path):
    file = tmp_path / "limit.json"
    file.write_text(json.dumps({"limit": 50.0}))
    return file


@pytest.fixture
def plain(filled, spine):
    return made_of(filled, spine, view="plain")


def test_a_file_with_its_loader(filled, plain, limit):
    kept = filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    assert kept.said.loader == "tests.saved_models:warm"
    limit.unlink()
    said = filled.models.load("warm").predict_one({"origin": "JFK"})
    temp = said.features["temp"]
    assert said.value == (None if temp is None else temp - 50) or np.isnan(said.value)


def test_a_folder_and_other_methods(filled, plain, limit, tmp_path):
    (tmp_path / "model" / "parts").mkdir(parents=True)
    shutil.copy(limit, tmp_path / "model" / "parts" / "limit.json")
    path, loader = tmp_path / "model", "tests.saved_models:of_folder"
    judged = filled.models.register("warm", path=path, loader=loader, training_set=plain, method="judged")
    assert {name: str(dtype) for name, dtype in judged.outputs.items()} == {"warm": "bool", "far": "float64"}
    named = filled.models.register("warm", path=path, loader=loader, training_set=plain, method="named", takes="arrow")
    assert named.ref == "warm@2"
    assert filled.models.load("warm").predict_one({"origin": "LGA"}).value in {"warm", "cold"}
    added = filled.models.register(
        "sums", path=limit, loader=saved_models.sums, training_set=plain, method="", takes="numpy"
    )
    assert added.said.method == ""


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({}, UsageError, "which model"),
        ({"path": "no/such", "loader": "tests.saved_models:warm"}, UsageError, "there is no 'no/such'"),
        ({"path": "limit"}, UsageError, "needs its loader"),
        ({"path": "limit", "loader": "nowhere:warm"}, UsageError, "cannot be imported"),
        ({"path": "limit", "loader": lambda path: path}, UsageError, "cannot be imported by a name"),
        ({"path": "limit", "loader": "tests.saved_models:failing"}, PermanentError, "what is this"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": "guess"}, UsageError, "no method 'guess'"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": ""}, UsageError, "is no function"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": "fewer"}, DataError, "4,095 values"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": "ragged"}, DataError, "no column holds"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": "one"}, DataError, "gave 1 values"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "method": "broken"}, DataError, "no such weather"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "stage": "live"}, UsageError, "stage='live' is no stage"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "log": 2}, UsageError, "log=2 is no share"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "metrics": {"a": float("nan")}}, UsageError, "no finite"),
        ({"path": "limit", "loader": "tests.saved_models:warm", "training_set": "no"}, NotFoundError, "training set 'no'"),
        ({"model": object()}, UsageError, "no method 'predict'"),
        ({"model": (each for each in "ab")}, UnsupportedError, "skops cannot keep"),
    ],
)  # fmt: skip
def test_what_cannot_predict_is_not_kept(filled, plain, limit, words, error, said):
    words = {"training_set": plain} | words
    if words.get("path") == "limit":
        words["path"] = limit
    with pytest.raises(error, match=said):
        filled.models.register("warm", **words)
    assert filled.models.all() == []


@pytest.mark.parametrize("name", ["", "Delays", "a b", "../x", "x" * 60, 5])
def test_names(filled, plain, limit, name):
    with pytest.raises(UsageError):
        filled.models.register(name, path=limit, loader=saved_models.warm, training_set=plain)


# ---- versions


def test_the_same_again_is_no_other_version(filled, plain, limit):
    words = {"path": limit, "loader": saved_models.warm, "training_set": plain, "metrics": {"mae": 1}}
    assert [filled.models.register("warm", **words).ref for _ in range(2)] == ["warm@1", "warm@1"]
    assert filled.models.register("warm", **words, stage="production").stage == "production"
    assert filled.models.register("warm", **words | {"metrics": {"mae": 2}}).ref == "warm@2"
    assert [each.metrics for each in filled.models.all()] == [{"mae": 1.0}, {"mae": 2.0}]
    with pytest.raises(UsageError, match="which version of warm"):
        filled.models.move("warm", "production")
    assert [(each.ref, each.stage) for each in filled.models.move("warm@2", "production")] == [
        ("warm@1", "archived"), ("warm@2", "production"),
    ]  # fmt: skip


def test_files_go_with_the_last_version_that_has_them(filled, folder, plain, limit):
    words = {"path": limit, "loader": saved_models.warm, "training_set": plain}
    one = filled.models.register("warm", **words)
    two = filled.models.register("warm", **words, description="the same file")
    assert one.artefact == two.artefact
    place = Path(folder) / one.artefact
    filled.models.remove("warm@1")
    assert place.is_dir()
    filled.models.remove("warm")
    assert list((Path(folder) / "models").iterdir()) == []


# ---- what is not as it was


def test_damaged_and_lost_files(filled, folder, plain, limit):
    kept = filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    file = Path(folder) / kept.artefact / "limit.json"
    file.write_text('{"limit": 51.0}')
    with pytest.raises(PermanentError, match="are not those that were kept"):
        filled.models.load("warm")
    shutil.rmtree(file.parent)
    with pytest.raises(PermanentError, match="there are no files"):
        filled.models.load("warm")


def test_another_loader(filled, plain, limit, tmp_path, monkeypatch):
    module = tmp_path / "own_loader.py"
    module.write_text("def load(path):\n    return lambda frame: frame['temp'].to_numpy()\n")
    monkeypatch.syspath_prepend(tmp_path)
    filled.models.register("own", path=limit, loader="own_loader:load", training_set=plain, method="")
    assert filled.models.load("own")
    module.write_text("def load(path):\n    return lambda frame: frame['temp'].to_numpy() + 1\n")
    with pytest.raises(ConflictError, match="own_loader"):
        filled.models.load("own")


def test_a_model_keeps_what_it_was_fitted_on(filled, plain, limit):
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    for remove in (lambda: filled.catalog.remove_training_set("departures"), lambda: filled.catalog.remove("plain")):
        with pytest.raises(ConflictError):
            remove()
    filled.models.move("warm@1", "archived")
    filled.catalog.remove_training_set("departures")
    with pytest.raises(NotFoundError, match="departures@1"):
        filled.models.load("warm@1")


def test_another_training_set_of_that_name(filled, spine, plain, limit):
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    filled.models.move("warm@1", "archived")
    filled.catalog.remove_training_set("departures")
    assert made_of(filled, spine[1:], view="plain").ref == "departures@1"
    with pytest.raises(ConflictError, match="departures@1 is another training set than the model was fitted on"):
        filled.models.load("warm@1")
    with pytest.raises(ConflictError, match="departures@1 is another one than the model was fitted on"):
        filled.models.move("warm@1", "production")


@pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")  # that event time alone gives it is the point
def test_predictions_know_what_the_training_set_knew(filled, spine, limit, at, clock):
    made = made_of(filled, spine, view="plain", known="event")
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=made)
    clock.move(hours=1)
    rest = dict.fromkeys(("visib", "gusts", "sky", "emb", "calm"))
    filled.write("weather", [{"origin": "JFK", "at": at(0.25), "temp": 70.0, **rest}])  # known only at one
    predictor, rows = filled.models.load("warm"), [{"origin": "JFK", "t": at(0.5)}]
    assert predictor.predict(rows, time="t").to_arrow()["prediction"].to_pylist() == [20.0]
    assert predictor.predict(rows, time="t", known="served").to_arrow()["prediction"].to_pylist() != [20.0]


def test_transforms_that_were_erased(filled, spine):
    made = made_of(filled, spine)
    filled.models.register("delays", DecisionTreeRegressor(max_depth=4).fit(*made.xy()), training_set=made)
    counted = filled.forget("airport", {"origin": "JFK"}, dry_run=True)
    certificate = filled.forget("airport", {"origin": "JFK"})
    assert counted.models == certificate.models == ("delays@1 (none)",)
    assert "models that were fitted on them: delays@1 (none)" in str(filled.catalog.erasures()[0])
    with pytest.raises(ConflictError, match="went with the rows that were erased"):
        filled.models.load("delays")


def test_a_column_that_the_model_gives(filled, plain, limit):
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    with pytest.raises(DataError, match="the spine has a column 'prediction', which the model gives"):
        filled.models.load("warm").predict([{"origin": "JFK", "prediction": 1}], time=datetime(2024, 1, 1, tzinfo=UTC))


def test_keeping_it_again_mends_its_files(filled, folder, plain, limit):
    words = {"path": limit, "loader": saved_models.warm, "training_set": plain}
    kept = filled.models.register("warm", **words)
    (Path(folder) / kept.artefact / "limit.json").write_text("nothing")
    assert filled.models.register("warm", **words).ref == "warm@1"
    assert filled.models.load("warm").predict_one({"origin": "JFK"})


def test_what_is_refused_leaves_no_files(filled, folder, plain, limit):
    left = Path(folder) / "models" / ".new-1"  # of a process that was killed
    left.mkdir(parents=True)
    with pytest.raises(DataError):
        filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain, method="broken")
    assert list((Path(folder) / "models").iterdir()) == []


def test_predictions_are_written_into_a_group_and_are_features_then(filled, folder, plain, limit, at):
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    predictor = filled.models.load("warm")
    asked = [{"origin": key, "t": at(hour), "note": "x"} for hour in range(20) for key in KEYS]
    with pytest.warns(DataWarning, match="group 'warmth' was inferred and registered"):
        first = predictor.into_group("warmth", asked, time="t", batch_rows=25)
    assert (first.rows, first.commit.rows, first.commit.repeated) == (60, 60, False)
    assert first.schema.names == ["origin", "t", "note", "prediction"]
    assert first.commits == predictor.predict(asked, time="t").commits
    assert first.commit.meta == {"model": "warm@1", "training_set": plain.ref}
    again = predictor.into_group("warmth", asked, time="t")
    assert (again.commit.id, again.commit.repeated, again.rows) == (first.commit.id, True, 60)
    filled.retract(first.commit.id, reason="a try")
    assert predictor.into_group("warmth", asked, time="t").commit.repeated is False
    given = {
        (row["origin"], row["t"]): row["prediction"]
        for row in predictor.predict(asked, time="t").to_arrow().to_pylist()
    }
    stored = filled.read("warmth").to_arrow().to_pylist()
    assert {(row["origin"], row["t"]): row["prediction"] for row in stored} == given
    assert {row["model"] for row in stored} == {"warm@1"}
    newest = max(row["t"] for row in asked)
    assert filled.online("warmth", {"origin": "JFK"}).values["prediction"] == given["JFK", newest]


def test_predictions_that_a_group_does_not_take_are_refused_before_anything_is_predicted(filled, plain, limit, spine):
    filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    predictor = filled.models.load("warm")
    asked = [{"origin": row["origin"], "t": row["t"]} for row in spine[:9]]
    nothing = iter(())  # whoever asks for its rows fails
    for group, time, message in (
        ("weather", "t", "it has no feature prediction"),
        ("plain", "t", "'plain' is a view"),
        ("Warm!", "t", "is no name"),
        ("warmth", None, "each row of a group has a time of its own"),
        ("warmth", datetime(2026, 1, 1, tzinfo=UTC), "each row of a group has a time of its own"),
    ):
        with pytest.raises(UsageError, match=message):
            predictor.into_group(group, nothing, time=time)
    with pytest.raises(DataError, match="key 'origin' is null in 1 rows"):
        predictor.into_group("warmth", [*asked, {"origin": None, "t": asked[0]["t"]}], time="t")
    assert "warmth" not in {group.definition.name for group in filled.catalog.groups()}


def test_doctor_reads_the_files_of_models(filled, folder, plain, limit):
    assert filled.quality.doctor().models == 0
    words = {"loader": saved_models.warm, "training_set": plain}
    first = filled.models.register("warm", path=limit, **words)
    filled.models.register("again", path=limit, **words)  # the same files
    limit.write_text(json.dumps({"limit": 2.0}))
    gone = filled.models.register("gone", path=limit, **words, stage="archived")
    healthy = filled.quality.doctor()
    assert (healthy.models, healthy.findings) == (2, ())
    assert "2 models read" in str(healthy)
    (Path(folder) / first.artefact / "limit.json").write_text("nothing")
    shutil.rmtree(Path(folder) / gone.artefact)
    for repair in (False, True):
        found = filled.quality.doctor(repair=repair)
        assert (found.models, found.healthy, {each.where for each in found.findings}) == (0, False, {"models"})
        said = sorted(each.what.replace(str(folder), "") for each in found.findings)
        assert said == [
            f"again@1: the files of /{first.artefact} are not those that were kept",
            f"gone@1: there are no files in /{gone.artefact}",
            f"warm@1: the files of /{first.artefact} are not those that were kept",
        ]
        assert {each.todo for each in found.findings} == {"restore the store's folder, or keep the model again"}
    limit.write_text(json.dumps({"limit": 50.0}))
    filled.models.register("warm", path=limit, **words)
    assert [each.what[:6] for each in filled.quality.doctor().findings] == ["gone@1"]


def test_doctor_finds_what_a_killed_registration_left(filled, folder, plain, limit):
    kept = filled.models.register("warm", path=limit, loader=saved_models.warm, training_set=plain)
    models = Path(folder) / "models"
    for name in (".new-0123456789ab", "0" * 32):
        (models / name).mkdir()
        (models / name / "limit.json").write_text("{}")
    (models / "notes").mkdir()  # somebody's own
    what = f"2 folders of files that no model uses: .new-0123456789ab, {'0' * 32}"
    found = filled.quality.doctor()
    assert [(each.what, each.repaired, each.todo) for each in found.findings] == [
        (what, False, "run `asof doctor --repair`")
    ]
    with turn(models, shared=True):  # somebody registers a model: these may be his
        assert filled.quality.doctor(repair=True).findings == ()
    mended = filled.quality.doctor(repair=True)
    assert [(each.what, each.repaired) for each in mended.findings] == [(what, True)]
    assert mended.healthy
    assert sorted(place.name for place in models.iterdir()) == sorted([Path(kept.artefact).name, "notes"])
    assert filled.quality.doctor().findings == ()
    assert filled.models.load("warm").predict_one({"origin": "JFK"})


def test_folders_that_are_read_only_linked_or_empty(filled, folder, plain, limit, tmp_path):
    words = {"loader": "tests.saved_models:of_folder", "training_set": plain}
    parts = tmp_path / "model" / "parts"
    parts.mkdir(parents=True)
    with pytest.raises(UsageError, match="there are no files"):
        filled.models.register("warm", path=tmp_path / "model", **words)
    (parts / "limit.json").symlink_to(limit)
    with pytest.raises(UsageError, match="is a link"):
        filled.models.register("warm", path=tmp_path / "model", **words)
    (parts / "limit.json").unlink()
    shutil.copy(limit, parts / "limit.json")
    parts.chmod(0o555)
    kept = filled.models.register("warm", path=tmp_path / "model", **words)
    filled.models.remove("warm")
    assert not (Path(folder) / kept.artefact).exists()
    parts.chmod(0o755)


def test_two_inputs_of_one_name(store, at):
    pair = FeatureGroup(
        "pair", entity=Entity("airport", keys={"origin": "string"}), event_time="at",
        features=[Feature("emb", "vector<float64, 2>"), Feature("emb_0", "float64")],
    )  # fmt: skip
    store.apply(pair)
    store.backfill("pair", [{"origin": "JFK", "at": at(-1), "emb": [1.0, 2.0], "emb_0": 3.0}])
    rows = [{"origin": "JFK", "t": at(-0.5), "late": 1.0}]
    made = store.training_set("pair", view="pair", spine=rows, time="t", label="late")
    with pytest.raises(UnsupportedError, match="two inputs of the model are named 'emb_0'"):
        made.xy()


# ---- what is known of it


def test_the_catalog_knows_models(filled, plain, limit):
    kept = filled.models.register(
        "warm", path=limit, loader=saved_models.warm, training_set=plain, metrics={"mae": 1.25}, description="how warm"
    )
    assert filled.catalog.lineage("warm").reads == ("departures@1", "plain@1")
    assert filled.catalog.lineage("departures").read_by == ("warm@1",)
    assert "warm@1" in filled.catalog.lineage("plain").read_by
    told = str(filled.catalog.describe("warm"))
    for text in ("model warm@1", "how warm", "mae 1.25", "departures@1", "prediction"):
        assert text in told
    assert str(kept.ref) in repr(kept)
    assert "warm@1" in kept._repr_html_()
    filled.models.move("warm@1", "archived")
    assert "warm@1" not in filled.catalog.lineage("plain").read_by
    deeds = [(deed.what, deed.about, deed.note) for deed in filled.catalog.audit(matching="warm@1")]
    assert deeds == [("model", "warm@1", "of departures@1, none"), ("model", "warm@1", "archived")]
