"""Bulk reads of a remote store whose history lies on S3 with 20 ms of latency: direct, beside streamed by the server.

Storage, its proxy, server and client share the machine's cores, and moto is Python: the first read says what latency
costs either side, not how fast a bucket is. The server's processor time is what other clients do not get.
"""

import os
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from time import perf_counter

from data import Hands, groups, history
from http_reads import SERVE, started
from measure import Table, median
from object_storage import DELAY_SECONDS, storage

import asof
from asof.testing.servers import S3Server

FILES = 4
PER_KEY = 100


def run(folder, *, quick):
    """Return the table of this benchmark."""
    total, rounds = (200_000, 1) if quick else (2_000_000, 5)
    table = Table(
        f"Bulk reads of a remote store over S3, {total:,} rows of 7 features in {FILES} files",
        f"{DELAY_SECONDS * 1000:g} ms of latency before each request to the storage. 'direct': the client fetches the "
        "files by signed links and reads them itself; 'streamed': the server reads and sends the rows (--no-direct). "
        "'first': nothing in any file cache; 'second': all files in it. `server_cpu_s`: processor seconds of the "
        "server for one read. `ratio`: direct to streamed",
        rounds,
    )
    os.environ["ASOF_COMPACTION"] = "off"
    with storage(folder) as variables, ExitStack() as running:
        os.environ |= variables
        place = folder / "store"
        place.mkdir()
        (place / "asof.toml").write_text(f'format = 1\nhistory = "s3://{S3Server.BUCKET}/history"\n')
        os.environ["ASOF_CACHE"] = str(folder / "of_writer")
        fill(place, total)
        sides = {}
        for side, options in (("direct", []), ("streamed", ["--no-direct"])):
            os.environ["ASOF_CACHE"] = str(folder / f"of_server_{side}")
            command = [sys.executable, "-c", SERVE, "serve", str(place), "--port", "0", *options]
            port, process = running.enter_context(started(command))
            sides[side] = running.enter_context(asof.open(f"asof://127.0.0.1:{port}")), process
        os.environ["ASOF_CACHE"] = str(folder / "of_client")  # of both, and only one needs it
        for asked, options in (("all rows", {}), ("newest row of each key", {"latest": True})):
            measured(table, sides, folder, asked, options)
    return [table]


def fill(place, total):
    """Make the store."""
    clock = Hands()
    (group,) = groups(1, online=False)
    with asof.open(place, clock=clock) as store:
        store.apply(group)
        for end, batch in history(0, total=total, per_key=PER_KEY, commits=FILES):
            clock.now = end + timedelta(days=1)
            store.backfill(group.name, batch)


def measured(table, sides, folder, asked, options):
    """Add the figures of a read, the first time and the second, after a look whether both sides agree."""
    figures = {(side, when): [] for side in sides for when in ("first", "second")}
    found = {}
    for round_ in range(table.rounds + 1):
        for side, (store, process) in sides.items():
            for copy in folder.glob("of_*/asof/*/files/*"):
                copy.unlink()
            for when in ("first", "second"):
                cpu, begun = cpu_of(process), perf_counter()
                found[side] = store.read("g0", **options).to_arrow()
                took = perf_counter() - begun, cpu_of(process) - cpu
                if round_:
                    figures[side, when].append(took)
    if not found["direct"].equals(found["streamed"]):
        raise AssertionError("the two sides differ")
    if sides["direct"][0]._direct._rests_until or list((folder / "of_server_direct").glob("asof/*/files/*")):  # noqa: SLF001
        raise AssertionError("the server read the files")
    for when in ("first", "second"):
        direct, streamed = figures["direct", when], figures["streamed", when]
        table.add(
            read=f"{asked}, {when}",
            megabytes=found["direct"].nbytes / 1e6,
            direct_s=median([wall for wall, _ in direct]),
            streamed_s=median([wall for wall, _ in streamed]),
            ratio=median([ours[0] / theirs[0] for ours, theirs in zip(direct, streamed, strict=True)]),
            direct_server_cpu_s=median([cpu for _, cpu in direct]),
            streamed_server_cpu_s=median([cpu for _, cpu in streamed]),
        )


def cpu_of(process):
    """Return the processor seconds of a process so far; Linux only."""
    told = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
