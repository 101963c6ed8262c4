"""The remote store on loopback, beside the store in the folder: tables over Flight, vectors over the wire.

Client and server share the machine's cores. `asof serve` runs with one worker; the store is opened in both processes.
"""

import asyncio
import sys
import time
from datetime import timedelta

import numpy as np
import pyarrow as pa
from data import START, Hands, groups, rows, start_us, timestamps, view
from http_reads import SERVE, serving
from measure import Table, calls_us, median, percentile, take_turns

import asof


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    stored, asked, calls, rounds = (20_000, 2_000, 100, 1) if quick else (2_000_000, 200_000, 4_000, 5)
    declared = groups(online=True)
    keys = max(stored // 20, 1)
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=30))) as store:
        store.apply(*declared, view(declared))
        users, times = np.arange(stored) % keys, start_us() + np.arange(stored) * 1_000_000
        store.backfill(declared[0].name, rows(0, users, times))
        for at, group in enumerate(declared[1:], 1):
            few = np.arange(min(keys, 100_000))
            store.backfill(group.name, rows(at, few, start_us() + few))
    with (
        serving([sys.executable, "-c", SERVE, "serve", str(folder / "store"), "--port", "0"]) as port,
        asof.open(f"asof://127.0.0.1:{port}") as remote,
        asof.open(folder / "store") as local,
    ):
        sides = {"remote": remote, "embedded": local}
        return [tables(sides, stored, asked, rounds), online(sides, port, min(keys, 100_000), calls, rounds)]


def tables(sides, stored, asked, rounds):
    """Return the table of reads and writes of tables."""
    table = Table(
        "Tables over Flight",
        f"{stored:,} rows of 7 features, a spine of {asked:,} rows and 2 columns over 8 groups, {asked:,} rows written "
        "at a time; `megabytes` are those of Arrow",
        rounds,
    )
    rng = np.random.default_rng(2)
    users, times = rng.integers(0, max(stored // 20, 1), asked), start_us() + rng.integers(0, stored, asked) * 1_000_000
    spine = pa.table({"user": users, "at": timestamps(times)})
    fresh = iter(range(10**6))

    def written(store):
        moment = start_us() + 40 * 86_400_000_000 + next(fresh) * 1_000_000_000
        store.backfill("g7", rows(7, np.arange(asked), moment + np.arange(asked)))

    size = sides["embedded"].read("g0").to_arrow().nbytes
    answered = sides["embedded"].historical("everything", spine, time="at", known="event").to_arrow().nbytes
    shapes = {
        "read": (size, lambda store: len(store.read("g0"))),
        "historical": (answered, lambda store: len(store.historical("everything", spine, time="at", known="event"))),
        "backfill": (rows(7, np.arange(asked), start_us() + np.arange(asked)).nbytes, written),
    }
    for name, (nbytes, work) in shapes.items():
        figures = take_turns(
            {side: lambda store=store, work=work: work(store) for side, store in sides.items()}, rounds
        )
        megabytes = nbytes / 1e6
        table.add(
            asked=name,
            megabytes=megabytes,
            remote_s=median(figures["remote"]),
            embedded_s=median(figures["embedded"]),
            remote_megabytes_a_second=median([megabytes / took for took in figures["remote"]]),
            ratio=median([a / b for a, b in zip(figures["remote"], figures["embedded"], strict=True)]),
        )
    return table


def online(sides, port, keys, calls, rounds):
    """Return the table of online reads."""
    table = Table(
        "Online reads of a remote store, 8 groups / 55 features",
        f"{calls:,} calls a round, one at a time, values and statuses looked at; asyncio: {calls:,} reads, 8 at a time",
        rounds,
    )
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, calls)]
    batches = [asked[at : at + 100] for at in range(0, len(asked), 100)]

    def one(store):
        return lambda given: store.online("everything", given).values

    def many(store):
        return lambda given: store.online("everything", given).to_arrow()

    for name, work, given in (("one entity", one, asked), ("100 entities, to_arrow", many, batches)):
        took = take_turns(
            {side: work(store) for side, store in sides.items()},
            rounds,
            lambda call, given=given: calls_us(call, given),
        )
        table.add(
            asked=name,
            remote_p50_ms=median([percentile(each, 50) for each in took["remote"]]) / 1000,
            remote_p99_ms=median([percentile(each, 99) for each in took["remote"]]) / 1000,
            embedded_p50_ms=median([percentile(each, 50) for each in took["embedded"]]) / 1000,
            calls_a_second=median([len(each) / sum(each) * 1e6 for each in took["remote"]]),
        )
    took = [asyncio.run(gathered(port, asked)) for _ in range(rounds + 1)][1:]
    table.add(
        asked="one entity, asyncio",
        remote_p50_ms=median([percentile(each, 50) for each, _ in took]) / 1000,
        remote_p99_ms=median([percentile(each, 99) for each, _ in took]) / 1000,
        embedded_p50_ms=None,
        calls_a_second=median([len(asked) / seconds for _, seconds in took]),
    )
    return table


async def gathered(port, asked):
    """Return how long each read took, in microseconds, and all of them, in seconds."""
    took = []
    due = iter(asked)
    async with await asof.open_async(f"asof://127.0.0.1:{port}") as store:

        async def work():
            for keys in due:
                start = time.perf_counter()
                vector = await store.online("everything", keys)
                if not vector.values:
                    raise RuntimeError(vector)
                took.append((time.perf_counter() - start) * 1e6)

        begun = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(8)))
        return took, time.perf_counter() - begun
