"""A training set read from S3 with 20 ms of latency, beside the same store on a local folder.

The storage is moto's server on loopback behind a proxy that delays each request; both are Python and share the cores, so
the first read says what latency costs, and not how fast a real bucket is. The second read asks the storage for nothing.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from data import START, Hands, groups, history, spine, view
from measure import Table, median, seconds, take_turns

import asof
from asof.offline.cache import sha256_of
from asof.testing.servers import S3Server

DELAY_SECONDS = 0.02
PER_KEY = 100


def run(folder, *, quick):
    """Return the table of this benchmark."""
    count, total, commits, rounds, size = (2, 3000, 3, 1, 500) if quick else (4, 1_000_000, 10, 7, 100_000)
    table = Table(
        f"A training set from S3, {size:,} spine rows x {count} groups x {total:,} rows",
        "seconds. 'folder': the same store on the local disk. 'first': nothing in the file cache, 20 ms of latency. "
        "'second': all in the cache, each file's hash verified at its opening; the ratio is to 'folder'. 'hashing': one "
        "thread's time for the hashes of all files, which the threads of the cache share",
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
            table.add(files=shape, **measured(stores, folder / "cache", asked, rounds))
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
    with asof.open(stores["folder"], clock=clock) as local, asof.open(stores["s3"], clock=clock) as remote:
        sides = {
            side: lambda store=store: store.historical("everything", asked, time="t", known="event").to_arrow()
            for side, store in (("folder", local), ("s3", remote))
        }
        first = []
        for _ in range(max(rounds // 3, 1)):
            for place in cache.glob("*/files/*"):
                place.unlink()
            first.append(seconds(sides["s3"]))
        if not sides["s3"]().equals(sides["folder"]()):
            raise AssertionError("the two stores differ")
        figures = take_turns(sides, rounds)
    files = [Path(place) for place in cache.glob("*/files/*")]
    return {
        "mb": sum(file.stat().st_size for file in files) / 1e6,
        "folder_s": median(figures["folder"]),
        "first_s": median(first),
        "second_s": median(figures["s3"]),
        "ratio_second": median([ours / disk for ours, disk in zip(figures["s3"], figures["folder"], strict=True)]),
        "hashing_s": seconds(lambda: [sha256_of(file) for file in files]),
    }
