"""apply and plan: readable, amended in place, versions side by side, the same from a file and from the registry."""

import os
import sys

import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, NotFoundError, UnsupportedError, UsageError


def test_plan_says_what_apply_would_do_and_changes_nothing(store, weather):
    group = weather()
    text = str(store.plan(group, FeatureView("departure", features=[group["temp"]])))
    assert "+ group weather@1: create" in text
    assert "keys origin: string (entity airport)" in text
    assert "event_time time_hour" in text
    assert "2 features: temp, visib" in text
    assert "known='served'; online" in text
    assert "+ view departure@1: create" in text
    assert store.catalog.groups() == []
    assert store.catalog.views() == []


def test_apply_twice_changes_nothing_the_second_time(store, weather):
    assert store.apply(weather())
    again = store.apply(weather())
    assert not again
    assert [change.action for change in again] == ["unchanged"]


def test_apply_is_all_or_nothing(store, weather):
    stranger = FeatureGroup(
        "planes", entity=Entity("aircraft", {"tailnum": "string"}), features=[Feature("seats", "int32")]
    )
    with pytest.raises(NotFoundError, match=r"view 'departure' reads group 'planes', which is not registered"):
        store.apply(weather(), FeatureView("departure", features=[stranger["seats"]]))
    assert store.catalog.groups() == []


def test_descriptions_owner_tags_checks_and_retention_change_in_place(store, weather):
    store.apply(weather())
    plan = store.apply(
        weather(owner="data", description="hourly", tags={}, retention="30d", checks=[Check.not_null("temp")])
    )
    assert [(change.action, change.version) for change in plan] == [("amend", 1)]
    text = str(plan)
    for line in ("owner: 'ops' -> 'data'", "description: '' -> 'hourly'", "retention_us: None -> "):
        assert line in text
    assert [group.ref for group in store.catalog.groups()] == ["weather@1"]
    assert store.catalog.groups()[0].definition.owner == "data"


def rows_before_and_after(store, at):
    spine = [{"origin": "JFK", "time": at(1)}, {"origin": "LGA", "time": at(24)}]
    offline = store.historical("weather", spine, time="time", known="event", statuses=True).to_arrow().to_pylist()
    online = store.online("weather", [{"origin": "JFK"}, {"origin": "LGA"}])
    return (
        [(row["temp"], row["wind"], row["wind__status"]) for row in offline],
        [(v.values["temp"], v.values["wind"], v.statuses["wind"]) for v in online],
    )


def test_rows_from_before_an_amendment_give_null_everywhere_and_for_ever(folder, clock, weather, at):
    later = weather(features=[*weather().features, Feature("wind", "int64")], ttl="2d")
    expected = (
        [(1.0, None, "NULL"), (24.0, 7, "PRESENT")],
        [(2.0, None, "NULL"), (24.0, 7, "PRESENT")],
    )
    with asof.open(folder, clock=clock) as store:
        store.apply(weather(ttl="2d"))
        row = {"origin": "JFK", "time_hour": at(1), "temp": 1.0, "visib": 1.0}
        store.backfill("weather", [row])
        store.push("weather", {**row, "time_hour": at(2), "temp": 2.0})
        plan = store.apply(later)
        assert "~ group weather@1: amend\n    + wind: int64" in str(plan)
        store.push("weather", {"origin": "LGA", "time_hour": at(24), "temp": 24.0, "visib": 1.0, "wind": 7})
        assert rows_before_and_after(store, at) == expected
    with asof.open(folder, clock=clock) as store:
        assert rows_before_and_after(store, at) == expected
        store.compact()
        assert rows_before_and_after(store, at) == expected
        assert store.quality.doctor().healthy
        assert store.verify("weather").differences == ()


