"""The HTTP API: every answer is the store's own, and every error says what to do."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

import asof

ASOF = "import asof.cli; asof.cli.main()"

RECORD = {"customer_id": 1, "orders": 1, "returned": 1.0}

pytestmark = pytest.mark.slow  # a process each


def rfc(moment):
    return moment.isoformat().replace("+00:00", "Z")


def test_online_answers_one_key_as_the_store_does(server, folder):
    status, found, _ = server.post(
        "/v1/views/risk/online",
        {
            "keys": {"customer_id": 3},
            "statuses": True,
            "event_times": True,
            "receipt": True,
            "request": {"amount": 1.5},
        },
    )
    assert status == 200
    with asof.open(folder) as store:
        vector = store.online("risk", {"customer_id": 3})
        again = store.replay(found["receipt"])
    assert found["values"] == vector.values == dict(again.values)
    assert found["statuses"] == vector.statuses
    assert found["event_times"] == {name: rfc(moment) for name, moment in vector.event_times.items()}
    assert found["receipt"]["request"] == {"amount": 1.5}


def test_references_stand_for_a_view(shared):
    view = "/v1/views/spending:orders,risk:returned"
    status, found, _ = shared.post(f"{view}/online", {"keys": {"customer_id": 3}, "receipt": True})
    assert (status, found["values"]) == (200, {"orders": 3, "returned": 0.75})
    assert found["receipt"]["view"] == "spending@1:orders,risk@1:returned"
    assert shared.post("/v1/replay", found["receipt"])[1]["values"] == found["values"]
    asked = {"spine": [{"customer_id": 3, "t": "2100-01-01T00:00:00Z"}], "time": "t", "known": "event"}
    status, found, _ = shared.post(f"{view}/historical", asked)
    assert (status, found["rows"][0]["orders"]) == (200, None)  # a ttl ago
    assert shared.post("/v1/views/spending:order/online", {"keys": {"customer_id": 3}})[0] == 404
    assert shared.post("/v1/views/spending:/online", {"keys": {"customer_id": 3}})[0] == 400


@pytest.mark.parametrize("count", [2, 40])  # on the event loop, and in a thread
def test_rows_and_columns_of_several_keys_are_the_same(shared, count):
    keys = [{"customer_id": key} for key in range(count)]
    asked = {"keys": keys, "statuses": True, "event_times": True, "receipt": True}
    rows = shared.post("/v1/views/risk/online", asked)[1]["rows"]
    columns = shared.post("/v1/views/risk/online", asked | {"orient": "columns"})[1]
    assert len(rows) == count
    for part, name in (("values", "columns"), ("statuses", "statuses"), ("event_times", "event_times")):
        assert [row[part]["returned"] for row in rows] == columns[name]["returned"]
    assert [row["receipt"]["keys"] for row in rows] == [receipt["keys"] for receipt in columns["receipts"]] == keys


def test_no_keys_are_an_empty_answer(shared):
    assert shared.post("/v1/views/risk/online", {"keys": []})[1] == {"rows": []}
    assert shared.post("/v1/views/risk/online", {"keys": [], "orient": "columns"})[1]["columns"]["orders"] == []


def test_values_of_every_type_come_and_go_by_json(server, now):
    full = {
        "f64": "NaN", "f32": "-Infinity", "i64": -(2**63), "i8": -128, "flag": False, "text": 'a "quoted" ü',
        "raw": "AP8=", "moment": rfc(now + timedelta(microseconds=1)), "born": "1969-12-31",
        "price": "-123456789012345678901234567890123456.78", "list": [1.5, None, "Infinity"], "vector": [0.5, 0.0],
        "nested": {"a": None, "b": "eA==", "c": ["1.5"]},
    }  # fmt: skip
    key = {"day": "2026-01-02", "code": "/wA=", "at_us": rfc(now), "open": True, "name": "Zoë"}
    assert server.post("/v1/views/everything/online", {"keys": key})[1]["values"] == full
    other = {**key, "code": "AA=="}
    status, commit, _ = server.post("/v1/groups/everything/push", {"records": {**other, "at": rfc(now), **full}})
    assert (status, commit["rows"], commit["kind"]) == (200, 1, "push")
    assert server.post("/v1/views/everything/online", {"keys": other})[1]["values"] == full
    columns = server.post("/v1/views/everything/online", {"keys": [other], "orient": "columns"})[1]["columns"]
    assert columns == {name: [value] for name, value in full.items()}


def test_a_push_that_is_sent_again_is_stored_once(server, folder, now):
    later = rfc(now + timedelta(seconds=1))
    body = {
        "records": [{"customer_id": 1, "at": later, "orders": 100, "returned": None}],
        "meta": {"source": "till"},
        "idempotency_key": "k1",
    }
    first, again = (server.post("/v1/groups/spending/push", body)[1] for _ in range(2))
    assert first["commit"] == again["commit"]
    assert (first["repeated"], again["repeated"]) == (False, True)
    body["records"][0]["orders"] = 101
    assert server.post("/v1/groups/spending/push", body)[0] == 409
    answer = server.post("/v1/views/risk/online", {"keys": {"customer_id": 1}, "statuses": True})[1]
    assert answer == {
        "values": {"orders": 100, "returned": None},
        "statuses": {"orders": "PRESENT", "returned": "NULL"},
    }
    with asof.open(folder) as store:
        assert store.catalog.commits("spending")[-1].meta == {"source": "till"}


def test_features_that_another_process_adds_are_read_at_once(server, folder, now):
    from asof import Entity, Feature, FeatureGroup

    record = {"customer_id": 1, "at": rfc(now), "score": 1.0}
    assert server.post("/v1/groups/nightly/push", {"records": record})[0] == 200
    features = [Feature("score", "float64"), Feature("since", "timestamp")]
    with asof.open(folder) as store:
        customer = Entity("customer", keys={"customer_id": "int64"})
        store.apply(FeatureGroup("nightly", entity=customer, event_time="at", features=features))
    later = {"customer_id": 2, "at": rfc(now), "score": 1.0, "since": rfc(now)}
    assert server.post("/v1/groups/nightly/push", {"records": later})[0] == 200
    with asof.open(folder) as store:
        assert store.read("nightly").to_arrow()["since"].to_pylist() == [None, now]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "says"),
    [
        ("views/risc/online", {"keys": {"customer_id": 1}}, 404, "NotFoundError", "did you mean 'risk'"),
        ("views/risk/online", {"keys": {"customer": 1}}, 400, "UsageError", "customer_id"),
        ("views/risk/online", {"keys": {"customer_id": "1"}}, 400, "UsageError", "customer_id"),
        ("views/risk/online", {"keys": {"customer_id": 2**70}}, 400, "UsageError", "customer_id"),
        ("views/risk/online", {"keys": {"customer_id": 1}, "orient": "columns"}, 400, "RequestError", "list of keys"),
        ("views/risk/online", {"keys": {"customer_id": 1}, "receipts": True}, 400, "RequestError", "receipts"),
        ("views/risk/online", {"keys": 5}, 400, "RequestError", "keys"),
        ("views/risk/online", {"keys": [{"customer_id": 1}] * 10_001}, 413, "RequestError", "in parts"),
        ("views/risk/online", b"{", 400, "RequestError", "truncated"),
        ("views/risk/online", b'{"keys": {"customer_id": ' + b"[" * 100_000, 400, "RequestError", "body"),
        ("views/risk/online", b'{"keys": {"customer_id": "\xff"}}', 400, "RequestError", "body"),
        ("views/nightly/online", {"keys": {"customer_id": 1}}, 422, "UnsupportedError", "online=True"),
        ("views/everything/online", {"keys": {"code": "*"}}, 400, "UsageError", "code='*'"),
        ("groups/spending/push", {"records": {"customer_id": 1}}, 422, "DataError", "at"),
        ("groups/spending/push", {"records": {**RECORD, "at": "2026-01-01T00:00:00"}}, 422, "DataError", "naive times"),
        ("groups/spending/push", {"records": {**RECORD, "at": "yesterday"}}, 400, "UsageError", "yesterday"),
        ("groups/nobody/push", {"records": []}, 404, "NotFoundError", "nobody"),
        ("replay", {"view": "risk@1"}, 400, "UsageError", "no receipt"),
        ("replay", [], 400, "RequestError", "object"),
    ],
)
def test_an_error_says_what_happened_and_what_to_do(shared, path, body, status, kind, says):
    found, problem, headers = shared.post(f"/v1/{path}", body)
    assert (found, problem["status"], problem["type"]) == (status, status, kind)
    assert headers["content-type"] == "application/problem+json"
    assert says in problem["detail"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/nothing", 404, "see /"),
        ("/v1/groups/nobody/commits", 404, "nobody"),
        ("/v1/groups/spending/commits?limit=0", 400, "limit"),
        ("/v1/groups/spending/commits?limit=-1", 400, "limit"),
        ("/v1/groups/spending/commits?limit=99999999999999999999", 400, "limit"),
        ("/v1/describe/..%2fetc", 404, "see /"),
        ("/v1/describe/%00", 404, "unknown"),
        ("/v1/views/risk/online", 405, "Method Not Allowed"),
    ],
)
def test_a_wrong_path_is_a_problem(shared, path, status, says):
    found, problem, _ = shared.get(path)
    assert found == status
    assert says in problem["detail"]


def test_the_catalogue_says_what_the_store_says(shared):
    assert [group["name"] for group in shared.get("/v1/groups")[1]["groups"]] == [
        "everything", "logged_log", "nightly", "spending",
    ]  # fmt: skip
    views = {view["name"]: view for view in shared.get("/v1/views")[1]["views"]}
    assert views["risk"]["features"] == {"orders": "int64", "returned": "float64"}
    assert shared.get("/v1/describe/spending")[1]["facts"]["ttl"] == "30d"
    assert shared.get("/v1/lineage/spending")[1]["read_by"] == ["logged@1", "risk@1"]
    assert shared.get("/v1/search?words=returned")[1]["hits"][0]["name"] == "spending.returned"
    (commit,) = shared.get("/v1/groups/spending/commits?limit=1")[1]["commits"]
    assert (commit["commit"], commit["rows"]) == ("spending@1:1", 10)


def test_statistics_say_what_the_store_says(shared):
    found = shared.get("/v1/groups/spending/statistics")[1]
    assert (found["group"], found["rows"], found["commits"], found["missing_rows"]) == ("spending@1", 10, 1, 0)
    assert found["columns"]["orders"]["count"] + found["columns"]["orders"]["nulls"] == 10
    assert shared.get("/v1/groups/spending/statistics?commits=spending:1")[1] == found
    assert shared.get("/v1/groups/spending/statistics?end=2000-01-01T00:00:00Z")[1]["rows"] == 0
    assert shared.get("/v1/groups/spending/statistics?end=yesterday")[0] == 400
    assert shared.get("/v1/groups/spending/statistics?commits=nope")[0] == 404
    assert shared.get("/v1/groups/nobody/statistics")[0] == 404
    for name in ("everything", "nightly"):  # every type goes through JSON
        assert shared.get(f"/v1/groups/{name}/statistics")[0] == 200


def test_another_host_name_is_refused(shared):
    assert shared.get("/v1/health", Host="evil.example")[0] == 421
    assert shared.get("/v1/health", Host="evil.example:127")[0] == 421
    for name in ("localhost:1", "LOCALHOST", "[::1]:80", "127.0.0.1"):
        assert shared.get("/v1/health", Host=name)[0] == 200


def test_pages_of_other_hosts_are_refused(shared):
    asked = {"keys": {"customer_id": 1}}
    for origin in ("https://evil.example", "null", "http://evil.example:8765"):
        assert shared.post("/v1/views/risk/online", asked, Origin=origin)[0] == 403
    assert shared.post("/v1/views/risk/online", asked, Origin="http://localhost:3000")[0] == 200


def test_a_body_that_is_too_large_is_refused_while_it_comes(serve):
    server = serve("--max-body", "1")
    assert server.post("/v1/views/risk/online", b" " * (1024**2 + 1))[0] == 413


def test_a_body_that_comes_too_slowly_is_refused(serve):
    server = serve("--timeout", "0.2")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest("POST", "/v1/groups/spending/push")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b'{"records": ')
    answer = connection.getresponse()
    assert (answer.status, b"did not arrive" in answer.read()) == (408, True)
    connection.close()


def test_figures_count_what_was_asked(server):
    for _ in range(3):
        server.post("/v1/views/risk/online", {"keys": [{"customer_id": key} for key in range(20)]})
    server.post("/v1/views/nothing/online", {"keys": {}})
    status, text, headers = server.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert 'asof_requests_total{operation="online",status="200"} 3.0' in text
    assert 'asof_requests_total{operation="online",status="404"} 1.0' in text
    assert 'asof_online_seconds_count{view="risk"} 3.0' in text
    assert 'asof_last_commit_age_seconds{group="spending@1"}' in text
    assert 'view="nothing"' not in text  # a client must not fill the memory with names


def test_the_document_and_the_page_name_every_operation(shared):
    document = shared.get("/openapi.json")[1]
    page = shared.get("/docs")[1]
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert {"online", "push", "replay", "groups", "health"} < set(names)
    assert all(f'<section id="{name}">' in page for name in names)


def test_random_bytes_neither_stop_nor_hang_it(shared):
    for sent in (
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/replay HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\r\n",
    ):
        with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert b" 500 " not in connection.recv(10_000)
    assert shared.get("/v1/health")[0] == 200


def test_the_head_of_an_answer_comes_with_its_body(shared):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=60) as connection:
        for _ in range(3):
            connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _, body = connection.recv(100_000).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head
            assert json.loads(body)["status"] == "ok"


def test_stopping_finishes_what_is_under_way_and_writes_the_log(server, folder):
    for key in range(5):
        server.post("/v1/views/logged/online", {"keys": {"customer_id": key}})
    assert server.stop() == 0
    with asof.open(folder) as store:
        assert store.read("logged_log").to_arrow().num_rows == 5


def test_pushes_while_it_stops_are_stored_or_refused(server, folder, now):
    stored, failed = [], []

    def push(number):
        record = {"customer_id": 1000 + number, "at": rfc(now), "orders": 1, "returned": 0.0}
        try:
            status = server.post("/v1/groups/spending/push", {"records": record})[0]
        except OSError:
            status = 0
        (stored if status == 200 else failed).append(1000 + number)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(30)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 20:
            server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert server.stop() == 0
    assert stored
    with asof.open(folder) as store:
        there = set(store.read("spending").to_arrow()["customer_id"].to_pylist())
    assert set(stored) <= there


def test_workers_are_replaced_when_they_die_or_are_told_to_reload(serve):
    server = serve("--workers", "2")
    first = server.workers()
    assert len(first) == 2
    os.kill(min(first), signal.SIGKILL)
    assert all(server.answers() for _ in range(20))
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 60
    while time.monotonic() < end and server.workers() & first:
        assert server.answers()
    assert not server.workers() & first
    assert len(server.workers()) == 2
    assert not any("uvicorn.access" in line for line in server.lines)
    status, text, _ = server.get("/metrics")
    assert status == 200, (text, server.lines)
    assert 'asof_requests_total{operation="online",status="200"}' in text
    assert server.stop() == 0


def test_other_machines_are_not_let_in_and_a_taken_port_is_said(folder, server):
    for options, says in (
        (("--host", "0.0.0.0"), "no key is valid"),
        (("--host", "somewhere"), "no address"),
        (("--port", str(server.port)), "cannot be taken"),
    ):
        ended = subprocess.run(
            [sys.executable, "-c", ASOF, "serve", str(folder), *options], capture_output=True, text=True, check=False
        )
        assert ended.returncode in (1, 2)
        assert says in ended.stderr
        assert "Traceback" not in ended.stderr


def test_no_store_is_said_once_and_not_by_each_worker(tmp_path):
    command = [sys.executable, "-c", ASOF, "serve", str(tmp_path / "nothing"), "--workers", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("there is no store") == 1
