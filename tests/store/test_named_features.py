"""Features by their names alone: the store finds their groups, and answers as a view of them would."""

import pandas as pd
import pytest
from tests.on_demand_features import comfort, view, weather

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.references import parted, sources_of
from asof.errors import NotFoundError, UnsupportedError, UsageError
from asof.serving import cached

plane = Entity("plane", keys={"tailnum": "string"})
planes = FeatureGroup(
    "planes", entity=plane, event_time="at", features=[Feature("seats", "int64"), Feature("wind", "int64")], online=True
)
KEYS = {"origin": "JFK", "tailnum": "N1"}
BOTH = FeatureView("both", features=[weather["temp"], planes["seats"]])


@pytest.fixture
def own(store, place):
    """Give the store that is asked by the process that has the functions: the server's."""
    return store if place == "embedded" else store._opened


@pytest.fixture
def filled(store, own, at):
    own.apply(weather, planes, comfort, view, BOTH)
    hours = [{"origin": "JFK", "time_hour": at(h), "temp": 40.0 + h, "wind": 4, "note": "calm"} for h in (18, 20)]
    store.backfill("weather", hours)
    store.backfill("planes", [{"tailnum": "N1", "at": at(2), "seats": 149, "wind": 7}])
    return store


def test_online_finds_the_groups(filled):
    vector = filled.get_features(["temp", "seats"], KEYS)
    assert vector.values == {"temp": 60.0, "seats": 149}
    assert vector.statuses == filled.online("both", KEYS).statuses
    assert vector.event_times == filled.online("both", KEYS).event_times
    assert vector.receipt.view == "weather@1:temp,planes@1:seats"
    assert filled.online(["temp", "seats"], KEYS).values == vector.values
    several = filled.get_features(["seats", "temp"], [KEYS, KEYS | {"tailnum": "N2"}])
    assert several.to_arrow().to_pylist() == [{"seats": 149, "temp": 60.0}, {"seats": None, "temp": 60.0}]
    assert [each.statuses["seats"] for each in several] == ["PRESENT", "MISSING"]


def test_history_finds_the_groups(filled, at):
    spine = pd.DataFrame({"origin": "JFK", "tailnum": ["N1", "N1", None], "t": [at(19), at(21), at(21)]})
    frame = filled.get_features(["temp", "seats"], spine, time="t", known="event")
    assert frame.to_arrow().equals(filled.historical("both", spine, time="t", known="event").to_arrow())
    assert list(frame.to_pandas()["temp"]) == [58.0, 60.0, 60.0]
    assert frame.report.counts["planes"]["MISSING"] == 1
    full = filled.get_features(["temp"], spine, time="t", full_names=True)
    assert full.column_names == ["origin", "tailnum", "t", "weather__temp"]
    batches = filled.historical(["temp", "seats"], spine, time="t", known="event", batch_rows=2)
    assert batches.to_arrow().equals(frame.to_arrow())


def test_a_list_is_told_apart_by_groups_and_versions(filled, own):
    vector = filled.get_features(["weather:wind", "planes@1:wind", "seats"], KEYS)
    assert vector.values == {"weather__wind": 4, "planes__wind": 7, "seats": 149}
    own.apply(FeatureGroup("planes", entity=plane, event_time="at", features=[Feature("seats", "int32")], online=True))
    assert filled.get_features(["planes:seats"], {"tailnum": "N1"}).statuses == {"seats": "MISSING"}
    assert filled.get_features(["planes@1:seats"], {"tailnum": "N1"}).values == {"seats": 149}
    with pytest.raises(UsageError, match=r"planes@1:wind reads planes@1, other features planes@2"):
        filled.get_features(["planes:seats", "planes@1:wind"], {"tailnum": "N1"})


def test_names_of_several_groups_are_refused_with_the_candidates(filled):
    with pytest.raises(UsageError, match=r"2 features are named 'wind' -> say which: 'planes:wind' or 'weather:wind'"):
        filled.get_features(["temp", "wind"], KEYS)


