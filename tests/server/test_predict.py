"""`asof serve --model`: predictions over HTTP, of the models that were named, as the registry moves on."""

import shutil
import signal
import struct
import time
from datetime import datetime
from itertools import pairwise

import anyio
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression
from sqlalchemy import update
from tests.predictions import AIRPORTS, airport, another, made, spine, weather
from tests.server.conftest import Asof, Server

import asof
from asof import FeatureGroup, FeatureView
from asof.access import Caller
from asof.clock import system_clock
from asof.errors import ConflictError, DeniedError, NotFoundError, PermanentError
from asof.registry.sql.tables import model
from asof.server.messages import PredictRequest
from asof.server.metrics import Metrics
from asof.server.models import REFRESH_SECONDS, ServedModels
from asof.server.openapi import Asked
from asof.server.predict import Predicting
from asof.transforms import Impute

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    now = system_clock().replace(microsecond=0)
    return made(tmp_path_factory.mktemp("models") / "store", now, clock=system_clock)


@pytest.fixture(scope="module")
def server(kept, server_of):
    return server_of(kept, "--model", "linear", "--model", "trees@production", "--model", "classes@1")


@pytest.fixture
def store(kept, tmp_path):
    with asof.open(shutil.copytree(kept, tmp_path / "store")) as opened:
        yield opened


def bits(value):
    return struct.pack(">d", value)


ASKED = [({"origin": origin}, {"hour": hour}) for hour, origin in enumerate([*AIRPORTS, "nowhere"])]


@pytest.mark.parametrize("name", ["linear", "trees@production"])
def test_http_says_bit_for_bit_what_python_says_online_and_in_batch(server, kept, name):
    many = {"keys": [keys for keys, _ in ASKED], "request": [request for _, request in ASKED]}
    status, found, _ = server.post(f"/v1/predict/{name}", {**many, "receipt": True, "statuses": True, "features": True})
    assert status == 200
    with asof.open(kept) as store:
        predictor = store.models.load(name)
        assert found["model"] == predictor.model.ref
        statuses = set()
        for (keys, request), row in zip(ASKED, found["rows"], strict=True):
            one = server.post(f"/v1/predict/{name}", {"keys": keys, "request": request})[1]
            assert one == {"model": predictor.model.ref, "values": row["values"]}
            again = predictor.predict_one(keys, request)
            assert bits(again.value) == bits(row["values"]["prediction"])
            replayed = store.replay(row["receipt"])
            assert dict(replayed.values) == row["features"] == again.features
            assert row["statuses"] == again.statuses
            statuses |= set(row["statuses"].values())
        assert statuses >= {"PRESENT", "NULL", "MISSING"}
        spine = pa.table({
            "origin": [keys["origin"] for keys, _ in ASKED],
            "hour": [request["hour"] for _, request in ASKED],
            "at": pa.array([datetime.fromisoformat(row["receipt"]["clock"]) for row in found["rows"]], pa.timestamp("us", "UTC")),
        })  # fmt: skip
        batch = predictor.predict(spine, time="at", known="served").to_arrow().column("prediction").to_pylist()
        assert list(map(bits, batch)) == [bits(row["values"]["prediction"]) for row in found["rows"]]


def test_a_model_that_gives_several_values_names_each(server, kept):
    status, found, _ = server.post("/v1/predict/classes@1", {"keys": {"origin": AIRPORTS[0]}, "request": {"hour": 3}})
    assert status == 200
    assert set(found["values"]) == {"prediction_False", "prediction_True"}
    with asof.open(kept) as store:
        assert found["values"] == store.models.load("classes").predict_one({"origin": AIRPORTS[0]}, {"hour": 3}).values


