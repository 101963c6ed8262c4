"""Each subcommand does what its help says, for people and for programs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

import asof
import asof.aggregates
from asof import Entity, Feature, FeatureGroup
from asof.cli.app import app
from asof.clock import parse_time

OPEN = {
    "keys", "columns", "values", "statuses", "event_times", "commits", "meta", "facts", "features", "renamed", "leaked",
    "sources", "counts", "causes", "skipped", "measures",
}  # fmt: skip
"""Names of objects whose names are the user's: groups, columns, statuses."""


def same_shape(want, have, name=""):
    if isinstance(want, Mapping) and isinstance(have, Mapping):
        return name in OPEN or (
            want.keys() == have.keys() and all(same_shape(want[key], have[key], key) for key in want)
        )
    if isinstance(want, list | tuple) and isinstance(have, list | tuple):
        return name == "data" or not want or all(same_shape(want[0], item) for item in have)
    return want is None or have is None or type(want) is type(have) or {type(want), type(have)} == {int, float}


def shape(name):
    return app.get_command(None, name).shape


def test_plan_changes_nothing_and_apply_does(typed, document, tmp_path):
    typed("init", tmp_path / "p")
    store, file = tmp_path / "p" / "store", tmp_path / "p" / "features.py"
    plan = document("plan", store, file)
    assert [(c["action"], c["name"]) for c in plan["changes"]] == [("create", "weather"), ("create", "departure")]
    assert same_shape(shape("plan"), plan)
    assert "nothing was changed" in typed("plan", store, file).stdout
    assert document("ls", store)["groups"] == []
    assert document("apply", store, file) == plan
    assert document("apply", store, file)["anything"] is False
    assert "nothing to change" in typed("apply", store, file).stdout


def test_ls(typed, document, loaded):
    found = document("ls", loaded.store)
    assert same_shape(shape("ls"), found)
    assert found["groups"][0]["rows"] == 144
    assert found["views"][0]["keys"] == {"origin": "string", "dest": "string"}
    lines = typed("ls", loaded.store).stdout.splitlines()
    assert lines[0].split()[:2] == ["group", "keys"]
    assert lines[1].startswith("weather@1")
    assert lines[-1].startswith("departure@1")


def test_describe(typed, document, loaded):
    for name in ("weather", "departure", "weather@1"):
        assert same_shape(shape("describe"), document("describe", loaded.store, name))
    assert document("describe", loaded.store, "weather")["facts"]["delay"] == "5m"
    assert "air temperature" in typed("describe", loaded.store, "weather").stdout


def test_search(typed, document, loaded):
    hits = document("search", loaded.store, "air", "temperature")
    assert same_shape(shape("search"), hits)
    assert [hit["name"] for hit in hits["hits"]] == ["weather.temp"]
    assert typed("search", loaded.store, "nothing-like-it").stdout == "nothing found\n"


def test_lineage(typed, document, loaded):
    assert document("lineage", loaded.store, "weather") == {
        "name": "weather@1", "reads": [], "read_by": ["departure@1"]
    }  # fmt: skip
    assert typed("lineage", loaded.store, "departure").stdout == "departure@1\n  reads weather@1\n"


def test_commits(typed, document, project):
    typed("retire", project.store, "weather", "origin=LGA", "--event-time", "2025-01-08T00:00:00Z")
    typed("retract", project.store, "weather:2", "--reason", "typo")
    found = document("commits", project.store, "weather")
    assert same_shape(shape("commits"), found)
    assert [c["kind"] for c in found["commits"]] == ["backfill", "retire", "retract"]
    assert document("commits", project.store, "weather", "--limit", "1")["commits"] == found["commits"][-1:]
    assert "hides 2: typo" in typed("commits", project.store, "weather").stdout


def test_write_stores_rows_as_arriving_now(typed, document, project):
    now = datetime.now(UTC).replace(microsecond=0).isoformat()  # noqa: TID251 - a store with the system's clock
    file = project.write("new.csv", f"origin,time_hour,temp,visib\nJFK,{now},50.5,\n")
    words = ("write", project.store, "weather", file, "--meta", "by=me", "--idempotency-key", "k")
    commit = document(*words)
    assert same_shape(shape("write"), commit)
    assert (commit["kind"], commit["rows"], commit["meta"]) == ("write", 1, {"by": "me"})
    assert document(*words) == commit | {"repeated": True}
    assert "stored before" in typed(*words).stdout
    vector = document("online", project.store, "weather", "origin=JFK")
    assert vector["values"] == {"temp": 50.5, "visib": None}
    assert vector["statuses"] == {"temp": "PRESENT", "visib": "NULL"}


