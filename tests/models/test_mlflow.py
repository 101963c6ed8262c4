"""Models in MLflow, with a real one on SQLite: what is logged with them, how they are loaded, and what is refused."""

import gc
import os
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import feather, parquet
from sklearn.linear_model import LogisticRegression, Ridge
from tests.client.conftest import Served, everybody

import asof
import asof.mlflow
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.cli.app import app
from asof.client import RemoteStore
from asof.client.address import address_of
from asof.client.training_sets import KeptThere
from asof.errors import (
    BackendError,
    ConflictError,
    DataError,
    MissingDependencyError,
    NotFoundError,
    PermanentError,
    UnsupportedError,
    UsageError,
)
from asof.mlflow.package import asking
from asof.server.limits import Limits
from asof.training.sets.training_set import TrainingSet
from asof.transforms import Impute, Standard

mlflow = import_module("mlflow")
fluent = import_module("mlflow.tracking.fluent")
repositories = import_module("mlflow.store.artifact.artifact_repository_registry")

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 30


def at(hour):
    return START + timedelta(hours=hour)


@pytest.fixture(scope="session")
def empty(tmp_path_factory):
    """Give a database of MLflow with its tables: making them takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with chdir(folder):  # where files of the default experiment go is what MLflow notes as well
        mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Have MLflow, which keeps what it was told in its modules and the environment, forget it around each test."""
    forget()
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    yield
    forget()


def forget():
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    fluent._active_experiment_id = None


def filled(folder, empty):
    store = asof.open(folder, clock=lambda: at(HOURS))
    shutil.copy(empty, folder / "mlflow.db")
    group = FeatureGroup(
        "weather",
        entity=Entity("airport", keys={"origin": "string"}),
        features=[Feature("temp", "float64"), Feature("visib", "float64"), Feature("sky", "string"), Feature("seen", "timestamp")],
        event_time="t",
        online=True,
    )  # fmt: skip
    store.apply(
        group,
        FeatureView("departure", features=[group["temp"], group["visib"]], transforms={"temp": [Impute("mean"), Standard()]}),
        FeatureView("words", features=[group["temp"], group["sky"], group["seen"]]),
    )  # fmt: skip
    hours = range(HOURS)
    store.backfill("weather", [
        {"origin": o, "t": at(h), "temp": None if h == 7 else float(h * k), "visib": h / 3, "sky": None if h % 5 == 0 else o, "seen": at(h)}
        for h in hours
        for k, o in enumerate(("JFK", "LGA"), 1)
    ])  # fmt: skip
    return store


@pytest.fixture
def store(tmp_path, empty):
    with filled(tmp_path / "store", empty) as opened:
        yield opened


@pytest.fixture
def spine():
    return [{"origin": o, "t": at(h + 0.5), "y": float(h % 4)} for h in range(20) for o in ("JFK", "LGA")]


@pytest.fixture
def made(store, spine):
    return store.training_set("departure-2026", view="departure", spine=spine, time="t", label="y")


def fitted(made, model=None):
    return (model or Ridge()).fit(*made.xy())


def client(store):
    return mlflow.MlflowClient(f"sqlite:///{store._root / 'mlflow.db'}")


