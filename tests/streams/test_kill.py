"""Members are killed at any moment, brokers go and come back, members come and go: no message is lost or doubled."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.brokers import make_kafka, make_nats, send_kafka, send_nats, send_redis
from tests.streams.conftest import arrivals, message, stored

import asof
from asof.streams import letters
from asof.testing.processes import FORKS, within

pytestmark = pytest.mark.begun_first

PARTITIONS = 4
BROKERS = ("kafka", "redis", "nats")
MEMBER = "import sys; from asof.cli import main; sys.argv[0] = 'asof'; main()"


@dataclass
class Broker:
    """A stream of one test, in any broker."""

    server: Any
    url: str
    send: Callable[[int, list[bytes]], None]


def stream_in(kind: str, server: Any) -> Broker:
    name = f"s{time.monotonic_ns()}"
    if kind == "kafka":
        make_kafka(server.bootstrap, name)
        url = f"{server.url}/{name}?fetch.wait.max.ms=20&session.timeout.ms=3000&heartbeat.interval.ms=300"
        return Broker(server, url, lambda part, values: send_kafka(server.bootstrap, name, part, values))
    if kind == "redis":
        url = f"{server.url}/{name}?partitions={PARTITIONS}&lease=1"
        return Broker(server, url, lambda part, values: send_redis(server.url, f"{name}:{part}", values))
    make_nats(server.url, name, PARTITIONS)
    url = f"{server.url}/{name}?partitions={PARTITIONS}&lease=1"
    return Broker(server, url, lambda part, values: send_nats(server.url, f"{name}.{part}", values))


@pytest.fixture(params=BROKERS)
def broker(request):
    return stream_in(request.param, request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def folder(tmp_path):
    with asof.open(tmp_path / "store") as store:
        store.apply(arrivals)
    return tmp_path / "store"


def typed(log, words):
    """Do what `asof` does with these words; what it says goes into a file."""
    import asof.cli

    with log.open("wb") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    sys.argv = ["asof", *words]
    asof.cli.main()


def forked(work, *arguments):
    """Start a function in a process that has all imported: that takes a second of each."""
    process = FORKS.Process(target=within, args=(dict(os.environ), work, *arguments))
    process.start()
    return process


class Members:
    """Processes that read the stream into the store."""

    def __init__(self, folder, url):
        self.words = ["stream", "run", str(folder), "arrivals", "--from", url, "--batch-rows", "50", "--batch-ms", "2"]
        self.folder = folder.parent
        self.every = []

    def start(self, *more):
        place = self.folder / f"log{len(self.every)}"
        place.touch()
        self.every.append(forked(typed, place, [*self.words, *more]))
        until(lambda: b"arrivals: " in place.read_bytes())
        return self.every[-1]

    def kill(self, member, how=signal.SIGKILL):
        os.kill(member.pid, how)
        member.join(60)
        return member.exitcode


@contextmanager
def members_of(folder, url):
    members = Members(folder, url)
    try:
        yield members
    finally:
        for member in members.every:
            member.kill()
            member.join(60)


class Producing:
    """Sends messages until it is stopped, a hundred at a time, each with one that is poison."""

    def __init__(self, broker, rate=1500, first=0):
        self.broker = broker
        self.pause = 100 / rate
        self.count = first
        self.failed = None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.produce)
        self.thread.start()

    def produce(self):
        try:
            while not self.stopped.is_set():
                self.send()
                time.sleep(self.pause)
        except Exception as error:  # noqa: BLE001 - told to the test
            self.failed = error

    def send(self):
        values = [message(number) for number in range(self.count, self.count + 100)]
        for part in range(PARTITIONS):
            self.broker.send(part, [*values[part::PARTITIONS], *([b"{%d" % self.count] if part == 0 else [])])
        self.count += 100

    def stop(self):
        self.stopped.set()
        self.thread.join(60)
        assert self.failed is None
        return self.count


@pytest.fixture
def producing(broker):
    made = Producing(broker)
    yield made
    made.stopped.set()


@pytest.fixture
def members(folder, broker):
    with members_of(folder, broker.url) as made:
        yield made


@pytest.fixture
def progress(folder):
    """Give what says how many rows are stored."""
    with asof.open(folder) as store:
        yield lambda: sum(commit.rows for commit in store.catalog.commits("arrivals"))


def until(done, seconds=90.0):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


def more(progress, rows=1):
    """Wait until so many rows more are stored."""
    before = progress()
    until(lambda: progress() >= before + rows)


def assert_each_once(folder, count):
    with asof.open(folder) as store:
        assert stored(store) == list(range(count))
        kept = letters(store, "arrivals")
        assert sorted(each.body for each in kept) == sorted(b"{%d" % start for start in range(0, count, 100))
        found = store.catalog.commits("arrivals")
        assert (sum(c.rows for c in found), sum(c.quarantined for c in found)) == (count, count // 100)
        vectors = store.online("arrivals", [{"id": number} for number in range(0, count, 17)])
        assert [vector.values["delay"] for vector in vectors] == [n % 50 + 0.5 for n in range(0, count, 17)]


def killed_at_random(folder, members, producing, progress, kills):
    chance = random.Random(kills)
    for _ in range(kills):
        member = members.start()
        more(progress)
        time.sleep(chance.random() * 0.7)
        members.kill(member)
    last = members.start()
    more(progress)
    count = producing.stop()
    until(lambda: progress() >= count)
    assert members.kill(last, signal.SIGTERM) == 0
    assert_each_once(folder, count)


@pytest.mark.slow
def test_a_member_killed_at_any_moment_loses_and_doubles_nothing(folder, members, producing, progress):
    killed_at_random(folder, members, producing, progress, kills=4)


@pytest.mark.long
def test_a_member_killed_very_often_loses_and_doubles_nothing(folder, members, producing, progress):
    producing.pause *= 4
    killed_at_random(folder, members, producing, progress, kills=40)


@pytest.mark.slow
def test_of_two_members_one_is_killed_and_the_other_inherits(folder, members, producing, progress):
    one, other = members.start(), members.start()
    more(progress, 2000)
    members.kill(one)
    more(progress, 2000)
    count = producing.stop()
    until(lambda: progress() >= count)
    assert members.kill(other, signal.SIGINT) == 0
    assert_each_once(folder, count)


@pytest.mark.slow
def test_members_that_come_and_go_take_each_message_once(folder, members, producing, progress):
    first = members.start()
    more(progress)
    for _ in range(3):
        another = members.start()
        time.sleep(3)
        assert members.kill(another, signal.SIGTERM) == 0
    count = producing.stop()
    until(lambda: progress() >= count)
    assert members.kill(first, signal.SIGTERM) == 0
    assert_each_once(folder, count)


def probe(folder):
    """Write to a store: it waits for whoever has its locks."""
    with asof.open(folder) as store:
        store._parts.online.clear(1 << 40)
        store.catalog.tag(f"probe-{os.getpid()}")


def hang(folder, member):
    """Stop a member between two transactions: within one it has the locks of a store in a folder, and all wait for it."""
    for _ in range(20):
        os.kill(member.pid, signal.SIGSTOP)
        probing = forked(probe, folder)
        probing.join(4)
        if probing.exitcode is not None:
            assert probing.exitcode == 0
            return
        probing.kill()
        probing.join()
        os.kill(member.pid, signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("it is always within a transaction")


@pytest.mark.slow
def test_a_member_that_hung_while_another_took_over_doubles_nothing(folder, members, producing, progress):
    """It is stopped by a signal, longer than its partitions wait for it, and goes on where it stood."""
    hung = members.start()
    more(progress)
    hang(folder, hung)
    other = members.start()
    try:
        more(progress, 1000)
    finally:
        os.kill(hung.pid, signal.SIGCONT)
    more(progress, 1000)
    count = producing.stop()
    until(lambda: progress() >= count)
    for member in (hung, other):
        assert members.kill(member, signal.SIGTERM) == 0
    assert_each_once(folder, count)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["redis", "nats"])
def test_a_broker_that_crashed_and_came_back_costs_nothing(folder, progress, request, kind):
    server = request.getfixturevalue(f"own_{kind}")
    broker = stream_in(kind, server)
    producing = Producing(broker)
    with members_of(folder, broker.url) as members:
        member = members.start()
        more(progress, 300)
        producing.stop()
        server.kill()
        time.sleep(2)
        server.start()
        again = Producing(broker, first=producing.count)
        time.sleep(1)
        count = again.stop()
        until(lambda: progress() >= count)
        assert members.kill(member, signal.SIGTERM) == 0
    assert_each_once(folder, count)


@pytest.mark.slow
def test_a_broker_that_hung_costs_nothing(folder, broker, members, producing, progress):
    member = members.start()
    more(progress)
    count = producing.stop()
    broker.server.pause()
    try:
        time.sleep(8)
    finally:
        broker.server.resume()
    again = Producing(broker, first=count)  # else it may be asked to stop while it still looks for the broker
    time.sleep(1)
    count = again.stop()
    until(lambda: progress() >= count)
    assert members.kill(member, signal.SIGTERM) == 0
    assert_each_once(folder, count)


@pytest.mark.slow
def test_the_command_says_what_it_did(folder, broker):
    broker.send(0, [message(1), b"{", message(2)])
    words = ["stream", "run", str(folder), "arrivals", "--until-idle", "1", "--json"]
    variables = os.environ | {"ASOF_STREAM": broker.url}
    done = subprocess.run(
        [sys.executable, "-c", MEMBER, *words], env=variables, capture_output=True, text=True, timeout=120, check=True
    )
    assert '"rows": 2' in done.stdout
    assert "arrivals: " in done.stderr
    for word, said in (("positions", "reached"), ("quarantine", "DecodeError")):
        shown = subprocess.run(
            [sys.executable, "-c", MEMBER, "stream", word, str(folder), "arrivals"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert said in shown.stdout
