"""A server under full load for minutes, while it is told to reload, a worker is killed, and Redis comes and goes.

`asof serve --workers 2` over a store in a folder whose newest values lie in Redis, which appends to a file and syncs
it each second. The clients share the machine's cores with the server and Redis.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from types import SimpleNamespace
from urllib.request import urlopen

import numpy as np
from data import START, Hands, groups, rows, start_us, view
from http_reads import SERVE
from measure import Table, percentile
from processes import WARM_SECONDS, watched, workers
from soak_load import NAMES, Load

import asof
from asof.testing.servers import RedisServer

CLIENTS = {
    "one entity": 8,
    "100 entities": 1,
    "push": 4,
    "historical": 1,
    "remote store: online": 2,
    "remote store: push": 1,
    "remote store: read": 1,
    "remote store: historical": 1,
}
FLAT = 0.1
"""By this part of its memory a process may grow in the last two thirds of its life after it warmed up."""
FLAT_COUNT = 16
"""By so many its open files, and its threads: there are as many connections as were ever needed at once."""
SHORT_SECONDS = WARM_SECONDS + 60
"""A life that ended sooner says nothing."""
SLOWEST_SECONDS = 60


def run(folder, *, quick):
    """Return the tables of this benchmark; some six minutes."""
    users, seconds = (500, 1) if quick else (20_000, 300)
    clients = dict.fromkeys(CLIENTS, 1) if quick else CLIENTS
    redis = RedisServer(folder / "redis")
    redis.start()
    try:
        made(folder / "store", redis, users)
        with serving(folder) as server, watched(server.process.pid, every=0.2 if quick else 1.0) as lives:
            load = Load(server.port, users)
            story = Story(server, redis, folder / "store", load)
            load.start(clients)
            try:
                if quick:
                    story.at(0.2, "kill -9 of a worker: another one is started", story.kill)
                else:
                    story.whole(seconds)
                story.wait(seconds)
            finally:
                load.stop()
        wrong = missing(folder / "store", load, users)
    finally:
        redis.stop()
    tables = [met(load, clients), told(story.events, load), memory(lives, load.lasted), flat(lives)]
    wrong += odd(load, lives, quick=quick)
    if wrong:
        raise SystemExit("NOT SO:\n" + "\n".join(wrong))
    return tables


def made(place, redis, users):
    """Make the store."""
    place.mkdir()
    (place / "asof.toml").write_text(f'format = 1\nonline = "{redis.url}?prefix=soak"\n')
    declared = groups(online=True)
    with asof.open(place, clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(users), start_us() + np.arange(users)))
        some = np.arange(
            users * 39 // 400
        )  # 10 times this is nearly what a journal holds: memory begins where it stays
        for number in range(10):
            store.push("g0", rows(0, some, start_us() + (number + 2) * users + some).to_pylist())


@contextmanager
def serving(folder):
    """Start the server, and give its process and port; its log goes to a file."""
    command = [sys.executable, "-c", SERVE, "serve", str(folder / "store"), "--port", "0", "--workers", "2"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    try:
        until(lambda: re.search(r"127\.0\.0\.1:(\d+)", (folder / "log").read_text()), "the server has a port")
        port = int(re.search(r"127\.0\.0\.1:(\d+)", (folder / "log").read_text())[1])
        until(lambda: answers(port), "the server answers")
        until(lambda: len(workers(process.pid)) == 2, "there are two workers")
        yield SimpleNamespace(process=process, port=port)
    finally:
        process.terminate()
        if process.wait(SLOWEST_SECONDS):
            raise RuntimeError((folder / "log").read_text()[-4000:])


class Story:
    """What happens to the server while the load runs.

    Attributes:
        events: What happened so far: when it began, what, and how long it took.
    """

    def __init__(self, server, redis, place, load):
        """Let nothing happen yet."""
        self.server, self.redis, self.place, self.load = server, redis, place, load
        self.events = []

    def whole(self, seconds):
        """Let it all happen, the most of it early: then come calm minutes."""
        self.at(0.10 * seconds, "SIGHUP: both workers are replaced, one after the other", self.reload)
        self.at(0.20 * seconds, "kill -9 of a worker: another one is started", self.kill)
        self.at(0.27 * seconds, "Redis is stopped, and started a second later", self.restart)
        self.at(0.32 * seconds, "kill -9 of Redis, a start with what it had on disk, ten pushes", self.crash)
        self.at(0.40 * seconds, "Redis is stopped, and started empty", self.empty)
        self.at(0.40 * seconds, "`asof doctor --repair`: filled again from history", self.repair)

    def at(self, second, what, work):
        """Wait for a moment, and let something happen."""
        self.wait(second)
        begun = self.load.now()
        work()
        self.events.append((begun, what, self.load.now() - begun))
        print(f"  {begun:.0f} s: {what}: {self.events[-1][2]:.1f} s", flush=True)

    def wait(self, second):
        """Wait for a moment."""
        time.sleep(max(second - self.load.now(), 0))

    def reload(self):
        """Have the workers replaced."""
        pid = self.server.process.pid
        before = set(workers(pid))
        os.kill(pid, signal.SIGHUP)
        until(lambda: len(now := set(workers(pid))) == 2 and not now & before, "both workers are new")

    def kill(self):
        """Kill a worker."""
        pid = self.server.process.pid
        before = set(workers(pid))
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(now := set(workers(pid))) == 2 and now != before, "there is another worker")

    def restart(self):
        """Stop Redis in good order, and start it."""
        self.redis.stop()
        time.sleep(1)
        self.redis.start()

    def crash(self):
        """Kill Redis, and start it: its file may lack the last two seconds, which the next push brings back."""
        self.load.lossy = True
        self.redis.kill()
        self.redis.start()
        pushed = len(self.load.kinds["push"].took)
        until(lambda: len(self.load.kinds["push"].took) > pushed + 10, "pushes go on")
        self.load.lossy = False

    def empty(self):
        """Start Redis with nothing."""
        self.load.lossy = True
        self.redis.stop()
        for file in (self.redis.folder / "appendonlydir").iterdir():
            file.unlink()
        self.redis.start()

    def repair(self):
        """Do as docs/online-stores.md says."""
        command = [sys.executable, "-c", SERVE, "doctor", str(self.place), "--repair"]
        subprocess.run(command, check=True, capture_output=True)
        self.load.lossy = False


def missing(place, load, users):
    """Return what is wrong with the store after it all: each acknowledged push is there, once, and is served."""
    wrong = []
    with asof.open(place) as store:
        found = store.read("g0", clocks=True).to_arrow().select(["user", NAMES[0]]).to_pydict()
        there = Counter((user, value) for user, value in zip(*found.values(), strict=True) if user >= users)
        pushed = {(user, value) for user, values in load.acknowledged.items() for value in values}
        wrong += [f"pushed, and not in history: {each}" for each in pushed - there.keys()]
        wrong += [f"in history {count} times: {each}" for each, count in there.items() if count > 1]
        wrong += [f"in history, and never pushed: {each}" for each in there.keys() - pushed - {*load.doubtful}]
        counts = Counter(commit.idempotency_key for commit in store.catalog.commits("g0"))
        wrong += [f"{counts[key]} commits of {key}" for key in load.keys if counts[key] != 1]
        doubtful = {user for user, _ in load.doubtful}
        asked = [user for user in load.acknowledged if user not in doubtful]
        vectors = store.online("g0", [{"user": user} for user in asked])
        served = [vector.values[NAMES[0]] for vector in vectors]
        newest = [load.acknowledged[user][-1] for user in asked]
        wrong += [
            f"user {u} is served {got}, not {want}"
            for u, got, want in zip(asked, served, newest, strict=True)
            if got != want
        ]
        print(
            f"  {len(pushed):,} acknowledged pushes of {len(asked):,} users are in history once, and served", flush=True
        )
    return wrong


def odd(load, lives, *, quick):
    """Return what clients and processes met that they should not."""
    wrong = [f"{name}: {error}" for name, kind in load.kinds.items() for error in kind.errors]
    wrong += [f"acknowledged, and not readable: {each}" for each in load.stale]
    for life in lives:
        if quick or not long(life):
            continue
        minutes = (life.calm()[-1].second - life.calm()[0].second) / 60
        for of, most in (("mib", FLAT * life.calm()[0].mib), ("files", FLAT_COUNT), ("threads", FLAT_COUNT)):
            if life.growth(of) * minutes > most:
                wrong.append(
                    f"{of} of process {life.pid} grew by {life.growth(of) * minutes:.1f} in {minutes:.1f} minutes"
                )
    return wrong


def met(load, clients):
    """Return what clients met."""
    table = Table(
        f"Soak: {load.lasted:.0f} s at full load",
        f"{sum(clients.values())} clients at once, 2 workers, Redis; milliseconds from the first try to the answer. "
        "`mended`: requests that a bounded number of tries mended, as the remote store tries (docs/remote.md); "
        "`errors`: those that it did not",
        0,
    )
    for name, kind in load.kinds.items():
        took = [seconds * 1000 for _, seconds in kind.took] or [0.0]
        table.add(
            asked=name, clients=clients[name], requests=len(kind.took), mended=kind.mended, errors=len(kind.errors),
            p50_ms=percentile(took, 50), p99_ms=percentile(took, 99), longest_ms=max(took),
            requests_a_second=len(kind.took) / load.lasted,
        )  # fmt: skip
        for reason, count in kind.reasons.most_common(8):
            print(f"    {count} x {reason}", flush=True)
    return table


def told(events, load):
    """Return what happened."""
    table = Table(
        "Soak: what happened meanwhile",
        "`longest` is the longest wait of any request that was answered until the next thing happened",
        0,
    )
    ends = [at for at, _, _ in events[1:]] + [float("inf")]
    for (at, what, took), end in zip(events, ends, strict=True):
        waits = [s for kind in load.kinds.values() for moment, s in kind.took if at <= moment < end]
        table.add(what=what, at_s=at, took_s=took, longest_s=max(waits, default=0.0))
    return table


def memory(lives, seconds):
    """Return the memory of each process over time."""
    table = Table(
        "Soak: memory of the server's processes (RSS)",
        "MiB; a worker takes the place of one that ended, and begins anew. All of them read history, by DuckDB",
        0,
        along="second",
    )
    names = {0: "first_process_mib", 1: "worker_a_mib", 2: "worker_b_mib", 3: "worker_c_mib"}
    step = seconds / 20
    for number in range(21):
        moment = number * step
        row = {}
        for life in lives:
            near = min(life.samples, key=lambda s: abs(s.second - moment), default=None)
            if near and abs(near.second - moment) <= max(step / 4, 0.5):
                row[names[life.place]] = near.mib
        table.add(second=round(moment), **{name: row.get(name) for name in names.values()})
    return table


def flat(lives):
    """Return how flat the processes were."""
    table = Table(
        "Soak: growth of each process",
        f"by a line of least squares through the last two thirds of its life but for its first {WARM_SECONDS} s; who "
        f"lived less than {SHORT_SECONDS} s is left out. At most {FLAT:.0%} of the memory, {FLAT_COUNT} open files and "
        f"{FLAT_COUNT} threads in that time",
        0,
    )
    for life in lives:
        if life.samples and (long(life) or life.place == 0):
            calm = life.calm()
            table.add(
                process="first process" if life.place == 0 else f"worker {life.pid}",
                lived_s=life.samples[-1].second - life.samples[0].second,
                from_mib=calm[0].mib, to_mib=calm[-1].mib, growth_mib_a_minute=life.growth("mib"),
                files=calm[-1].files, files_a_minute=life.growth("files"),
                threads=calm[-1].threads, threads_a_minute=life.growth("threads"),
            )  # fmt: skip
    return table


def long(life):
    """Return whether a process lived long enough to say something."""
    return bool(life.samples) and life.samples[-1].second - life.samples[0].second >= SHORT_SECONDS


def answers(port):
    """Return whether a worker answers; the socket listens before there is one."""
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/v1/health", timeout=5) as answer:
        return answer.status == HTTPStatus.OK
    return False


def until(true, what):
    """Wait until something is true."""
    end = time.monotonic() + SLOWEST_SECONDS
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"not so after {SLOWEST_SECONDS} s: {what}")
        time.sleep(0.05)
