"""Versions: in place or new, which one plan says, pins of views, and what cannot be removed. SEMANTICS section 6.

What is asked of a single definition is in test_definitions.py and test_catalog.py.
"""

import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, NotFoundError

TEMP = Feature("temp", "float64")


def row(moment, temp, origin="JFK", **more):
    return {"origin": origin, "time_hour": moment, "temp": temp, "visib": 1.0, **more}


def actions(plan):
    return [(change.action, change.name, change.version) for change in plan]


@pytest.fixture
def home(airport):
    """Give a group whose answer is the key of another."""
    return FeatureGroup("home", entity=airport, features=[Feature("base", "string")], online=True)


# ---- in place, or a new version


@pytest.mark.parametrize(
    "parts",
    [
        {"description": "hourly"},
        {"owner": "data"},
        {"tags": {"a": "b"}},
        {"checks": []},
        {"retention": "30d"},
        {"online": False},
        {"known": "event"},
        {"on_violation": "warn"},
        {"timezone": "America/New_York"},
        {"entity": Entity("airport", keys={"origin": "string"}, description="another word for it")},
        {"features": [Feature("temp", "float64", description="in the shade", unit="°C"), Feature("visib", "float64")]},
        {"features": [TEMP, Feature("visib", "float64"), Feature("wind", "int64")]},
        {"features": [Feature("wind", "int64"), TEMP, Feature("visib", "float64"), Feature("gust", "int64")]},
    ],
)
def test_what_leaves_stored_rows_as_they_are_is_amended_in_place(store, weather, at, parts):
    store.apply(weather())
    store.backfill("weather", [row(at(23), 1.0)])
    planned = store.plan(weather(**parts))
    assert actions(planned) == [("amend", "weather", 1)]
    assert store.apply(weather(**parts)) == planned
    assert [group.ref for group in store.catalog.groups()] == ["weather@1"]
    assert len(store.read("weather")) == 1
    assert not store.plan(weather(**parts))


@pytest.mark.parametrize(
    "parts",
    [
        {"features": [Feature("temp", "float64", nullable=False), Feature("visib", "float64")]},
        {"features": [TEMP, Feature("visib", "float64"), Feature("wind", "int64", nullable=False)]},
        {"features": [Feature("visib", "float64"), TEMP]},
        {"features": [TEMP, Feature("wind", "int64")]},
        {"entity": Entity("site", keys={"origin": "int64"})},
        {"event_time": None, "ttl": None},
        {"ttl": None},
        {"delay": "1s"},
    ],
)
def test_what_changes_the_meaning_of_stored_rows_is_a_new_version_and_the_old_one_stays(store, weather, at, parts):
    store.apply(weather(checks=[]))
    store.backfill("weather", [row(at(23), 1.0)])
    planned = store.plan(weather(checks=[], **parts))
    assert actions(planned) == [("new version", "weather", 2)]
    assert store.apply(weather(checks=[], **parts)) == planned
    assert (len(store.read("weather@1")), len(store.read("weather@2"))) == (1, 0)
    assert store.online("weather@1", {"origin": "JFK"}).values["temp"] == 1.0


def test_a_change_of_both_kinds_is_a_new_version(store, weather):
    store.apply(weather())
    plan = store.apply(weather(ttl="1h", owner="data", features=[*weather().features, Feature("wind", "int64")]))
    assert actions(plan) == [("new version", "weather", 2)]
    for line in ("ttl_us: 21600000000 -> 3600000000", "owner: 'ops' -> 'data'", "+ wind: int64"):
        assert line in str(plan)
    assert [group.definition.owner for group in store.catalog.groups()] == ["ops", "data"]


def test_the_newest_version_is_amended_and_older_ones_stay_as_they_are(store, weather, at):
    store.apply(weather())
    store.apply(weather(ttl="1h"))
    assert actions(store.apply(weather(ttl="1h", owner="data"))) == [("amend", "weather", 2)]
    assert [group.definition.owner for group in store.catalog.groups()] == ["ops", "data"]
    with pytest.raises(asof.errors.DataError, match="wind"):
        store.backfill("weather@1", [row(at(1), 1.0, wind=1)])


def test_the_number_is_the_name_and_the_content_the_identity(store, weather):
    """A definition that is registered as an older version comes back as a new one: nothing is served by accident."""
    store.apply(weather())
    store.apply(weather(ttl="1h"))
    assert actions(store.apply(weather())) == [("new version", "weather", 3)]
    assert not store.apply(weather())


