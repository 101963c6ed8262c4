"""Point-in-time reads and stored rows over HTTP: the store's own answers, by rows, columns, Arrow and Parquet."""

import http.client
import io
import socket
import threading
import time
from datetime import timedelta

import pyarrow as pa
import pytest
from pyarrow import parquet

import asof

pytestmark = pytest.mark.slow  # a process each

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def rfc(moment):
    return moment.isoformat().replace("+00:00", "Z")


def spine(now, count=3):
    return [{"customer_id": key, "at": rfc(now + timedelta(days=1)), "label": key % 2 == 0} for key in range(count)]


def table(server, path, accept):
    """Return the body of an answer, and its headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", path, None, {"Accept": accept})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    assert answer.headers["content-type"] == accept
    return body, answer.headers


def test_a_spine_is_answered_as_the_store_answers_it(shared, now):
    asked = {"spine": spine(now), "time": "at", "statuses": True}
    status, found, _ = shared.post("/v1/views/risk/historical", asked)
    assert status == 200, found
    assert found["rows"][2] == {
        "customer_id": 2, "at": rfc(now + timedelta(days=1)), "label": True, "orders": 2, "returned": 0.5,
        "orders__status": "PRESENT", "returned__status": "PRESENT",
    }  # fmt: skip
    assert found["commits"] == {"spending@1": 1}
    assert found["report"] == [
        {"group": "spending", "known": "served", "coincide": 0, "PRESENT": 6, "NULL": 0, "MISSING": 0, "EXPIRED": 0, "RETIRED": 0}
    ]  # fmt: skip


def test_rows_and_columns_ask_and_answer_the_same(shared, now):
    rows = spine(now)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    by_rows = shared.post("/v1/views/risk/historical", {"spine": rows, "time": "at"})[1]
    by_columns = shared.post("/v1/views/risk/historical", {"spine": columns, "time": "at", "orient": "columns"})[1]
    assert by_columns["columns"] == {name: [row[name] for row in by_rows["rows"]] for name in by_rows["rows"][0]}
    assert by_columns["report"] == by_rows["report"]


def test_known_times_and_pins_are_those_of_the_store(serve, folder, now):
    server = serve()
    record = {"customer_id": 1, "at": rfc(now), "orders": 100, "returned": 0.0}
    assert server.post("/v1/groups/spending/push", {"records": record})[0] == 200
    asked = {"spine": [{"customer_id": 1}], "time": rfc(now + timedelta(days=1))}

    def orders(**more):
        status, found, _ = server.post("/v1/views/risk/historical", {**asked, **more})
        assert status == 200, found
        return found["rows"][0]["orders"]

    assert orders() == orders(known="event") == 100
    assert orders(commits={"spending": 1}) == 1
    assert orders(known=rfc(now - timedelta(days=1))) is None
    assert orders(time=rfc(now - timedelta(days=1)), known="event") is None
    with asof.open(folder) as store:
        store.catalog.tag("later")
    assert orders(commits="later") == 100


def test_values_of_every_type_stand_in_a_spine_and_its_answer(shared, now):
    key = {"day": "2026-01-02", "code": "/wA=", "at_us": rfc(now), "open": True, "name": "Zoë"}
    asked = {"spine": [key], "time": rfc(now + timedelta(days=1))}
    (row,) = shared.post("/v1/views/everything/historical", asked)[1]["rows"]
    online = shared.post("/v1/views/everything/online", {"keys": key})[1]["values"]
    assert row == {**key, **online}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"time": "ta"}, 404, "did you mean 'at'"),
        ({"time": None}, 400, "at which time"),
        ({"time": "2026-01-01T00:00:00"}, 400, "no time zone"),
        ({"known": "yesterday"}, 400, "known"),
        ({"commits": {"spendin": 1}}, 404, "spending"),
        ({"commits": "nobody"}, 404, "nobody"),
        ({"commits": {"spending": -1}}, 400, "-1"),
        ({"timezone": "Nowhere"}, 422, "Nowhere"),
        ({"spine": [{"at": "2026-01-01T00:00:00"}]}, 422, "naive times"),
        ({"spine": [{"at": "2026-01-01T00:00:00.0000001Z"}]}, 400, "microsecond"),
        ({"spine": [{"at": "2026-01-01T00:00:00Z"}]}, 404, "customer_id"),
        ({"spine": [{"at": "2026-01-01T00:00:00Z", "customer_id": "x"}]}, 422, "customer_id"),
        ({"spine": {"at": ["2026-01-01T00:00:00Z"], "customer_id": []}}, 422, "length"),
        ({"spine": {"at": ["2026-01-01T00:00:00Z"] * 10_001}}, 413, "in parts"),
        ({"spine": 5}, 400, "spine"),
        ({"statuses": 1}, 400, "bool"),
    ],
)
def test_a_wrong_question_is_a_problem(shared, change, status, says):
    base = {"spine": [{"customer_id": 1, "at": "2026-01-01T00:00:00Z"}], "time": "at"}
    if "spine" in change and "timezone" not in change:
        change = {"timezone": None, **change}
    if change.get("timezone"):
        change = {**change, "spine": [{"customer_id": 1, "at": "2026-01-01T00:00:00"}]}
    found, problem, _ = shared.post("/v1/views/risk/historical", {**base, **change})
    assert (found, says in problem.get("detail", "")) == (status, True), problem


def test_an_empty_spine_is_an_empty_answer(shared, now):
    asked = {"spine": {"customer_id": [], "at": []}, "time": "at"}
    assert shared.post("/v1/views/risk/historical", asked)[1]["rows"] == []


def test_stored_rows_come_by_key_as_many_as_are_wanted(shared, now):
    status, found, _ = shared.get("/v1/groups/spending/rows?limit=3")
    assert (status, found["more"], found["commits"]) == (200, True, {"spending@1": 1})
    assert found["rows"][1] == {"customer_id": 1, "at": rfc(now), "orders": 1, "returned": 0.25}
    found = shared.get("/v1/groups/spending/rows?columns=orders,customer_id&clocks=true&latest=true")[1]
    assert (len(found["rows"]), found["more"]) == (10, False)
    assert list(found["rows"][0]) == ["orders", "customer_id", "__commit", "__available_at"]
    before, after = rfc(now - timedelta(seconds=1)), rfc(now)
    assert len(shared.get(f"/v1/groups/spending/rows?start={before}&end={after}")[1]["rows"]) == 10
    assert shared.get(f"/v1/groups/spending/rows?start={after}")[1]["rows"] == []
    assert shared.get(f"/v1/groups/spending/rows?known={before}")[1]["rows"] == []


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("limit=0", 400, "limit"),
        ("limit=10001", 400, "10,000"),
        ("start=yesterday", 400, "start"),
        ("start=2026-01-01T00:00:00", 400, "zone"),
        ("columns=order", 404, "orders"),
        ("columns=", 404, "column"),
        ("latest=perhaps", 400, "latest"),
        ("commits=nobody", 404, "nobody"),
    ],
)
def test_a_wrong_query_is_a_problem(shared, query, status, says):
    found, problem, _ = shared.get(f"/v1/groups/spending/rows?{query}")
    assert (found, says in problem["detail"]) == (status, True), problem
    if query != "limit=10001":  # a table may be as long as it is
        assert shared.get(f"/v1/groups/spending/rows?{query}", Accept=ARROW)[0] == status


def test_whole_tables_come_as_arrow_or_parquet(shared, folder):
    body, headers = table(shared, "/v1/groups/everything/rows", ARROW)
    arrow = pa.ipc.open_stream(body).read_all()
    body, _ = table(shared, "/v1/groups/everything/rows", PARQUET)
    with asof.open(folder) as store:
        stored = store.read("everything").to_arrow()
    assert arrow.schema == stored.schema
    assert repr(arrow.to_pylist()) == repr(stored.to_pylist())  # NaN is not NaN
    assert parquet.read_table(io.BytesIO(body)).num_rows == 1
    assert headers["asof-commits"] == "everything@1:1"
    body, _ = table(shared, "/v1/groups/spending/rows?limit=3", ARROW)
    assert pa.ipc.open_stream(body).read_all().num_rows == 3


def test_no_rows_are_an_empty_table(shared):
    for media, read in ((ARROW, lambda body: pa.ipc.open_stream(body).read_all()), (PARQUET, lambda body: parquet.read_table(io.BytesIO(body)))):  # fmt: skip
        body, _ = table(shared, "/v1/groups/nightly/rows", media)
        assert (read(body).num_rows, read(body).column_names) == (0, ["customer_id", "at", "score"])
    assert shared.get("/v1/groups/nightly/rows")[1]["rows"] == []


@pytest.fixture
def wide(serve, folder, now):
    """Give a server with a table that no buffer on the way holds, which does one read at a time."""
    with asof.open(folder) as store:
        count = 2_000_000
        keys = pa.array(range(count), pa.int64())
        times = pa.array([now] * count, pa.timestamp("us", tz="UTC"))
        store.write("nightly", pa.table({"customer_id": keys, "at": times, "score": keys.cast(pa.float64())}))
    return serve("--max-jobs", "1", "--timeout", "8")


def test_more_reads_at_once_than_may_be_are_refused_and_a_client_that_takes_nothing_is_cut_off(wide, now):
    with socket.create_connection(("127.0.0.1", wide.port), timeout=60) as idle:
        idle.sendall(f"GET /v1/groups/nightly/rows HTTP/1.1\r\nHost: localhost\r\nAccept: {ARROW}\r\n\r\n".encode())
        assert idle.recv(12) == b"HTTP/1.1 200"
        status, problem, headers = wide.post("/v1/views/risk/historical", {"spine": spine(now), "time": "at"})
        assert (status, headers["retry-after"]) == (503, "1"), problem
        assert wide.get("/v1/groups/spending/rows")[0] == 503
        assert wide.post("/v1/views/risk/online", {"keys": {"customer_id": 1}})[0] == 200
        end = time.monotonic() + 60
        while wide.get("/v1/groups/spending/rows")[0] == 503:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_a_client_that_goes_away_frees_its_place(wide):
    with socket.create_connection(("127.0.0.1", wide.port), timeout=60) as gone:
        gone.sendall(f"GET /v1/groups/nightly/rows HTTP/1.1\r\nHost: localhost\r\nAccept: {ARROW}\r\n\r\n".encode())
        gone.recv(100)
    end = time.monotonic() + 30
    while wide.get("/v1/groups/spending/rows")[0] == 503:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_many_at_once_are_all_answered_or_refused(serve, now):
    server = serve("--max-jobs", "2")
    found = []

    def ask():
        found.append(server.post("/v1/views/risk/historical", {"spine": spine(now), "time": "at"})[0])

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) <= {200, 503}
    assert 200 in found
    assert server.post("/v1/views/risk/historical", {"spine": spine(now), "time": "at"})[0] == 200


def test_a_read_that_takes_too_long_is_answered(serve, folder, now):
    server = serve("--timeout", "0.001")
    assert server.get("/v1/groups/spending/rows")[0] == 504
