"""Single records: pushes a second, each durable and readable online when the call returns."""

import os
import threading
import time
from datetime import UTC, datetime

from data import USER, features
from measure import Table, median, percentile

import asof
from asof import FeatureGroup

THREADS = (1, 4, 16)
USERS = 100_000
NAMES = [feature.name for feature in features(0)]


def run(folder, *, quick):
    """Return the table of this benchmark."""
    seconds, rounds = (0.2, 1) if quick else (2.0, 3)
    table = Table(
        "Push, one record a call (7 floats), history + online",
        f"each durable when it returns; {seconds:g} s a round. By hand: append 100 bytes to a file and fdatasync, in "
        "one thread: what the disk takes. Threads share transactions: the more of them, the fewer syncs. Processor "
        "time (moving the journal to files in the background included) is what limits 16",
        rounds,
    )
    group = FeatureGroup("g0", entity=USER, event_time="ts", features=features(0), online=True)
    figures = {"by hand: append + fdatasync": []} | {f"push, {threads} threads": [] for threads in THREADS}
    with asof.open(folder / "store") as store:
        store.apply(group)
        store.push("g0", record(0))
        for _ in range(rounds):
            figures["by hand: append + fdatasync"].append(timed(synced, folder / "file", seconds))
            for threads in THREADS:
                figures[f"push, {threads} threads"].append(timed(pushed, store, threads, seconds))
    for side, rounds_of in figures.items():
        table.add(
            side=side,
            pushes_a_second=median([len(took) / seconds for took, _ in rounds_of]),
            p50_us=median([percentile(took, 50) for took, _ in rounds_of]),
            p99_us=median([percentile(took, 99) for took, _ in rounds_of]),
            cpu_us=median([cpu / len(took) * 1e6 for took, cpu in rounds_of]),
        )
    return [table]


def timed(work, *arguments):
    """Return what some work returns, and the processor seconds of all threads meanwhile."""
    cpu = time.process_time()
    return work(*arguments), time.process_time() - cpu


def record(number):
    """Return one record that arrives now."""
    now = datetime.now(UTC)  # noqa: TID251 - records arrive now
    return {"user": number % USERS, "ts": now, **dict.fromkeys(NAMES, float(number))}


def pushed(store, threads, seconds):
    """Push from several threads for a while; return how long each push took."""
    took = []
    end = time.perf_counter() + seconds

    def work(thread):
        mine = []
        number = thread
        while time.perf_counter() < end:
            row = record(number)
            start = time.perf_counter()
            store.push("g0", row)
            mine.append((time.perf_counter() - start) * 1e6)
            number += threads
        took.extend(mine)

    running = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return took


def synced(place, seconds):
    """Append and sync by hand for a while; return how long each took."""
    took = []
    handle = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        os.write(handle, bytes(100))
        os.fdatasync(handle)
        took.append((time.perf_counter() - start) * 1e6)
    os.close(handle)
    return took