def test_each_version_keeps_its_own_default_history_and_numbers(store, weather, at, clock):
    store.apply(weather(online=False, ttl="7h"))
    store.write("weather", [row(at(23), 1.0)])
    store.apply(weather(online=True, ttl="6h", known="served"))
    clock.move(hours=1)
    store.write("weather", [row(at(23), 2.0)])
    store.write("weather@1", [row(at(23), 3.0)])
    assert [(group.ref, group.known) for group in store.catalog.groups()] == [
        ("weather@1", "event"),
        ("weather@2", "served"),
    ]
    assert [c.id for c in store.catalog.commits("weather@1")] == ["weather@1:1", "weather@1:2"]
    assert [c.id for c in store.catalog.commits("weather")] == ["weather@2:1"]
    spine = [{"origin": "JFK", "time": at(25)}]
    assert store.historical("weather@1", spine, time="time").to_arrow().column("temp").to_pylist() == [3.0]
    assert store.historical("weather", spine, time="time").to_arrow().column("temp").to_pylist() == [2.0]
    store.retract("weather@1:2", reason="the wrong version")
    assert store.historical("weather@1", spine, time="time").to_arrow().column("temp").to_pylist() == [1.0]
    store.compact()
    assert store.historical("weather", spine, time="time").to_arrow().column("temp").to_pylist() == [2.0]
    assert store.quality.doctor().healthy


def test_pins_of_one_version_do_not_count_for_another(store, weather, at):
    store.apply(weather())
    store.backfill("weather", [row(at(23), 1.0)])
    store.apply(weather(ttl="1h"))
    spine = [{"origin": "JFK", "time": at(23)}]
    with pytest.raises(asof.errors.UsageError, match="no pin for group weather@2"):
        store.historical("weather", spine, time="time", commits={"weather@1": 1})
    with pytest.raises(NotFoundError, match="there is no commit weather@2:1 yet"):
        store.historical("weather", spine, time="time", commits={"weather": 1})


def test_a_retry_is_the_same_write_although_a_feature_was_added_meanwhile(store, weather, at):
    """A frame says the same before and after an amendment: the feature that it does not have is null."""
    store.apply(weather())
    written = store.write("weather", [row(at(23), 1.0)], idempotency_key="once")
    pushed = store.push("weather", row(at(23.5), None), idempotency_key="push")
    store.apply(weather(features=[Feature("wind", "int64"), *weather().features, Feature("gust", "int64")]))
    assert store.write("weather", [row(at(23), 1.0, wind=None, gust=None)], idempotency_key="once") == written
    assert store.push("weather", row(at(23.5), None, wind=None, gust=None), idempotency_key="push") == pushed
    for other in (row(at(23), 1.0, wind=1, gust=None), row(at(23), 1.0, wind=None, gust=1), row(at(23), None)):
        with pytest.raises(ConflictError, match="'once' was used with other content"):
            store.write("weather", [{"wind": None, "gust": None} | other], idempotency_key="once")


# ---- views


def test_a_view_stays_on_its_version_through_amendments_and_new_versions(store, weather, at):
    first = weather()
    store.apply(first, FeatureView("departure", features=[first["temp"]]))
    store.backfill("weather", [row(at(23), 1.0)])
    wide = weather(features=[*first.features, Feature("wind", "int64")])
    store.apply(wide)
    store.apply(weather(ttl="1h"))
    store.push("weather", row(at(24), 2.0))
    (view,) = store.catalog.views()
    assert [group.ref for group in view.groups.values()] == ["weather@1"]
    assert store.online("departure", {"origin": "JFK"}).values == {"temp": 1.0}
    frame = store.historical("departure", [{"origin": "JFK", "time": at(24)}], time="time")
    assert frame.column_names == ["origin", "time", "temp"]
    assert frame.commits == {"weather@1": 1}
    assert store.online("departure", {"origin": "JFK"}).receipt.commits == {"weather@1": 1}


def test_the_plan_of_a_view_says_which_version_it_makes(store, weather):
    first, second = weather(), weather(ttl="1h")
    assert actions(store.apply(first, FeatureView("departure", features=[first["temp"]]))) == [
        ("create", "weather", 1),
        ("create", "departure", 1),
    ]
    again = FeatureView("departure", features=[first["temp"]], owner="ml")
    assert actions(store.apply(again)) == [("amend", "departure", 1)]
    assert actions(store.plan(second, FeatureView("departure", features=[second["temp"]], owner="ml"))) == [
        ("new version", "weather", 2),
        ("new version", "departure", 2),
    ]
    store.apply(second)
    assert actions(store.plan(again)) == [("unchanged", "departure", 1)]  # it means the version that it was made with
    wider = FeatureView("departure", features=[second["temp"], second["visib"]], owner="ml")
    plan = store.apply(wider)
    assert actions(plan) == [("new version", "departure", 2)]
    assert "+ weather@2.visib" in str(plan)
    assert [sorted(g.ref for g in view.groups.values()) for view in store.catalog.views()] == [
        ["weather@1"],
        ["weather@2"],
    ]