def test_unknown_names_are_refused_with_those_that_come_close(filled):
    with pytest.raises(NotFoundError, match=r"unknown feature 'seat' -> did you mean 'seats'\?"):
        filled.get_features(["temp", "seat"], KEYS)
    with pytest.raises(NotFoundError, match=r"unknown feature 'tmp' \[group weather\] -> did you mean 'temp'\?"):
        filled.get_features(["weather:tmp"], KEYS)
    with pytest.raises(NotFoundError, match="unknown view or group 'wether'"):
        filled.get_features(["wether:temp"], KEYS)
    with pytest.raises(NotFoundError, match="unknown group 'weather@7'"):
        filled.get_features(["weather@7:temp"], KEYS)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("temp", "is no list of features -> pass \\['temp'\\]"),
        ([], "no list of features"),
        (["temp", 5], "5 is no name of a feature"),
        (["temp,seats"], "'temp,seats' is no name of a feature"),
        (["temp", "temp"], "'temp' is asked for twice"),
        ([":temp"], "':temp' is no reference"),
        (["weather:"], "'weather:' is no reference"),
        (["weather:temp", "weather: temp"], "is asked for twice"),
        (7, "int is no name of a view, and no list of features"),
    ],
)
def test_what_names_nothing_is_refused(filled, names, said):
    with pytest.raises(UsageError, match=said):
        filled.get_features(names, KEYS)


def test_words_of_history_and_of_requests_are_told_apart(filled, at):
    with pytest.raises(UsageError, match="known= and full_names= are of history"):
        filled.get_features(["temp"], {"origin": "JFK"}, known="event")
    with pytest.raises(UsageError, match="request= is of the newest values"):
        filled.get_features(["temp"], [{"origin": "JFK"}], time=at(20), request={"hour": 1})
    with pytest.raises(UsageError, match="key 'tailnum' is missing"):
        filled.get_features(["temp", "seats"], {"origin": "JFK"})


def test_what_only_views_have_is_found_too(filled):
    asked = {"hour": 12, "limit": 40.0}
    vector = filled.get_features(["seats", "warmer_at"], KEYS, request=asked)
    assert vector.values == {"seats": 149, "warmer_at": 61.2}
    assert vector.receipt.view == "planes@1:seats,departure@1:warmer_at"
    assert filled.replay(vector.receipt).values == vector.values


def test_receipts_are_replayed(filled, at):
    vector = filled.get_features(["temp", "seats"], KEYS)
    filled.push("weather", {"origin": "JFK", "time_hour": at(23), "temp": 1.0, "wind": 1, "note": ""})
    again = filled.replay(vector.receipt.to_dict())
    assert (again.values, again.statuses) == (vector.values, vector.statuses)
    assert filled.get_features(["temp"], {"origin": "JFK"}).values == {"temp": 1.0}


def test_references_stand_for_a_view_wherever_one_is_read(filled):
    text = "weather:temp,planes:seats"
    assert filled.online(text, KEYS).values == {"temp": 60.0, "seats": 149}
    assert [each.group for each in filled.quality.explain(text, KEYS).lookups] == ["weather@1", "planes@1"]
    assert not filled.verify(text, instants=3, keys=2).differences
    with pytest.raises(UsageError, match="declare a FeatureView of these features"):
        filled.training_set("set", text, [KEYS], time=None)


def test_offline_groups_are_found_and_refused_online(filled, at):
    seen = FeatureGroup("seen", entity=plane, event_time="at", features=[Feature("miles", "int64")])
    filled.apply(seen)
    with pytest.raises(UnsupportedError, match="group 'seen' is not online"):
        filled.get_features(["miles"], {"tailnum": "N1"})
    assert filled.get_features(["miles"], [{"tailnum": "N1"}], time=at(3)).to_arrow()["miles"].to_pylist() == [None]


def test_groups_that_asof_made_for_itself_have_no_features_to_ask_for(filled):
    logged = FeatureView("logged", features=[planes["seats"]], log=1.0)
    filled.apply(logged)
    with pytest.raises(NotFoundError, match="unknown feature 'statuses'"):
        filled.get_features(["statuses"], KEYS)


def test_new_and_removed_definitions_are_noticed_at_once(filled):
    assert filled.get_features(["seats"], {"tailnum": "N1"}).values == {"seats": 149}
    other = FeatureGroup("cabins", entity=plane, event_time="at", features=[Feature("seats", "int64")], online=True)
    filled.apply(other)
    with pytest.raises(UsageError, match="2 features are named 'seats'"):
        filled.get_features(["seats"], {"tailnum": "N1"})
    filled.catalog.remove("cabins")
    assert filled.get_features(["seats"], {"tailnum": "N1"}).values == {"seats": 149}


def test_as_many_lists_are_remembered_as_are_kept(filled, own, monkeypatch):
    monkeypatch.setattr(cached, "MOST", 2)
    for names in (["temp"], ["note"], ["weather:wind"], ["temp", "note"]):
        filled.get_features(names, {"origin": "JFK"})
    assert len(own._online._plans.known) == 2


def test_references_are_parted():
    assert parted("a:x, b@2:y") == [("a", "x"), ("b@2", "y")]
    assert sources_of("a:x,b@2:y,a:z") == ["a", "b@2"]
    assert sources_of("weather@1") == ["weather@1"]
