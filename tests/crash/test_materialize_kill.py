"""Runs of a transformation that are killed with SIGKILL: the next one goes on, and nothing is lost or doubled."""

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import SQL, Entity, Feature, FeatureGroup

KILLS = 12
RUN = """
import sys
import asof
from asof.ingest import materialize
materialize.CHUNK_ROWS = 50
with asof.open(sys.argv[1]) as store:
    while True:
        store.materialize("made", full=sys.argv[2] == "full", progress=lambda *_: print("step", flush=True))
"""


@pytest.mark.begun_first
@pytest.mark.slow
def test_killed_runs_lose_nothing_and_double_nothing(tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to do it again
    rng = random.Random(seed)
    thing = Entity("thing", keys={"k": "int64"})
    source = FeatureGroup("source", entity=thing, event_time="time", features=[Feature("v", "int64")])
    made = FeatureGroup("made", entity=thing, source=source, features=[Feature("w", "int64")], online=True,
                        transform=SQL("SELECT k, time, v * 2 AS w FROM source"))  # fmt: skip
    begin, number = datetime(2026, 1, 1, tzinfo=UTC), 0
    folder = tmp_path / "features"
    with asof.open(folder) as store:
        store.apply(source, made)
    for kill in range(KILLS):
        with asof.open(folder) as store:
            for _ in range(30):
                rows = [{"k": k, "time": begin + timedelta(hours=number), "v": number + k} for k in range(20)]
                store.backfill("source", rows)
                number += 1
        how = "full" if kill % 4 == 3 else "new"
        process = subprocess.Popen([sys.executable, "-c", RUN, folder, how], stdout=subprocess.PIPE)
        for _ in range(rng.randint(1, 10)):
            assert process.stdout.readline() == b"step\n"
        time.sleep(rng.random() * 0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with asof.open(folder) as store:
        half = store.read("made").to_arrow().num_rows
        store.materialize("made")
        of_source = {(r["k"], r["time"], 2 * r["v"]) for r in store.read("source").to_arrow().to_pylist()}
        found = [(r["k"], r["time"], r["w"]) for r in store.read("made").to_arrow().to_pylist()]
        assert 0 < half <= len(found) == len(of_source) == KILLS * 30 * 20
        assert set(found) == of_source
        assert store.quality.doctor(repair=True).healthy or store.quality.doctor().healthy
        assert store.verify("made", instants=3, keys=3).differences == ()
