"""What a run tells Prometheus, asked at the address of a real run."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.brokers import send_redis
from tests.streams.conftest import message, stored

from asof.clock import system_clock
from asof.errors import UsageError
from asof.streams import run
from asof.testing.servers import free_port


@pytest.fixture
def url(redis_server, tmp_path):
    return f"{redis_server.url}/metered-{tmp_path.name}-{time.monotonic_ns()}"


def send(url, *values):
    place, _, key = url.rpartition("/")
    send_redis(place, key, values)


@pytest.fixture
def address():
    return f"127.0.0.1:{free_port()}"


@pytest.fixture
def running(store, url, address):
    """Give a run that goes on, and the name of its stream."""
    stop = threading.Event()
    failed = []

    def read():
        try:
            run(store, "arrivals", url, batch_rows=100, metrics=address, stop=stop)
        except Exception as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    yield url.rpartition("/")[2]
    stop.set()
    thread.join(60)
    assert failed == []


def asked(address):
    """Return the samples at an address, by their names and reasons; and all of their groups and streams."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [each for family in families for each in family.samples if each.name.startswith("asof_stream_")]
    values = {(each.name, each.labels.get("reason") or each.labels.get("le")): each.value for each in samples}
    return values, {(each.labels["group"], each.labels["stream"]) for each in samples}


def until(address, name, least, *, exactly=False):
    end = time.monotonic() + 60
    while True:
        try:
            values, labels = asked(address)
        except OSError:
            values, labels = {}, set()
        found = values.get((name, None), -1)
        if found == least or (found > least and not exactly):
            return values, labels
        assert time.monotonic() < end, values
        time.sleep(0.05)


def test_the_figures_are_those_of_the_run(store, url, address, running):
    now = system_clock()
    ahead = message(4, at=(now + timedelta(hours=1)).isoformat())
    send(url, *(message(each, at=(now - timedelta(seconds=30)).isoformat()) for each in range(250)))
    until(address, "asof_stream_rows_total", 250)
    send(url, b"{", b"}", message(1, delay=9999.0), message(3, id="three"), message(5, gate="B7"), ahead)
    values, labels = until(address, "asof_stream_messages_total", 256)
    assert labels == {("arrivals@1", running)}
    assert stored(store) == list(range(250))
    assert values["asof_stream_rows_total", None] == 250
    reasons = {reason: value for (name, reason), value in values.items() if name == "asof_stream_quarantined_total"}
    assert reasons == {"empty": 0, "undecodable": 2, "schema": 2, "future": 1, "check": 1}
    commits = values["asof_stream_commits_total", None]
    assert commits == len(store.catalog.commits("arrivals"))
    values, _ = until(address, "asof_stream_batch_seconds_count", commits)
    assert 0 < values["asof_stream_batch_seconds_sum", None] < 60
    with_rows = values["asof_stream_servable_seconds_count", None]
    assert with_rows == sum(commit.rows > 0 for commit in store.catalog.commits("arrivals"))
    assert values["asof_stream_servable_seconds_bucket", "10.0"] == 0
    assert values["asof_stream_servable_seconds_bucket", "300.0"] == with_rows
    assert 30 <= values["asof_stream_newest_event_age_seconds", None] < 300
    assert until(address, "asof_stream_partitions", 1)[0]["asof_stream_partitions", None] == 1
    until(address, "asof_stream_lag_messages", 0, exactly=True)
    assert values["asof_stream_retries_total", None] == 0


def test_the_age_of_the_newest_event_grows_while_nothing_comes(store, url, address, running):
    send(url, message(1, at=system_clock().isoformat()))
    first, _ = until(address, "asof_stream_newest_event_age_seconds", 0)
    until(address, "asof_stream_newest_event_age_seconds", first["asof_stream_newest_event_age_seconds", None] + 0.5)
    send(url, message(2, at=system_clock().isoformat()), message(3))  # an older one changes nothing
    values, _ = until(address, "asof_stream_rows_total", 3)
    assert values["asof_stream_newest_event_age_seconds", None] < 60


def test_nobody_answers_when_the_run_is_over(store, url, address):
    send(url, message(1))
    assert run(store, "arrivals", url, until_idle=0.3, metrics=address).rows == 1
    with pytest.raises(OSError, match="refused"):
        asked(address)
    assert run(store, "arrivals", url, until_idle=0.3, metrics=address).rows == 0


@pytest.mark.parametrize("text", ["9464", ":9464", "localhost", "localhost:", "localhost:0", "x:65536", "x:²", "x:-1"])
def test_what_is_no_address_is_refused(store, url, text):
    with pytest.raises(UsageError, match=r"is no HOST:PORT"):
        run(store, "arrivals", url, metrics=text)


def test_an_address_that_is_taken_is_refused_before_anything_is_read(store, url):
    send(url, message(1))
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"cannot listen at {taken}"):
            run(store, "arrivals", url, until_idle=0.3, metrics=taken)
    assert stored(store) == []


def test_the_command_has_the_option(store, url, address):
    send(url, message(1))
    words = ["stream", "run", str(store._root), "arrivals", "--from", url, "--metrics", address]
    child = subprocess.Popen([sys.executable, "-c", "from asof.cli import main; main()", *words], env=os.environ)
    try:
        assert until(address, "asof_stream_rows_total", 1)[1] == {("arrivals@1", url.rpartition("/")[2])}
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
