"""Many processes on one store at once."""

import json
import os
import signal
import time
from datetime import UTC, datetime

import pytest

import asof

WRITERS = READERS = 4


class Told:
    """What one writer, and who took its place, began and finished."""

    def __init__(self, log):
        lines = [line.split() for line in log.read_text().splitlines()]
        done = {int(number) for what, number in lines if what == "done"}
        begun = {int(number): what for what, number in lines if what != "done"}
        self.last = max(begun)
        self.done = {kind: {n for n in done if begun[n] == kind} for kind in ("own", "move")}
        self.cut_off = begun.keys() - done

    def agrees(self, kind, found):
        """See that all that was acknowledged is there, and nothing else but what a kill cut off."""
        assert self.done[kind] <= found, f"lost: {self.done[kind] - found}"
        assert found <= self.done[kind] | self.cut_off


def replaced(zygote, folder, log, pid, seconds):
    """Kill a writer in the middle of its work, and start another one in its place."""
    end = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(seconds / 4)
    os.kill(pid, signal.SIGKILL)
    assert os.WIFSIGNALED(zygote.wait(pid)), zygote.errors.read_text()
    return zygote.start("write", str(folder), str(log), 0, seconds / 2, Told(log).last)


@pytest.mark.parametrize("seconds", [pytest.param(4, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.long)])
def test_four_writers_and_four_readers_get_along(tmp_path, zygote, group, both, seconds):
    folder = tmp_path / "features"
    left, right = group("left"), group("right")
    with asof.open(folder) as store:
        store.apply(group("a"), left, right, both(left, right))
    logs = [tmp_path / f"log{n}" for n in range(WRITERS + READERS)]
    writers = [zygote.start("write", str(folder), str(logs[n]), n, seconds, 0) for n in range(WRITERS)]
    readers = [zygote.start("read", str(folder), str(log), seconds) for log in logs[WRITERS:]]
    writers[0] = replaced(zygote, folder, logs[0], writers[0], seconds)
    statuses = [zygote.wait(pid) for pid in writers + readers]
    assert statuses == [0] * (WRITERS + READERS), zygote.errors.read_text()
    told = [Told(log) for log in logs[:WRITERS]]
    assert [len(each.cut_off) for each in told[1:]] == [0] * (WRITERS - 1)
    with asof.open(folder) as store:
        check_rows(store, told)
        for name in ("a", "left", "right"):
            commits = store.catalog.commits(name)
            for clock in ([c.number for c in commits], [c.committed_at for c in commits]):
                assert clock == sorted(set(clock))
        shared = [[c.committed_at for c in store.catalog.commits(name)] for name in ("left", "right")]
        assert shared[0] == shared[1]
        diagnosis = store.quality.doctor(repair=True)
        assert {finding.where for finding in diagnosis.findings} <= {"debris"}, str(diagnosis)  # of who was killed
        assert store.verify("both", instants=5, keys=5).differences == ()
        commits = sum(len(store.catalog.commits(name)) for name in ("a", "left", "right"))
    rounds, answers = map(sum, zip(*(json.loads(log.read_text()) for log in logs[WRITERS:]), strict=True))
    print(f"{commits} commits, {rounds} rounds of reads, {answers} pairs")  # noqa: T201 - how hard it was


def check_rows(store, told):
    """See that every acknowledged row is there once, in both groups if it was a move, and served."""
    rows = store.read("a", columns=["k", "op"]).to_arrow().to_pydict()
    served = store.online("a", [{"k": k} for k in range(WRITERS)])
    for writer, each in enumerate(told):
        mine = [op for k, op in zip(rows["k"], rows["op"], strict=True) if k == writer]
        assert len(mine) == len(set(mine)), "a row is there twice"
        each.agrees("own", set(mine))
        assert served[writer].values["op"] == max(mine)
    sides = [sorted(store.read(name).to_arrow().column("text").to_pylist()) for name in ("left", "right")]
    assert sides[0] == sides[1]
    assert len(sides[0]) == len(set(sides[0])), "a row is there twice"
    for writer, each in enumerate(told):
        mine = [text.split("/") for text in sides[0]]
        each.agrees("move", {int(number) for who, number, _ in mine if int(who) == writer})


@pytest.mark.slow
def test_processes_that_make_the_same_store_at_once_share_it(tmp_path, zygote):
    for turn in range(3):
        folder = tmp_path / f"features{turn}"
        logs = [tmp_path / f"w{turn}_{n}.json" for n in range(6)]
        start = datetime.now(UTC).timestamp() + 0.15  # noqa: TID251 - what the processes share
        workers = [zygote.start("open", str(folder), str(log), start) for log in logs]
        statuses = [zygote.wait(pid) for pid in workers]
        assert statuses == [0] * 6, zygote.errors.read_text()
        assert all(json.loads(log.read_text()) for log in logs)
        with asof.open(folder) as store:
            assert len(store.read("a")) == 6
            assert len(store.catalog.groups()) == 7
            assert store.quality.doctor().healthy
