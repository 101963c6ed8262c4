"""Views with a budget, over HTTP, Flight and the API of Feast: the server's policy, whoever asks."""

import json
import urllib.error
import urllib.request

import pytest
from tests.client.conftest import NOW, Served, everybody, rows, spending

import asof
from asof import FeatureView
from asof.definitions.documents import view_document, view_from
from asof.errors import TransientError, UsageError
from asof.server.limits import Limits

pytestmark = pytest.mark.slow

BUDGET = "150ms"


@pytest.fixture
def served(tmp_path, own_redis):
    """Give a server over a store on Redis, with a view of each kind that was read once."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "asof.toml").write_text(f'format = 1\nonline = "{own_redis.url}"\n')
    with asof.open(tmp_path / "store", clock=lambda: NOW) as store:
        store.apply(spending)
        store.write("spending", rows())
        for on_slow in ("fail", "stale", "default"):
            store.apply(FeatureView(on_slow, features=[spending], budget=BUDGET, on_slow=on_slow))
        server = Served(store, Limits(), everybody)
        with asof.open(server.url) as remote:
            for name in ("fail", "stale", "default"):
                assert remote.online(name, {"id": 1}).values == {"orders": 1, "x": 0.25}
            yield server, remote, own_redis, store
        server.stop()


def post(server, path, body):
    asked = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        return json.loads(answer.read())


def test_a_client_hears_what_the_server_answers(served):
    _, remote, redis, _ = served
    redis.pause()
    try:
        stale, default = remote.online("stale", {"id": 1}), remote.online("default", {"id": 1})
        several = remote.online("stale", [{"id": 1}, {"id": 2}])
        many = remote.online("stale", [{"id": n} for n in range(1500)])  # over Flight
        with pytest.raises(TransientError, match="no answer within the budget of 150ms"):
            remote.online("fail", {"id": 1})
    finally:
        redis.resume()
    assert (stale.values, set(stale.statuses.values())) == ({"orders": 1, "x": 0.25}, {"STALE"})
    assert (default.values, set(default.statuses.values())) == ({"orders": None, "x": None}, {"UNAVAILABLE"})
    assert stale.late.how == stale.receipt.late.how == "stale"
    assert stale.receipt.commits == {"spending@1": 1}
    assert default.receipt.commits == {}
    for vectors in (several, many):
        assert [vector.statuses["x"] for vector in vectors[1:3]] == [
            "STALE" if vector.values["x"] is not None else "UNAVAILABLE" for vector in vectors[1:3]
        ]
        assert {status for vector in vectors for status in vector.statuses.values()} == {"STALE", "UNAVAILABLE"}
        assert [late.how for late in vectors.lates[:1]] == [vectors[0].receipt.late.how]
    assert [many[n].receipt.late.how for n in (1, 7)] == ["stale", "default"]
    assert remote.replay(stale.receipt).statuses == stale.statuses
    with pytest.raises(UsageError, match="nothing was read"):
        remote.replay(default.receipt)
    assert remote.online("stale", {"id": 3}).statuses in (
        {"orders": "PRESENT", "x": "PRESENT"}, {"orders": "UNAVAILABLE", "x": "UNAVAILABLE"}
    )  # fmt: skip


def test_http_and_feast_hear_it_too(served):
    server, _, redis, _ = served
    redis.pause()
    try:
        asked = {"keys": {"id": 1}, "statuses": True, "receipt": True}
        stale, default = (post(server, f"/v1/views/{name}/online", asked) for name in ("stale", "default"))
        columns = {"keys": [{"id": 1}, {"id": 7}], "statuses": True, "orient": "columns"}
        several = post(server, "/v1/views/stale/online", columns)
        feast = [
            post(server, "/get-online-features", {"feature_service": name, "entities": {"id": [1]}})["results"]
            for name in ("stale", "default")
        ]
        for _ in range(300):  # one answer in ten is counted
            post(server, "/v1/views/stale/online", asked)
        with pytest.raises(urllib.error.HTTPError) as failed:
            post(server, "/v1/views/fail/online", asked)
    finally:
        redis.resume()
    assert stale["statuses"] == {"orders": "STALE", "x": "STALE"}
    assert stale["receipt"]["late"] == "stale"
    assert post(server, "/v1/replay", stale["receipt"])["statuses"] == stale["statuses"]
    assert default["statuses"] == {"orders": "UNAVAILABLE", "x": "UNAVAILABLE"}
    assert default["receipt"]["commits"] == {}
    assert several["columns"]["orders"] == [1, None]
    assert several["statuses"]["orders"] == ["STALE", "UNAVAILABLE"]
    assert [[column["statuses"][0] for column in each[1:]] for each in feast] == [["PRESENT"] * 2, ["INVALID"] * 2]
    with failed.value as refused:
        assert refused.code == 503
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        assert b'asof_online_values_total{status="STALE",view="stale"}' in answer.read()


def test_the_page_that_looks_up_keys_says_how_late_it_is(served):
    server, _, redis, _ = served
    url = f"http://127.0.0.1:{server.port}/views/stale/lookup?key.id=1"
    assert "PRESENT" in urllib.request.urlopen(url).read().decode()
    redis.pause()
    try:
        page = urllib.request.urlopen(url).read().decode()
    finally:
        redis.resume()
    assert "STALE" in page


def test_a_remote_store_registers_and_shows_budgets(served):
    _, remote, _, store = served
    made = FeatureView("fourth", features=[spending["x"]], budget="20ms", on_slow="stale")
    remote.apply(made)
    assert store.catalog.find("fourth").definition.on_slow == "stale"
    assert remote.catalog.find("fourth").definition.budget_us == 20_000
    assert ("budget", "20ms, then stale") in remote.catalog.describe("fourth").facts
    document = view_document(made, {"spending": 1})
    assert view_from(document, lambda _: spending) == made
