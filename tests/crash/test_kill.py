"""Killed in the middle of anything: no acknowledged row is lost, none is doubled, the rest is all or nothing."""

import json
import os
import random
import signal
import time
from collections import Counter

import pytest

import asof
from asof.quality.doctor import _compare

KILLS = 200
LONGEST = 0.35
"""Seconds until the kill, at most: opening takes about a third of it, so that recovery is hit as well."""


class Model:
    """What the store must hold: rows of each operation and group; where an operation was cut off, either of two."""

    def __init__(self):
        self.expected = {}  # (op, group) -> rows
        self.open = {}  # op -> its first line
        self.extra = 0
        self.groups = 0
        self.commits = []
        self.op = 0
        self.retracting = {}

    def take(self, lines):
        self.open = {}
        for line in lines:
            if line["what"] == "opened":
                continue
            self.op = max(self.op, line["op"])
            if line["what"] == "done":
                begun = self.open.pop(line["op"])
                self.settle(begun, happened=True)
                if "commit" in line:
                    self.commits.append([begun["group"], line["commit"], line["op"]])
            else:
                self.open[line["op"]] = line

    def settle(self, begun, *, happened):
        op, what = begun["op"], begun["what"]
        if what in ("push", "write", "backfill"):
            self.expected[op, begun["group"]] = begun["rows"] if happened else 0
        elif what == "together":
            for name in "ab":
                self.expected[op, name] = begun["rows"] if happened else 0
        elif what == "retract":
            self.commits = [commit for commit in self.commits if commit[2] != begun["target"]]
            if happened:
                self.expected[begun["target"], begun["group"]] = 0
        elif happened and what == "apply":
            self.extra = begun["extra"]
        elif happened and what == "create":
            self.groups = begun["groups"]

    def check(self, store):
        found = Counter()
        for name in "ab":
            frame = store.read(name, columns=["op", "text"]).to_arrow().to_pydict()
            assert len(set(frame["text"])) == len(frame["text"]), "a row is there twice"
            found.update((op, name) for op in frame["op"])
        registered = {group.ref: group.definition for group in store.catalog.groups()}
        for begun in self.open.values():  # at most one: cut off by the kill
            self.settle(begun, happened=self.happened(begun, found, registered))
        wrong = {
            place: (count, found[place]) for place, count in self.expected.items() if found[place] != count
        } | {place: (0, count) for place, count in found.items() if place not in self.expected}
        assert not wrong, f"(operation, group): (expected, found) rows: {wrong}"
        assert len(registered["a@1"].features) == 2 + self.extra
        assert {f"{letter}{n}@1" for letter in "cd" for n in range(self.groups)} == registered.keys() - {"a@1", "b@1"}

    def happened(self, begun, found, registered):
        op, what = begun["op"], begun["what"]
        if what == "together":
            assert found[op, "a"] == found[op, "b"], "half of what was written together"
            return found[op, "a"] > 0
        if what == "retract":
            return found[begun["target"], begun["group"]] == 0
        if what == "apply":
            return len(registered["a@1"].features) == 2 + begun["extra"]
        if what == "create":
            pair = {f"c{begun['groups'] - 1}@1", f"d{begun['groups'] - 1}@1"} & registered.keys()
            assert len(pair) in (0, 2), "half of what was applied together"
            return bool(pair)
        return what != "compact" and found[op, begun["group"]] > 0


def run(zygote, folder, log, model, *, delay, seed):
    log.write_text("")
    state = {"op": model.op, "extra": model.extra, "groups": model.groups, "commits": model.commits}
    pid = zygote.start("work", str(folder), str(log), seed, state)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    status = zygote.wait(pid)
    assert os.WIFSIGNALED(status), f"the worker ended by itself: {zygote.errors.read_text()}"
    model.take(json.loads(line) for line in log.read_text().splitlines())


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path, zygote, group):
    seed = int(os.environ.get("ASOF_CRASH_SEED", time.time_ns() % 2**32))
    print(f"ASOF_CRASH_SEED={seed}")
    rng = random.Random(seed)
    folder, log, model = tmp_path / "features", tmp_path / "log", Model()
    with asof.open(folder) as store:
        store.apply(group("a"), group("b"))
    cut_off = Counter()
    for number in range(1, KILLS + 1):
        run(zygote, folder, log, model, delay=rng.random() ** 1.5 * LONGEST, seed=rng.randrange(2**32))
        cut_off.update([line["what"] for line in model.open.values()] or ["between"])
        with asof.open(folder) as store:
            model.check(store)
            for registered in store.catalog.groups():
                if registered.definition.name in "ab":
                    _, differing = _compare(store._parts, registered)
                    assert not differing, f"online differs from history in {registered.ref}"
            if number % 25 == 0:
                found = store.quality.doctor(repair=True)
                assert all(finding.where in ("debris",) for finding in found.findings), str(found)
                again = store.quality.doctor()
                assert again.healthy, str(again)
                assert store.verify("a", instants=5, keys=5).differences == ()
    print(dict(cut_off), f"{len(model.expected)} operations")
    with asof.open(folder) as store:
        store.compact()
        model.check(store)
        assert store.quality.doctor().healthy
