"""Full loads of which one feature changed in most rows and the others in few: hot and cold split, and not."""

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from data import DAY_US, START, USER, Hands, start_us, timestamps
from measure import Table, own_peak_mib

import asof
from asof import Feature, FeatureGroup, FeatureView
from asof.errors import DataWarning

FEATURES = 20
HOT_CHANGED, COLD_CHANGED = 0.9, 0.01
SPINE_ROWS = 100_000


def run(folder, *, quick):
    """Return the table of this benchmark: each side in a process of its own, for its peak memory."""
    entities = 5000 if quick else 2_000_000
    table = Table(
        f"A full load of {entities:,} entities, one of {FEATURES} features changed in {HOT_CHANGED:.0%} of them",
        f"Float features into history + LMDB, unchanged rows skipped; the others changed in {COLD_CHANGED:.0%} of the "
        "rows. The second load of the same entities, and what it added to the history; then historical reads of "
        f"{min(SPINE_ROWS, entities):,} of them: of the hot feature, and of all",
        1,
    )
    for side in ("split", "whole"):
        command = [sys.executable, __file__, side, str(entities), folder / side]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        table.add(
            side={"split": "hot and cold split", "whole": "not split"}[side],
            seconds=found["seconds"],
            cpu_seconds=found["cpu_seconds"],
            rows_a_second=entities / found["seconds"],
            history_mb_added=found["added"] / 1e6,
            read_hot_seconds=found["read_hot"],
            read_all_seconds=found["read_all"],
            peak_mib=found["peak_mib"],
        )
    return [table]


def inside(side, folder, entities):
    """Load twice, with a split in between or without; print what the second load took, and reads after it."""
    clock = Hands(START.replace(year=2027))
    with asof.open(folder, clock=clock) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        names = [f"f{at}" for at in range(FEATURES)]
        features = [Feature(name, "float64") for name in names]
        group = FeatureGroup("g", entity=USER, event_time="ts", features=features, online=True, on_unchanged="skip")
        store.apply(group, FeatureView("hot", features=[group["f0"]]), FeatureView("every", features=[group]))
        store.write("g", frame(entities, day=0))
        if side == "split":
            store.catalog.split("g", cold=names[1:])
        before, rows = size(folder), frame(entities, day=1)
        start, cpu = time.perf_counter(), time.process_time()
        store.write("g", rows)
        found = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        found["added"] = size(folder) - before
        users = np.random.default_rng(2).permutation(entities)[:SPINE_ROWS]
        spine = pa.table({"user": users, "t": timestamps(np.full(len(users), start_us() + 2 * DAY_US))})
        for name, view in (("read_hot", "hot"), ("read_all", "every")):
            start = time.perf_counter()
            store.historical(view, spine, time="t", known="event").to_arrow()
            found[name] = time.perf_counter() - start
    print(json.dumps(found | {"peak_mib": own_peak_mib()}))


def frame(count, *, day):
    """Return a full load: on day 1 the first feature is another in most rows, and the others are in few."""
    rng, later = np.random.default_rng(0), np.random.default_rng(1)
    hot, cold = (later.random(count) < share for share in (HOT_CHANGED, COLD_CHANGED))
    columns = {"user": np.arange(count), "ts": timestamps(np.full(count, start_us() + day * DAY_US))}
    for at in range(FEATURES):
        columns[f"f{at}"] = pa.array(rng.random(count) + day * (cold if at else hot))
    return pa.table(columns)


def size(folder):
    """Return the bytes of the history's data files."""
    return sum(file.stat().st_size for file in (Path(folder) / "history").rglob("*.parquet"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=["split", "whole"])
    parser.add_argument("entities", type=int)
    parser.add_argument("folder", type=Path, help="where the store goes")
    options = parser.parse_args()
    inside(options.side, options.folder, options.entities)
