"""verify: what was served, beside history as its receipts saw it and as it is known by now; each difference has a cause."""

import json

import pyarrow as pa
import pytest
from click.testing import CliRunner

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.arrow.keys import key_encoder
from asof.arrow.rows import encode_rows
from asof.arrow.types import arrow_type
from asof.cli.app import app
from asof.erasure import Certificate
from asof.online.port import Applied, Change, version_head

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")


def row(at, origin, hour, temp, visib=1.0):
    return {"origin": origin, "time_hour": at(hour), "temp": temp, "visib": visib}


@pytest.fixture
def departure(weather):
    """Give a maker of a view that logs every answer, over a group whose parts are keywords."""
    return lambda **parts: FeatureView("departure", features=[weather(**parts)["temp"]], log=1.0)


@pytest.fixture
def served(store, weather, departure, at, clock):
    """Give a store that answered for two airports an hour ago, and for one unknown."""
    store.apply(weather(), departure())
    store.backfill("weather", [row(at, "JFK", 20, 1.0), row(at, "LGA", 20, 2.0)])
    for origin in ("JFK", "LGA", "SFO"):
        store.online("departure", {"origin": origin})
    clock.move(hours=1)
    return store


def stages(store, name="departure", **options):
    return {stage.name: stage for stage in store.verify(name, instants=5, keys=3, **options).stages}


def causes(store, **options):
    return {name: dict(stage.causes) for name, stage in stages(store, **options).items() if stage.causes}


def test_what_was_served_equals_history(served):
    found = served.verify("departure", instants=5, keys=3)
    assert [stage.name for stage in found.stages] == ["replay", "today", "served", "hindsight"]
    assert [stage.compared for stage in found.stages[1:]] == [2, 3, 3]
    assert {stage.equal for stage in found.stages} == {1.0}
    assert (found.equal, found.differences, found.defects, found.compared) == (
        1.0,
        (),
        (),
        8 + found.stages[0].compared,
    )
    assert "  served    3 compared, 100 % equal" in str(found).splitlines()


def test_rows_that_arrive_now_change_nothing_that_was_served(served, at, clock):
    served.write("weather", [row(at, "JFK", 23, 9.0), row(at, "SFO", 23, 9.0)])
    served.push("weather", row(at, "JFK", 20, 8.0))
    assert causes(served) == {}


def test_a_backfill_of_later_rows_is_a_late_arrival(served, at):
    served.backfill("weather", [row(at, "JFK", 23, 9.0), row(at, "SFO", 22, 8.0)])
    found = served.verify("departure", instants=5, keys=3)
    assert {(d.stage, d.keys["origin"], d.cause) for d in found.differences} == {
        ("hindsight", "JFK", "late arrival"),
        ("hindsight", "SFO", "late arrival"),
    }
    (one,) = (d for d in found.differences if d.keys["origin"] == "SFO")
    assert (one.online, one.history) == ((None, "MISSING"), (8.0, "PRESENT"))
    assert (dict(found.causes), found.defects) == ({"late arrival": 2}, ())
    assert 0.9 < found.equal < 1


def test_a_backfill_of_the_same_moment_is_a_correction(served, at):
    served.backfill("weather", [row(at, "JFK", 20, 9.0)])
    assert causes(served) == {"hindsight": {"correction": 1}}


def test_a_retract_of_what_was_served_is_a_correction(served):
    served.retract("weather:1", reason="wrong file")
    assert causes(served) == {"hindsight": {"correction": 2}}


def test_a_retract_that_uncovers_an_earlier_row_is_a_correction(store, weather, departure, at, clock):
    store.apply(weather(), departure())
    store.backfill("weather", [row(at, "JFK", 20, 1.0)])
    wrong = store.backfill("weather", [row(at, "JFK", 22, 5.0)])
    store.online("departure", {"origin": "JFK"})
    clock.move(hours=1)
    store.retract(wrong, reason="wrong")
    assert causes(store) == {"hindsight": {"correction": 1}}


def test_another_definition_of_the_view_is_a_definition_change(served, weather):
    served.apply(weather(), FeatureView("departure", features=[weather()["visib"].alias("temp")], log=1.0))
    found = stages(served)
    assert found["served"].equal == 1.0  # as the view was then
    assert dict(found["hindsight"].causes) == {"definition change": 1}  # the other has the same value


def test_another_ttl_is_named(served, weather, departure, at):
    served.apply(weather(ttl="3h"), departure(ttl="3h"))
    served.backfill("weather", [row(at, "JFK", 20, 1.0), row(at, "LGA", 23, 2.0)])
    found = served.verify("departure", instants=5, keys=3)
    assert dict(found.causes) == {"ttl": 1}  # LGA has another row now, with the same value
    (one,) = found.differences
    assert (one.online[1], one.history[1]) == ("PRESENT", "EXPIRED")