def test_old_rows_in_write_are_noted(typed, project):
    done = typed("write", project.store, "weather", project.path("data/weather.csv"))
    assert done.stdout == "weather@1:2: write of 144 rows\n"
    assert done.stderr.startswith("note: 144 of 144 rows written to 'weather' are more than a day old")


def test_write_infers_an_unknown_group_if_told_its_keys(typed, error, project):
    file = project.write("p.csv", "plane,seats\nN1,100\nN2,200\n")
    assert "unknown group 'planes'" in error("write", project.store, "planes", file)
    done = typed("write", project.store, "planes", file, "--keys", "plane")
    assert "note: group 'planes' was inferred" in done.stderr
    assert done.stdout == "planes@1:1: write of 2 rows\n"


def test_backfill_takes_recorded_arrivals(document, project):
    file = project.write("b.csv", "origin,time_hour,temp,visib,seen\nBOS,2025-02-01T00:00Z,1,2,2025-02-01T03:00Z\n")
    commit = document("backfill", project.store, "weather", file, "--available-at", "seen")
    assert commit["availability"] == "column"
    rows = document("read", project.store, "weather", "--start", "2025-01-31T00:00:00Z", "--clocks")["data"]
    assert rows[0]["__available_at"] == "2025-02-01T03:00:00Z"


def test_conflicting_rows_are_refused_or_the_last_kept(document, error, project):
    file = project.write("c.csv", "origin,time_hour,temp,visib\nBOS,2025-02-01T00:00Z,1,2\nBOS,2025-02-01T00:00Z,3,2\n")
    assert "with different values" in error("backfill", project.store, "weather", file)
    assert document("backfill", project.store, "weather", file, "--on-conflict", "last")["rows"] == 1


def test_historical_writes_a_training_set(typed, document, loaded, tmp_path):
    words = ("historical", loaded.store, "departure", loaded.path("data/departures.csv"), "--time", "sched_dep")
    for suffix in ("csv", "parquet", "arrow"):
        out = tmp_path / f"t.{suffix}"
        found = document(*words, "--out", out)
        assert same_shape(shape("historical"), found)
        assert (found["rows"], found["data"], found["out"]) == (8, None, str(out))
        assert out.exists()
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == ["flight", "origin", "dest", "sched_dep", "late", "temp", "visib", "dest_temp"]
    with asof.open(loaded.store) as store:
        again = store.historical("departure", table.select(range(5)), time="sched_dep")
        assert again.to_arrow().equals(table)
    assert "8 rows x 8 columns" in typed(*words, "--out", tmp_path / "t.csv").stdout


def test_historical_writes_batches_and_explains(typed, document, loaded, tmp_path):
    words = ("historical", loaded.store, "departure", loaded.path("data/departures.csv"), "--time", "sched_dep")
    document(*words, "--out", tmp_path / "whole.parquet")
    found = document(*words, "--out", tmp_path / "parts.parquet", "--batch-rows", "3", "--explain")
    assert parquet.read_table(tmp_path / "parts.parquet").equals(parquet.read_table(tmp_path / "whole.parquet"))
    assert sum(found["report"][0][status] for status in ("PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED")) == 16
    assert list(found["plan"]) == [row["group"] for row in found["report"]]
    assert found["plan"]["weather on origin"]["files_read"] == 1
    shown = typed(*words, "--explain").stdout
    assert "weather on origin: " in shown
    assert "1 of 1 files" in shown


def test_historical_shows_the_first_rows_and_the_report(typed, document, loaded):
    words = ("historical", loaded.store, "departure", loaded.path("data/departures.csv"), "--time", "sched_dep")
    shown = typed(*words, "--limit", "2").stdout
    assert "2 of 8 rows" in shown
    assert shown.splitlines()[-2].split()[:5] == ["weather", "on", "origin", "served", "15"]
    found = document(*words, "--statuses", "--full-names", "--known", "event")
    assert found["data"][4]["weather__visib__status"] == "NULL"
    assert found["report"][0]["known"] == "event"
    earlier = document(*words, "--known", "2025-01-06T10:00:00Z")
    assert earlier["data"][-1]["temp"] != found["data"][-1]["weather__temp"]