def test_only_what_was_named_is_served_under_its_name_or_its_version(server):
    asked = {"keys": {"origin": AIRPORTS[0]}, "request": {"hour": 3}}
    for name in ("linear", "linear@1", "trees@production", "trees@1", "classes@1"):
        assert server.post(f"/v1/predict/{name}", asked)[0] == 200
    for name in ("trees", "classes", "linear@2", "nothing"):
        status, problem, _ = server.post(f"/v1/predict/{name}", asked)
        assert (status, problem["type"]) == (404, "NotFoundError")
        assert f"unknown served model '{name}'" in problem["detail"]
    assert "linear" in server.post("/v1/predict/liner", asked)[1]["todo"]
    models = {each["model"]: each for each in server.get("/v1/models")[1]["models"]}
    assert {ref: each["served_as"] for ref, each in models.items()} == {
        "classes@1": ["classes@1"], "linear@1": ["linear"], "trees@1": ["trees@production"],
    }  # fmt: skip
    linear = models["linear@1"]
    assert (linear["view"], linear["training_set"], linear["metrics"]) == ("departure@1", "departure-1@1", {"mae": 9.5})


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({"keys": {"origin": 3}}, 400, ""),
        ({"keys": {"origin": "A01"}}, 400, "hour"),
        ({"keys": {"origin": "A01"}, "request": {"hour": "x"}}, 400, "hour"),
        ({"keys": {"dest": "A01"}, "request": {"hour": 1}}, 400, "origin"),
        ({"keys": {"origin": "A01"}, "request": [{"hour": 1}]}, 400, "several requests"),
        ({"keys": [{"origin": "A01"}], "request": [{"hour": 1}, {"hour": 2}]}, 400, "2 requests for 1 keys"),
        ({"keys": [{"origin": "A01"}] * 10_001, "request": {"hour": 1}}, 413, "10,001 key sets"),
        ({"keys": {"origin": "A01"}, "requests": {}}, 400, "requests"),
        ({}, 400, "keys"),
        ([], 400, ""),
    ],
)
def test_what_is_wrong_is_a_problem(server, asked, status, message):
    found, problem, _ = server.post("/v1/predict/linear", asked)
    assert (found, problem["status"]) == (status, status)
    assert message in problem["detail"]


def test_no_keys_are_no_rows(server):
    assert server.post("/v1/predict/linear", {"keys": []})[1] == {"model": "linear@1", "rows": []}


def test_figures_count_what_was_predicted(server):
    asked = {"keys": [{"origin": AIRPORTS[0]}] * 3, "request": {"hour": 3}}
    figure = 'asof_predictions_total{model="linear@1"}'

    def count():
        lines = server.get("/metrics")[1].splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(figure))

    before = count()
    server.post("/v1/predict/linear", asked)
    assert count() == before + 3
    assert 'asof_predict_seconds_bucket{le="0.001",model="linear@1"}' in server.get("/metrics")[1]


def test_a_server_with_a_model_that_cannot_be_loaded_does_not_start(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "store")
    code, said = Asof("serve", str(folder), "--port", "0", "--model", "liner").ended()
    assert (code, "unknown model 'liner'" in said) == (1, True)
    with asof.open(folder) as store:
        store.models.move("linear@1", "archived")
        (folder / store.models.get("trees").artefact / "model.skops").write_bytes(b"damaged")
    code, said = Asof("serve", str(folder), "--port", "0", "--model", "linear@1").ended()
    assert (code, "linear@1 is archived" in said) == (1, True)
    code, said = Asof("serve", str(folder), "--port", "0", "--model", "trees").ended()
    assert (code, "are not those that were kept" in said) == (1, True)


