"""Runs that take rows from files and functions, killed with SIGKILL: each row is there once, whatever the run did."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, Files

KILLS = 8
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CODE = """
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

def pages(cursor):
    at = cursor or 0
    lines = Path("log.txt").read_text().split()
    while at < len(lines):
        some = lines[at:at + 20]
        yield [{"k": int(n) % 20, "time": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=int(n)), "v": int(n)} for n in some], at + len(some)
        at += len(some)
"""
RUN = """
import sys
import asof
with asof.open("features") as store:
    while True:
        for group in sys.argv[2:]:
            store.materialize(group, full=sys.argv[1] == "full", progress=lambda *_: print("step", flush=True))
"""


@pytest.mark.slow
def test_killed_runs_take_each_row_once(tmp_path, monkeypatch):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to do it again
    rng = random.Random(seed)
    (tmp_path / "feeds_killed.py").write_text(CODE)
    (tmp_path / "exports").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    thing = Entity("thing", keys={"k": "int64"})
    parts = {
        "entity": thing,
        "event_time": "time",
        "features": [Feature("v", "int64")],
        "online": True,
        "known": "event",
    }
    number, folder = 0, tmp_path / "features"
    with asof.open(folder) as store:
        store.apply(FeatureGroup("files", source=Files("../exports/*.csv"), **parts))
        store.apply(FeatureGroup("pages", source="feeds_killed:pages", **parts))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for kill in range(KILLS):
        for _ in range(30):
            lines = [f"{n % 20},{(BEGIN + timedelta(minutes=n)).isoformat()},{n}" for n in range(number, number + 20)]
            (tmp_path / "exports" / f"{number:05}.csv").write_text("\n".join(["k,time,v", *lines, ""]))
            with (tmp_path / "log.txt").open("a") as log:
                log.write("".join(f"{n}\n" for n in range(number, number + 20)))
            number += 20
        how = "full" if kill % 4 == 3 else "new"
        command = [sys.executable, "-c", RUN, how, *rng.sample(["files", "pages"], 2)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environment)
        for _ in range(rng.randint(1, 40)):
            assert process.stdout.readline() == b"step\n"
        time.sleep(rng.random() * 0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    monkeypatch.chdir(tmp_path)
    with asof.open(folder) as store:
        expected = {(n % 20, BEGIN + timedelta(minutes=n), n) for n in range(number)}
        for group in ("files", "pages"):
            half = store.read(group).to_arrow().num_rows
            store.materialize(group)
            found = [(row["k"], row["time"], row["v"]) for row in store.read(group).to_arrow().to_pylist()]
            assert half <= len(found) == len(expected)
            assert set(found) == expected
            assert store.materialize(group) == []
            assert store.verify(group, instants=3, keys=3).differences == ()
        assert store.quality.doctor(repair=True).healthy or store.quality.doctor().healthy
