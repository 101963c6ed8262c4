"""Features that a function makes when somebody asks: the same online, offline, in replay and in `verify`."""

import importlib
import sys
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from tests.on_demand_features import (
    against_the_mean,
    broken,
    comfort,
    feels_like,
    too_cold,
    view,
    warmer_at,
    weather,
)

from asof import Entity, Feature, FeatureGroup, FeatureView, Request, on_demand
from asof.errors import ConflictError, DataError, NotFoundError, UnsupportedError, UsageError

ASKED = {"hour": 12, "limit": 40.0}


@pytest.fixture
def own(store, place):
    """Give the store that is asked by the process that has the functions: the server's."""
    return store if place == "embedded" else store._opened


@pytest.fixture
def filled(store, own, at):
    own.apply(weather, comfort, view)
    rows = [
        {"origin": "JFK", "time_hour": at(20), "temp": 41.0, "wind": 4, "note": "calm"},
        {"origin": "LGA", "time_hour": at(20), "temp": None, "wind": 9, "note": None},
        {"origin": "EWR", "time_hour": at(20), "temp": 10.5, "wind": None, "note": "cold"},
    ]
    store.backfill("weather", rows)
    return store


def test_online_makes_them_of_values_and_of_the_request(filled):
    vector = filled.online("departure", {"origin": "JFK"}, request=ASKED)
    assert vector.values == {"temp": 41.0, "warmer_at": 42.2, "too_cold": True, "told": "calm at 12", "wind": 4}
    assert list(vector.values) == list(view.output_names())
    assert set(vector.statuses.values()) == {"PRESENT"}
    assert vector.event_times["warmer_at"] is None
    assert vector.event_times["temp"] is not None
    assert [field.name for field in vector.schema] == list(view.output_names())


def test_a_null_comes_as_nan_and_goes_as_null(filled):
    vector = filled.online("departure", {"origin": "LGA"}, request=ASKED)
    assert vector.values == {"temp": None, "warmer_at": None, "too_cold": False, "told": None, "wind": 9}
    assert vector.statuses == {
        "temp": "NULL",
        "warmer_at": "NULL",
        "too_cold": "PRESENT",
        "told": "NULL",
        "wind": "PRESENT",
    }
    missing = filled.online("departure", {"origin": "XXX"}, request={"hour": None, "limit": 1.0})
    assert missing.statuses == {
        "temp": "MISSING",
        "warmer_at": "NULL",
        "too_cold": "PRESENT",
        "told": "NULL",
        "wind": "MISSING",
    }


def test_offline_gives_the_same(filled, at):
    spine = pa.table({
        "origin": ["JFK", "LGA", "EWR", "XXX"],
        "t": [at(21)] * 4,
        "hour": [12, 12, None, 12],
        "limit": [40.0, 40.0, 40.0, float("nan")],
    })  # fmt: skip
    table = filled.historical("departure", spine, time="t", statuses=True).to_arrow()
    assert table.column_names[:9] == ["origin", "t", "hour", "limit", *view.output_names()]
    for row, keys in zip(table.to_pylist(), spine.to_pylist(), strict=True):
        vector = filled.online("departure", {"origin": keys["origin"]}, request=keys)
        assert {name: row[name] for name in vector.values} == vector.values
        assert {name: row[name + "__status"] for name in vector.values} == vector.statuses