def test_a_name_follows_the_registry_and_what_is_archived_or_removed_is_gone(store):
    models = ServedModels(store, ["linear", "trees@production", "classes@1"], seconds=3600)
    try:
        first = models.need("linear").predictor
        another(store)
        assert models.need("linear").predictor is first
        models.refresh()
        assert models.need("linear").model.ref == "linear@2"
        assert models.find("linear@1") is None
        trees = models.need("trees@production").predictor
        models.refresh()
        assert models.need("trees@production").predictor is trees
        another(store, "trees", stage="production")
        models.refresh()
        assert models.need("trees@production").model.ref == "trees@2"
        store.models.move("classes@1", "archived")
        store.models.move("trees@2", "staging")
        models.refresh()
        assert {each.name for each in models.all()} == {"linear"}
        with pytest.raises(NotFoundError, match="unknown served model 'classes@1'"):
            models.need("classes@1")
        store.models.move("classes@1", "production")
        store.models.remove("linear")
        models.refresh()
        assert {each.name for each in models.all()} == {"classes@1"}
    finally:
        models.close()
    with pytest.raises(ConflictError, match="archived"):
        store.models.move("classes@1", "archived")
        ServedModels(store, ["classes@1"])


def test_a_new_version_that_cannot_be_loaded_leaves_the_one_before(store, caplog):
    models = ServedModels(store, ["linear"], seconds=3600)
    try:
        new = another(store)
        file = store._root / new.artefact / "model.skops"
        whole = file.read_bytes()
        file.write_bytes(b"damaged")
        with caplog.at_level("WARNING"):
            models.refresh()
            models.refresh()
        assert models.need("linear").model.ref == "linear@1"
        assert caplog.text.count("cannot be loaded, linear@1 answers") == 1
        file.write_bytes(whole)
        models.refresh()
        assert models.need("linear").model.ref == "linear@2"
    finally:
        models.close()


def test_workers_predict_and_follow_too(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "store")
    server = Server(folder, ("--workers", "2", "--model", "linear"))
    try:
        asked = {"keys": {"origin": AIRPORTS[0]}, "request": {"hour": 3}}
        assert server.post("/v1/predict/linear", asked)[1]["model"] == "linear@1"
        with asof.open(folder) as store:
            another(store)
        end = time.monotonic() + 10 * REFRESH_SECONDS
        seen = set()
        while time.monotonic() < end and seen != {"linear@2"}:
            seen = {server.post("/v1/predict/linear", asked)[1]["model"] for _ in range(8)}
        assert seen == {"linear@2"}
    finally:
        assert server.stop() == 0


def test_a_worker_that_starts_after_a_model_was_archived_goes_on_without_it(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "store")
    server = Server(folder, ("--workers", "2", "--model", "linear", "--model", "classes@1"))

    def wait(count):
        """Wait until so many processes said that the model is gone."""
        end = time.monotonic() + 60
        while sum("classes@1 is not served any more" in line for line in server.lines) < count:
            assert time.monotonic() < end, server.lines
            time.sleep(0.05)

    try:
        with asof.open(folder) as store:
            store.models.move("classes@1", "archived")
        wait(3)  # the first process, and two workers
        server.process.send_signal(signal.SIGHUP)
        wait(5)
        asked = {"keys": {"origin": AIRPORTS[0]}, "request": {"hour": 3}}
        assert server.post("/v1/predict/linear", asked)[0] == 200
        assert server.post("/v1/predict/classes@1", asked)[0] == 404
        assert not [line for line in server.lines if "ended: 1" in line or "did not answer" in line]
    finally:
        assert server.stop() == 0


def test_a_key_reads_the_models_of_its_projects(kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "store")
    with asof.open(folder) as store:
        own = store.keys.add("own", {"": "reader"})
        other = store.keys.add("other", {"fraud": "reader"})
    server = Server(folder, ("--model", "linear"), token=own.token)
    try:
        asked = {"keys": {"origin": AIRPORTS[0]}, "request": {"hour": 3}}
        assert server.post("/v1/predict/linear", asked)[0] == 200
        assert len(server.get("/v1/models")[1]["models"]) == 3
        server.token = other.token
        assert server.post("/v1/predict/linear", asked)[0] == 403
        status, problem, _ = server.post("/v1/predict/liner", asked)
        assert (status, "'linear'" in problem["detail"]) == (404, False)
        assert server.get("/v1/models")[1] == {"models": []}
        server.token = None
        assert server.post("/v1/predict/linear", asked)[0] == 401
    finally:
        server.stop()


