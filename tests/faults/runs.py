"""Runs with a fault each, by their seeds: `python runs.py FIRST LAST STEP` prints where each fault fired."""

import os
import shutil
import sys
import tempfile
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

from deltalake import DeltaTable

from asof.errors import BackendError, DataWarning
from asof.ingest import merge, upkeep
from asof.offline.delta import DeltaHistory
from asof.parts import open_parts, table_of
from asof.store import Store
from asof.testing.faults import LOSABLE, WAYS, Faulted, Faults, FaultyFiles, Stopped, drawn
from asof.testing.played import Clock, Played
from asof.testing.strategies import HOUR_US, History, Op, histories, instants

PORTS = {
    "registry": ("apply", "group", "groups", "generation"),
    "log": ("publish", "commits", "heads", "snapshot", "snapshots", "replace_files", "files", "forget_files"),
    "online": ("snapshot", "apply", "clear", "count"),
    "engine": ("newest", "stamped"),
    "history": ("mirror",),
}
FILES = ("make_folder", "create", "write", "sync", "rename", "sync_folder", "remove", "open", "find", "hold", "is_held")
OPERATIONS = (*(f"{port}.{name}" for port, names in PORTS.items() for name in names), *(f"files.{f}" for f in FILES))
UPKEEP = ("work", "compact", "merge", "seal", "sweep", "doctor", "reopen", "amend", "rebuild", "ask")
LAST = ("push", *UPKEEP, "push", "seal", "litter", *UPKEEP)
"""Does every operation, for faults that have not come by then."""

FOREVER = 2**62
MEMORY = Path("/dev/shm")
"""The disk is simulated: a real one would only make it slower."""


