"""A training set read from S3 with 20 ms of latency, beside the same store on a local folder.

The storage is moto's server on loopback behind a proxy that delays each request; both are Python and share the cores,
so the first read says what latency costs, not how fast a real bucket is. The second read asks the storage for nothing.
"""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import timedelta

from data import START, Hands, groups, history, spine, view
from measure import Table, median, seconds, take_turns

import asof
from asof.testing.servers import S3Server

DELAY_SECONDS = 0.02
PER_KEY = 100


def run(folder, *, quick):
    """Return the table of this benchmark."""
    count, total, commits, rounds, size = (2, 3000, 3, 1, 500) if quick else (4, 500_000, 10, 5, 50_000)
    table = Table(
        f"A training set from S3, {size:,} spine rows x {count} groups x {total:,} rows",
        "seconds. 'folder': the same store on the local disk. 'first': nothing in the file cache, 20 ms of latency. "
        "'opened': all in the cache, by a store that was just opened and verifies the hash of each file; 'second': by "
        "one that did so before. The ratios are to 'folder'",
        rounds,
    )
    os.environ["ASOF_COMPACTION"] = "off"
    os.environ["ASOF_CACHE"] = str(folder / "cache")
    asked = spine(size, total // PER_KEY, commits)
    with storage(folder) as variables:
        os.environ |= variables
        stores = {"folder": folder / "local", "s3": folder / "objects"}
        stores["s3"].mkdir()
        (stores["s3"] / "asof.toml").write_text(f'format = 1\nhistory = "s3://{S3Server.BUCKET}/history"\n')
        for place in stores.values():
            fill(place, count, total, commits)
        for shape in (f"{commits} files a group", "compacted"):
            if shape == "compacted":
                for place in stores.values():
                    with asof.open(place, clock=Hands(START + timedelta(days=400))) as store:
                        store.compact()
            table.add(files=shape, **measured(stores, folder / "cache" / "asof", asked, rounds))
    return [table]


@contextmanager
def storage(folder):
    """Give the variables of object storage that answers late."""
    server = S3Server(folder / "s3")
    server.start()
    command = [sys.executable, "-m", "asof.testing.s3_proxy", str(server.port), str(DELAY_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield server.environment(proxy.stdout.readline().strip())
        finally:
            proxy.kill()
            server.kill()


def fill(place, count, total, commits):
    """Make a store; both have the same rows."""
    clock = Hands()
    declared = groups(count, online=False)
    with asof.open(place, clock=clock) as store:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            for end, batch in history(at, total=total, per_key=PER_KEY, commits=commits):
                clock.now = end
                store.backfill(group.name, batch)


def measured(stores, cache, asked, rounds):
    """Return the figures of both stores, after a look whether they agree."""
    clock = Hands(START + timedelta(days=400))

    def ask(store):
        return store.historical("everything", asked, time="t", known="event").to_arrow()

    with asof.open(stores["folder"], clock=clock) as local, asof.open(stores["s3"], clock=clock) as remote:
        sides = {side: lambda store=store: ask(store) for side, store in (("folder", local), ("s3", remote))}
        first = []
        for _ in range(max(rounds // 2, 1)):
            for place in cache.glob("*/files/*"):
                place.unlink()
            first.append(seconds(sides["s3"]))
        if not sides["s3"]().equals(sides["folder"]()):
            raise AssertionError("the two stores differ")
        figures = take_turns(sides | {"opened": lambda: just_opened(stores["s3"], clock, ask)}, rounds, just_asked)
    ratios = {
        side: median([ours / disk for ours, disk in zip(figures[side], figures["folder"], strict=True)])
        for side in ("opened", "s3")
    }
    return {
        "mb": sum(place.stat().st_size for place in cache.glob("*/files/*")) / 1e6,
        "folder_s": median(figures["folder"]),
        "first_s": median(first),
        "opened_s": median(figures["opened"]),
        "second_s": median(figures["s3"]),
        "ratio_opened": ratios["opened"],
        "ratio_second": ratios["s3"],
    }


def just_opened(place, clock, ask):
    """Ask a store that was just opened; return how long the question took."""
    with asof.open(place, clock=clock) as store:
        return seconds(lambda: ask(store))


def just_asked(work):
    """Return how long something took, unless it says so itself."""
    start = time.perf_counter()
    told = work()
    return told if isinstance(told, float) else time.perf_counter() - start