def test_rights_are_those_of_the_model_that_answers_whatever_the_name_meant_before(store):
    def of(project):
        """Return the definitions, their view in a project."""
        lent = FeatureGroup(
            "weather", entity=airport, event_time="time_hour", features=weather.features, ttl="12h", online=True,
            shared_with=["fraud"],
        )  # fmt: skip
        view = FeatureView("plain", features=[lent["temp"]], transforms={"temp": Impute("mean")}, project=project)
        return lent, view

    made = store.training_set("plain-1", "plain", spine(system_clock(), 40), time="at", label="late", known="event")
    store.models.register("plain", LinearRegression().fit(*made.xy()), training_set=made)
    models = ServedModels(store, ["plain"], seconds=3600)
    predict = Predicting(store, models, Metrics(store), most_rows=10).operations()[0].handler

    def asked(*projects):
        caller = Caller("key:own", dict.fromkeys(projects, "reader"))
        return Asked({"model": "plain"}, {}, PredictRequest({"origin": AIRPORTS[0]}), caller)

    try:
        assert anyio.run(predict, asked("")).model == "plain@1"
        with pytest.raises(DeniedError, match="'reader' in the default project"):
            anyio.run(predict, asked("fraud"))
        store.apply(*of("fraud"))
        models.refresh()
        assert anyio.run(predict, asked("fraud")).model == "plain@1"
        with pytest.raises(DeniedError, match="'reader' in project 'fraud'"):
            anyio.run(predict, asked(""))
    finally:
        models.close()


def test_a_name_in_trouble_is_told_once_and_stops_no_other(store, caplog):
    models = ServedModels(store, ["classes@1", "linear"], seconds=3600)
    try:
        another(store)
        with store._parts.registry._database.write() as connection:
            connection.execute(update(model).where(model.c.name == "classes").values(facts="no facts"))
        with caplog.at_level("WARNING"):
            models.refresh()
            models.refresh()
        assert models.need("linear").model.ref == "linear@2"
        assert models.need("classes@1").model.ref == "classes@1"
        assert caplog.text.count("model classes@1") == 1
    finally:
        models.close()


def test_a_version_that_cannot_be_loaded_is_tried_again_with_longer_pauses(store, tmp_path, monkeypatch):
    tries, fails = tmp_path / "tries", tmp_path / "fails"
    (tmp_path / "failing_loader.py").write_text(
        "import pathlib, time\n"
        "def load(path):\n"
        f"    with open({str(tries)!r}, 'a') as file:\n"
        "        file.write(f'{time.monotonic()}\\n')\n"
        f"    if pathlib.Path({str(fails)!r}).exists():\n"
        "        raise ValueError('not now')\n"
        "    return lambda frame: frame['temp'].to_numpy()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model.txt"
    path.write_text("temp")
    made = store.training_set("departure-1")
    store.models.register("own", path=path, loader="failing_loader:load", training_set=made, method="")
    tries.unlink()
    fails.touch()
    with pytest.raises(PermanentError, match="not now"):
        ServedModels(store, ["own"])
    tries.unlink()
    pause = 0.05
    models = ServedModels(store, ["linear", "own"], seconds=pause, strict=False)
    try:
        assert {each.name for each in models.all()} == {"linear"}
        end = time.monotonic() + 60
        while len(at := list(map(float, tries.read_text().split()))) < 5 and time.monotonic() < end:
            time.sleep(0.01)
        gaps = [after - before for before, after in pairwise(at)]
        assert all(gap >= pause * 2**number for number, gap in enumerate(gaps)), gaps
        assert len(gaps) >= 4
        fails.unlink()
        models.refresh()
        assert models.need("own").model.ref == "own@1"
    finally:
        models.close()
