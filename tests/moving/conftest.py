"""A store that holds something of everything, and what it answers."""

import shutil
import uuid
from datetime import timedelta

import pytest
from sklearn.tree import DecisionTreeRegressor

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView, RandomSplit
from asof.aggregates import Count, Mean
from asof.clock import from_us
from asof.transforms import Standard

USER = Entity("user", keys={"user": "int64"})
PLACE = Entity("place", keys={"place": "string"})
ARRIVAL = Entity("arrival", keys={"arrival": "int64"})

PROFILE = FeatureGroup(
    "profile",
    entity=USER,
    event_time="at",
    features=[Feature("age", "float64"), Feature("name", "string"), Feature("about", "string")],
    online=True,
    on_unchanged="skip",
    checks=[Check.not_null("age")],
    on_violation="quarantine",
)
RATES = FeatureGroup("rates", entity=PLACE, features=[Feature("rate", "float64")], online=True)
ARRIVALS = FeatureGroup(
    "arrivals",
    entity=ARRIVAL,
    event_time="at",
    features=[Feature("user", "int64"), Feature("delay", "float64")],
)
DELAYS = FeatureGroup(
    "delays",
    entity=USER,
    source=ARRIVALS,
    features=[Mean("delay", over="6h"), Count(over="24h")],
    online=True,
)


def view(log):
    return FeatureView("departure", features=[PROFILE["age"], DELAYS], log=log, transforms={("age",): [Standard()]})


START_US = 1_704_153_600_000_000


def at(hour):
    return from_us(START_US) + timedelta(hours=hour)


def fill(store):
    """Write to a store in every way."""
    store.apply(PROFILE, RATES, ARRIVALS, DELAYS, view(1.0))
    for hour in range(3):
        store.backfill(
            "profile",
            {
                "user": range(50),
                "at": [at(hour)] * 50,
                "age": [float(user + hour) for user in range(50)],
                "name": [f"user {user}" for user in range(50)],
                "about": ["some words"] * 50,
            },
        )
    store.write("rates", {"place": ["JFK", "LGA"], "rate": [1.0, 2.0]})
    store.backfill(
        "arrivals",
        {
            "arrival": range(200),
            "at": [at(number / 20) for number in range(200)],
            "user": [number % 50 for number in range(200)],
            "delay": [number / 7 for number in range(200)],
        },
    )
    wrong = store.backfill("profile", {"user": [1], "at": [at(9)], "age": [99.0], "name": ["x"], "about": ["y"]})
    store.retract(wrong, reason="wrong")
    store.catalog.tag("then", message="the release")
    store.push("profile", {"user": 7, "at": at(11), "age": 77.0, "name": "Ünë", "about": "\U0001f600"})
    store.push("profile", {"user": 8, "at": at(11), "age": None, "name": "bad", "about": "z"})
    spine = {"user": list(range(40)), "at": [at(10)] * 40, "label": [float(user) for user in range(40)]}
    made = store.training_set(
        "first",
        view="departure",
        spine=spine,
        time="at",
        label="label",
        split=RandomSplit({"train": 0.75, "test": 0.25}),
    )
    model = DecisionTreeRegressor(max_depth=3, random_state=1).fit(*made.xy("train"))
    store.models.register("delay", model, training_set=made, stage="production")
    store.keys.add("nightly", {"": "reader"})
    for user in range(3):
        assert store.online("departure", {"user": user}).values
    store.models.load("delay").predict_one({"user": 3})
    store.apply(view(0.0))  # to ask is not to write, from now on


def answers(store):
    """Return what a store answers, for comparing."""
    spine = {"user": list(range(50)), "at": [at(11.5)] * 50}
    groups = ["profile", "rates", "arrivals", "profile_quarantine"]
    receipt = store.online("departure", {"user": 7}).receipt
    found = {
        "groups": [str(each.definition) for each in store.catalog.groups()],
        "views": [str(each.definition) for each in store.catalog.views()],
        "commits": {name: store.catalog.commits(name) for name in groups},
        "rows": {name: store.read(name).to_arrow() for name in groups},
        "then": store.read("profile", commits="then").to_arrow(),
        "historical": [
            store.historical("departure", spine, time="at", known=known).to_arrow() for known in ("served", "event")
        ],
        "online": [store.online("departure", {"user": user}).values for user in range(50)],
        "rates": store.online("rates", {"place": "LGA"}).values,
        "replay": store.replay(receipt).values,
        "statistics": str(store.quality.statistics("profile")),
        "quarantined": store.quality.quarantine("profile").to_arrow().num_rows,
        "training set": store.training_set("first").digest,
        "rebuilt": store.training_set("first").rebuild().digest,
        "model": store.models.load("delay").predict(spine, time="at", known="served").to_arrow(),
        "tags": store.catalog.tags(),
        "keys": store.keys.all(),
    }
    assert store.quality.doctor().healthy
    return found


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Give the folder of a store that nobody opens: to copy it takes less time than to make another."""
    folder = tmp_path_factory.mktemp("made") / "store"
    with asof.open(folder) as store:
        fill(store)
    (folder / "monitors.toml").write_text("")
    return folder


@pytest.fixture(scope="session")
def expected(made, tmp_path_factory):
    """Give what that store answers."""
    with asof.open(shutil.copytree(made, tmp_path_factory.mktemp("expected") / "store")) as store:
        return answers(store)


@pytest.fixture
def folder(made, tmp_path):
    """Give the folder of a store that holds something of everything."""
    return shutil.copytree(made, tmp_path / "store")


@pytest.fixture
def deployment(tmp_path, s3_server, postgres_server, redis_server, monkeypatch):
    """Give the folder of an empty store whose parts are servers."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASOF_CACHE", str(tmp_path / "cache"))
    name = uuid.uuid4().hex[:12]
    made = tmp_path / "deployment"
    made.mkdir()
    (made / "asof.toml").write_text(
        f'format = 1\nregistry = "{postgres_server.registry_url(f"r{name}")}"\n'
        f'history = "s3://{s3_server.BUCKET}/{name}"\nonline = "{redis_server.url}"\n'
    )
    return made


def same(found, expected):
    """Compare what stores answer, part by part."""
    assert found.keys() == expected.keys()
    for part, answer in expected.items():
        assert found[part] == answer, part