def test_historical_takes_naive_times_with_a_zone_only(document, error, project):
    file = project.write("s.csv", "origin,dest,t\nJFK,BOS,2025-01-06 07:02\n")
    words = ("historical", project.store, "departure", file, "--time", "t")
    assert "naive times (row 0 holds '2025-01-06 07:02')" in error(*words)
    assert document(*words, "--timezone", "America/New_York")["data"][0]["temp"] is not None


def test_online(typed, document, loaded):
    vector = document("online", loaded.store, "departure", "origin=JFK", "dest=")
    assert same_shape(shape("online"), vector)
    assert document("online", loaded.store, "weather:temp", "origin=JFK")["view"] == "weather@1:temp"
    assert vector["keys"] == {"origin": "JFK", "dest": None}
    assert vector["statuses"]["dest_temp"] == "MISSING"
    lines = typed("online", loaded.store, "departure", "origin=JFK", "dest=BOS").stdout.splitlines()
    assert lines[1].split() == ["temp", "30.0", "PRESENT", "2025-01-07", "23:00:00Z"]


def test_online_names_keys_that_are_wrong(error, loaded):
    assert "key 'dest' is missing" in error("online", loaded.store, "departure", "origin=JFK", code=2)
    assert "unknown feature 'tmp'" in error("online", loaded.store, "weather:tmp", "origin=JFK")
    assert "did you mean 'origin'" in error("online", loaded.store, "weather", "origin=JFK", "orign=JFK")


KEYED = """
from asof import Entity, Feature, FeatureGroup
keys = {"i": "int32", "b": "bool", "d": "date", "t": "timestamp", "s": "string", "y": "bytes"}
typed = FeatureGroup("typed", entity=Entity("typed", keys=keys), features=[Feature("x", "float64")], online=True)
"""


def test_keys_on_the_command_line_have_the_types_of_the_group(typed, document, error, project):
    typed("apply", project.store, project.write("typed.py", KEYED))
    rows = "i,b,d,t,s,y,x\n-5,true,2025-01-01,2025-01-01T01:00:00+01:00,7,z,1.5\n"
    typed("write", project.store, "typed", project.write("typed.csv", rows))
    key = ("i=-5", "b=true", "d=2025-01-01", "t=2025-01-01T00:00:00Z", "s=7", "y=eg==")
    assert document("online", project.store, "typed", *key)["values"] == {"x": 1.5}
    assert "key y='z' is no bytes -> write it in base64" in error(
        "online", project.store, "typed", *key[:5], "y=z", code=2
    )
    assert "key i='five' is no int32" in error("online", project.store, "typed", "i=five", *key[1:], code=2)
    assert "key d='soon' is no date" in error("online", project.store, "typed", *key[:2], "d=soon", *key[3:], code=2)
    typed("retire", project.store, "typed", *key)
    assert document("online", project.store, "typed", *key)["statuses"] == {"x": "RETIRED"}


def test_read(typed, document, loaded, tmp_path):
    found = document("read", loaded.store, "weather", "--limit", "2")
    assert same_shape(shape("read"), found)
    assert (found["rows"], len(found["data"])) == (144, 2)
    assert len(document("read", loaded.store, "weather")["data"]) == 144
    assert "20 of 144 rows" in typed("read", loaded.store, "weather").stdout
    latest = document("read", loaded.store, "weather", "--latest", "--columns", "origin, temp")
    assert latest["columns"] == {"origin": "string", "temp": "double"}
    assert len(latest["data"]) == 3
    between = ("--start", "2025-01-06T00:00:00Z", "--end", "2025-01-06T01:00:00Z")
    assert {row["time_hour"] for row in document("read", loaded.store, "weather", *between)["data"]} == {
        "2025-01-06T01:00:00Z"
    }
    typed("read", loaded.store, "weather", "--out", tmp_path / "w.feather")
    assert pa.ipc.open_file(str(tmp_path / "w.feather")).read_all().num_rows == 144


def test_what_read_writes_can_be_loaded_again(typed, document, project, tmp_path):
    for suffix in ("csv", "parquet", "feather"):
        out = tmp_path / f"w.{suffix}"
        typed("read", project.store, "weather", "--out", out)
        assert document("backfill", project.store, "weather", out)["rows"] == 144
    rows = document("read", project.store, "weather", "--latest")["data"]
    assert rows[0] == {"origin": "BOS", "time_hour": "2025-01-07T23:00:00Z", "temp": 25.6, "visib": 10.0}


def test_times_on_the_command_line_need_a_zone(error, loaded):
    assert "has no time zone" in error("read", loaded.store, "weather", "--start", "2025-01-06T00:00:00", code=2)
    assert "is no time" in error("read", loaded.store, "weather", "--end", "yesterday", code=2)


