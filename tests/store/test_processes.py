"""One store in several processes and threads: what one writes, the others read at once."""

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest

import asof

pytestmark = pytest.mark.slow

SECOND = """
import json, sys
from datetime import datetime
import asof
store = asof.open(sys.argv[1], create=False)
print("ready", flush=True)
for line in sys.stdin:
    word, *rest = json.loads(line)
    if word == "online":
        answer = store.online(rest[0], rest[1]).values
    elif word == "rows":
        answer = len(store.read(rest[0]))
    elif word == "temp":
        spine = [{"origin": rest[0], "at": datetime.fromisoformat(rest[1])}]
        answer = store.historical("weather", spine, time="at", known="event").to_arrow().column("temp")[0].as_py()
    elif word == "push":
        answer = store.push("weather", {**rest[0], "time_hour": datetime.fromisoformat(rest[0]["time_hour"])}).number
    elif word == "groups":
        answer = [group.ref for group in store.catalog.groups()]
    elif word == "compact":
        answer = [done.rows for done in store.compact()]
    print(json.dumps(answer), flush=True)
store.close()
"""


@pytest.fixture
def second(folder):
    """Give a function that asks another process, which has the same store open."""
    asof.open(folder).close()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SECOND, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"

    def ask(*question):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield ask
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_a_second_process_sees_definitions_and_rows_at_once(second, folder, weather, at):
    with asof.open(folder) as store:
        store.apply(weather(ttl=None))
        assert second("groups") == ["weather@1"]
        row = {"origin": "JFK", "time_hour": at(1), "temp": 0.0, "visib": 1.0}
        for number in range(1, 6):
            store.push("weather", {**row, "time_hour": at(number), "temp": float(number)})
            assert second("online", "weather", {"origin": "JFK"}) == {"temp": float(number), "visib": 1.0}
            assert second("temp", "JFK", at(number).isoformat()) == float(number)
        for number in range(6, 9):
            store.backfill("weather", [{**row, "time_hour": at(number), "temp": float(number)}])
            assert second("online", "weather", {"origin": "JFK"})["temp"] == float(number)
            assert second("rows", "weather") == number
        store.compact()
        assert second("rows", "weather") == 8
        store.retract("weather:8", reason="test")
        assert second("online", "weather", {"origin": "JFK"})["temp"] == 7.0
        answer = second("push", {**row, "time_hour": at(20).isoformat(), "temp": 20.0})
        assert answer == 10
        assert store.online("weather", {"origin": "JFK"}).values["temp"] == 20.0
        assert len(store.read("weather")) == 8
        assert second("compact") == [9]
        assert store.push("weather", {**row, "time_hour": at(21), "temp": 21.0}).number == 11
        assert second("online", "weather", {"origin": "JFK"})["temp"] == 21.0
        assert store.quality.doctor().healthy


def test_a_store_opened_twice_in_one_process_is_one_store(folder, weather, at):
    with asof.open(folder) as one, asof.open(folder) as other:
        one.apply(weather(ttl=None))
        one.push("weather", {"origin": "JFK", "time_hour": at(1), "temp": 1.0, "visib": 1.0})
        assert other.online("weather", {"origin": "JFK"}).values["temp"] == 1.0
        one.close()
        other.push("weather", {"origin": "JFK", "time_hour": at(2), "temp": 2.0, "visib": 1.0})
        assert other.online("weather", {"origin": "JFK"}).values["temp"] == 2.0


def test_threads_share_a_store(folder, weather):
    with asof.open(folder) as store:
        store.apply(weather(ttl=None, checks=[]))
        failures = []

        def work(number):
            try:
                for step in range(25):
                    moment = datetime(2024, 1, 1, step % 24, step, tzinfo=UTC)
                    row = {"origin": f"A{number}", "time_hour": moment, "temp": float(step), "visib": 0.0}
                    store.push("weather", row)
                    assert store.online("weather", {"origin": f"A{number}"}).values["temp"] is not None
                    if step % 10 == 0:
                        assert len(store.read("weather")) > step
                        store.historical("weather", [{"origin": "A0", "at": moment}], time="at", known="event")
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(store.read("weather")) == 150
        assert [c.number for c in store.catalog.commits("weather")] == list(range(1, 151))
        assert store.quality.doctor().healthy


FORKS = """
import contextlib, os, sys
from datetime import UTC, datetime
import asof
from asof import Entity, Feature, FeatureGroup
store = asof.open(sys.argv[1])
thing = Entity("thing", {"k": "int64"})
group = FeatureGroup("things", entity=thing, event_time="t", online=True, features=[Feature("x", "int64")])
store.apply(group)
moment = datetime.now(UTC)
store.push("things", [{"k": k, "t": moment, "x": 0} for k in range(4)])
assert len(store.read("things")) == 4
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        for step in range(1, 6):
            store.push("things", {"k": number, "t": datetime.now(UTC), "x": step})
            assert store.online("things", {"k": number}).values["x"] == step
            assert len(store.read("things")) >= 4 + step
        store.write("things", [{"k": number, "t": datetime.now(UTC), "x": 6}])
        with contextlib.suppress(asof.errors.ConflictError):  # the others do the same at this moment
            store.compact()
        if number % 2:
            store.close()
        sys.exit(0)
    children.append(pid)
for step in range(5):
    store.push("things", {"k": 9, "t": datetime.now(UTC), "x": step})
    assert store.online("things", {"k": 9}).values["x"] == step
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0, 0]
assert [v.values["x"] for v in store.online("things", [{"k": k} for k in range(4)])] == [6, 6, 6, 6]
assert len(store.read("things")) == 4 + 4 * 6 + 5
found = store.quality.doctor()
assert found.healthy, str(found)
store.close()
"""


def test_forked_children_open_the_store_for_themselves(folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKS, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
