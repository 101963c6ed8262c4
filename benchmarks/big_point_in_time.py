"""Point-in-time reads of a big history: asof, DuckDB and Polars each in a process of its own, and asof in 2 GiB.

About 12 minutes, most of it making the histories; 6 GB of disk.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars_side
import pyarrow as pa
from data import START, Hands, spine
from hand_written import EVENT, answer
from measure import Table, median, own_peak_mib, seconds
from point_in_time import fill, layout

import asof

COMMITS = 10
GROUPS, ROWS, SPINE = 8, 10_000_000, 1_000_000
ROUNDS = 3
LIMIT = "1GB"
"""Memory of DuckDB in the run in 2 GiB: the rest is Python, the spine, and one batch of answers."""
BATCH_ROWS = 125_000
SIZES = (1_000_000, 10_000_000, 25_000_000, 50_000_000)


class Job(NamedTuple):
    """What a process is to answer: groups of a store, rows of a spine over so many users, DuckDB's statement."""

    place: Path
    groups: int
    asked: int
    users: int
    way: str = ""

    def question(self):
        """Return the spine."""
        return spine(self.asked, self.users, COMMITS)

    def layouts(self):
        """Return the files of each group."""
        return [layout(self.place, at) for at in range(self.groups)]


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    groups, rows, asked = (2, 3000, 300) if quick else (GROUPS, ROWS, SPINE)
    table = Table(
        f"Big point in time, {asked:,} spine rows x {groups} groups x {rows:,} rows in {COMMITS} commits",
        "seconds and peak memory of a process that answers once, over the same files, the answers compared; "
        f"'asof, 2 GiB' has DuckDB limited to {LIMIT}, answers {BATCH_ROWS:,} rows of the spine at a time and writes "
        "them to a Parquet file, once; 'ratio' is against the faster of DuckDB and Polars",
        1 if quick else ROUNDS,
    )
    for per_key in (10,) if quick else (10, 100):
        place = fill(folder, groups, rows, per_key, COMMITS, late=False)
        question = spine(asked, rows // per_key, COMMITS)
        way = min(EVENT, key=lambda name, place=place, asked=question: by_hand(name, place, asked))
        job = Job(place, groups, asked, rows // per_key, way)
        found = turns(job, 1 if quick else ROUNDS)
        best = min(found[side]["seconds"] for side in ("duckdb", "polars"))
        for side, each in found.items():
            table.add(
                rows_a_key=per_key,
                side=side + (f", {way}" if side == "duckdb" else ""),
                seconds=each["seconds"],
                ratio=each["seconds"] / best,
                peak_MiB=round(each["peak"]),
            )
        shutil.rmtree(place)
    return [table, linear(folder, quick=quick)]


def turns(job, rounds):
    """Return the figures of each side: the median time and the greatest peak of its rounds; in 2 GiB there is one."""
    found = {side: [] for side in SIDES}
    for round_ in range(rounds):
        for side, each in found.items():
            if side != "asof, 2 GiB" or not round_:
                each.append(in_process(side, job))
    if len({each["digest"] for rounds_ in found.values() for each in rounds_}) > 1:
        raise AssertionError(f"the answers differ: {found}")
    return {
        side: {"seconds": median([each["seconds"] for each in all_]), "peak": max(each["peak"] for each in all_)}
        for side, all_ in found.items()
    }


def by_hand(name, place, question):
    """Return how long a statement takes for one group."""
    return seconds(lambda: answer(EVENT[name], [layout(place, 0)], question))


def linear(folder, *, quick):
    """Return how the cost of one group grows with its rows; the spine has a tenth of them."""
    table = Table(
        "Cost by the size of history",
        "seconds of a process that answers once: one group, 100 rows a key, a spine row for ten rows",
        1,
        along="rows",
    )
    for rows in (1000,) if quick else SIZES:
        place = fill(folder / str(rows), 1, rows, 100, COMMITS, late=False)
        found = in_process("asof", Job(place, 1, rows // 10, rows // 100))
        table.add(
            rows=rows,
            seconds=found["seconds"],
            us_a_row=found["seconds"] / rows * 1e6,
            peak_MiB=round(found["peak"]),
        )
        shutil.rmtree(place)
    return table


def in_process(side, job):
    """Answer in a process of its own; return its figures."""
    command = [sys.executable, __file__, side, *map(str, job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def whole(job):
    """Answer with asof."""
    with asof.open(job.place, clock=Hands(START + timedelta(days=400))) as store:
        yield from store.historical("everything", job.question(), time="t", known="event").to_arrow().to_batches()


def streamed(job):
    """Answer with asof in little memory, and write the answers to a file."""
    os.environ["ASOF_ENGINE"] = f"duckdb:?memory_limit={LIMIT}"
    with asof.open(job.place, clock=Hands(START + timedelta(days=400))) as store:
        frame = store.historical("everything", job.question(), time="t", known="event", batch_rows=BATCH_ROWS)
        with pa.OSFile(str(job.place / "answers.arrow"), "wb") as file, pa.ipc.new_file(file, frame.schema) as writer:
            for batch in frame.batches():
                writer.write_batch(batch)
                yield batch


def duckdb(job):
    """Answer with DuckDB."""
    yield from answer(EVENT[job.way], job.layouts(), job.question()).to_batches()


def polars(job):
    """Answer with Polars."""
    question = job.question()
    columns = {name: question.column(name) for name in question.column_names}
    for each in job.layouts():
        found = polars_side.answer(polars_side.join_asof, each, question)
        columns |= {name: found.column(name) for name in each.names}
    yield from pa.table(columns).to_batches()


SIDES = {"asof": whole, "asof, 2 GiB": streamed, "duckdb": duckdb, "polars": polars}


def digest(at, batch):
    """Return a number for the values of a batch that begins at a row: none can change or move unnoticed."""
    places = np.arange(at, at + batch.num_rows, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    total = 0
    for number, column in enumerate(batch.columns, 1):
        floats = column if pa.types.is_floating(column.type) else column.cast(pa.int64())
        values = np.nan_to_num(floats.to_numpy(zero_copy_only=False).astype(float), nan=-1.0)
        total += int((values.view(np.uint64) * places).sum(dtype=np.uint64)) * number
    return total


def once(side, place, *words):
    """Answer once; print how long it took, how much memory this process had, and a digest of the answer."""
    groups, asked, users = map(int, words[:3])
    job = Job(Path(place), groups, asked, users, words[3])
    start, spent, at, total = time.perf_counter(), 0.0, 0, 0
    for batch in SIDES[side](job):
        spent += time.perf_counter() - start
        total, at = total + digest(at, batch), at + batch.num_rows
        start = time.perf_counter()
    spent += time.perf_counter() - start
    print(json.dumps({"seconds": spent, "peak": own_peak_mib(), "digest": f"{total % 2**64:x}"}))


if __name__ == "__main__":
    once(*sys.argv[1:])
