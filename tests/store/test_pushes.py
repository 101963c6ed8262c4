"""Pushes of many threads share transactions: each is a commit of its own, whatever becomes of the others."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
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
def store(tmp_path: Path, behind):
    with asof.open(tmp_path / "store") as opened:
        opened.apply(*GROUPS)
        yield behind(opened)


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
def interrupted(after: threading.Event | None = None):
    """Interrupt the block after a while, when something has happened."""

    def interrupt() -> None:
        if after is not None:
            after.wait(30)
        time.sleep(0.3)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    handled = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of pytest-xdist ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, handled)


class StoppedClock:
    """A clock at which threads of some names stop when they ask the second time: in the transaction that they lead."""

    def __init__(self, *names: str) -> None:
        self.stopped = {name: threading.Event() for name in names}
        self.go_on = {name: threading.Event() for name in names}
        self.asked: Counter[str] = Counter()

    def __call__(self) -> datetime:
        name = threading.current_thread().name
        self.asked[name] += 1
        if name in self.stopped and self.asked[name] == 2:
            self.stopped[name].set()
            self.go_on[name].wait(30)
        return system_clock()


def pushing(store: Store, row: dict[str, object], name: str, clock: StoppedClock) -> threading.Thread:
    """Return a thread that pushes; when this returns it waits in its place, or the first one is stopped by the clock."""
    pusher = store._writer._pusher
    before, leads = len(pusher._waiting), not pusher._led
    thread = threading.Thread(target=store.push, args=("a", row), name=name)
    thread.start()
    until(lambda: clock.stopped[name].is_set() if leads else len(pusher._waiting) > before)
    return thread


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_interrupted_waiter_stores_nothing_and_holds_nobody_up(tmp_path: Path) -> None:
    clock = StoppedClock("leader")
    with asof.open(tmp_path / "store", clock=clock) as store:
        store.apply(*GROUPS)
        row = {"user": 1, "ts": system_clock(), "x": 1.0}
        leader = pushing(store, row, "leader", clock)
        assert clock.stopped["leader"].wait(30)
        with interrupted():
            store.push("a", row | {"x": 2.0})
        clock.go_on["leader"].set()
        leader.join(30)
        assert store.push("a", row | {"x": 3.0}).number == 2
        assert store.read("a").to_arrow()["x"].to_pylist() == [1.0, 3.0]


def test_an_interrupted_leader_stores_nothing_while_it_waits_for_others_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asof.ingest.push.GATHER_SECONDS", 30)
    clock = StoppedClock("leader")
    with asof.open(tmp_path / "store", clock=clock) as store:
        store.apply(*GROUPS)
        row = {"user": 1, "ts": system_clock(), "x": 1.0}
        crowd = [pushing(store, row, name, clock) for name in ("leader", "2", "3")]
        clock.go_on["leader"].set()
        for thread in crowd:
            thread.join(30)
        with interrupted():  # it expects another one beside it
            store.push("a", row | {"x": 2.0})
        with ThreadPoolExecutor(2) as threads:
            numbers = [commit.number for commit in threads.map(lambda _: store.push("a", row | {"x": 3.0}), range(2))]
        assert sorted(numbers) == [4, 5]
        assert store.read("a").to_arrow()["x"].to_pylist() == [1.0] * 3 + [3.0] * 2


def test_an_interrupted_push_that_another_one_stores_holds_nobody_up(tmp_path: Path) -> None:
    clock = StoppedClock("first", "second")
    with asof.open(tmp_path / "store", clock=clock) as store:
        store.apply(*GROUPS)
        row = {"user": 1, "ts": system_clock(), "x": 1.0}
        crowd = [pushing(store, row, name, clock) for name in ("first", "second")]
        go_on = threading.Thread(target=go_on_when_three_wait, args=(store, row, clock, crowd))
        go_on.start()
        with interrupted(clock.stopped["second"]):  # "second" stores it, and those after it
            store.push("a", row | {"x": 2.0})
        assert clock.stopped["second"].is_set()
        clock.go_on["second"].set()
        go_on.join(30)
        for thread in crowd:
            thread.join(30)
        assert len(crowd) == 4
        assert not any(thread.is_alive() for thread in crowd)
        assert store.read("a").to_arrow()["x"].to_pylist() == [1.0, 1.0, 2.0, 1.0, 1.0]


def go_on_when_three_wait(store: Store, row: dict[str, object], clock: StoppedClock, crowd: list[threading.Thread]):
    """Let two more pushes wait, and then the first leader go on."""
    until(lambda: len(store._writer._pusher._waiting) == 2)
    crowd += [pushing(store, row, name, clock) for name in ("third", "fourth")]
    clock.go_on["first"].set()
