"""Full loads of which few rows changed, into history + LMDB: skipped beside stored, in memory and from a file.

`python benchmarks/change_aware.py 100000000 --sides file` runs one size by hand: each load is one Parquet file, read in
parts.
"""

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import DAY_US, START, USER, Hands, start_us, timestamps
from measure import Table, anonymous_peak_mib, own_peak_mib, took

import asof
from asof import Feature, FeatureGroup
from asof.errors import DataWarning

FEATURES = 7
CHANGED = 0.05

PART_ROWS = 1_000_000
"""Rows of a row group of the files; a frame in memory is made of the same parts."""

SIDES = {
    "memory": "unchanged rows skipped, a frame in memory",
    "file": "unchanged rows skipped, a Parquet file in the order of keys",
    "mixed": "unchanged rows skipped, a Parquet file in no order",
    "retire": 'the file in the order of keys, without a thousandth of them, with absent="retire"',
    "store": "all stored, a frame in memory",
    "store file": "all stored, a Parquet file in the order of keys",
}


def run(folder, *, quick):
    """Return the table of this benchmark."""
    return [measured(folder, 5000 if quick else 10_000_000, list(SIDES))]


def measured(folder, entities, sides):
    """Measure each side in a process of its own, for its peak memory."""
    table = Table(
        f"A full load of {entities:,} entities, {1 - CHANGED:.0%} of them unchanged",
        f"{FEATURES} float features into history + LMDB; the second load of the same entities, and what it added to "
        "the history. A process each; peak memory of both loads: all of it, with the pages of LMDB's file, which the "
        "machine takes back when it needs them; and what is not of a file",
        1,
    )
    for side in sides:
        place = folder / side.replace(" ", "-")
        place.mkdir(parents=True)
        if side not in ("memory", "store"):
            for day in (0, 1):
                write_rows(place / f"{day}.parquet", side, entities, day)
        command = [sys.executable, __file__, str(entities), "--inside", side, "--folder", place]
        done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        table.add(
            side=SIDES[side],
            seconds=found["seconds"],
            cpu_seconds=found["cpu_seconds"],
            rows_a_second=entities / found["seconds"],
            unchanged=found["unchanged"],
            history_mb_added=found["added"] / 1e6,
            peak_mib=found["peak_mib"],
            peak_mib_not_of_a_file=found["own_mib"],
        )
        shutil.rmtree(place)
    return table


def inside(side, folder, entities):
    """Load twice; print what the second load took."""
    clock = Hands(START.replace(year=2027))
    with (
        asof.open(folder / "store", clock=clock) as store,
        warnings.catch_warnings(),
        anonymous_peak_mib() as own,
    ):
        warnings.simplefilter("ignore", DataWarning)
        features = [Feature(f"f{at}", "float64") for at in range(FEATURES)]
        kind = "store" if side.startswith("store") else "skip"
        store.apply(FeatureGroup("g", entity=USER, event_time="ts", features=features, online=True, on_unchanged=kind))
        store.write("g", loaded(side, folder, entities, 0))
        before = size(folder / "store")
        rows = loaded(side, folder, entities, 1)
        absent = "retire" if side == "retire" else "keep"
        done = []
        wall, cpu = took(lambda: done.append(store.write("g", rows, absent=absent)))
        unchanged = done[0].unchanged
        found = {"seconds": wall, "cpu_seconds": cpu, "unchanged": unchanged, "added": size(folder / "store") - before}
    print(json.dumps(found | {"peak_mib": own_peak_mib(), "own_mib": own[0]}))


def loaded(side, folder, entities, day):
    """Return a full load as a side gives it."""
    if side not in ("memory", "store"):
        return folder / f"{day}.parquet"
    return pa.concat_tables(frames(side, entities, day)).combine_chunks()


def write_rows(place, side, entities, day):
    """Write a full load as a file, a row group at a time."""
    tables = frames(side, entities, day)
    first = next(tables)
    with pq.ParquetWriter(place, first.schema, compression="zstd", compression_level=1) as file:
        for table in itertools.chain([first], tables):
            file.write_table(table)


def frames(side, entities, day):
    """Give a full load in parts; "mixed" has keys of the whole range in each of them."""
    parts = max(entities // PART_ROWS, 2)
    count = entities // parts
    for part in range(parts):
        table = frame(part, count, day=day)
        if side == "mixed":
            users = np.random.default_rng((part, 2)).permutation(count) * parts + part
            table = table.set_column(0, "user", pa.array(users))
        elif side == "retire" and day:
            table = table.slice(count // 1000)
        yield table


def frame(part, count, *, day):
    """Return some entities of a full load: on day 1 some rows are others than on day 0."""
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
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["file", "store file"])
    parser.add_argument("--folder", type=Path, help="where files and stores go; a temporary folder if not given")
    parser.add_argument("--inside", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside, options.folder, options.entities)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measured(Path(folder), options.entities, options.sides)


if __name__ == "__main__":
    main()
