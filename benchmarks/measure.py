"""Measure: sides of a comparison take turns (A B A B), medians over the rounds, peak memory of a process of its own."""

import gc
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


def seconds(work):
    """Run something once; return how long it took."""
    gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Took(NamedTuple):
    """What something took: seconds by the clock, and processor seconds of all threads of this process."""

    wall: float
    cpu: float


def took(work):
    """Run something once; return what it took."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def take_turns(sides, rounds, measure=seconds):
    """Measure each side once a round, after one round that does not count; return the figures of each."""
    figures = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, work in sides.items():
            figure = measure(work)
            if round_:
                figures[name].append(figure)
    return figures


def calls_us(call, arguments):
    """Return how long each call took, in microseconds."""
    clock = time.perf_counter_ns
    took = []
    gc.collect()
    for argument in arguments:
        start = clock()
        call(argument)
        took.append(clock() - start)
    return [each / 1000 for each in took]


def percentile(values, percent):
    """Return a percentile (the nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def median(values):
    """Return the median."""
    return statistics.median(values)


def peak_mib(*argv):
    """Run Python on arguments in a process that ends with `print(own_peak_mib())`; return that."""
    done = subprocess.run([sys.executable, *map(str, argv)], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def own_peak_mib():
    """Return the peak resident memory of this process in MiB; Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def anonymous_peak_mib():
    """Give a list that holds, when the block ends, the peak memory of this process that is not of a file; Linux only.

    Sampled: what is held for less than 20 ms may be missed.
    """
    status = Path("/proc/self/status")
    found = [0.0]

    def sample():
        line = next(line for line in status.read_text().splitlines() if line.startswith("RssAnon:"))
        found[0] = max(found[0], int(line.split()[1]) / 1024)

    with repeated(sample, every=0.02):
        yield found


@contextmanager
def repeated(step, *, every):
    """Do something again and again while the block runs, in a thread; `every` is the pause in seconds."""
    done = threading.Event()

    def go_on():
        while not done.wait(every):
            step()

    going = threading.Thread(target=go_on, daemon=True)
    going.start()
    try:
        yield
    finally:
        done.set()
        going.join()


@dataclass
class Table:
    """A table of figures: what it shows, how it was measured, and its rows by column name.

    Attributes:
        along: A column to draw the first figure against, as a line instead of bars.
    """

    title: str
    about: str
    rounds: int
    rows: list = field(default_factory=list)
    along: str = ""

    def add(self, **cells):
        """Add a row."""
        self.rows.append(cells)
        print("  " + "  ".join(f"{name}={shown(cell)}" for name, cell in cells.items()), flush=True)


def shown(cell):
    """Return a figure as people read it: three digits that matter."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        if abs(cell) >= 1000:
            return f"{float(f'{cell:.3g}'):,.0f}"
        return f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