def plan(seed):
    """Give the fault of a seed: every operation in turn, every way in turn."""
    random = Random(seed)
    target = OPERATIONS[seed % len(OPERATIONS)]
    way = WAYS[(seed + seed // len(OPERATIONS)) % len(WAYS)]
    if way == "lose" and target not in LOSABLE:
        way = random.choice([way for way in WAYS if way != "lose"])
    return Faults(random, way, target, countdown=random.choice([1, 1, 2, 3, 5]))


def writable(op):
    """Tell whether an op can be a write, for groups written together."""
    return op.kind in ("write", "push") or (op.kind == "backfill" and not op.has_arrivals)


def rows_of(history):
    """Give the rows that a push can repeat."""
    return [row for op in history.ops for row in op.rows if not row.retired]


@cache
def drawn_histories():
    """Give the histories that runs choose from, the same ones at each start."""
    return drawn(histories(max_ops=4).filter(rows_of), 100)


class Online(Faulted):
    """The online store behind faults; its own check takes a process and 0.3 s, and the kills of `tests/crash` run it."""

    def check(self):
        return []


class Run:
    """One run: two groups, their ops, what keeps a store in shape, and one fault."""

    def __init__(self, seed, place):
        self.faults = plan(seed)
        self.random = Random(~seed)
        self.place = place
        self.folder = place / "features"
        self.clock = Clock()
        self.faults.at_stop = self.take_image
        self.writes = 0
        sources = self.random.sample(drawn_histories(), 2)
        self.actions = self.mixed(*(list(history.ops) for history in sources), sources)
        self.groups = []
        self.open()
        self.groups = [Played(self.store, self.clock, h, name) for h, name in zip(self.histories, "ab", strict=True)]

    def mixed(self, first, second, sources):
        """Mix the ops of two groups with upkeep; some pairs become writes of both together, at one time."""
        random, queues, actions = self.random, [first, second], []
        done = [[], []]
        while any(queues):
            if random.random() < 0.4:
                actions.append((random.choice(UPKEEP),))
            if all(queues) and all(writable(queue[0]) for queue in queues) and random.random() < 0.6:
                ops = [queue.pop(0) for queue in queues]
                now = max(op.now for op in ops)
                for mine, op in zip(done, ops, strict=True):
                    mine.append(replace(op, kind="write", now=now))
                actions.append(("together",))
                continue
            which = random.choice([n for n in (0, 1) if queues[n]])
            done[which].append(queues[which].pop(0))
            actions.append(("op", which))
        self.histories = [History(h.group, h.key_types, tuple(ops)) for h, ops in zip(sources, done, strict=True)]
        return actions

    # ---- the store, and its end

    def open(self):
        """Open the store with every part behind the faults; what a crash left is repaired."""
        data = self.folder / "online" / "data.mdb"
        self.synced_online = data.read_bytes() if data.exists() else None
        self.parts = open_parts(self.folder, create=True, clock=self.clock)
        self.parts.history.close()
        try:
            self.files = FaultyFiles(self.faults)
            history = DeltaHistory("history/", root=str(self.folder), files=self.files)
            ports = {name: getattr(self.parts, name) for name in PORTS} | {"history": history}
            faulted = {
                name: (Online if name == "online" else Faulted)(port, name, PORTS[name], self.faults)
                for name, port in ports.items()
            }
            self.store = Store(replace(self.parts, **faulted))
            self.store._writer.recover()
        except BaseException:
            self.abandon()
            raise
        for played in self.groups:
            played.store = self.store

    def abandon(self):
        """Free what a dead process would not hold, without finishing anything."""
        for part in (self.parts.online, self.parts.engine, self.parts.log):
            part.close()
        if hasattr(self, "store"):
            self.store._closed = True

    def take_image(self):
        """Keep what is on the disk now; with the power goes what was not synced."""
        self.image = self.folder.with_name(self.folder.name + "_")
        shutil.copytree(self.folder, self.image, ignore=shutil.ignore_patterns("lock.mdb", "*-shm"))
        if self.faults.way == "power":
            self.files.lose_power(self.folder, self.image)
            self.tear_delta_logs()
            online = self.image / "online"
            (online / "data.mdb").unlink()
            if self.synced_online is not None:
                (online / "data.mdb").write_bytes(self.synced_online)
            (online / "CLEAN").write_text("another-run-of-the-machine -1")

    def tear_delta_logs(self):
        """Cut files of the Delta logs, or take them away: deltalake syncs none."""
        for log in sorted((self.image / "history").glob("*/_delta_log/*.json")):
            if self.random.random() < 0.3:
                os.truncate(log, self.random.randint(0, log.stat().st_size))
            elif self.random.random() < 0.1:
                log.unlink()

    def start_again(self):
        """Open what the dead process left."""
        self.faults.stopped = False
        self.abandon()
        shutil.rmtree(self.folder)
        self.folder = self.image
        self.open()
        for played in self.groups:
            self.adopt(played)
            in_flight = len(self.store.catalog.commits(played.name)) - len(played.commits)
            assert in_flight in (0, 1)
            if not in_flight:
                played.check_historical(self.spine(played), "served")
                played.check_online(self.keys(played))

    # ---- actions

    def go(self):
        """Do everything; the fault comes somewhere in the middle, and at the latest with the last upkeep."""
        armed_at = self.random.randrange(len(self.actions) + 1)
        for place, action in enumerate(self.actions):
            self.faults.armed |= place >= armed_at
            self.act(*action)
        self.faults.armed = True
        for action in LAST:
            if self.faults.fired:
                break
            self.faults.countdown = 1
            self.act(action)
        assert self.faults.fired
        self.settle()

    def act(self, what, which=0):
        self.faults.say(f"{what} {'ab'[which] if what == 'op' else ''}")
        self.move_clock()
        if what == "op":
            self.write([self.groups[which]])
        elif what == "together":
            self.write(self.groups)
        else:
            self.attempt(getattr(self, what))

    def move_clock(self):
        """Let the clock stand still, go on, or go back."""
        self.clock.now_us += self.random.choice([0, 0, 1, -1, HOUR_US, -HOUR_US])

    def attempt(self, work):
        """Do something that may meet the fault; give what it returned, and whether it did not."""
        before = self.faults.fired
        try:
            return work(), False
        except Stopped:
            self.start_again()
        except BackendError:
            assert self.faults.fired != before, "an error without a fault"
            self.faults.say("  failed")
            if self.store._closed:
                self.open()
            for played in self.groups:
                played.check_law_3(self.keys(played)[:1])
        return None, True

    def write(self, groups):
        """Make the next commit of each group, as one if there are two; after a fault find out, and try again."""
        ops = [played.history.ops[len(played.commits)] for played in groups]
        self.writes += 1
        key = self.random.choice(["", f"once {self.writes}"])
        commits, failed = self.attempt(lambda: self.commit(groups, ops, key))
        if failed:
            found = [self.store.catalog.commits(played.name)[len(played.commits) :] for played in groups]
            assert len({len(each) for each in found}) == 1, "written together: all or nothing"
            self.faults.say(f"  happened: {bool(found[0])}")
            takes_key = key and ops[0].kind not in ("retire", "retract")
            if not found[0] or takes_key:
                commits = self.commit(groups, ops, key)
                assert [commit.repeated for commit in commits] == [bool(found[0])] * len(groups)
            if found[0]:
                assert found == [[commit] for commit in commits or (each[0] for each in found)]
                commits = [each[0] for each in found]
        shared = max(commit.committed_at_us for commit in commits)
        assert all(commit.committed_at_us == shared for commit in commits)
        for played, op, commit in zip(groups, ops, commits, strict=True):
            played.take(op, commit, committed_at=shared if len(groups) > 1 else None)

    def commit(self, groups, ops, key):
        self.clock.now_us = ops[0].now
        if len(groups) == 1:
            return [groups[0].do(ops[0], key=key)]
        with self.store.together() as tx:
            for played, op in zip(groups, ops, strict=True):
                tx.write(played.ref, played.table(op), idempotency_key=key, on_conflict=op.on_conflict)
        return tx.commits

    def push(self):
        """Add a push to each group beyond its history: what the journal needs for upkeep."""
        for played in self.groups:
            row = replace(rows_of(played.history)[0], arrival=None)
            op = Op("push", max(op.now for op in played.history.ops), (row,))
            played.history = replace(played.history, ops=(*played.history.ops, op))
            self.write([played])

    def work(self):
        self.store._writer.upkeep.work()

    def compact(self):
        self.store.compact()

    def merge(self):
        for played in self.groups:
            self.store._writer.upkeep.merge(self.store._parts.registry.group(played.ref))

    def seal(self):
        for played in self.groups:
            self.store._writer.upkeep.seal(self.store._parts.registry.group(played.ref))

    def sweep(self):
        self.store._writer.upkeep.sweep(now_us=FOREVER)

    def doctor(self):
        self.store.quality.doctor(repair=True)

    def ask(self):
        """Read; a fault is an error, never another answer."""
        for played in self.groups:
            played.check_historical(self.spine(played), "served")

    def rebuild(self):
        for played in self.groups:
            self.store._writer.feed.rebuild(self.store._parts.registry.group(played.ref))

    def litter(self):
        """Leave a file as a process leaves one that died long ago."""
        folder = self.folder / "history" / "a@1.1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{0:012x}-{1:012x}.parquet").write_bytes(b"PAR1")

    def reopen(self):
        self.store.close()
        self.open()

    def amend(self):
        for played in self.groups:
            if len(played.types) < 6:
                definition = played.amended(features={f"later{len(played.types)}": "int64"})
                _, failed = self.attempt(lambda made=definition: self.store.apply(made))
                if failed:
                    self.store.apply(definition)
                self.adopt(played)

    def adopt(self, played):
        """Let the oracle know the features that the store has."""
        played.adopt(self.parts.registry.group(played.ref).definition)

    # ---- what must hold

    def keys(self, played):
        return list(dict.fromkeys(row.key for op in played.history.ops for row in op.rows))

    def moments(self, played):
        """Give the times at which answers change, and their neighbours."""
        return instants(played.history) + [c.committed_at_us + step for c in played.commits for step in (-1, 0, 1)]

    def spine(self, played):
        moments, keys = self.moments(played), self.keys(played)
        return [(key, self.random.choice(moments)) for key in [*keys, (*keys[0][:-1], None)] for _ in range(5)]

    def check(self, played):
        """Hold the answers of a group to the oracle's: in some mode, as stored, and online."""
        moments = self.moments(played)
        pin = self.random.choice([None, self.random.randint(0, len(played.commits))])
        known = self.random.choice(["served", "event", self.random.choice(moments)])
        played.check_historical(self.spine(played), known, pin)
        played.check_read(self.random.choice([None, self.random.choice(moments)]))
        played.check_online(self.keys(played))

    def settle(self):
        """Look at everything, after an error first on the store that is open, then on a new one."""
        self.faults.armed = False
        if self.faults.way in ("fail", "lose"):
            self.store.compact()
            mended = self.store.quality.doctor(repair=True)
            assert mended.healthy, str(mended)
            self.reopen()
        for played in self.groups:
            assert self.store.catalog.commits(played.name) == played.commits
        found = self.store.quality.doctor(repair=True)
        assert all(finding.where == "debris" for finding in found.findings), str(found)
        if found.findings:
            again = self.store.quality.doctor()
            assert not again.findings, str(again)
        self.sweep()
        self.check_files()
        for played in self.groups:
            self.check(played)
        self.store.close()

    def check_files(self):
        """See that no data file is there that is not live, and that the Delta log says the same."""
        history = self.folder / "history"
        live = self.parts.log.files()
        assert all(live.values())
        assert {f"{p.parent.name}/{p.name}" for p in history.glob("*/*.parquet*")} == set(live)
        for played in self.groups:
            name = table_of(self.parts.registry.group(played.ref)).name
            mine = {path.partition("/")[2] for path in live if path.startswith(f"{name}/")}
            place = str(history / name)
            mirrored = DeltaTable(place).file_uris() if DeltaTable.is_deltatable(place) else []
            assert {Path(uri).name for uri in mirrored} == mine


def run(seed):
    """Run a seed and give its faults; its trace comes with whatever it finds."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        begun = Run(seed, Path(place))
        try:
            begun.go()
        except BaseException as error:
            lines = "\n".join(begun.faults.trace)
            error.add_note(f"ASOF_FAULT_SEED={seed}: {begun.faults.way} {begun.faults.fired}\n{lines}")
            raise
        return begun.faults


def main(first, last, step):
    """Run every so many seeds, and print where each fault fired, a line each."""
    warnings.simplefilter("ignore", DataWarning)
    upkeep.BACKGROUND = False  # upkeep waits until a run does it
    merge.FILES = 2  # so that a few commits are enough to merge
    upkeep.JOURNAL_ROWS = 3  # so that the journal is moved to files after a few pushes
    for seed in range(first, last, step):
        faults = run(seed)
        told = [f"{seed} {faults.way} {faults.fired}", *(faults.trace if last == first + 1 else ())]
        print("\n".join(told), flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
