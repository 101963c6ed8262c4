"""Servers behind the server that hang: they take connections, and answer nothing."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.server.conftest import NOW, Server, nightly, risk, spending

import asof

pytestmark = pytest.mark.slow

AT_ONCE_SECONDS = 1.5
"""A machine under load; an event loop that waits for a hung Redis takes two, for PostgreSQL three."""
READS = 45
"""More than threads that wait for the online store."""


def made(folder, **parts):
    folder.mkdir()
    lines = "".join(f'{name} = "{url}"\n' for name, url in parts.items())
    (folder / "asof.toml").write_text(f"format = 1\n{lines}")
    with asof.open(folder) as store:
        store.apply(spending, nightly, risk)
        store.write("spending", [{"customer_id": key, "at": NOW, "orders": key, "returned": 0.5} for key in range(9)])
    return folder


def read(server, key=1):
    status, body, _ = server.post("/v1/views/risk/online", {"keys": {"customer_id": key}})
    return status, body


def at_once(server, method, path, body=None):
    begun = time.monotonic()
    status, found, _ = server.request(method, path, body)
    assert time.monotonic() - begun < AT_ONCE_SECONDS, path
    return status, found


@pytest.fixture
def served(request):
    """Give what serves a folder, and stops it."""

    def serve(folder, *options):
        server = Server(folder, options)
        request.addfinalizer(server.stop)
        return server

    return serve


def test_while_redis_hangs_only_those_wait_who_read_it(tmp_path, own_redis, served):
    server = served(made(tmp_path / "features", online=f"{own_redis.url}?socket_timeout=0.3"))
    assert [read(server)[0] for _ in range(3)] == [200] * 3
    own_redis.pause()
    with ThreadPoolExecutor(READS) as pool:
        begun = time.monotonic()
        reads = [pool.submit(read, server) for _ in range(READS)]
        pushed = {"records": [{"customer_id": 1, "at": NOW.isoformat(), "orders": 8, "returned": 0.5}]}
        push = pool.submit(server.post, "/v1/groups/spending/push", pushed)
        time.sleep(0.2)
        for path in ("/v1/health", "/v1/ready", "/v1/groups", "/v1/describe/risk", "/metrics", "/openapi.json"):
            assert at_once(server, "GET", path)[0] == 200
        answers = [each.result() for each in reads]
        assert {status for status, _ in answers} == {503}
        assert all("online store cannot be reached" in body["title"] and body["todo"] for _, body in answers)
        assert time.monotonic() - begun < 10
        assert push.result()[0] == 503
    own_redis.resume()
    assert read(server)[0] == 200


def test_while_the_registry_hangs_views_that_are_known_are_served(tmp_path, own_postgres, served):
    url = own_postgres.registry_url("hung")
    server = served(made(tmp_path / "features", registry=url), "--timeout", "3")
    assert read(server)[0] == 200
    own_postgres.pause()
    try:
        end = time.monotonic() + 5.5  # what is known of the view is looked up again after five
        statuses, slow = [], []
        while time.monotonic() < end:
            begun = time.monotonic()
            slow.append(threading.Thread(target=lambda: statuses.append(read(server)[0])))
            slow[-1].start()
            slow[-1].join(AT_ONCE_SECONDS)
            at_once(server, "GET", "/v1/health")
            at_once(server, "GET", "/docs")
            time.sleep(max(0.0, 0.1 - (time.monotonic() - begun)))
        for each in slow:
            each.join()
        assert statuses.count(200) > len(statuses) - 4
        assert set(statuses) <= {200, 504}, "who looks it up again may wait in vain"
        status, body, _ = server.get("/v1/ready")
        assert (status, body["title"]) == (503, "the registry did not answer within 2 s")
    finally:
        own_postgres.resume()
    assert server.get("/v1/ready")[0] == 200
    assert read(server)[0] == 200
