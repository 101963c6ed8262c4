"""Killed in the middle of anything: no acknowledged row is lost, none is doubled, the rest is all or nothing."""

import json
import os
import random
import signal
import time
from collections import Counter

import pytest

import asof

KILLS = 200
LONGEST = 0.15
"""Seconds until the kill, at most."""


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
        for line in lines:
            if line["what"] == "opened":
                self.check(line)
                self.open = {}
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

    def check(self, state):
        """Compare with what a store holds that was opened after a kill."""
        found = Counter({(op, name): count for op, name, count in state["counts"]})
        for begun in self.open.values():  # at most one: cut off by the kill
            self.settle(begun, happened=self.happened(begun, found, state["groups"]))
        wrong = {place: (count, found[place]) for place, count in self.expected.items() if found[place] != count}
        wrong |= {place: (0, count) for place, count in found.items() if place not in self.expected}
        assert not wrong, f"(operation, group): (expected, found) rows: {wrong}"
        assert not state["doubles"], "rows are there twice"
        assert not state["differing"], "online differs from history"
        assert not state["lag"], "online lacks commits"
        assert state["groups"]["a@1"] == 2 + self.extra
        assert state["groups"].keys() - {"a@1", "b@1"} == {f"{x}{n}@1" for x in "cd" for n in range(self.groups)}

    def happened(self, begun, found, groups):
        op, what = begun["op"], begun["what"]
        if what == "together":
            assert found[op, "a"] == found[op, "b"], "half of what was written together"
            return found[op, "a"] > 0
        if what == "retract":
            return found[begun["target"], begun["group"]] == 0
        if what == "apply":
            return groups["a@1"] == 2 + begun["extra"]
        if what == "create":
            pair = {f"c{begun['groups'] - 1}@1", f"d{begun['groups'] - 1}@1"} & groups.keys()
            assert len(pair) in (0, 2), "half of what was applied together"
            return bool(pair)
        return what != "compact" and found[op, begun["group"]] > 0


def run(zygote, folder, log, model, *, opened, delay, seed):
    log.write_text("")
    state = {"op": model.op, "extra": model.extra, "groups": model.groups, "commits": model.commits}
    pid = zygote.start("work", str(folder), str(log), seed, state)
    end = time.monotonic() + 60
    while opened and not log.stat().st_size and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    status = zygote.wait(pid)
    assert os.WIFSIGNALED(status), f"the worker ended by itself: {zygote.errors.read_text()}"
    model.take(json.loads(line) for line in log.read_text().splitlines())


@pytest.mark.begun_first
@pytest.mark.slow
def test_two_hundred_kills_lose_nothing_and_double_nothing(tmp_path, zygote, group, found_in):
    seed = int(os.environ.get("ASOF_CRASH_SEED", random.randrange(2**32)))
    print(f"ASOF_CRASH_SEED={seed}")  # noqa: T201 - to do it again
    rng = random.Random(seed)
    folder, log, model = tmp_path / "features", tmp_path / "log", Model()
    with asof.open(folder) as store:
        store.apply(group("a"), group("b"))
    cut_off = Counter()
    for number in range(1, KILLS + 1):
        opened = rng.random() > 0.1  # else the kill may hit the opening, and what it repairs
        run(zygote, folder, log, model, opened=opened, delay=rng.random() * LONGEST, seed=rng.randrange(2**32))
        cut_off.update([line["what"] for line in model.open.values()] or ["between"])
        if number % 40 == 0:
            with asof.open(folder) as store:
                model.check(found_in(store))
                model.open = {}
                found = store.quality.doctor(repair=True)
                assert all(finding.where == "debris" for finding in found.findings), str(found)
                again = store.quality.doctor()
                assert again.findings == (), str(again)
                assert store.verify("a", instants=5, keys=5).differences == ()
    print(dict(cut_off), f"{len(model.expected)} operations")  # noqa: T201 - what was hit
    with asof.open(folder) as store:
        before = found_in(store)
        store.compact()
        model.check(before)
        assert sorted(found_in(store)["counts"]) == sorted(before["counts"])
        assert store.quality.doctor().healthy