def test_a_feature_added_first_in_the_list_leaves_the_others_in_their_place(store, weather, at):
    store.apply(weather())
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 2.0})
    store.apply(weather(features=[Feature("wind", "int64"), *weather().features]))
    assert store.online("weather", {"origin": "JFK"}).values == {"wind": None, "temp": 1.0, "visib": 2.0}
    store.push("weather", {"origin": "LGA", "time_hour": at(24), "temp": 1.0, "visib": 2.0, "wind": 3})
    assert store.online("weather", {"origin": "LGA"}).values == {"wind": 3, "temp": 1.0, "visib": 2.0}
    assert store.read("weather").to_arrow().column("wind").to_pylist() == [None, 3]


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"ttl": "7h"}, "ttl_us: 21600000000 -> 25200000000"),
        ({"delay": "1h"}, "delay_us: 0 -> 3600000000"),
        ({"features": [Feature("temp", "float32"), Feature("visib", "float64")]}, "dtype: 'float64' -> 'float32'"),
        ({"features": [Feature("temp", "float64")]}, "- visib"),
        ({"event_time": "moment"}, "event_time: 'time_hour' -> 'moment'"),
        ({"entity": Entity("airport", {"origin": "string", "gate": "int32"})}, "entity"),
    ],
)
def test_what_changes_the_meaning_of_rows_makes_a_new_version(store, weather, parts, line):
    store.apply(weather(checks=[]))
    plan = store.apply(weather(checks=[], **parts))
    assert [(change.action, change.version) for change in plan] == [("new version", 2)]
    assert line in str(plan)
    assert "starts without history" in str(plan)


def test_versions_serve_side_by_side(store, weather, at):
    store.apply(weather())
    store.backfill("weather", [{"origin": "JFK", "time_hour": at(23), "temp": 1.0, "visib": 1.0}])
    store.apply(weather(ttl="1h"))
    assert store.online("weather", {"origin": "JFK"}).statuses["temp"] == "MISSING"  # the newest version is empty
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 2.0, "visib": 2.0})
    store.push("weather@1", {"origin": "JFK", "time_hour": at(24), "temp": 3.0, "visib": 3.0})
    assert store.online("weather@1", {"origin": "JFK"}).values["temp"] == 3.0
    assert store.online("weather@2", {"origin": "JFK"}).values["temp"] == 2.0
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0
    assert len(store.read("weather@1")) == 2
    assert len(store.read("weather")) == 1
    assert [commit.id for commit in store.catalog.commits("weather@1")] == ["weather@1:1", "weather@1:2"]
    assert store.quality.doctor().healthy


def test_a_view_keeps_the_group_version_that_it_was_created_with(store, weather, at):
    first = weather()
    store.apply(first, FeatureView("departure", features=[first["temp"]]))
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0})
    store.apply(weather(ttl="1h"))
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 2.0, "visib": 2.0})
    assert store.online("departure", {"origin": "JFK"}).values == {"temp": 1.0}
    second = weather(ttl="1h")
    store.apply(second, FeatureView("departure", features=[second["temp"]]))
    assert store.online("departure", {"origin": "JFK"}).values == {"temp": 2.0}
    assert store.online("departure@1", {"origin": "JFK"}).values == {"temp": 1.0}
    assert [view.ref for view in store.catalog.views()] == ["departure@1", "departure@2"]
    assert store.catalog.lineage("weather@1").read_by == ("departure@1",)
    assert store.catalog.lineage("weather@2").read_by == ("departure@2",)