def test_retire_asks_when(typed, document, error, project):
    assert "when did it end?" in error("retire", project.store, "weather", "origin=JFK", code=2)
    commit = document("retire", project.store, "weather", "origin=JFK", "--event-time", "now")
    assert same_shape(shape("retire"), commit)
    assert document("online", project.store, "weather", "origin=JFK")["statuses"]["temp"] == "RETIRED"


def test_retract_hides_a_commit(document, error, project):
    done = document("retract", project.store, "weather:1", "--reason", "sensor broken")
    assert same_shape(shape("retract"), done)
    assert (done["retracts"], done["reason"]) == (1, "sensor broken")
    assert document("read", project.store, "weather")["rows"] == 0
    assert "names no commit" in error("retract", project.store, "weather", "--reason", "x", code=2)


def test_remove_asks_and_names_dependants(typed, document, error, project):
    assert "pass --yes" in error("remove", project.store, "departure", code=2)
    assert "departure@1 reads weather@1" in error("remove", project.store, "weather", "--yes")
    typed("remove", project.store, "departure", "--yes")
    assert document("remove", project.store, "weather", "--yes") == {"name": "weather", "data_deleted": ["weather@1"]}
    assert "unknown view or group 'weather'" in error("remove", project.store, "weather", "--yes")


def test_compact(typed, document, project):
    typed("retire", project.store, "weather", "origin=LGA", "--event-time", "now")
    before = document("read", project.store, "weather")["data"]
    found = document("compact", project.store, "weather")
    assert same_shape(shape("compact"), found)
    assert found["compactions"][0]["files_after"] == 1
    assert document("read", project.store, "weather")["data"] == before
    assert "weather@1" in typed("compact", project.store).stdout


def test_verify_proves_that_online_equals_history(typed, document, loaded):
    found = document("verify", loaded.store, "departure", "--instants", "5", "--keys", "4")
    assert same_shape(shape("verify"), found)
    assert found["differences"] == []
    assert found["compared"] > 0
    assert (found["equal"], found["defects"]) == (1.0, 0)
    assert [stage["stage"] for stage in found["stages"]] == ["replay", "today"]
    text = typed("verify", loaded.store, "departure", "--instants", "3").stdout
    assert "0 differences, 0 defects" in text
    assert [line.split()[0] for line in text.splitlines()[:3]] == ["stage", "replay", "today"]


def test_verify_ends_with_1_on_defects_only(capsys):
    from asof.cli.commands.verify import answer
    from asof.cli.screen import Screen
    from asof.quality.verify import Difference, Stage, Verification

    def found(cause):
        odd = Difference("hindsight", 0, {"origin": "JFK"}, "temp", (1.0, "PRESENT"), (None, "NULL"), cause)
        stage = Stage("hindsight", 2, {cause: 1}, {"retention": 3})
        return answer(Verification("departure@1", 2, 1, 1, 1, {"PRESENT": 2}, (odd,), (stage,)))

    assert found("late arrival").code == 0
    assert found("defect").code == 1
    assert same_shape(shape("verify"), found("defect").document)
    found("defect").show(Screen())
    text = capsys.readouterr().out
    assert "50.00 %  1 defect" in text
    assert "hindsight: 3 answers not compared: retention" in text
    assert "online 1.0 PRESENT, history None NULL [defect]" in text
    assert text.endswith("departure@1: 2 values compared, 1 difference, 1 defect\n")


def test_doctor_ends_with_1_until_the_store_is_repaired(typed, document, project):
    healthy = document("doctor", project.store)
    assert same_shape(shape("doctor"), healthy)
    assert healthy["healthy"]
    (file,) = (project.folder / "store" / "history").rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    sick = document("doctor", project.store, code=1)
    assert same_shape(shape("doctor"), sick)
    assert not sick["healthy"]
    assert "not well" in typed("doctor", project.store, code=1).stdout


def test_doctor_repairs_debris(typed, document, project):
    (file,) = (project.folder / "store" / "history").rglob("*.parquet")
    file.with_name("0123456789ab-0123456789ab.parquet").write_bytes(file.read_bytes())
    assert document("doctor", project.store, code=1)["findings"][0]["where"] == "debris"
    assert "(repaired)" in typed("doctor", project.store, "--repair").stdout
    assert document("doctor", project.store)["findings"] == []