def test_a_view_that_asks_for_other_keys_cannot_be_compared_in_hindsight(served, weather):
    served.apply(weather(), FeatureView("departure", features=[weather().on(origin="airport")["temp"]], log=1.0))
    found = stages(served)
    assert found["served"].equal == 1.0
    assert dict(found["hindsight"].skipped) == {"definition change": 3}


def test_a_view_or_group_that_was_made_anew_cannot_be_compared(served, weather, departure, at, clock):
    served._log.flush()
    served.catalog.remove("departure")
    served.catalog.remove("weather")
    other = weather(features=[Feature("temp", "float64")])
    served.apply(other, FeatureView("departure", features=[other], log=1.0))
    served.backfill("weather", [{"origin": "JFK", "time_hour": at(20), "temp": 7.0}])
    found = stages(served)
    assert dict(found["served"].skipped) == {"definition change": 3}
    assert "hindsight" not in found
    clock.move(hours=1)
    served.online("departure", {"origin": "JFK"})
    assert stages(served)["served"].compared == 1


def test_a_commit_that_was_published_and_not_applied_is_applying(served, at, clock):
    feed, apply = served._writer.feed, served._writer.feed.apply
    feed.apply = lambda published, made=None: None  # another process published, and has not applied it yet
    served.push("weather", row(at, "JFK", 24, 9.0))
    clock.move(minutes=1)
    assert served.online("departure", {"origin": "JFK"}).values == {"temp": 1.0}
    feed.apply = apply
    assert causes(served) == {"hindsight": {"applying": 1}}


def test_an_answer_from_amid_a_bulk_load_is_applying(served, at):
    group = served._parts.registry.group("weather")
    with served._parts.online.snapshot() as snapshot:
        before = snapshot.applied[group.id]
    commit = served.backfill("weather", [row(at, "JFK", 23, 9.0), row(at, "LGA", 23, 9.0)])
    parts = served._parts.online
    parts.clear(group.id)
    head = version_head(int(at(23).timestamp()) * 1_000_000, commit.number)
    payload = encode_rows(pa.table({"temp": [9.0], "visib": [1.0]}))[0]
    parts.apply([Change(group.id, 0, before.commit, before.committed_at_us)])
    change = Change(
        group.id, before.commit, commit.number, commit.committed_at_us, [b"JFK\0\0"], [head + payload], final=False
    )
    assert parts.apply([change])[group.id] == Applied(before.commit, before.committed_at_us, applying=True)
    vector = served.online("departure", {"origin": "JFK"})
    assert (vector.values, vector.receipt.applying) == ({"temp": 9.0}, True)
    served._writer.feed.rebuild(group)
    found = served.verify("departure", instants=5, keys=3)
    assert ("served", "applying") in {(d.stage, d.cause) for d in found.differences}
    assert found.defects == ()


def test_a_wrong_answer_is_a_defect_and_stays_one(served, at):
    group = served._parts.registry.group("weather")
    commit = served.catalog.commits("weather")[-1]
    head = version_head(int(at(20).timestamp()) * 1_000_000, commit.number)
    wrong = head + encode_rows(pa.table({"temp": [99.0], "visib": [1.0]}))[0]
    served._parts.online.clear(group.id)
    served._parts.online.apply([Change(group.id, 0, commit.number, commit.committed_at_us, [b"JFK\0\0"], [wrong])])
    served.online("departure", {"origin": "JFK"})
    served._writer.feed.rebuild(group)  # repaired; what was served was wrong all the same
    found = served.verify("departure", instants=5, keys=3)
    (defect,) = found.defects
    assert (defect.stage, defect.online, defect.history) == ("served", (99.0, "PRESENT"), (1.0, "PRESENT"))
    served.backfill("weather", [row(at, "JFK", 23, 9.0)])
    assert [d.stage for d in served.verify("departure", instants=5, keys=3).defects] == ["served"]


def test_a_key_from_another_group_has_the_cause_of_that_group(store, at, clock):
    flights = FeatureGroup(
        "flights",
        entity=Entity("flight", keys={"flight": "int64"}),
        event_time="t",
        features=[Feature("plane", "string")],
        online=True,
    )
    planes = FeatureGroup(
        "planes", entity=Entity("plane", keys={"plane": "string"}), features=[Feature("seats", "int64")], online=True
    )
    seats = planes.on(plane=flights["plane"])["seats"]
    store.apply(flights, planes, FeatureView("boarding", features=[seats], log=1.0))
    store.backfill("planes", [{"plane": "A", "seats": 100}, {"plane": "B", "seats": 200}])
    store.backfill("flights", [{"flight": 1, "t": at(20), "plane": "A"}, {"flight": 2, "t": at(20), "plane": "A"}])
    vectors = store.online("boarding", [{"flight": 1}, {"flight": 2}])
    assert [vector.values["seats"] for vector in vectors] == [100, 100]
    clock.move(hours=1)
    store.backfill("flights", [{"flight": 1, "t": at(22), "plane": "B"}, {"flight": 2, "t": at(20), "plane": "B"}])
    found = store.verify("boarding", instants=5, keys=3)
    assert {d.keys["flight"]: d.cause for d in found.differences} == {1: "late arrival", 2: "correction"}
    store.backfill("planes", [{"plane": "B", "seats": 201}])
    found = store.verify("boarding", instants=5, keys=3)
    assert {d.keys["flight"]: d.cause for d in found.differences} == {1: "late arrival", 2: "correction"}


