"""Bulk loads: rows a second into history, and into history + the online store; and of a file that exceeds memory.

`python benchmarks/ingest.py FOLDER FILE` loads a file into a new store, and prints what it took.
"""

import itertools
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import DAY_US, START, USER, Hands, start_us, timestamps
from deltalake import write_deltalake
from measure import Table, median, own_peak_mib, take_turns, took

import asof
from asof import Feature, FeatureGroup
from asof.errors import DataWarning

KINDS = {"7 floats": ["float64"] * 7, "4 floats, int, string, with nulls": ["float64"] * 4 + ["int64", "string"]}


FILE_ROWS = int(os.environ.get("INGEST_FILE_ROWS", "20_000_000"))
"""Rows of the file that is loaded in parts; 50 million take some two minutes more."""

GROUP_ROWS = 1_000_000
"""Rows of one row group of the file."""


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    sizes = [(5000, 500, 1)] if quick else [(1_000_000, 100_000, 3), (1_000_000, 1_000_000, 3)]
    tables = []
    for total, users, rounds in sizes:
        table = Table(
            f"Ingest, {total:,} rows of {users:,} keys a commit",
            "rows a second; the rows come in the order of time, not of storage, and are synced to disk when the call "
            "returns. By hand, unsorted and unchecked: pyarrow writes them to one Parquet file, deltalake makes a "
            "commit",
            rounds,
        )
        for kind, types in KINDS.items():
            measured(table, folder / f"{users} {len(types)}", kind, types, (total, users, rounds))
        tables.append(table)
    rows = 10_000 if quick else FILE_ROWS
    return [*tables, from_file(folder / "file", rows, GROUP_ROWS if rows >= GROUP_ROWS else rows // 4)]


def from_file(folder, rows, group_rows):
    """Return the table of a Parquet file that is loaded in parts."""
    table = Table(
        f"Ingest of a Parquet file of {rows:,} rows, 7 floats, as one commit",
        "`store.backfill(group, path)`, in a process of its own; the rows in the order of time, and in none; history "
        "only, 1,000,000 keys. By hand: pyarrow copies the file batch by batch. INGEST_FILE_ROWS sets the size",
        1,
    )
    folder.mkdir(parents=True)
    for order in ("in the order of time", "in no order"):
        place = folder / "rows.parquet"
        write_rows(place, rows, group_rows, by_time=order != "in no order")
        start = time.perf_counter()
        copy(place, folder / "copy.parquet")
        table.add(rows=order, side="by hand: pyarrow", rows_a_second=rows / (time.perf_counter() - start))
        command = [sys.executable, __file__, str(folder / order), str(place)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, peak, cpu, files = map(float, done.stdout.split())
        table.add(
            rows=order,
            side="asof",
            rows_a_second=rows / seconds,
            cpu_s_a_million=cpu / rows * 1e6,
            peak_mib=peak,
            files=int(files),
        )
    return table


def write_rows(place, rows, group_rows, *, by_time):
    """Write a file of rows, a row group at a time."""
    types = KINDS["7 floats"]
    with pq.ParquetWriter(place, frame(0, 1, 1, types).schema, compression="zstd", compression_level=1) as file:
        for number in range(rows // group_rows):
            batch = frame(number, group_rows, 1_000_000, types)
            if not by_time:  # all groups have the same days
                times = np.random.default_rng(number).integers(0, 30 * DAY_US, group_rows) + start_us()
                batch = batch.set_column(1, "ts", timestamps(times))
            file.write_table(batch)


def copy(place, to):
    """Copy a Parquet file batch by batch, durably."""
    file = pq.ParquetFile(place, pre_buffer=False)
    with file, pq.ParquetWriter(to, file.schema_arrow, compression="zstd", compression_level=1) as out:
        for batch in file.iter_batches(122_880):
            out.write_batch(batch)
    handle = os.open(to, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def load(folder, place):
    """Load a file into a new store; print seconds, peak MiB, processor seconds and files."""
    features = [Feature(f"f{at}", "float64") for at in range(7)]
    with asof.open(folder, clock=Hands(START.replace(year=2030))) as store:
        store.apply(FeatureGroup("g", entity=USER, event_time="ts", features=features))
        wall, cpu = took(lambda: store.backfill("g", place))
        files = len(list(Path(folder).glob("history/*/*.parquet")))
        print(wall, own_peak_mib(), cpu, files)


def measured(table, folder, kind, types, sizes):
    """Add the rows of one kind of frame."""
    total, users, rounds = sizes
    features = [Feature(f"f{at}", dtype) for at, dtype in enumerate(types)]
    names = ("history", "online")
    clock = Hands()
    numbers = itertools.count()

    def commits():
        return frame(next(numbers), total, users, types)

    with asof.open(folder / "store", clock=clock) as store, warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        store.apply(
            *(FeatureGroup(n, entity=USER, event_time="ts", features=features, online=n == "online") for n in names)
        )

        def load(verb, group):
            def once():
                batch = commits()
                clock.now = START.replace(year=2027)
                return took(lambda: verb(group, batch))

            return once

        sides = {
            "by hand: pyarrow": lambda: took_on(commits(), lambda batch: write_file(folder / "file.parquet", batch)),
            "by hand: deltalake": lambda: took_on(commits(), lambda batch: write_delta(folder / "delta", batch)),
            "backfill: history": load(store.backfill, "history"),
            "write: history": load(store.write, "history"),
            "backfill: history + online": load(store.backfill, "online"),
            "write: history + online": load(store.write, "online"),
        }
        figures = take_turns(sides, rounds, lambda side: side())
    for side, took_ in figures.items():
        wall, cpu = median([each.wall for each in took_]), median([each.cpu for each in took_])
        table.add(frame=kind, side=side, rows_a_second=total / wall, cpu_s_a_million=cpu / total * 1e6)


def took_on(batch, work):
    """Run something on a frame; return what it took."""
    return took(lambda: work(batch))


def frame(number, total, users, types):
    """Return one commit's rows: a later day each."""
    rng = np.random.default_rng(number)
    times = np.sort(rng.integers(0, DAY_US, total)) + start_us() + number * DAY_US
    columns = {"user": rng.integers(0, users, total), "ts": timestamps(times)}
    nulls = rng.random(total) < 0.1 if "string" in types else None
    for at, dtype in enumerate(types):
        values = rng.random(total) if dtype == "float64" else rng.integers(0, 1000, total)
        column = pa.array(values, mask=nulls)
        columns[f"f{at}"] = column.cast(pa.string()) if dtype == "string" else column
    return pa.table(columns)


def write_file(place, batch):
    """Write one Parquet file by hand, durably."""
    pq.write_table(batch, place, compression="zstd", compression_level=1, row_group_size=122_880)
    handle = os.open(place, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def write_delta(place, batch):
    """Append to a Delta table by hand."""
    write_deltalake(str(place), batch, mode="append")


if __name__ == "__main__":
    load(*sys.argv[1:])