def test_known_is_fixed_when_the_group_is_created(store, weather, at, clock):
    store.apply(weather(online=False, ttl=None))
    store.write("weather", [{"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0}])
    spine = [{"origin": "JFK", "time": at(24)}]
    clock.move(hours=1)
    store.write("weather", [{"origin": "JFK", "time_hour": at(24), "temp": 2.0, "visib": 1.0}])
    assert store.historical("weather", spine, time="time").to_arrow().column("temp").to_pylist() == [2.0]  # event
    plan = store.apply(weather(online=True, ttl=None))
    assert "historical reads still default to known='event'" in str(plan)
    assert store.catalog.groups()[0].known == "event"
    assert store.historical("weather", spine, time="time").to_arrow().column("temp").to_pylist() == [2.0]
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0  # turned on: history is served
    store.apply(weather(online=True, ttl=None, known="served"))
    assert store.historical("weather", spine, time="time").to_arrow().column("temp").to_pylist() == [1.0]


def test_turning_online_off_and_on_again_serves_what_was_written_meanwhile(store, weather, at):
    store.apply(weather())
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": 1.0})
    store.apply(weather(online=False))
    with pytest.raises(UnsupportedError, match="group 'weather' is not online"):
        store.online("weather", {"origin": "JFK"})
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 2.0, "visib": 1.0})
    store.apply(weather())
    assert store.online("weather", {"origin": "JFK"}).values["temp"] == 2.0


def test_a_name_is_a_group_or_a_view(store, weather):
    group = weather()
    store.apply(group)
    with pytest.raises(ConflictError, match="'weather' is already the name of a group"):
        store.apply(FeatureView("weather", features=[group["temp"]]))
    store.apply(FeatureView("departure", features=[group["temp"]]))
    with pytest.raises(ConflictError, match="'departure' is already the name of a view"):
        store.apply(FeatureGroup("departure", entity=group.entity, features=group.features))


def test_apply_of_something_else_says_what_to_pass(store):
    with pytest.raises(UsageError, match="Feature is no definition -> pass groups, views, or a Python file"):
        store.apply(Feature("temp", "float64"))


FILE = """
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from shared_names import UNIT

airport = Entity("airport", keys={"origin": "string"}, description="where flights begin")
gate = Entity("gate", keys={"origin": "string", "number": "int32"})
weather = FeatureGroup(
    "weather", entity=airport, event_time="time_hour", ttl="6h", delay="90s", online=True, timezone="America/New_York",
    features=[
        Feature("temp", "float64", description="air temperature", unit=UNIT, tags={"a": "b"}),
        Feature("embedding", "vector<float32, 3>"), Feature("price", "decimal(12, 3)"),
        Feature("parts", "list<struct<a: int64, b: string>>"), Feature("never_null", "bool", nullable=False),
    ],
    retention="400d", owner="ops", tags={"domain": "flights"}, description="hourly", on_violation="warn",
    checks=[Check.between("temp", -60, 140), Check.between("temp", None, 150.5), Check.not_null("temp"),
            Check.one_of("temp", 1.0, 2.0), Check.matches("origin", "^[A-Z]{3}$")],
)
gates = FeatureGroup("gates", entity=gate, features=[Feature("owner_code", "string")], known="served")
departure = FeatureView(
    "departure", description="for the delay model", owner="ml", tags={"x": "y"},
    features=[weather["temp"], weather.on(origin="dest")["temp"].alias("dest_temp"), gates,
              weather.on(origin=gates["owner_code"])["price"]],
)
"""


def test_definitions_from_a_file_equal_those_from_the_registry(store, tmp_path):
    (tmp_path / "definitions").mkdir()
    (tmp_path / "definitions" / "shared_names.py").write_text('UNIT = "°F"\n')
    file = tmp_path / "definitions" / "features.py"
    file.write_text(FILE)
    plan = store.apply(file)
    assert [str(change).split(":")[0] for change in plan] == [
        "+ group weather@1",
        "+ group gates@1",
        "+ view departure@1",
    ]
    from asof.catalog.python_file import load_definitions

    declared = {definition.name: definition for definition in load_definitions(file)}
    registered = [*store.catalog.groups(), *store.catalog.views()]
    assert len(registered) == 3
    for item in registered:
        assert item.definition == declared[item.definition.name], item.ref
    assert not store.apply(str(file))
    assert not store.apply(*(item.definition for item in registered))


def test_a_file_that_is_changed_within_a_second_is_read_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "features.py"
    for ttl, hours in ("1h", 1), ("2h", 2):
        file.write_text(
            "from asof import *\n"
            "airport = Entity('airport', keys={'origin': 'string'})\n"
            f"weather = FeatureGroup('weather', entity=airport, features=[Feature('temp', 'float64')], event_time='at', ttl={ttl!r})\n"
        )
        os.utime(file, (1, 1))
        store.apply(file)
        assert [each.definition.ttl_us for each in store.catalog.groups()][-1] == hours * 3_600_000_000
    assert [*tmp_path.glob("__pycache__")] == []


def test_a_definition_file_that_fails_names_itself(store, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_package\n")
    with pytest.raises(UsageError, match=r"broken.py cannot be run: ModuleNotFoundError: No module named"):
        store.apply(broken)
    broken.write_text("x = 1\n")
    with pytest.raises(UsageError, match=r"broken.py defines no group and no view"):
        store.apply(broken)
    with pytest.raises(NotFoundError, match="there is no file"):
        store.apply(tmp_path / "absent.py")
    broken.write_text("1 / 0\n")
    with pytest.raises(UsageError, match=r"broken.py cannot be run: ZeroDivisionError: division by zero"):
        store.apply(broken)
    assert store.catalog.groups() == []
