"""Full loads of which few rows changed, into history + LMDB: skipped beside stored.

`python benchmarks/change_aware.py 100000000` runs one size by hand, with both sides; 100 M entities need some 40 GiB of
memory, or `--parts 10`: ten loads of a tenth of the entities each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from data import DAY_US, START, USER, Hands, start_us, timestamps
from measure import Table, own_peak_mib

import asof
from asof import Feature, FeatureGroup
from asof.errors import DataWarning

FEATURES = 7
CHANGED = 0.05


def run(folder, *, quick):
    """Return the table of this benchmark."""
    entities = 5000 if quick else 10_000_000
    return [measured(folder, entities, parts=1)]


def measured(folder, entities, *, parts):
    """Measure each side in a process of its own, for its peak memory."""
    table = Table(
        f"A full load of {entities:,} entities, {1 - CHANGED:.0%} of them unchanged",
        f"{FEATURES} float features into history + LMDB; the second load of the same entities, in the order of their "
        "keys, and what it added to the history. A process each; peak memory with the frame and the load before",
        1,
    )
    for side in ("skip", "store"):
        place = folder / side
        command = [sys.executable, __file__, str(entities), "--inside", side, "--folder", place, "--parts", str(parts)]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        table.add(
            side={"skip": "unchanged rows skipped", "store": "all stored"}[side],
            seconds=found["seconds"],
            cpu_seconds=found["cpu_seconds"],
            rows_a_second=entities / found["seconds"],
            unchanged=found["unchanged"],
            history_mb_added=found["added"] / 1e6,
            peak_mib=found["peak_mib"],
        )
    return table


def inside(side, folder, entities, parts):
    """Load twice; print what the second load took."""
    clock = Hands(START.replace(year=2027))
    with asof.open(folder, clock=clock) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        features = [Feature(f"f{at}", "float64") for at in range(FEATURES)]
        store.apply(FeatureGroup("g", entity=USER, event_time="ts", features=features, online=True, on_unchanged=side))
        each = entities // parts
        for part in range(parts):
            store.write("g", frame(part, each, day=0))
        before, seconds, cpu_seconds, unchanged = size(folder), 0.0, 0.0, 0
        for part in range(parts):
            rows = frame(part, each, day=1)
            start, cpu = time.perf_counter(), time.process_time()
            unchanged += store.write("g", rows).unchanged
            seconds += time.perf_counter() - start
            cpu_seconds += time.process_time() - cpu
        found = {"seconds": seconds, "cpu_seconds": cpu_seconds, "unchanged": unchanged, "added": size(folder) - before}
    print(json.dumps(found | {"peak_mib": own_peak_mib()}))


def frame(part, count, *, day):
    """Return a full load of some entities: on day 1 some rows are others than on day 0."""
    rng = np.random.default_rng(part)
    changed = np.flatnonzero(np.random.default_rng((part, 1)).random(count) < CHANGED) if day else []
    columns = {
        "user": np.arange(part * count, (part + 1) * count),
        "ts": timestamps(np.full(count, start_us() + day * DAY_US)),
    }
    for at in range(FEATURES):
        values = rng.random(count)
        if day:
            values[changed] += 1
        columns[f"f{at}"] = pa.array(values)
    return pa.table(columns)


def size(folder):
    """Return the bytes of the history's data files."""
    return sum(file.stat().st_size for file in (Path(folder) / "history").rglob("*.parquet"))


def main():
    """Run one size by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entities", type=int)
    parser.add_argument("--parts", type=int, default=1, help="loads, of as many entities each")
    parser.add_argument("--folder", help="where the stores go; a temporary folder if not given")
    parser.add_argument("--inside", choices=["skip", "store"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside, options.folder, options.entities, options.parts)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measured(Path(folder), options.entities, parts=options.parts)


if __name__ == "__main__":
    main()