def test_receipts_and_frames_of_an_old_view_version_are_answered_after_a_new_one(store, weather, at, clock):
    first, second = weather(), weather(ttl="1h")
    store.apply(first, FeatureView("departure", features=[first["temp"]]))
    store.push("weather", row(at(24), 1.0))
    receipt = store.online("departure", {"origin": "JFK"}).receipt
    frame = store.historical("departure", [{"origin": "JFK", "time": at(24)}], time="time")
    store.apply(second, FeatureView("departure", features=[second["visib"]]))
    store.push("weather", row(at(24), 2.0))
    assert receipt.view == "departure@1"
    assert store.replay(receipt).values == {"temp": 1.0}
    again = store.historical("departure@1", [{"origin": "JFK", "time": at(24)}], time="time", commits=frame.commits)
    assert again.to_arrow() == frame.to_arrow()


# ---- removal


def test_removal_names_every_dependant_and_removes_nothing(store, weather, home):
    group = weather()
    store.apply(
        group,
        home,
        FeatureView("departure", features=[group["temp"]]),
        FeatureView("arrival", features=[group.on(origin="dest")["visib"]]),
        FeatureView("chained", features=[group.on(origin=home["base"])["temp"]]),
        FeatureView("other", features=[home["base"]]),
    )
    before = [item.ref for item in (*store.catalog.groups(), *store.catalog.views())]
    with pytest.raises(ConflictError) as caught:
        store.catalog.remove("weather")
    assert caught.value.data == {"dependants": ["arrival@1", "chained@1", "departure@1"]}
    for ref in caught.value.data["dependants"]:
        assert ref in str(caught.value)
    with pytest.raises(ConflictError) as caught:
        store.catalog.remove("home")
    assert caught.value.data == {"dependants": ["chained@1", "other@1"]}  # one reads it only for a key
    assert [item.ref for item in (*store.catalog.groups(), *store.catalog.views())] == before


def test_a_version_that_a_view_is_pinned_to_stays_and_the_others_may_go(store, weather, at):
    first, second = weather(), weather(ttl="1h")
    store.apply(first, FeatureView("departure", features=[first["temp"]]))
    store.backfill("weather", [row(at(23), 1.0)])
    store.apply(second)
    for name in ("weather", "weather@1"):
        with pytest.raises(ConflictError, match="departure@1 reads weather@1"):
            store.catalog.remove(name)
    assert [group.ref for group in store.catalog.groups()] == ["weather@1", "weather@2"]
    assert store.catalog.remove("weather@2") == ["weather@2"]
    assert store.online("departure", {"origin": "JFK"}).values == {"temp": 1.0}
    assert store.catalog.remove("departure") == []
    assert store.catalog.remove("weather@1") == ["weather@1"]
    assert store.quality.doctor().healthy


def test_one_version_of_a_view_may_go_and_frees_what_it_alone_was_pinned_to(store, weather, at):
    first, second = weather(), weather(ttl="1h")
    store.apply(first, FeatureView("departure", features=[first["temp"]]))
    store.apply(second, FeatureView("departure", features=[second["temp"]]))
    with pytest.raises(ConflictError) as caught:
        store.catalog.remove("weather")
    assert caught.value.data == {"dependants": ["departure@1", "departure@2"]}
    store.catalog.remove("departure@1")
    assert store.catalog.remove("weather@1") == ["weather@1"]
    assert [view.ref for view in store.catalog.views()] == ["departure@2"]
    store.push("weather", row(at(24), 1.0))
    assert store.online("departure", {"origin": "JFK"}).values == {"temp": 1.0}


def test_a_number_of_a_removed_version_is_not_given_to_other_rows(folder, clock, weather, at):
    """What was removed stays removed: neither a pin nor a receipt of the old version meets rows of a new one."""
    with asof.open(folder, clock=clock) as store:
        store.apply(weather(checks=[Check.not_null("temp")]))
        store.push("weather", row(at(24), 1.0))
        store.catalog.remove("weather")
        store.apply(weather())
        assert len(store.read("weather")) == 0
        assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "MISSING"
    with asof.open(folder, clock=clock) as store:
        assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "MISSING"
        assert store.quality.doctor().healthy