def test_a_correction_of_a_static_group_is_one(store, at, clock):
    planes = FeatureGroup(
        "planes", entity=Entity("plane", keys={"plane": "string"}), features=[Feature("seats", "int64")], online=True
    )
    store.apply(planes, FeatureView("cabin", features=[planes], log=1.0))
    store.backfill("planes", [{"plane": "A", "seats": 100}])
    store.online("cabin", [{"plane": "A"}, {"plane": "B"}])
    clock.move(hours=1)
    store.backfill("planes", [{"plane": "A", "seats": 101}, {"plane": "B", "seats": 200}])
    found = store.verify("cabin", instants=5, keys=3)
    assert {d.keys["plane"]: d.cause for d in found.differences} == {"A": "correction", "B": "late arrival"}


def test_rows_that_retention_dropped_are_counted(served, weather, departure, at, clock):
    served.apply(weather(retention="2h"), departure(retention="2h"))
    clock.move(hours=10)
    served.push("weather", row(at, "JFK", 34, 5.0))
    served.compact()
    found = stages(served)
    assert dict(found["served"].skipped) == {"retention": 3}
    served.online("departure", {"origin": "JFK"})
    assert stages(served)["served"].compared == 1


def test_answers_of_erased_keys_are_left_out_and_counted(served):
    encode = key_encoder([arrow_type(dtype) for dtype in Entity("airport", {"origin": "string"}).keys.values()], ["o"])
    erasures = served._parts.erasures
    served._log.flush()
    begun = erasures.begin("airport", b"JFK", reason="asked for", writer="", now_us=0)
    done = Certificate(begun.id, "airport", 1, "asked for", "", 0, 1 << 60, (), ())
    erasures.finish(begun, done.to_json(), keys=[encode(["JFK"])])
    erasures.close(begun)
    found = stages(served)
    assert dict(found["served"].skipped) == {"erased": 1}
    assert found["served"].compared == 2


def test_as_many_of_the_newest_answers_are_compared_as_asked_for(served, clock):
    for _ in range(3):
        clock.move(minutes=1)
        for _ in range(10):
            served.online("departure", {"origin": "JFK"})
        served._log.flush()
    assert stages(served, logged=7)["served"].compared == 7
    assert stages(served, logged=33)["served"].compared == 33
    assert stages(served, logged=500)["served"].compared == 33
    assert "served" not in stages(served, logged=0)


def test_all_versions_of_the_log_are_read(served, weather, clock):
    served.apply(weather(), FeatureView("departure", features=[weather()], log=1.0))
    clock.move(minutes=1)
    served.online("departure", {"origin": "JFK"})
    found = stages(served)
    assert found["served"].compared == 3 + 2
    assert found["hindsight"].compared == 3 + 2
    assert causes(served) == {}


def test_a_group_and_a_view_without_log_have_no_such_stages(store, weather, at):
    store.apply(weather(), FeatureView("plain", features=[weather()]))
    store.backfill("weather", [row(at, "JFK", 20, 1.0)])
    assert list(stages(store, "plain")) == ["replay", "today"]
    assert list(stages(store, "weather")) == ["replay", "today"]


def test_the_command_shows_a_table_and_fails_on_defects_only(served, folder, at, clock):
    served.backfill("weather", [row(at, "JFK", 23, 9.0)])
    served._log.flush()
    words = ["verify", str(folder), "departure", "--instants", "5", "--keys", "3", "--logged", "50"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[3].split()[0] == "served"
    assert lines[4].endswith("66.67 %  1 late arrival")
    assert lines[-1].endswith("1 difference, 0 defects")
    document = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert document["stages"][3]["causes"] == {"late arrival": 1}
    assert document["differences"][0]["cause"] == "late arrival"


def test_answers_of_days_are_looked_up_at_once(served, at, clock):
    """Many commits between answers: each set of pins is a look-up of its own."""
    for number in range(30):
        clock.move(minutes=1)
        served.push("weather", row(at, "JFK", 25 + number / 60, float(number)))
        assert served.online("departure", {"origin": "JFK"}).values == {"temp": float(number)}
    found = stages(served)
    assert found["served"].compared == 33
    assert found["served"].equal == found["hindsight"].equal == 1.0
