"""Bulk loads: rows a second into history, and into history + the online store."""

import itertools
import os
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data import DAY_US, START, USER, Hands, start_us, timestamps
from deltalake import write_deltalake
from measure import Table, median, take_turns, took

import asof
from asof import Feature, FeatureGroup
from asof.errors import DataWarning

KINDS = {"7 floats": ["float64"] * 7, "4 floats, int, string, with nulls": ["float64"] * 4 + ["int64", "string"]}


def run(folder, *, quick):
    """Return the table of this benchmark."""
    total, users, rounds = (5000, 500, 1) if quick else (1_000_000, 100_000, 3)
    table = Table(
        f"Ingest, {total:,} rows of {users:,} keys a commit",
        "rows a second; the rows come in the order of time, not of storage, and are synced to disk when the call "
        "returns. By hand, unsorted and unchecked: pyarrow writes them to one Parquet file, deltalake makes a commit",
        rounds,
    )
    for kind, types in KINDS.items():
        measured(table, folder / str(len(types)), kind, types, (total, users, rounds))
    return [table]


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
