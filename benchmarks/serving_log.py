"""The serving log beside reads: no log, one answer in ten, every answer; at 5,000 reads a second and unpaced.

No log is measured twice: what the second differs from the first is the noise of the machine, and their mean is what the
others are held against.
"""

import time
from datetime import timedelta

import numpy as np
from data import START, Hands, groups, rows, start_us
from measure import Table, calls_us, median, percentile

import asof
from asof import FeatureView

SIDES = {"none": 0.0, "none, again": 0.0, "1 in 10": 0.1, "all": 1.0}
WITHOUT = ("none", "none, again")
PER_SECOND = 5000
FIGURES = ("p50", "p99", "mean")


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, seconds, rounds = (500, 0.3, 1) if quick else (100_000, 5.0, 15)
    declared = groups(online=True)
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, *views(declared))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, int(seconds * PER_SECOND))]
    with asof.open(folder / "store") as store:
        return [
            compare(store, "paced", lambda call: paced(call, asked), asked, rounds),
            compare(store, "as fast as one thread can", lambda call: calls_us(call, asked), asked, rounds),
        ]


def views(declared):
    """Return the same view with each rate."""
    return [FeatureView(name(rate), features=declared, log=rate) for rate in sorted(set(SIDES.values()))]


def name(rate):
    """Return the name of the view with a rate."""
    return f"log_{int(rate * 100)}"


def paced(call, asked):
    """Call at a steady pace, late ones at once; return how long each call took."""
    took = []
    step = 1e9 / PER_SECOND
    start = time.perf_counter_ns()
    for at, keys in enumerate(asked):
        early = start + at * step - time.perf_counter_ns()
        if early > 0:
            time.sleep(early / 1e9)
        begin = time.perf_counter_ns()
        call(keys)
        took.append((time.perf_counter_ns() - begin) / 1000)
    return took


def compare(store, pace, measure, asked, rounds):
    """Add a row a side; a ratio is the median, over the rounds, of that to the mean of both without a log."""
    about = (
        f"microseconds a call of store.online(...).values, 55 features; {len(asked):,} reads a round; a batch is "
        "written every 5 seconds, and at the end of a round; ratios are medians, over the rounds, of "
        "those to the mean of both sides without a log"
    )
    title = f"Serving log, {PER_SECOND:,} reads a second" if pace == "paced" else f"Serving log, reads {pace}"
    table = Table(title, about, rounds)
    figures = {side: [] for side in SIDES}
    for round_ in range(rounds + 1):  # the first does not count
        for side in turned(list(SIDES), round_):
            view = name(SIDES[side])
            took = measure(lambda keys, view=view: store.online(view, keys).values)
            store.quality.serving_log(view, flush=True)
            if round_:
                figures[side].append((percentile(took, 50), percentile(took, 99), sum(took) / len(took)))
    both = zip(*(figures[side] for side in WITHOUT), strict=True)
    without = [tuple((one + other) / 2 for one, other in zip(*pair, strict=True)) for pair in both]
    for side, rate in SIDES.items():
        counts = store.quality.serving_log(name(rate))
        lost = counts.dropped + counts.failed
        pairs = list(zip(figures[side], without, strict=True))
        table.add(
            logged=side,
            **{f"{what}_us": median([own[at] for own, _ in pairs]) for at, what in enumerate(FIGURES)},
            **{
                f"ratio_{what}": median([own[at] / first[at] for own, first in pairs])
                for at, what in enumerate(FIGURES)
            },
            lost=lost / (counts.written + lost) if rate else 0.0,
        )
    return table


def turned(sides, by):
    """Return the sides in another order each round: what grows with time must not meet the same one."""
    by %= len(sides)
    return sides[by:] + sides[:by]
