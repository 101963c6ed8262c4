"""Models behind a server: their records, and predictions that are made there."""

import struct

import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.linear_model import LinearRegression
from tests.client.conftest import Served, everybody
from tests.predictions import AIRPORTS, NOW, airport, another, made, spine, weather

import asof
from asof import FeatureGroup, FeatureView
from asof.access.caller import EVERYBODY, Caller, answering
from asof.errors import ConflictError, DataWarning, DeniedError, NotFoundError, UnsupportedError, UsageError
from asof.server import models as served_models
from asof.server.limits import Limits
from asof.server.verbs import VERBS
from asof.transforms import Impute
from asof.wire import requests

pytestmark = pytest.mark.slow

ASKED = [({"origin": origin}, {"hour": hour}) for hour, origin in enumerate([*AIRPORTS, "nowhere"])]


@pytest.fixture
def behind(tmp_path):
    """Give the store behind the server."""
    with asof.open(made(tmp_path / "store"), clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def remote(behind):
    """Give the store as a client has it; the server answers with two of the models."""
    server = Served(behind, Limits(), everybody, ("linear", "trees@production"))
    with asof.open(server.url) as opened:
        opened.refresh = server.shared.models.refresh
        yield opened
    server.stop()


def bits(values):
    return [struct.pack(">d", value) for value in values]


def test_records_are_read_staged_and_removed_as_where_they_lie(behind, remote):
    here, there = behind.models.all(), remote.models.all()
    assert [model.kept for model in here] == [model.kept for model in there]
    assert repr(remote.models.get("linear")) == repr(behind.models.get("linear@1"))
    another(behind)
    assert [each.ref for each in remote.models.move("linear@1", "production")] == ["linear@1"]
    moved = remote.models.move("linear@2", "production")
    assert {each.ref: each.stage for each in moved} == {"linear@1": "archived", "linear@2": "production"}
    assert behind.models.get("linear@production").version == 2
    assert remote.models.move("linear@2", "production") == []
    with pytest.raises(ConflictError, match="in production"):
        remote.models.remove("linear")
    assert remote.models.remove("linear@1") == ["linear@1"]
    with pytest.raises(NotFoundError, match=r"unknown model 'liner'.*did you mean 'linear"):
        remote.models.get("liner")
    with pytest.raises(UsageError, match="which version"):
        remote.models.move("linear", "production")
    with pytest.raises(UsageError, match="no stage"):
        remote.models.move("linear@2", "live")


def test_a_model_is_registered_where_the_store_lies(remote):
    with pytest.raises(UnsupportedError, match=r"models are code.*MLflow"):
        remote.models.register("linear", object(), training_set="departure-1")
    with pytest.raises(UnsupportedError, match="asof model quality STORE linear"):
        remote.models.quality("linear")
    with pytest.raises(UnsupportedError, match="asof describe STORE linear_predictions"):
        remote.models.logged("linear")


@pytest.mark.parametrize("name", ["linear", "trees@production", "trees@1"])
def test_predictions_are_those_of_the_store_itself_bit_for_bit(behind, remote, name):
    here, there = behind.models.load(name), remote.models.load(name)
    keys, inputs = [keys for keys, _ in ASKED], [request for _, request in ASKED]
    many = there.predict_many(keys, inputs)
    for wanted, found, each, request in zip(here.predict_many(keys, inputs), many, keys, inputs, strict=True):
        one = there.predict_one(each, request)
        assert bits([one.value]) == bits([found.value]) == bits([wanted.value])
        assert (found.model, found.features, found.statuses) == (wanted.model, wanted.features, wanted.statuses)
        assert found.receipt == wanted.receipt == one.receipt
        assert repr(found) == repr(wanted)
        assert remote.replay(one.receipt).values == wanted.features
    assert there.predict_many([]) == []
    at = pa.array([NOW] * len(keys), pa.timestamp("us", "UTC"))
    asked = pa.table({
        "origin": [each["origin"] for each in keys], "hour": [each["hour"] for each in inputs], "at": at,
    })  # fmt: skip
    batch = there.predict(asked, time="at", known="served").to_arrow()
    assert bits(batch["prediction"].to_pylist()) == bits([each.value for each in many])


def test_a_spine_is_answered_there_whole_or_in_parts(behind, remote, tmp_path):
    asked = spine(count=100, seed=4)
    parquet.write_table(asked, tmp_path / "spine.parquet")
    here, there = behind.models.load("linear"), remote.models.load("linear")
    wanted = here.predict(asked, time="at", features=True)
    told = []
    found = there.predict(asked, time="at", features=True, progress=lambda done, total: told.append((done, total)))
    assert found.to_arrow().equals(wanted.to_arrow())
    assert found.commits == wanted.commits
    assert told[-1] == (100, 100)
    parts = list(there.batches(tmp_path / "spine.parquet", time="at", batch_rows=30))
    assert [table.num_rows for table, _ in parts] == [30, 30, 30, 10]
    assert pa.concat_tables([table for table, _ in parts]).equals(here.predict(asked, time="at").to_arrow())
    with pytest.raises(NotFoundError, match="nowhen"):
        there.predict(asked, time="nowhen")
    with pytest.raises(UsageError, match="batch_rows=0"):
        list(there.batches(asked, time="at", batch_rows=0))


def test_predictions_of_the_server_are_written_into_a_group_there(behind, remote, tmp_path):
    asked = spine(count=80, seed=4).select(["origin", "at", "hour"])
    parquet.write_table(asked, tmp_path / "spine.parquet")
    followed = remote.models.load("linear")
    with pytest.warns(DataWarning, match="group 'late' was inferred and registered"):
        stored = followed.into_group("late", tmp_path / "spine.parquet", time="at", batch_rows=30)
    assert (stored.rows, stored.commit.repeated, stored.commit.meta["model"]) == (80, False, "linear@1")
    assert followed.into_group("late", asked, time="at").commit.repeated
    wanted = behind.models.load("linear").predict(asked, time="at").to_arrow()
    given = {(row["origin"], row["at"]): row["prediction"] for row in wanted.to_pylist()}
    rows = behind.read("late").to_arrow().to_pylist()
    assert {(row["origin"], row["at"]): row["prediction"] for row in rows} == given
    another(behind)
    remote.refresh()
    other = followed.into_group("late", asked, time="at")  # the server has moved on: rows say which version it was
    assert (other.commit.repeated, other.commit.meta["model"], followed.model.ref) == (False, "linear@2", "linear@1")
    assert followed.fixed().fixed().model.ref == "linear@2"
    assert set(behind.read("late", commits={"late@1": other.commit.number}).to_arrow()["model"].to_pylist()) >= {
        "linear@2"
    }
    with pytest.raises(UsageError, match="it has no feature prediction"):
        followed.into_group("weather", asked, time="at")


def test_a_name_is_followed_and_a_version_is_not(behind, remote):
    named, fixed = remote.models.load("linear"), remote.models.load("linear@1")
    another(behind)
    remote.refresh()
    one = named.predict_one(*ASKED[0])
    assert one.model == "linear@2"
    assert one.value == behind.models.load("linear@2").predict_one(*ASKED[0]).value
    with pytest.raises(NotFoundError, match="unknown served model 'linear@1'"):
        fixed.predict_one(*ASKED[0])


def test_what_the_server_does_not_answer_with_says_what_to_do(remote):
    with pytest.raises(UnsupportedError, match="--model classes"):
        remote.models.load("classes")
    with pytest.raises(NotFoundError, match="unknown model"):
        remote.models.load("nothing")
    predictor = remote.models.load("linear")
    with pytest.raises(UsageError, match="no key set"):
        predictor.predict_one([{"origin": "A01"}])
    with pytest.raises(UsageError, match="no sequence"):
        predictor.predict_many({"origin": "A01"})
    with pytest.raises(UsageError, match="hour"):
        predictor.predict_one({"origin": "A01"})
    with pytest.raises(UsageError, match="2 requests for 1 keys"):
        predictor.predict_many([{"origin": "A01"}], [{"hour": 1}, {"hour": 2}])


def test_a_closed_store_says_so(behind):
    server = Served(behind, Limits(), everybody)
    opened = asof.open(server.url)
    opened.close()
    with pytest.raises(UsageError, match="closed"):
        opened.models.all()
    server.stop()


def test_who_may_not_read_the_view_hears_of_no_model(behind):
    def act(caller, verb, asked):
        with answering(caller):
            return VERBS[verb].act(behind, asked, False)

    reader, other = Caller("key:own", {"": "reader"}), Caller("key:other", {"fraud": "admin"})
    assert len(act(EVERYBODY, "models.all", requests.Nothing())) == 3
    assert len(act(reader, "models.all", requests.Nothing())) == 3
    assert act(other, "models.all", requests.Nothing()) == []
    with pytest.raises(DeniedError, match="'reader'"):
        act(other, "models.get", requests.Named(name="linear"))
    with pytest.raises(DeniedError, match="'writer'"):
        act(reader, "models.move", requests.MoveModel(name="linear@1", stage="production"))
    with pytest.raises(DeniedError, match="'admin'"):
        act(reader, "models.remove", requests.Named(name="linear"))
    assert served_models.readable(behind, other) == []


def test_who_may_not_change_one_version_does_not_change_it_by_the_name_or_by_the_stage(behind):
    lent = FeatureGroup(
        "weather", entity=airport, event_time="time_hour", features=weather.features, ttl="12h", online=True,
        shared_with=["fraud"],
    )  # fmt: skip
    behind.apply(
        lent, FeatureView("other", features=[lent["temp"]], project="fraud", transforms={"temp": Impute("mean")})
    )
    made = behind.training_set("other-1", "other", spine(count=40), time="at", label="late", known="event")
    behind.models.register("linear", LinearRegression().fit(*made.xy()), training_set=made)
    behind.models.move("linear@1", "production")

    def act(roles, verb, asked):
        with answering(Caller("key:fraud", roles)):
            return VERBS[verb].act(behind, asked, False)

    move = requests.MoveModel(name="linear@2", stage="production")
    fraud, both = {"fraud": "admin"}, {"fraud": "admin", "": "admin"}
    with pytest.raises(DeniedError, match="'writer' in the default project"):
        act(fraud, "models.move", move)
    assert act(fraud, "models.move", requests.MoveModel(name="linear@2", stage="none")) == []
    assert act({**fraud, "": "reader"}, "models.get", requests.Named(name="linear@1")).stage == "production"
    behind.models.move("linear@1", "archived")
    for name in ("linear", "linear@archived"):
        with pytest.raises(DeniedError, match="'admin' in the default project"):
            act(fraud, "models.remove", requests.Named(name=name))
    assert [each.ref for each in act(fraud, "models.move", move)] == ["linear@2"]
    behind.models.move("linear@2", "none")
    assert act(both, "models.remove", requests.Named(name="linear")) == ["linear@1", "linear@2"]