def test_several_answers_take_one_request_or_one_each(filled):
    keys = [{"origin": "JFK"}, {"origin": "LGA"}, {"origin": "EWR"}]
    shared = filled.online("departure", keys, request=ASKED)
    assert [v.values["warmer_at"] for v in shared] == [42.2, None, 11.7]
    each = filled.online("departure", keys, request=[{**ASKED, "hour": hour} for hour in (0, 1, 2)])
    assert [v.values["warmer_at"] for v in each] == [41.0, None, 10.7]
    assert each[2].receipt.request == {"hour": 2, "limit": 40.0}
    assert each.to_arrow().to_pylist() == [vector.values for vector in each]
    assert each[1:].to_arrow().to_pylist() == [vector.values for vector in each[1:]]
    with pytest.raises(UsageError, match=r"2 requests for 3 keys"):
        filled.online("departure", keys, request=[ASKED, ASKED])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (None, "lacks the input 'hour'"),
        ({"hour": 1}, "lacks the input 'limit'"),
        ({"hour": "noon", "limit": 1.0}, "hour='noon' is no int64"),
        ({"hour": 2**63, "limit": 1.0}, "is no int64: it does not fit 64 bits"),
        ({"hour": True, "limit": 1.0}, "hour=True is no int64"),
        ({"hour": 1, "limit": "cold"}, "limit='cold' is no float64"),
        ({"hour": 1.5, "limit": 1.0}, "hour=1.5 is no int64"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(filled, request_, said):
    with pytest.raises(UsageError, match=said):
        _ = filled.online("departure", {"origin": "JFK"}, request=request_).values


def test_a_spine_without_the_column_is_refused(filled, at):
    spine = [{"origin": "JFK", "t": at(21), "hours": 1, "limit": 1.0}]
    with pytest.raises(NotFoundError, match=r"hour[\s\S]*hours"):
        filled.historical("departure", spine, time="t")
    with pytest.raises(DataError, match="hour"):
        filled.historical("departure", [{"origin": "JFK", "t": at(21), "hour": "noon", "limit": 1.0}], time="t")


def test_replay_makes_them_again(filled, at):
    vector = filled.online("departure", {"origin": "JFK"}, request=ASKED)
    filled.backfill("weather", [{"origin": "JFK", "time_hour": at(21), "temp": 0.0, "wind": 0, "note": "x"}])
    again = filled.replay(vector.receipt.to_dict())
    assert again.values == vector.values
    assert again.statuses == vector.statuses
    assert again.event_times == vector.event_times


def test_verify_proves_them_with_made_up_requests_and_logged_ones(filled, own):
    logged = FeatureView("departure", features=view.features, log=1.0)
    own.apply(logged)
    for hour in range(5):
        _ = filled.online("departure", {"origin": "JFK"}, request={"hour": hour, "limit": 38.0 + hour})
    found = filled.verify("departure", instants=6, keys=4)
    assert found.equal == 1.0, str(found)
    assert {stage.name for stage in found.stages} >= {"replay", "today", "served"}
    rows = filled.read("departure_log").to_arrow().to_pylist()
    assert sorted(row["values"]["warmer_at"] for row in rows) == [41.0 + hour / 10 for hour in range(5)]


def test_a_group_of_their_own_is_a_view(filled, at):
    assert filled.online("comfort", {"origin": "JFK"}, request={"limit": 50.0}).values == {
        "feels_like": 39.6,
        "too_cold": True,
    }
    assert comfort["too_cold"].renamed == "too_cold"
    whole = FeatureView("whole", features=[comfort, warmer_at.alias("later")])
    assert whole.output_names() == ("feels_like", "too_cold", "later")
    assert whole.requests.keys() == {"limit", "hour"}
    with pytest.raises(NotFoundError, match="too_cold"):
        comfort["to_cold"]


def test_the_catalog_tells_of_them(filled):
    described = filled.catalog.describe("departure")
    assert dict(described.facts)["request"] == "hour: int64, limit: float64"
    told_as = {name: source for name, _, _, source in described.features}
    assert told_as["warmer_at"] == "tests.on_demand_features:warmer_at(weather.temp, hour)"
    assert told_as["temp"] == "weather.temp"
    assert filled.catalog.find("departure").definition == view
    assert "feels_like" in view._repr_html_()
    assert feels_like.description == "How cold it feels."
    assert next(match.name for match in filled.catalog.search("warmer_at")).startswith("departure")


def test_explain_tells_of_what_a_feature_is_made(filled):
    explained = filled.quality.explain("departure", {"origin": "JFK"}, feature="too_cold")
    assert "weather.wind" in str(explained) or "wind" in str(explained)


def test_a_function_that_looks_at_other_rows_is_refused(own, filled, at):
    own.apply(FeatureView("leaky", features=[against_the_mean]))
    spine = [{"origin": origin, "t": at(21)} for origin in ("JFK", "EWR")]
    with pytest.raises(DataError, match=r"row . of 2 gives [\s\S]* by itself[\s\S]*on-demand feature against_the_mean"):
        filled.historical("leaky", spine, time="t")
    assert filled.online("leaky", {"origin": "JFK"}).values == {"against_the_mean": 0.0}


def test_a_function_that_fails_says_so(own, filled, at):
    own.apply(FeatureView("failing", features=[broken], log=1.0))
    with pytest.raises(DataError, match=r"failed on 1 row: RuntimeError: no such thing[\s\S]*view failing@1"):
        _ = filled.online("failing", {"origin": "JFK"}).values
    with pytest.raises(DataError, match="RuntimeError"):
        filled.historical("failing", [{"origin": "JFK", "t": at(21)}], time="t")
    assert (
        len(
            filled.historical(
                "failing",
                pa.table({"origin": pa.array([], pa.string()), "t": pa.array([], pa.timestamp("us", "UTC"))}),
                time="t",
            )
        )
        == 0
    )


def test_what_functions_cannot_be_is_refused():
    with pytest.raises(UsageError, match="does not take 2 arguments"):
        on_demand(inputs=[weather["temp"], weather["wind"]], output="float64")(broken.found())
    with pytest.raises(UsageError, match="cannot be imported by a name"):
        on_demand(inputs=[weather["temp"]], output="float64")(lambda temp: temp)
    with pytest.raises(UsageError, match="made of something"):
        on_demand(inputs=[], output="float64")
    with pytest.raises(UsageError, match="str is no input"):
        on_demand(inputs=["temp"], output="float64")
    with pytest.raises(UsageError, match="mode='rows'"):
        on_demand(inputs=[weather["temp"]], output="float64", mode="rows")
    other = Request("hour", "float64")
    with pytest.raises(UsageError, match="hour"):
        FeatureView("v", features=[warmer_at, on_demand_of(other)])
    with pytest.raises(UsageError, match="both a feature and an input of the request"):
        FeatureView("v", features=[warmer_at, weather["wind"].alias("hour")])
    with pytest.raises(UsageError, match=r"two features are named .warmer_at."):
        FeatureView("v", features=[warmer_at, warmer_at])


def on_demand_of(request):
    """Give a feature of the module, with another input."""
    return type(warmer_at)("other", warmer_at.code, warmer_at.digest, (request,), warmer_at.dtype)


def test_a_client_names_no_function(store, place):
    if place == "embedded":
        return
    with pytest.raises(
        UnsupportedError, match=r"tests\.on_demand_features:feels_like of an on-demand feature is not taken"
    ):
        store.apply(weather, comfort)


@pytest.mark.embedded("definitions are loaded from files where the store is")
def test_a_file_of_definitions_holds_functions_too(store, tmp_path, at, monkeypatch):
    file = tmp_path / "definitions_here.py"
    text = """
from asof import Entity, Feature, FeatureGroup, FeatureView, Request, on_demand
airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup("weather", entity=airport, event_time="t", features=[Feature("temp", "float64")], online=True)

@on_demand(inputs=[weather["temp"]], output="float64")
def doubled(temp):
    return temp * 2

view = FeatureView("view", features=[weather["temp"], doubled])
"""
    file.write_text(text)
    store.apply(file)
    store.write("weather", [{"origin": "JFK", "t": at(24), "temp": 2.0}])
    assert store.online("view", {"origin": "JFK"}).values == {"temp": 2.0, "doubled": 4.0}
    file.write_text(text.replace("temp * 2", "temp * 30"))
    plan = store.apply(file)
    assert [(change.name, change.action) for change in plan] == [("weather", "unchanged"), ("view", "new version")]
    assert store.online("view", {"origin": "JFK"}).values == {"temp": 2.0, "doubled": 60.0}
    with pytest.raises(ConflictError, match=r"the source of definitions_here:doubled is not what it was"):
        _ = store.online("view@1", {"origin": "JFK"}).values
    sys.modules.pop("definitions_here", None)


@pytest.mark.embedded("the functions are looked for in this process")
def test_code_that_is_gone_is_told(folder, clock, tmp_path, monkeypatch, at):
    import asof

    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "leaving.py").write_text(
        "from tests.on_demand_features import weather\nfrom asof import on_demand\n\n\n"
        "@on_demand(inputs=[weather['temp']], output='float64')\ndef gone(temp):\n    return temp\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "code")
    importlib.invalidate_caches()
    gone = importlib.import_module("leaving").gone
    with asof.open(folder, clock=clock) as store:
        store.apply(weather, FeatureView("view", features=[weather["temp"], gone]))
    del sys.modules["leaving"]
    (tmp_path / "code" / "leaving.py").unlink()
    importlib.invalidate_caches()
    with asof.open(folder, clock=clock) as store:
        assert store.catalog.find("view").definition.output_names() == ("temp", "gone")
        with pytest.raises(UsageError, match="leaving:gone cannot be imported"):
            store.online("view", {"origin": "JFK"})
        with pytest.raises(UsageError, match="leaving:gone cannot be imported"):
            store.historical("view", [{"origin": "JFK", "t": at(1)}], time="t")
        with pytest.raises(UsageError, match="leaving:gone cannot be imported"):
            store.apply(FeatureView("other", features=store.catalog.find("view").definition.features))


def test_a_view_of_requests_and_keys_alone_reads_its_groups(store, own, at):
    route = FeatureGroup(
        "route",
        entity=Entity("route", keys={"origin": "string", "dest": "string"}),
        features=[Feature("miles", "int32")],
        online=True,
    )
    view = FeatureView("trip", features=[route["miles"], of_the_keys])
    own.apply(route, view)
    store.backfill("route", [{"origin": "JFK", "dest": "LAX", "miles": 2475}])
    keys = {"origin": "JFK", "dest": "LAX"}
    assert store.online("trip", keys).values == {"miles": 2475, "pair": "JFK-LAX"}
    assert store.historical("trip", [keys], time=at(24)).to_arrow().column("pair").to_pylist() == ["JFK-LAX"]


@on_demand(inputs=[Request("origin", "string"), Request("dest", "string")], output="string", mode="row", name="pair")
def of_the_keys(origin, dest):
    return f"{origin}-{dest}"


@pytest.mark.parametrize("hours", [1, 1000])
def test_many_rows_give_bit_for_bit_what_one_gives(own, store, hours, at):
    own.apply(weather, FeatureView("odd", features=[feels_like]))
    random = np.random.default_rng(1)
    rows = [
        {
            "origin": f"A{n}",
            "time_hour": at(23),
            "temp": float(random.normal(50, 30)),
            "wind": int(random.integers(0, 90)),
            "note": "",
        }
        for n in range(hours)
    ]
    store.backfill("weather", rows)
    keys = [{"origin": row["origin"]} for row in rows]
    many = store.online("odd", keys).to_arrow().column("feels_like").to_pylist()
    times = [{**each, "t": datetime.fromisoformat("2024-01-01T23:30:00+00:00")} for each in keys]
    offline = store.historical("odd", times, time="t").to_arrow().column("feels_like").to_pylist()
    assert many == offline
    assert all(
        store.online("odd", each).values["feels_like"] in (value, None)
        for each, value in zip(keys[:50], many, strict=False)
    )


def test_what_was_given_in_jsons_form_is_the_same(own, store, at):
    odd = FeatureView("kinds", features=[weather["temp"], echoed])
    own.apply(weather, odd)
    store.backfill("weather", [{"origin": "JFK", "time_hour": at(20), "temp": 1.0, "wind": 1, "note": ""}])
    moment = datetime.fromisoformat("2026-03-01T12:00:00.000001+00:00")
    plain = {"when": moment, "day": moment.date(), "raw": b"\x00\xff", "sure": True, "share": float("nan")}
    texts = {"when": "2026-03-01T12:00:00.000001Z", "day": "2026-03-01", "raw": "AP8=", "sure": True, "share": None}
    made = [store.online("kinds", {"origin": "JFK"}, request=each).values["echoed"] for each in (plain, texts)]
    assert made == ["2026-03-01 12:00:00.000001+00:00|2026-03-01|b'\\x00\\xff'|True|None"] * 2
    with pytest.raises(UsageError, match="has no time zone"):
        _ = store.online("kinds", {"origin": "JFK"}, request={**texts, "when": "2026-03-01T12:00:00"}).values


@on_demand(
    inputs=[
        Request("when", "timestamp"),
        Request("day", "date"),
        Request("raw", "bytes"),
        Request("sure", "bool"),
        Request("share", "float64"),
    ],
    output="string",
    mode="row",
)
def echoed(*given):
    return "|".join(map(str, given))


@pytest.mark.embedded("pure definitions")
def test_they_can_be_called_and_tell_how_they_are_made():
    np.testing.assert_array_equal(feels_like(np.array([41.0]), np.array([4.0])), [39.6])
    assert str(too_cold) == "tests.on_demand_features:too_cold(feels_like, limit)"
    assert [each.name for each in view.derivations()] == ["warmer_at", "__made_1", "too_cold", "told"]
    assert view.derivations()[2].inputs == ("__made_1", "limit")
