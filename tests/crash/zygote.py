"""A process that has imported all of asof and opened no store; it forks workers that start at once and can be killed.

Lines in on stdin: a JSON list [job, arguments...]: fork a worker; the answer is its pid. "wait PID": its exit status.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd  # noqa: F401 - pyarrow imports it with the first array that it makes of Python values
import pyarrow.compute as pc

import asof
import asof.engine.duckdb
import asof.offline.delta
import asof.online.lmdb
import asof.quality.doctor
import asof.registry.sql
import asof.store
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import AsofError, ConflictError, DataWarning
from asof.ingest import merge, upkeep

KEYS = 12
TOTAL = 1000  # what the two sides of a move add up to
LEAST = 5  # operations of each in a crowd, however slow the machine
FIRST = datetime(2024, 1, 1, tzinfo=UTC)


def group(name, extra=0):
    """Return a group whose rows say which operation wrote them; `extra` features were added later."""
    return FeatureGroup(
        name,
        entity=Entity("thing", {"k": "int32"}),
        event_time="t",
        online=True,
        features=[
            Feature("op", "int64"),
            Feature("text", "string"),
            *(Feature(f"f{n}", "int64") for n in range(extra)),
        ],
    )


def rows(op, count, rng, extra=0):
    """Return rows of an operation: keys that all operations share, times that only this one has."""
    moment = FIRST + timedelta(seconds=rng.randrange(3600), microseconds=op)
    keys = rng.sample(range(KEYS), min(count, KEYS))
    return [
        {
            "k": keys[n % len(keys)],
            "t": moment + timedelta(days=n // len(keys)),
            "op": op,
            "text": f"{op}/{n}",
            **{f"f{number}": op for number in range(extra)},
        }
        for n in range(count)
    ]


def found_in(store):
    """Return what a store holds: rows of each operation, doubles, online rows that differ, definitions."""
    counts, doubles, differing, lag = [], 0, 0, 0
    for name in "ab":
        rows = store.read(name, columns=["op", "text"]).to_arrow()
        doubles += rows.num_rows - pc.count_distinct(rows.column("text")).as_py()
        counts += [[row["values"], name, row["counts"]] for row in rows.column("op").value_counts().to_pylist()]
        registered = store._parts.registry.group(name)
        with store._parts.online.snapshot() as snapshot:
            applied = snapshot.applied.get(registered.id)
        lag += sum(commit.number for commit in store.catalog.commits(name, limit=1)) - (
            applied.commit if applied else 0
        )
        differing += asof.quality.doctor._compare(store._parts, registered)[1]
    groups = {group.ref: len(group.definition.features) for group in store.catalog.groups()}
    return {"counts": counts, "doubles": doubles, "differing": differing, "lag": lag, "groups": groups}


class Worker:
    """Does random operations and says what it began and what was acknowledged, a JSON line each."""

    def __init__(self, folder, log, seed, state):
        # A file's pages belong to the kernel: what was written survives the kill without a sync.
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.rng = random.Random(seed)
        self.folder = folder
        self.op = state["op"]
        self.extra = state["extra"]
        self.groups = state["groups"]
        self.commits = state["commits"]

    def say(self, **line):
        os.write(self.log, json.dumps(line).encode() + b"\n")

    def run(self):
        self.store = asof.open(self.folder)
        found = found_in(self.store)
        # The kill may have come between a definition and its acknowledgement.
        self.extra = found["groups"]["a@1"] - 2
        self.groups = sum(name.startswith("c") for name in found["groups"])
        self.say(what="opened", **found)
        kinds = (
            ["push"] * 8
            + ["write"] * 3
            + ["backfill"] * 3
            + ["together"] * 2
            + ["retract", "apply", "compact", "create"]
        )
        while True:
            self.op += 1
            kind = self.rng.choice(kinds)
            getattr(self, kind)()

    def store_rows(self, kind, count):
        name = self.rng.choice("ab")
        given = rows(self.op, count, self.rng, self.extra if name == "a" else 0)
        self.say(what=kind, op=self.op, group=name, rows=count)
        commit = getattr(self.store, kind)(name, given)
        self.say(what="done", op=self.op, commit=commit.number)
        self.commits.append([name, commit.number, self.op])

    def push(self):
        self.store_rows("push", self.rng.randrange(1, 4))

    def write(self):
        self.store_rows("write", self.rng.randrange(1, 40))

    def backfill(self):
        self.store_rows("backfill", self.rng.choice([1, 30, 1000]))

    def together(self):
        self.say(what="together", op=self.op, rows=5)
        with self.store.together() as tx:
            tx.write("a", rows(self.op, 5, self.rng, self.extra))
            tx.write("b", rows(self.op, 5, self.rng))
        self.say(what="done", op=self.op)

    def retract(self):
        if not self.commits:
            return
        name, number, target = self.commits.pop(self.rng.randrange(len(self.commits)))
        self.say(what="retract", op=self.op, group=name, target=target)
        self.store.retract(f"{name}:{number}", reason="test")
        self.say(what="done", op=self.op)

    def apply(self):
        if self.extra < 12 and self.rng.random() < 0.3:
            self.say(what="apply", op=self.op, extra=self.extra + 1)
            self.store.apply(group("a", self.extra + 1))
            self.extra += 1
            self.say(what="done", op=self.op)

    def create(self):
        if self.groups < 30:
            self.say(what="create", op=self.op, groups=self.groups + 1)
            self.store.apply(group(f"c{self.groups}"), group(f"d{self.groups}"))
            self.groups += 1
            self.say(what="done", op=self.op)

    def compact(self):
        self.say(what="compact", op=self.op)
        self.store.compact(self.rng.choice("ab"))
        self.say(what="done", op=self.op)


def both(left, right):
    """Return a view over two groups that are always written together."""
    names = [(side, name) for side in (left, right) for name in ("op", "text")]
    return FeatureView("both", features=[side[name].alias(f"{side.name}_{name}") for side, name in names])


class CrowdedWriter:
    """Pushes and writes rows of its own key with rising numbers, and moves amounts between two groups.

    Says what it begins and what was acknowledged. A move writes both groups together: their amounts of a key add up to
    TOTAL, always.
    """

    def __init__(self, store, log, me, done):
        self.store = store
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.me = me
        self.rng = random.Random(f"{me} {done}")
        self.done = done

    def say(self, what):
        os.write(self.log, f"{what} {self.done}\n".encode())

    def step(self):
        self.done += 1
        chance = self.rng.random()
        if chance < 0.4:
            self.move()
        else:
            self.own(chance)
        if self.rng.random() < 0.02:
            with contextlib.suppress(ConflictError):
                self.store.compact(self.rng.choice(["a", "left", "right"]))

    def own(self, chance):
        self.say("own")
        row = {"k": self.me, "t": FIRST + timedelta(seconds=self.done), "op": self.done, "text": str(self.me)}
        if chance < 0.85:
            self.store.push("a", row)
        elif chance < 0.97:
            self.store.write("a", [row])
        else:
            self.store.backfill("a", [row])
        self.say("done")
        if self.store.online("a", {"k": self.me}).values["op"] != self.done:
            raise AssertionError(f"writer {self.me} cannot read its own row {self.done}")

    def move(self):
        self.say("move")
        # Event times of all writers are mixed, so that some moves come late and change no online row.
        moment = FIRST + timedelta(seconds=self.done + self.rng.randrange(60))
        keys = self.rng.sample(range(KEYS), self.rng.randrange(1, 4))
        amounts = {key: self.rng.randrange(TOTAL) for key in keys}
        with self.store.together() as tx:
            for name in ("left", "right"):
                given = [
                    {
                        "k": key,
                        "t": moment,
                        "op": amount if name == "left" else TOTAL - amount,
                        "text": f"{self.me}/{self.done}/{key}",
                    }
                    for key, amount in amounts.items()
                ]
                tx.write(name, given)
        self.say("done")


def write_in_a_crowd(folder, log, me, seconds, done):
    """Write for some seconds, after what a writer before us had begun."""
    end = time.monotonic() + seconds
    with asof.open(folder) as store:
        writer = CrowdedWriter(store, log, me, done)
        while time.monotonic() < end or writer.done < done + LEAST:
            writer.step()


def check_pair(row, where):
    """See that the two halves of a row come from one move."""
    if row["left_text"] != row["right_text"]:
        raise AssertionError(f"{where}: half of a move: {row}")
    if row["left_op"] is not None and row["left_op"] + row["right_op"] != TOTAL:
        raise AssertionError(f"{where}: the sum is broken: {row}")


class CrowdedReader:
    """Sees that nothing that was there is ever gone, and never half of what was written together."""

    def __init__(self, store):
        self.store = store
        self.seen = {}
        self.rows_seen = dict.fromkeys(("a", "left", "right"), 0)
        self.answers = 0

    def step(self):
        self.own_rows()
        self.pairs()
        self.whole_groups()

    def own_rows(self):
        """Numbers only rise, and one snapshot holds for all keys."""
        for vector in self.store.online("a", [{"k": k} for k in range(4)]):
            key, number = vector.receipt.keys["k"], vector.values["op"]
            if (number or 0) < self.seen.get(key, 0):
                raise AssertionError(f"key {key} went back from {self.seen[key]} to {number}")
            self.seen[key] = number or 0
        vector = self.store.online("a", {"k": 0})
        if self.store.replay(vector.receipt).values != vector.values:
            raise AssertionError(f"{vector.receipt} is not replayed")

    def pairs(self):
        """Online often, since it is fast; then in history as it is now, without pins, in each mode."""
        for _ in range(20):
            for vector in self.store.online("both", [{"k": k} for k in range(KEYS)]):
                check_pair(vector.values, "online")
                self.answers += 1
        now = datetime.now(UTC)  # noqa: TID251 - what has been served by now
        spine = [{"k": k, "at": at} for k in range(KEYS) for at in (FIRST + timedelta(seconds=30), now)]
        for known in ("served", "event"):
            for row in self.store.historical("both", spine, time="at", known=known).to_arrow().to_pylist():
                check_pair(row, f"historical, {known}")
                self.answers += 1

    def whole_groups(self):
        """What is in the one is in the other, which is read later."""
        texts = {}
        for name in ("a", "left", "right"):
            table = self.store.read(name, columns=["k", "op", "text"]).to_arrow()
            if table.num_rows < self.rows_seen[name]:
                raise AssertionError(f"{self.rows_seen[name]} rows of {name} became {table.num_rows}")
            self.rows_seen[name] = table.num_rows
            texts[name] = dict(zip(table.column("text").to_pylist(), table.column("op").to_pylist(), strict=True))
            if name != "a" and len(texts[name]) != table.num_rows:
                raise AssertionError(f"{name} has rows twice")
        for text, amount in texts["left"].items():
            if texts["right"].get(text) != TOTAL - amount:
                raise AssertionError(f"{text} is {amount} and {texts['right'].get(text)}")


def read_in_a_crowd(folder, log, seconds):
    """Read for some seconds; say how many rounds and how many pairs were looked at."""
    end = time.monotonic() + seconds
    rounds = 0
    with asof.open(folder) as store:
        reader = CrowdedReader(store)
        while time.monotonic() < end or rounds < LEAST:
            reader.step()
            rounds += 1
    Path(log).write_text(json.dumps([rounds, reader.answers]))


def open_at_once(folder, log, start):
    """Open (and make) a store at a given moment, and register a group."""
    while datetime.now(UTC).timestamp() < start:  # noqa: TID251 - what the processes share
        pass
    with asof.open(folder) as store:
        store.apply(group("a"), group(f"only_{Path(log).stem}"))
        store.push("a", {"k": 1, "t": FIRST, "op": os.getpid(), "text": "x"})
        Path(log).write_text(json.dumps(store.online("a", {"k": 1}).values["op"] is not None))


JOBS = {
    "work": lambda folder, log, seed, state: Worker(folder, log, seed, state).run(),
    "write": write_in_a_crowd,
    "read": read_in_a_crowd,
    "open": open_at_once,
}


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore", DataWarning)  # the rows are old on purpose
    upkeep.JOURNAL_ROWS = 40  # so that the journal is moved to files all the time
    upkeep.REST_SECONDS = 0.0
    merge.FILES = 3  # and that files are merged all the time
    for line in sys.stdin:
        if line.startswith("wait"):
            print(os.waitpid(int(line.split()[1]), 0)[1], flush=True)  # noqa: T201 - the protocol
            continue
        job, *arguments = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            try:
                JOBS[job](*arguments)
            except BaseException as error:  # noqa: BLE001 - told by the exit status
                import traceback

                traceback.print_exc()
                os._exit(3 if isinstance(error, AsofError) else 4)
            os._exit(0)
        print(pid, flush=True)  # noqa: T201 - the protocol


if __name__ == "__main__":
    main()
