"""What docs/orchestration.md says is so: steps of a pipeline as plain functions, and as a shell script."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

import asof
from asof import pipelines
from asof.clock import system_clock
from asof.errors import ConflictError, DataError, NotFoundError, UsageError

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "orchestration"
SERVED = {"temp": 41.0, "celsius": 5.0, "fog": False}


@pytest.fixture(scope="module")
def hour():
    return (system_clock() - timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "store") as made:
        made.apply(EXAMPLES / "features.py")
    return tmp_path / "store"


@pytest.fixture
def file(tmp_path, hour):
    def made(name="good.csv", temp=41.0):
        path = tmp_path / name
        rows = [{"origin": origin, "time_hour": hour, "temp": temp, "visib": 10.0} for origin in ("JFK", "LGA")]
        table = pa.Table.from_pylist(rows)
        match path.suffix:
            case ".parquet":
                parquet.write_table(table, path)
            case ".arrow":
                with pa.ipc.new_file(path, table.schema) as out:
                    out.write_table(table)
            case _:
                lines = [f"{row['origin']},{hour.isoformat()},{temp},10.0\n" for row in rows]
                path.write_text("origin,time_hour,temp,visib\n" + "".join(lines))
        return path

    return made


def commits(store):
    with asof.open(store, create=False) as opened:
        return sorted((commit.group, commit.rows) for commit in opened.catalog.commits())


@pytest.mark.parametrize("name", ["good.csv", "good.parquet", "good.arrow"])
def test_the_steps_take_and_return_plain_json_values_and_a_second_try_stores_nothing(store, file, name):
    path = str(file(name))
    for again in (False, True):
        verdict = pipelines.validate(str(store), "weather", path)
        commit = pipelines.write(str(store), "weather", path, idempotency_key="run 1")
        made = pipelines.materialize(str(store), "comfort")
        found = pipelines.verify(str(store), "departure")
        assert json.loads(json.dumps([verdict, commit, made, found])) == [verdict, commit, made, found]
        assert (verdict["passed"], verdict["rows"], verdict["broken"]) == (True, 2, [])
        assert (commit["commit"], commit["repeated"]) == ("weather@1:1", again)
        assert made["rows"] == (0 if again else 2)
        assert found["passed"]
    assert commits(store) == [("comfort@1", 2), ("weather@1", 2)]
    with asof.open(store) as opened:
        assert opened.online("departure", {"origin": "JFK"}).values == SERVED


def test_a_bad_file_is_told_by_the_verdict_and_refused_by_write(store, file):
    path = file("bad.csv", temp=410.0)
    verdict = pipelines.validate(store, "weather", path)
    assert not verdict["passed"]
    assert verdict["broken"] == ["2 rows break 'temp between -60 and 140' (row 0 holds 410.0)"]
    assert verdict["broken"][0] in verdict["report"]
    with pytest.raises(DataError, match="temp between"):
        pipelines.write(store, "weather", path, idempotency_key="run 1")
    assert commits(store) == []


def test_one_run_stores_one_content(store, file):
    pipelines.write(store, "weather", file(), idempotency_key="run 1")
    with pytest.raises(ConflictError, match="run 1"):
        pipelines.write(store, "weather", file("other.csv", temp=42.0), idempotency_key="run 1")


def test_backfill_stores_history_as_known_at_its_time(store, file, hour):
    assert pipelines.backfill(store, "weather", file(), idempotency_key="day 1")["availability"] == "delay"
    assert pipelines.backfill(store, "weather", file(), idempotency_key="day 1")["repeated"]
    with asof.open(store) as opened:
        frame = opened.historical("weather", {"origin": ["JFK"], "t": [hour + timedelta(minutes=1)]}, time="t")
        assert frame.to_arrow()["temp"].to_pylist() == [41.0]


def test_bounds_of_materialize_are_text_or_times(store, file, hour):
    pipelines.write(store, "weather", file())
    assert pipelines.materialize(store, "comfort")["rows"] == 2
    assert pipelines.materialize(store, "comfort", (hour - timedelta(hours=1)).isoformat(), hour)["rows"] == 2
    with pytest.raises(UsageError, match="start '2026-13-01' is no time"):
        pipelines.materialize(store, "comfort", "2026-13-01")
    with pytest.raises(UsageError, match="no time zone"):
        pipelines.materialize(store, "comfort", end="2026-01-01T00:00:00")


def test_monitors_say_whether_there_is_an_alert_and_what_they_find_is_kept(store, file):
    pipelines.write(store, "weather", file())
    fresh = {"fresh": {"view": "weather", "max_age": "3h"}}
    found = pipelines.monitor(store, fresh)
    assert json.loads(json.dumps(found)) == found
    assert (found["passed"], [len(each["alerts"]) for each in found["runs"]]) == (True, [0])
    old = pipelines.monitor(store, fresh | {"old": {"view": "weather", "max_age": "1m"}})
    assert (old["passed"], [len(each["alerts"]) for each in old["runs"]]) == (False, [0, 1])
    assert "old of weather" in old["report"]
    with asof.open(store) as opened:
        assert [run.monitor for run in opened.quality.monitor_runs("weather")] == ["fresh", "fresh", "old"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s, f: pipelines.write(s.parent / "typo", "weather", f), NotFoundError, "no store"),
        (lambda s, f: pipelines.verify(s.parent / "typo", "departure"), NotFoundError, "no store"),
        (lambda s, f: pipelines.write(s, "wether", f), NotFoundError, "weather"),
        (lambda s, f: pipelines.write(s, "departure", f), UsageError, "'departure' is a view"),
        (lambda s, f: pipelines.validate(s, "weather", f.parent / "none.csv"), NotFoundError, "there is no file"),
        (lambda s, f: pipelines.validate(s, "weather", [f]), UsageError, "the file is a list"),
        (lambda s, f: pipelines.validate(None, "weather", f), UsageError, "the store is a NoneType"),
        (lambda s, f: pipelines.materialize(s, "weather"), UsageError, "source"),
        (lambda s, f: pipelines.monitor(s, ["weekly"]), UsageError, "the monitors are a list"),
        (lambda s, f: pipelines.monitor(s, {"weekly": {"veiw": "weather"}}), UsageError, "unknown key 'veiw'"),
        (lambda s, f: pipelines.monitor(s, {"weekly": {"view": "wether", "max_age": "3h"}}), NotFoundError, "wether"),
        (
            lambda s, f: pipelines.write(s, "weather", f.rename(f.with_suffix(".txt"))),
            DataError,
            "no kind that is read",
        ),
        (lambda s, f: pipelines.write(s, "weather", f.rename(f.with_suffix(".parquet"))), DataError, "as Parquet"),
    ],
)
def test_a_wrong_call_is_refused_and_makes_no_store(store, file, call, error, message):
    with pytest.raises(error, match=message):
        call(store, file())
    assert not (store.parent / "typo").exists()
    assert commits(store) == []


@pytest.mark.slow
def test_the_shell_script_says_by_its_exit_code_what_became_of_a_file(store, file):
    def cron(*words):
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        script = [EXAMPLES / "cron.sh", *words]
        return subprocess.run(script, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)

    good, bad = file(), file("bad.csv", temp=410.0)
    assert cron(store, good).returncode == 0
    again = cron(store, good)
    assert (again.returncode, "stored before" in again.stdout, "nothing new" in again.stdout) == (0, True, True)
    refused = cron(store, bad)
    assert (refused.returncode, "write" in refused.stdout) == (1, False)
    assert "broken" in refused.stdout
    assert cron(store).returncode == 2
    assert cron(store / "typo", good).returncode == 1
    assert commits(store) == [("comfort@1", 2), ("weather@1", 2)]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_compiles(example):
    compile(example.read_text(encoding="utf-8"), str(example), "exec")


@pytest.mark.long
def test_the_examples_run_in_airflow_dagster_and_kubeflow():
    script = [sys.executable, ROOT / "scripts" / "try_orchestrators.py"]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
