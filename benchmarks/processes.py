"""Watch a server's processes from outside: memory, open files and threads over time; Linux only."""

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from measure import repeated

WARM_SECONDS = 90
"""So long connections take to spread to a new worker, and its threads and pools to become as many as they will be."""


class Sample(NamedTuple):
    """One look at a process."""

    second: float
    mib: float
    files: int
    threads: int


@dataclass
class Life:
    """What was seen of a process.

    Attributes:
        pid: Its number.
        place: 0 for the first process; each worker takes the lowest place that is free when it is first seen.
    """

    pid: int
    place: int
    samples: list[Sample] = field(default_factory=list)

    def calm(self):
        """Return the last two thirds of the samples after it warmed up."""
        warm = [each for each in self.samples if each.second - self.samples[0].second > WARM_SECONDS]
        warm = warm or self.samples
        return warm[len(warm) // 3 :]

    def growth(self, of):
        """Return by how much a figure grows a minute in the calm part, after a line of least squares."""
        points = [(sample.second, getattr(sample, of)) for sample in self.calm()]
        middle = sum(x for x, _ in points) / len(points)
        spread = sum((x - middle) ** 2 for x, _ in points)
        return 60 * sum((x - middle) * y for x, y in points) / spread if spread else 0.0


def workers(pid):
    """Return the process numbers of a server's workers."""
    found = []
    with suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def look(pid, second):
    """Return a sample; None if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
    told = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in told:  # it ended, and waits to be buried
        return None
    return Sample(second, int(told["VmRSS"].split()[0]) / 1024, files, int(told["Threads"]))


@contextmanager
def watched(pid, *, every):
    """Give a list of the lives of a server's processes, which grows while the block runs."""
    lives = [Life(pid, 0)]
    begun = time.monotonic()

    def step():
        now = {pid, *workers(pid)}
        living = [life for life in lives if life.pid in now]
        for each in sorted(now - {life.pid for life in living}):
            taken = {life.place for life in living}
            living.append(Life(each, next(place for place in range(1, 100) if place not in taken)))
            lives.append(living[-1])
        for life in living:
            sample = look(life.pid, time.monotonic() - begun)
            if sample is not None:
                life.samples.append(sample)

    with repeated(step, every=every):
        yield lives