class Doubled(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return np.asarray(model_input["temp"]) * 2


class Failing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        raise ArithmeticError("no such number")


class Meanwhile(mlflow.pyfunc.PythonModel):
    """Predicts, and does to the store what another process may do at that time."""

    def predict(self, context, model_input, params=None):
        with asof.open(os.environ["TRIED_STORE"]) as store:
            if store.catalog.training_sets():
                store.catalog.remove_training_set("departure-2026")
        return np.zeros(len(model_input))


QUICK = {"pip_requirements": []}
"""MLflow would search for what a model needs, in a process of its own."""


# ---------------------------------------------------------------- what is logged


def test_a_model_is_logged_to_the_active_run_with_what_it_was_fitted_on(store, made):
    asof.mlflow.connect(store, experiment="trials")
    with mlflow.start_run() as run:
        model = asof.mlflow.log_model(
            fitted(made), training_set=made, name="delays", metrics={"mae": 1.5}, code_commit="c0ffee"
        )
    assert (model.ref, model.artefact, model.view, model.training_set) == (
        "delays@1",
        "models:/delays/1",
        "departure@1",
        "departure-2026@1",
    )
    assert dict(model.said.outputs) == {"prediction": "float64"}
    assert model.said.loader == "mlflow"
    assert model.metrics == {"mae": 1.5}
    expected = {
        "asof.store": str(store._root),
        "asof.view": "departure@1",
        "asof.training_set": "departure-2026@1",
        "asof.training_digest": made.digest,
        "asof.transforms": made.fitted.digest,
        "asof.semantics": "1",
        "asof.version": asof.__version__,
        "asof.code_commit": "c0ffee",
    }
    asked = client(store)
    version = asked.get_model_version("delays", "1")
    assert dict(version.tags) == expected
    known = asked.get_run(run.info.run_id)
    assert {name: value for name, value in known.data.tags.items() if name.startswith("asof.")} == expected
    assert known.data.metrics == {"mae": 1.5}
    assert version.run_id == run.info.run_id
    assert asked.get_experiment(known.info.experiment_id).artifact_location == (store._root / "mlflow").as_uri()


def test_the_training_set_is_an_input_of_the_run_and_is_found_by_it(store, made):
    asof.mlflow.connect(store)
    with mlflow.start_run() as run:
        asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    (given,) = client(store).get_run(run.info.run_id).inputs.dataset_inputs
    assert given.tags[0].value == "training"
    assert (given.dataset.name, given.dataset.digest, given.dataset.source_type) == (
        "departure-2026@1",
        made.digest[:36],
        "asof",
    )
    source = mlflow.data.get_source(given)
    assert source.load().to_arrow().equals(made.to_arrow())
    again = mlflow.data.dataset_source_registry.resolve_dataset_source(source.uri)
    assert (again.store, again.ref) == (str(store._root), "departure-2026@1")


def test_a_source_of_another_training_set_is_refused(store, made):
    source = import_module("asof.mlflow.datasets").TrainingSetSource
    with pytest.raises(ConflictError, match="another training set than was logged"):
        source(f"asof:{store._root}#departure-2026@1", "0" * 64).load()
    with pytest.raises(NotFoundError):
        source(f"asof:{store._root}#departure-2027@1").load()
    with pytest.raises(NotFoundError, match="there is no store"):
        source("asof:/nowhere#departure-2027@1").load()
    for uri in ("asof:/data", "asof:/data#x", "s3://bucket#x@1", "asof:#x@1"):
        with pytest.raises(UsageError, match="is no training set"):
            source(uri)
    assert source("asof+tls://host:1#x@2").store == "asof+tls://host:1"


def test_without_a_run_one_is_started_where_the_store_says(store, made):
    asof.mlflow.log_model(
        fitted(made), training_set="departure-2026", store=store, name="delays", description="by the hour"
    )
    version = client(store).get_model_version("delays", "1")
    assert version.description == "by the hour"
    assert client(store).get_run(version.run_id).info.status == "FINISHED"
    assert mlflow.active_run() is None


def test_metrics_of_the_run_are_those_of_the_record(store, made):
    asof.mlflow.connect(store)
    with mlflow.start_run():
        mlflow.log_metrics({"mae": 2.5, "odd": float("nan")})
        model = asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    assert model.metrics == {"mae": 2.5}


def test_a_model_of_scikit_learn_is_kept_without_pickle(store, made):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    files = {file.name for file in (store._root / "mlflow").rglob("*") if file.is_file()}
    assert "model.skops" in files
    assert not [name for name in files if name.endswith(".pkl")]


def test_a_training_set_is_not_removed_while_a_model_of_it_is_live(store, made):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    with pytest.raises(ConflictError, match=r"live models were fitted on it: departure-2026@1 by delays@1"):
        store.catalog.remove_training_set("departure-2026")


# ---------------------------------------------------------------- what predicts


def test_a_loaded_model_predicts_the_same_bits_in_batches_and_online(store, made, spine):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays", stage="production")
    client(store).set_registered_model_alias("delays", "champion", "1")
    now = [{"origin": o, "t": at(HOURS)} for o in ("JFK", "LGA")]
    known = [
        float(
            Ridge()
            .fit(*made.xy())
            .predict(made.transform(store.historical("departure", now, time="t").to_pandas())[["temp", "visib"]])[k]
        )
        for k in (0, 1)
    ]
    for name in ("models:/delays/1", "models:/delays@champion", "delays", "delays@production"):
        predictor = asof.mlflow.load(name, store=store)
        batch = predictor.predict(now, time="t").to_arrow().column("prediction").to_pylist()
        one = [predictor.predict_one({"origin": row["origin"]}).value for row in now]
        assert batch == one
        assert batch == pytest.approx(known)
    assert store.models.load("delays").predict_one({"origin": "JFK"}).value == batch[0]


def test_a_server_and_the_command_answer_with_a_model_of_mlflow(store, made, tmp_path):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays", stage="production", **QUICK)
    keys = [{"origin": o} for o in ("JFK", "LGA")]
    wanted = [each.value for each in store.models.load("delays").predict_many(keys)]
    server = Served(store, Limits(), everybody, ("delays", "delays@production"))
    with asof.open(server.url) as remote:
        for name in ("delays", "delays@production", "delays@1"):
            assert [each.value for each in remote.models.load(name).predict_many(keys)] == wanted
        other = asof.mlflow.log_model(Ridge(9.0).fit(*made.xy()), training_set=made, name="delays", **QUICK)
        server.shared.models.refresh()  # what it does every three seconds
        assert (other.ref, remote.models.load("delays").predict_one(keys[0]).model) == ("delays@2", "delays@2")
        assert remote.models.load("delays@production").predict_one(keys[0]).value == wanted[0]
    server.stop()

    asked = pa.table({"origin": [each["origin"] for each in keys], "t": [at(HOURS)] * len(keys)})
    parquet.write_table(asked, tmp_path / "spine.parquet")
    words = [
        store._root,
        "delays@production",
        tmp_path / "spine.parquet",
        "--time",
        "t",
        "--out",
        tmp_path / "out.arrow",
    ]
    asof_command = Path(sys.executable).with_name("asof")
    done = subprocess.run([asof_command, "predict", *map(str, words)], capture_output=True, text=True, check=False)
    assert "2 predictions of delays@1" in done.stdout, done.stderr
    assert feather.read_table(tmp_path / "out.arrow")["prediction"].to_pylist() == wanted


def test_a_server_that_cannot_load_it_does_not_start_and_says_why(store, logged, tmp_path):
    for name, said in {
        "models:/delays/1": 'models are code, and loaded only as the store has recorded them -> pass "delays@1", which is this one',
        "models:/delays@champion": "pass the name that `asof model ls` shows; asof.mlflow.log_model records what it logs",
        "runs:/123/model": "'runs:/123/model' is no name of the store's",
    }.items():
        with pytest.raises(UsageError, match=re.escape(said)):
            store.models.get(name)
        result = CliRunner().invoke(app, ["serve", str(store._root), "--model", name, "--port", "0"], prog_name="asof")
        assert (result.exit_code, said in result.stderr) == (2, True), result.stderr
    client(store).delete_model_version("delays", "1")
    result = CliRunner().invoke(app, ["serve", str(store._root), "--model", "delays", "--port", "0"], prog_name="asof")
    assert (result.exit_code, "MLflow cannot find the model" in result.stderr) == (1, True), result.stderr


def test_a_model_that_another_process_logged_is_loaded(store, made, tmp_path):
    code = f"""
import asof, asof.mlflow
from sklearn.linear_model import Ridge
with asof.open({str(store._root)!r}) as store:
    made = store.training_set("departure-2026")
    print(asof.mlflow.log_model(Ridge().fit(*made.xy()), training_set=made, name="delays").artefact)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "models:/delays/1", done.stderr
    mine = asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    assert mine.artefact == "models:/delays/2"
    both = [asof.mlflow.load(f"models:/delays/{n}", store=store).predict_one({"origin": "JFK"}).value for n in (1, 2)]
    assert both[0] == both[1]


def test_probabilities_are_named_by_class(store, made):
    model = LogisticRegression().fit(*made.xy())
    asof.mlflow.log_model(model, training_set=made, name="sort", method="predict_proba")
    found = asof.mlflow.load("sort", store=store).predict_one({"origin": "JFK"}).values
    assert list(found) == [f"prediction_{k}.0" for k in range(4)]
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_function_of_python_is_called_by_the_interface_of_mlflow(store, spine):
    words = store.training_set("words-2026", view="words", spine=spine, time="t")
    asof.mlflow.log_model(Doubled(), training_set=words, name="doubled", **QUICK)
    predictor = asof.mlflow.load("models:/doubled/1", store=store)
    assert predictor.predict_one({"origin": "LGA"}).value == 2.0 * 2 * (HOURS - 1)
    rows = predictor.predict([{"origin": "LGA", "t": at(8)}, {"origin": "LGA", "t": at(7.5)}], time="t").to_arrow()
    assert str(rows.column("prediction").to_pylist()) == "[32.0, nan]"


def test_how_long_predictions_are_kept_is_said_with_the_model(store, made):
    said = asof.mlflow.log_model(fitted(made), training_set=made, name="delays", log=0.5, log_retention="90d").said
    assert (said.log, said.log_retention_us) == (0.5, 90 * 24 * 3600 * 1_000_000)


def test_a_password_in_what_mlflow_says_is_not_told():
    for error in (mlflow.MlflowException, ValueError):
        with pytest.raises(BackendError) as told, asking("log", where="mlflow"):
            raise error("cannot reach http://ana:p@ss@tracking:5000/api or postgresql://bo:word@db/x of a@b")
        assert "http://tracking:5000/api or postgresql://db/x of a@b" in str(told.value)


@pytest.fixture
def far(store, s3_server, monkeypatch, tmp_path):
    """Have MLflow keep files in object storage, and give the folder of temporary files."""
    for name, value in {**s3_server.environment(), "MLFLOW_S3_ENDPOINT_URL": s3_server.endpoint}.items():
        monkeypatch.setenv(name, value)
    client(store).create_experiment("asof", artifact_location=f"s3://{s3_server.BUCKET}/{tmp_path.name}")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


def copies(folder):
    gc.collect()
    return list(folder.glob("asof-mlflow-*"))


def test_the_copy_of_files_that_lie_elsewhere_goes_with_the_model(store, made, far):
    asof.mlflow.log_model(Doubled(), training_set=made, name="doubled", **QUICK)
    assert copies(far) == []
    predictor = asof.mlflow.load("models:/doubled/1", store=store)
    assert len(copies(far)) == 1
    assert predictor.predict_one({"origin": "JFK"}).value is not None
    del predictor
    assert list(far.iterdir()) == copies(far) == []


def test_the_copy_of_files_that_are_refused_goes(store, made, far, tmp_path):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    (tmp_path / "model.skops").write_bytes(b"other")
    place = client(store).get_model_version_download_uri("delays", "1")
    repositories.get_artifact_repository(place).log_artifact(str(tmp_path / "model.skops"))
    with pytest.raises(PermanentError, match="are not those that were logged"):
        store.models.load("delays")
    assert list(far.iterdir()) == copies(far) == []


def test_a_model_from_code_is_no_pickle(store, made, tmp_path):
    file = tmp_path / "tripled.py"
    file.write_text(
        "import mlflow\n\nclass Tripled(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input['visib'].to_numpy() * 3\n\n"
        "mlflow.models.set_model(Tripled())\n"
    )
    asof.mlflow.log_model(file, training_set=made, name="tripled", **QUICK)
    assert asof.mlflow.load("tripled", store=store).predict_one({"origin": "JFK"}).value == pytest.approx(HOURS - 1)
    assert not list((store._root / "mlflow").rglob("*.pkl"))


@pytest.mark.parametrize("takes", ["numpy", "arrow"])
def test_a_model_that_takes_something_else(store, made, takes):
    if takes == "numpy":
        asof.mlflow.log_model(Ridge().fit(*made.xy(takes="numpy")), training_set=made, name="delays", takes=takes)
    else:
        asof.mlflow.log_model(Doubled(), training_set=made, name="delays", takes=takes, **QUICK)
    predictor = asof.mlflow.load("delays", store=store)
    batch = predictor.predict([{"origin": "JFK", "t": at(HOURS)}], time="t").to_arrow().column("prediction").to_pylist()
    assert batch == [predictor.predict_one({"origin": "JFK"}).value]


# ---------------------------------------------------------------- what is refused when a model is loaded


@pytest.fixture
def logged(store, made):
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays", stage="staging")
    return client(store)


@pytest.mark.parametrize(
    ("tag", "value", "reason"),
    [
        (
            "asof.view",
            "departure@2",
            r"MLflow says asof.view = 'departure@2' of it, the record of delays@1 says 'departure@1'",
        ),
        ("asof.training_set", "departure-2026@2", r"the record of delays@1 says 'departure-2026@1'"),
        ("asof.training_digest", "0", r"MLflow says asof.training_digest = '0' of it"),
        ("asof.transforms", "", r"MLflow says no asof.transforms of it"),
        ("asof.semantics", "0", r"fitted under version 0 of the rules, this is 1"),
    ],
)
def test_tags_that_say_something_else_are_refused(store, logged, tag, value, reason):
    logged.set_model_version_tag("delays", "1", tag, value)
    for load in (lambda: asof.mlflow.load("models:/delays/1", store=store), lambda: store.models.load("delays")):
        with pytest.raises(ConflictError, match=reason):
            load()


def test_a_model_that_was_not_logged_by_asof_is_refused(store, made, logged):
    asof.mlflow.connect(store)
    with mlflow.start_run():
        mlflow.sklearn.log_model(
            fitted(made),
            name="delays",
            registered_model_name="delays",
            serialization_format="skops",
            pip_requirements=[],
        )
    with pytest.raises(UsageError, match="the model was not logged by asof"):
        asof.mlflow.load("models:/delays/2", store=store)


def test_a_model_of_another_store_is_refused(store, logged, tmp_path, empty, monkeypatch):
    monkeypatch.setenv("ASOF_MLFLOW", f"sqlite:///{store._root / 'mlflow.db'}")
    with filled(tmp_path / "other", empty) as other:
        with pytest.raises(ConflictError, match=r"it was logged with the store '.*/store', this is '.*/other'"):
            asof.mlflow.load("models:/delays/1", store=other)
        with pytest.raises(NotFoundError, match="unknown model 'delays'"):
            asof.mlflow.load("delays", store=other)


def test_a_version_without_a_record_is_refused(store, logged):
    store.models.remove("delays@1")  # so does one whose process was killed before it was recorded
    with pytest.raises(ConflictError, match="the store has no record of it: it was removed, or logging was broken off"):
        asof.mlflow.load("models:/delays/1", store=store)


def test_a_version_that_mlflow_has_no_more_is_refused(store, logged):
    logged.delete_model_version("delays", "1")
    with pytest.raises(NotFoundError, match=r"MLflow cannot find the model: .*delays.*\[models:/delays/1\]"):
        store.models.load("delays")


def test_files_that_are_not_those_that_were_logged_are_not_loaded(store, logged):
    (file,) = (store._root / "mlflow").rglob("model.skops")
    file.write_bytes(b"other")
    with pytest.raises(PermanentError, match="the files of models:/delays/1 are not those that were logged"):
        store.models.load("delays")


def test_the_registration_under_a_second_name_changes_nothing(store, logged):
    asof.mlflow.connect(store)
    mlflow.register_model(logged.get_model_version("delays", "1").source, "second")
    assert store.models.load("delays").model.ref == "delays@1"


def test_an_alias_of_a_stage_is_the_stores_stage_or_refused(store, logged):
    logged.set_registered_model_alias("delays", "staging", "1")
    assert asof.mlflow.load("models:/delays@staging", store=store).model.stage == "staging"
    logged.set_registered_model_alias("delays", "production", "1")
    with pytest.raises(
        ConflictError, match=r"is models:/delays/1, and the stage of delays@1 is 'staging'.*the store's stages count"
    ):
        asof.mlflow.load("models:/delays@production", store=store)


def test_what_the_transforms_learned_must_be_there(store, logged):
    store.forget("airport", {"origin": "JFK"})
    with pytest.raises(ConflictError, match="what its transforms learned went with the rows that were erased"):
        store.models.load("delays")


@pytest.mark.parametrize(
    "name",
    ["models:/delays", "models:/delays/latest", "models:delays/1", "models:/m-0123", "models:/a/1/b", "models:/a@"],
)
def test_what_names_no_version_is_refused(store, name):
    with pytest.raises(UsageError, match="names no version of a model in MLflow"):
        asof.mlflow.load(name, store=store)


def test_unknown_names_are_refused(store, logged):
    for name in ("models:/delays/9", "models:/other/1", "models:/delays@nobody"):
        with pytest.raises((NotFoundError, UsageError), match="MLflow cannot find the model"):
            asof.mlflow.load(name, store=store)
    with pytest.raises(UsageError, match="int is no name of a model"):
        asof.mlflow.load(1, store=store)
    with pytest.raises(UsageError, match="str is no store"):
        asof.mlflow.load("delays", store="features")


# ---------------------------------------------------------------- what is refused when a model is logged


def nothing_is_kept(store, name="delays"):
    asked = client(store)
    assert asked.search_model_versions(f"name='{name}'") == []
    experiments = [each.experiment_id for each in asked.search_experiments()]
    assert [each for each in asked.search_logged_models(experiments) if each.status.value != "FAILED"] == []
    assert store.models.all() == []


def test_a_model_that_cannot_predict_leaves_nothing(store, made):
    with pytest.raises(DataError, match="the model failed: ArithmeticError: no such number"):
        asof.mlflow.log_model(Failing(), training_set=made, name="delays", **QUICK)
    nothing_is_kept(store)
    asked = client(store)
    (run,) = asked.search_runs([asked.get_experiment_by_name("asof").experiment_id])
    assert run.info.status == "FAILED"


def test_a_training_set_that_goes_meanwhile_leaves_nothing(store, made, monkeypatch):
    monkeypatch.setenv("TRIED_STORE", str(store._root))
    with pytest.raises(ConflictError, match="departure-2026@1 was removed"):
        asof.mlflow.log_model(Meanwhile(), training_set=made, name="delays", **QUICK)
    nothing_is_kept(store)


@pytest.mark.parametrize(
    ("words", "error", "reason"),
    [
        ({"name": "Delays"}, UsageError, "Delays"),
        ({"stage": "best"}, UsageError, "stage='best' is no stage"),
        ({"method": "prophesy"}, UsageError, "the model has no method 'prophesy'"),
        ({"takes": "xarray"}, UsageError, "takes='xarray'"),
        ({"metrics": {"mae": float("inf")}}, UsageError, "the metric mae=inf is no finite number"),
        ({"log_retention": "30d"}, UsageError, "log_retention= needs log="),
        ({"log": 1.0, "log_retention": "soon"}, UsageError, "log_retention"),
        ({"flavor": np}, UsageError, "is no flavour of MLflow"),
        ({"input_example": [1]}, UsageError, "its rows would lie where `forget` does not reach"),
        ({"registered_model_name": "x"}, UsageError, "registered_model_name= is no option here"),
        ({"no_such_option": 1}, BackendError, "no_such_option"),
        ({"training_set": "departure-2026"}, UsageError, "which store keeps the training set 'departure-2026'"),
    ],
)
def test_words_that_do_not_fit_are_refused(store, made, words, error, reason):
    with pytest.raises(error, match=reason):
        asof.mlflow.log_model(fitted(made), **{"training_set": made, "name": "delays", **words})
    nothing_is_kept(store)


def test_a_model_whose_class_says_not_how_it_is_kept_is_refused(made):
    with pytest.raises(UsageError, match=r"builtins.object says not how MLflow keeps it.*flavor="):
        asof.mlflow.log_model(object(), training_set=made, name="delays")
    with pytest.raises(UsageError, match="which model"):
        asof.mlflow.log_model(None, training_set=made, name="delays")


def test_a_run_elsewhere_is_refused(store, made, tmp_path, empty):
    shutil.copy(empty, tmp_path / "theirs.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'theirs.db'}")
    with pytest.raises(ConflictError, match=r"MLflow logs elsewhere than asof.toml says.*asof.mlflow.connect"):
        asof.mlflow.log_model(fitted(made), training_set=made, name="delays")
    with mlflow.start_run(), pytest.raises(UsageError, match="a run is active in another MLflow"):
        asof.mlflow.connect(store)
    assert asof.mlflow.connect(store) == f"sqlite:///{store._root / 'mlflow.db'}"
    asof.mlflow.log_model(fitted(made), training_set=made, name="delays")


def test_the_store_may_leave_it_to_mlflow(made, store, tmp_path, empty, monkeypatch, spine):
    settings = store._root / "asof.toml"
    settings.write_text(settings.read_text() + 'mlflow = ""\n')
    shutil.copy(empty, tmp_path / "theirs.db")
    mlflow.set_tracking_uri("sqlite:///theirs.db")
    with asof.open(store._root) as again:
        asof.mlflow.log_model(fitted(made), training_set="departure-2026", store=again, name="delays")
        assert again.models.load("delays").predict(spine, time="t").to_arrow().num_rows == len(spine)
    assert client(store).search_registered_models() == []


def test_mlflow_that_cannot_be_reached_is_told(store, logged, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("ASOF_MLFLOW", "http://127.0.0.1:1")
    with asof.open(store._root) as again, pytest.raises(BackendError, match="MLflow cannot find the model"):
        again.models.load("delays")


def test_a_database_that_is_none_is_told(store, logged, monkeypatch, tmp_path):
    (tmp_path / "none.db").write_text("no database" * 100)
    monkeypatch.setenv("ASOF_MLFLOW", f"sqlite:///{tmp_path / 'none.db'}")
    with asof.open(store._root) as again, pytest.raises(BackendError, match="MLflow cannot open its database"):
        again.models.load("delays")


def test_mlflow_that_is_not_installed_is_named(store, logged, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", None)
    for load in (lambda: store.models.load("delays"), lambda: asof.mlflow.load("models:/delays/1", store=store)):
        with pytest.raises(
            MissingDependencyError, match=r'the package \'mlflow\' is not installed.*pip install "asof\[mlflow\]"'
        ):
            load()


def test_a_store_behind_a_server_is_refused(made):
    remote = RemoteStore(address_of("asof://127.0.0.1:1"))
    for ask in (lambda: asof.mlflow.connect(remote), lambda: asof.mlflow.load("models:/delays/1", store=remote)):
        with pytest.raises(UnsupportedError, match="the store is behind a server, which asks its MLflow itself"):
            ask()
    there = TrainingSet(made.kept, KeptThere(None, None))
    with pytest.raises(
        UnsupportedError, match="departure-2026@1 is kept behind a server, which takes no model from here"
    ):
        asof.mlflow.log_model(fitted(made), training_set=there, name="delays")


def test_importing_it_imports_no_mlflow():
    code = "import asof, sys; assert 'asof.mlflow' not in sys.modules; import asof.mlflow; assert 'mlflow' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_its_files_lie_in_the_folder_of_the_store(store, logged, tmp_path):
    assert {each.name for each in Path(store._root).iterdir()} >= {"mlflow", "mlflow.db"}
    assert not (tmp_path / "mlruns").exists()