@pytest.mark.slow
def test_demo_prints_a_document_alone(document, tmp_path):
    found = document("demo", tmp_path / "d", "--quick")
    assert same_shape(shape("demo"), found)
    assert found["differences"] == 0


def test_explain_says_the_answer_in_a_sentence_and_why_other_rows_lost(typed, document, loaded):
    words = ("explain", loaded.store, "weather", "origin=JFK", "--feature", "temp", "--at", "2025-01-06T05:02:00Z")
    found = document(*words, "--limit", "2")
    assert same_shape(shape("explain"), found)
    (weather,) = found["lookups"]
    assert weather["answer"]["event_time"] == "2025-01-06T04:00:00Z"
    assert [row["reason"] for row in weather["others"]] == ["not yet available", "in the future"]
    assert sum(weather["counts"].values()) == 47
    lines = typed(*words, "--limit", "2").stdout.splitlines()
    temp = weather["values"]["temp"]
    assert lines[0].startswith(f"temp of JFK at 2025-01-06T05:02:00Z was {temp}, from commit weather@1:1 (backfill at ")
    assert any(line.startswith("file") and ".parquet" in line for line in lines)
    assert any("not yet available: known since 2025-01-06T05:05:00Z, 3m after T" in line for line in lines)
    assert lines[-1] == "and 45 more rows; --limit N shows more"


def test_explain_says_which_events_an_aggregate_counts(typed, document, project):
    with asof.open(project.store) as store:
        source = store.catalog.find("weather").definition
        airport = asof.Entity("airport_hours", keys={"origin": "string"})
        seen = asof.aggregates.Count(over="3h", name="seen")
        store.apply(asof.FeatureGroup("counted", entity=airport, source=source, features=[seen]))
    words = ("explain", project.store, "counted", "origin=JFK", "--at", "2025-01-06T05:02:00Z", "--limit", "1")
    found = document(*words)
    assert same_shape(shape("explain"), found)
    ((window,),) = [each["windows"] for each in found["lookups"]]
    assert (window["value"], window["count"], window["after"]) == (3, 3, "2025-01-06T02:02:00Z")
    assert [row["event_time"] for row in window["events"]] == ["2025-01-06T03:00:00Z", "2025-01-06T05:00:00Z"]
    lines = typed(*words).stdout.splitlines()
    assert lines[0].startswith("seen of JFK at 2025-01-06T05:02:00Z was 3: count of events over the last 3h, 3 events")
    assert lines[-1].startswith("and 1 more event in between, ")


def test_explain_takes_the_words_of_historical(document, error, loaded):
    words = ("explain", loaded.store, "departure", "origin=JFK", "dest=", "--at", "2025-01-06T05:02:00Z")
    origin, dest = document(*words, "--known", "event")["lookups"]
    assert (origin["known"], origin["answer"]["event_time"]) == ("event", "2025-01-06T05:00:00Z")
    assert (dest["answer"], dest["because"]) == (None, "the key origin is null: dest was given as null")
    assert document(*words, "--known", "2025-01-06T01:00:00Z")["lookups"][0]["known"] == "2025-01-06T01:00:00Z"
    now = document(*words[:5])
    assert parse_time(now["at"]) > parse_time("2025-01-08T00:00:00Z")
    assert "did you mean 'temp'" in error(*words, "--feature", "tmp")
    assert "has no time zone" in error(*words[:5], "--at", "2025-01-06T05:02:00", code=2)
    assert "unknown tag" in error(*words, "--commits", "none")


def test_statistics(typed, document, loaded):
    found = document("statistics", loaded.store, "weather")
    assert found["rows"] == 144
    assert set(found) == set(shape("statistics"))
    (wanted,) = shape("statistics")["columns"].values()
    for column in found["columns"].values():
        assert set(column) == set(wanted)
        assert (
            sum(each["count"] for each in column["histogram"]) == column["count"] - column["infinite"] - column["nans"]
        )
    lines = typed("statistics", loaded.store, "weather").stdout.splitlines()
    assert lines[0].startswith("weather@1: 144 rows of")
    assert any("█" in line for line in lines)
    assert document("statistics", loaded.store, "weather", "--last", "0")["rows"] == 0
    assert document("statistics", loaded.store, "weather", "--end", "2000-01-01T00:00:00Z")["rows"] == 0
    assert document("statistics", loaded.store, "weather", "--commits", "weather:1", "--rebuild")["commits"] == 1


