"""Pushes of many threads share transactions: each is a commit of its own, whatever becomes of the others."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

import asof
from asof import Entity, Feature, FeatureGroup
from asof.clock import system_clock
from asof.errors import ConflictError, DataError
from asof.store import Store

USER = Entity("user", keys={"user": "int64"})
GROUPS = [
    FeatureGroup(name, entity=USER, event_time="ts", features=[Feature("x", "float64")], online=True)
    for name in ("a", "b")
]


@pytest.fixture
def store(tmp_path: Path):
    with asof.open(tmp_path / "store") as opened:
        opened.apply(*GROUPS)
        yield opened


def test_pushes_of_many_threads_are_each_a_commit_and_the_newest_is_online(store: Store) -> None:
    start = system_clock() - timedelta(hours=1)

    def push(number: int) -> str:
        row = {"user": number % 7, "ts": start + timedelta(seconds=number % 50), "x": float(number)}
        commit = store.push("ab"[number % 2], row)
        answer = store.online("ab"[number % 2], {"user": number % 7})
        assert answer.receipt.commits[commit.group] >= commit.number
        return commit.id

    with ThreadPoolExecutor(16) as threads:
        ids = list(threads.map(push, range(400)))
    assert len(set(ids)) == 400
    for name in "ab":
        commits = store.catalog.commits(name)
        assert [commit.number for commit in commits] == list(range(1, 201))
        times = [commit.committed_at for commit in commits]
        assert all(earlier < later for earlier, later in pairwise(times))
        rows = store.read(name, latest=True).to_arrow().to_pylist()
        answers = store.online(name, [{"user": row["user"]} for row in rows])
        assert [row["x"] for row in rows] == [answer.values["x"] for answer in answers]


def test_a_push_that_fails_takes_no_other_along(store: Store) -> None:
    now = system_clock()
    store.push("a", {"user": 0, "ts": now, "x": 0.0}, idempotency_key="taken")

    def push(number: int) -> object:
        key = {0: "taken", 1: f"own-{number}"}.get(number % 4, "")
        value = "no number" if number % 4 == 2 else float(number)
        try:
            return store.push("a", {"user": number, "ts": now, "x": value}, idempotency_key=key).number
        except (ConflictError, DataError) as error:
            return type(error)

    with ThreadPoolExecutor(16) as threads:
        got = list(threads.map(push, range(1, 201)))
    for number, answer in enumerate(got, 1):
        expected = {0: ConflictError, 2: DataError}.get(number % 4)
        assert answer is expected if expected else isinstance(answer, int)
    stored = [number for number in got if isinstance(number, int)]
    assert sorted(stored) == list(range(2, 102))


def test_the_same_key_in_one_transaction_is_one_commit(store: Store) -> None:
    now = system_clock()
    together = threading.Barrier(8)

    def push(_: int) -> tuple[int, bool]:
        together.wait()
        commit = store.push("a", {"user": 1, "ts": now, "x": 1.0}, idempotency_key="once")
        assert store.online("a", {"user": 1}).values == {"x": 1.0}
        return commit.number, commit.repeated

    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(push, range(8)))
    assert {number for number, _ in got} == {1}
    assert sorted(repeated for _, repeated in got) == [False] + [True] * 7


@contextmanager
def interrupted():
    """Interrupt the block after 0.3 s."""
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    handled = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of pytest-xdist ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, handled)


class StoppedClock:
    """A clock at which the thread named "leader" stops the second time: in its transaction."""

    def __init__(self) -> None:
        self.stopped, self.go_on = threading.Event(), threading.Event()
        self.asked = 0

    def __call__(self) -> datetime:
        if threading.current_thread().name == "leader":
            self.asked += 1
            if self.asked == 2:
                self.stopped.set()
                self.go_on.wait(30)
        return system_clock()


def test_an_interrupted_waiter_stores_nothing_and_holds_nobody_up(tmp_path: Path) -> None:
    clock = StoppedClock()
    with asof.open(tmp_path / "store", clock=clock) as store:
        store.apply(*GROUPS)
        row = {"user": 1, "ts": system_clock(), "x": 1.0}
        leader = threading.Thread(target=store.push, args=("a", row), name="leader")
        leader.start()
        assert clock.stopped.wait(30)
        with interrupted():
            store.push("a", row | {"x": 2.0})
        clock.go_on.set()
        leader.join(30)
        assert store.push("a", row | {"x": 3.0}).number == 2
        assert store.read("a").to_arrow()["x"].to_pylist() == [1.0, 3.0]


def test_an_interrupted_leader_stores_nothing_while_it_waits_for_others_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asof.ingest.push.GATHER_SECONDS", 30)
    clock = StoppedClock()
    with asof.open(tmp_path / "store", clock=clock) as store:
        store.apply(*GROUPS)
        row = {"user": 1, "ts": system_clock(), "x": 1.0}
        crowd = [threading.Thread(target=store.push, args=("a", row), name=name) for name in ("leader", "2", "3")]
        for thread in crowd:
            thread.start()
            assert clock.stopped.wait(30)
        time.sleep(0.3)  # until two wait
        clock.go_on.set()
        for thread in crowd:
            thread.join(30)
        with interrupted():  # it expects another one beside it
            store.push("a", row | {"x": 2.0})
        with ThreadPoolExecutor(2) as threads:
            numbers = [commit.number for commit in threads.map(lambda _: store.push("a", row | {"x": 3.0}), range(2))]
        assert sorted(numbers) == [4, 5]
        assert store.read("a").to_arrow()["x"].to_pylist() == [1.0] * 3 + [3.0] * 2
