"""Who speaks to Feast's server may speak to this one."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

FEAST = Path(__file__).parents[2] / ".bench" / "feast" / "bin" / "python"


def read(server, features, keys, **more):
    asked = {"features": features, "entities": {"customer_id": keys}, **more}
    status, body, _ = server.post("/get-online-features", asked)
    assert status == 200, body
    columns = dict(zip(body["metadata"]["feature_names"], body["results"], strict=True))
    assert columns.pop("customer_id") == {
        "values": keys,
        "statuses": ["PRESENT"] * len(keys),
        "event_timestamps": ["1970-01-01T00:00:00Z"] * len(keys),
    }
    return columns


def text(time):
    return time.isoformat().replace("+00:00", "Z")


def test_features_come_by_column_with_feasts_words(shared, now):
    found = read(shared, ["spending:returned", "spending:orders"], [4, 404])
    assert list(found) == ["returned", "orders"]
    assert found["returned"] == {
        "values": [1.0, None],
        "statuses": ["PRESENT", "NOT_FOUND"],
        "event_timestamps": [text(now), "1970-01-01T00:00:00Z"],
    }


def test_a_feature_service_is_a_view(shared):
    assert read(shared, [], [3], feature_service="risk")["orders"]["values"] == [3]
    assert list(read(shared, [], [3], feature_service="risk", full_feature_names=True)) == [
        "risk__orders",
        "risk__returned",
    ]


def test_full_names_keep_equal_names_apart(shared):
    both = ["spending:orders", "logged:orders"]
    assert list(read(shared, both, [3], full_feature_names=True)) == ["spending__orders", "logged__orders"]
    body = {"features": both, "entities": {"customer_id": [3]}}
    assert shared.post("/get-online-features", body)[0] == 400


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"features": ["spending:order"], "entities": {"customer_id": [1]}}, 404, "orders"),
        ({"features": ["spendings:orders"], "entities": {"customer_id": [1]}}, 404, "did you mean 'spending'"),
        ({"features": ["orders"], "entities": {"customer_id": [1]}}, 400, "group:feature"),
        ({"features": ["spending:orders"], "entities": {"customer": [1]}}, 400, "customer_id"),
        ({"features": ["spending:orders"], "entities": {"customer_id": [1], "x": []}}, 400, "as many"),
        ({"features": ["spending:orders"], "entities": {"customer_id": [1] * 10_001}}, 413, "in parts"),
        ({"features": ["spending:orders"], "entities": {"customer_id": ["1"]}}, 400, "customer_id"),
        ({"feature_service": "spending", "entities": {"customer_id": [1]}}, 400, "no view"),
        ({"features": ["spending:orders"]}, 400, "entities"),
    ],
)
def test_a_wrong_question_is_a_problem(shared, body, status, says):
    found, problem, _ = shared.post("/get-online-features", body)
    assert (found, says in json.dumps(problem)) == (status, True), problem


def test_pushed_rows_are_served(server, now):
    later = (now + timedelta(seconds=1)).replace(tzinfo=None)
    df = {
        "customer_id": [1, 50],
        "at": [later.isoformat(), later.timestamp()],
        "orders": [7, 8],
        "returned": [None, 0.5],
    }
    df["at"][1] = (now + timedelta(seconds=1)).timestamp()
    status, commit, _ = server.post("/push", {"push_source_name": "spending", "df": df, "to": "online_and_offline"})
    assert (status, commit["rows"]) == (200, 2)
    found = read(server, ["spending:orders", "spending:returned"], [1, 50])
    assert found["orders"]["values"] == [7, 8]
    assert found["returned"]["statuses"] == ["NULL_VALUE", "PRESENT"]
    assert found["orders"]["event_timestamps"] == [text(now + timedelta(seconds=1))] * 2


def test_materialized_rows_have_feasts_columns(server, now):
    time = now.replace(tzinfo=None).isoformat()
    df = {"customer_id": [60], "orders": [1], "returned": [0.0], "event_timestamp": [time], "created": [None]}
    assert server.post("/write-to-online-store", {"feature_view_name": "spending", "df": df})[0] == 200
    assert read(server, ["spending:orders"], [60])["orders"]["values"] == [1]


@pytest.mark.parametrize(
    ("push", "says"),
    [
        ({"push_source_name": "risk", "df": {"customer_id": [1]}}, "a view"),
        ({"push_source_name": "spending", "df": {"customer_id": [1], "at": ["soon"], "orders": [1]}}, "no time"),
        ({"push_source_name": "spending", "df": {"customer_id": [1], "at": [[]], "orders": [1]}}, "no time"),
        ({"push_source_name": "spending", "df": {"customer_id": [1], "at": [1e300], "orders": [1]}}, "no time"),
        ({"push_source_name": "spending", "df": {"customer_id": [1], "at": [], "orders": [1]}}, "as many"),
    ],
)
def test_wrong_rows_are_refused(shared, push, says):
    status, problem, _ = shared.post("/push", push)
    assert (status, says in json.dumps(problem)) == (400, True), problem


@pytest.mark.long
def test_feasts_own_client_reads_and_writes(server, tmp_path, now):
    if not FEAST.exists():
        subprocess.run([Path(__file__).parents[2] / "benchmarks" / "feast_env.sh"], check=True)
    script = Path(__file__).with_name("feast_client.py")
    command = [FEAST, script, str(tmp_path), f"http://127.0.0.1:{server.port}", now.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "by name": {"customer_id": [4, 404], "orders": [4, None], "returned": [1.0, None]},
        "by service": {"customer_id": [9], "orders": [9], "returned": [2.25]},
        "written": {"customer_id": [77], "orders": [5], "returned": [0.5]},
    }