def test_statistics_of_two_kinds_of_commits_are_refused(error, loaded):
    said = error("statistics", loaded.store, "weather", "--commits", "x", "--first", "1", code=2)
    assert "leave one of them out" in said


def test_drift(typed, document, error, project):
    store = project.store
    hot = project.write(
        "hot.csv",
        "origin,time_hour,temp,visib\n"
        + "".join(f"JFK,2026-03-{day:02}T00:00:00Z,{150 + day},10\n" for day in range(1, 29)),
    )
    same = document("drift", store, "weather", "--baseline", "weather:1", "--current", "1..1")
    assert same_shape(shape("drift"), same)
    assert {each["verdict"] for each in same["features"]} == {"same"}
    assert "0 of" in typed("drift", store, "weather", "--baseline", "weather:1", "--current", "weather:1").stdout
    found = document(
        "drift", store, "weather", "--baseline", "weather:1", "--current", hot, "--feature", "temp", code=1
    )
    assert same_shape(shape("drift"), found)
    assert found["features"][0]["verdict"] == "drifted"
    told = typed("drift", store, "weather", "--baseline", "2020-01-01T00:00:00Z..", "--current", hot, code=1).stdout
    assert "drifted" in told
    assert "unknown" in typed("drift", store, "weather", "--baseline", "previous 2d", "--current", hot).stdout
    assert "no bounds" in error("drift", store, "weather", "--baseline", "..", "--current", hot, code=2)
    assert "winter" in error("drift", store, "weather", "--baseline", "winter", "--current", hot)


def test_monitors(typed, document, error, project):
    store = project.store
    assert "there is no file" in error("monitor", "run", store, code=2)
    path = project.write(
        "store/monitors.toml",
        """
[same]
view = "weather"
baseline = "weather:1"
current = "1..1"

[late]
view = "weather"
max_age = "1h"
webhook = "http://127.0.0.1:9/secret"
""",
    )
    listed = document("monitor", "ls", store)
    assert [each["name"] for each in listed["monitors"]] == ["same", "late"]
    assert same_shape(group_shape("monitor", "ls"), listed)
    assert "127.0.0.1" in typed("monitor", "ls", store, "--file", path).stdout
    assert document("monitor", "run", store, "same")["runs"][0]["alerts"] == []
    ran = typed("monitor", "run", store, "--json", code=1)
    assert same_shape(group_shape("monitor", "run"), json.loads(ran.stdout))
    assert "the webhook at 127.0.0.1 failed" in ran.stderr
    assert "secret" not in ran.stderr
    kept = document("monitor", "results", store, "weather")
    assert [(each["monitor"], len(each["alerts"])) for each in kept["runs"]] == [("same", 0), ("same", 0), ("late", 1)]
    assert "1 alert" in typed("monitor", "results", store, "weather", "--monitor", "late").stdout
    assert "did you mean" in error("monitor", "run", store, "sam")
    project.write("store/monitors.toml", '[gone]\nview = "wether"\nmax_age = "1h"')
    assert "could not be run" in typed("monitor", "run", store, code=1).stdout
    sides = 'view = "weather"\nbaseline = "weather:1"\ncurrent = "1..1"'
    project.write("store/monitors.toml", f'[each]\n{sides}\nby = "origin"\n[wrong]\n{sides}\nby = "orign"')
    ran = json.loads(typed("monitor", "run", store, "--json", code=1).stdout)
    assert {each["segment"] for each in ran["runs"][0]["features"]} >= {"JFK"}
    assert [(each["monitor"], "did you mean 'origin'" in each["why"]) for each in ran["failed"]] == [("wrong", True)]
    project.write("store/monitors.toml", "[gone")
    assert "no TOML" in error("monitor", "run", store, code=2)


def group_shape(name, command):
    return app.get_command(None, name).commands[command].shape


def test_rows_that_a_full_load_found_unchanged_are_not_counted_as_rows(typed, document, tmp_path):
    planes = FeatureGroup(
        "planes", entity=Entity("plane", keys={"tailnum": "string"}), features=[Feature("seats", "int64")],
        on_unchanged="skip",
    )  # fmt: skip
    with asof.open(tmp_path / "store") as store:
        store.apply(planes)
        for seats in (50, 50, 60):
            store.write("planes", [{"tailnum": f"N{at}", "seats": seats if at == 0 else 50} for at in range(10)])
    (group,) = document("ls", tmp_path / "store")["groups"]
    assert (group["rows"], group["commits"]) == (11, 3)
    assert " 11 " in typed("ls", tmp_path / "store").stdout
