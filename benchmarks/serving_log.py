"""The serving log beside reads: no log, one answer in ten, every answer; at 5,000 reads a second and unpaced."""

import time
from datetime import timedelta

import numpy as np
from data import START, Hands, groups, rows, start_us
from measure import Table, calls_us, median, percentile

import asof
from asof import FeatureView

RATES = (0.0, 0.1, 1.0)
PER_SECOND = 5000


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    keys, seconds, rounds = (500, 0.3, 1) if quick else (100_000, 8.0, 4)
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
    return [FeatureView(name(rate), features=declared, log=rate) for rate in RATES]


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
    """Add a row a rate; the ratio is that of the medians to no log."""
    about = f"microseconds a call of store.online(...).values, 55 features; {len(asked):,} reads a round"
    title = f"Serving log, {PER_SECOND:,} reads a second" if pace == "paced" else f"Serving log, reads {pace}"
    table = Table(title, about, rounds)
    figures = {rate: [] for rate in RATES}
    for round_ in range(rounds + 1):  # the first does not count
        for rate in RATES:
            view = name(rate)
            took = measure(lambda keys, view=view: store.online(view, keys).values)
            store.quality.serving_log(view, flush=True)
            if round_:
                figures[rate].append(took)
    first = None
    for rate, each in figures.items():
        p50, p99, mean = (
            median([part(took) for took in each])
            for part in (lambda t: percentile(t, 50), lambda t: percentile(t, 99), lambda t: sum(t) / len(t))
        )
        first = first or (p50, p99, mean)
        counts = store.quality.serving_log(name(rate))
        lost = counts.dropped + counts.failed
        table.add(
            log=rate,
            p50_us=p50,
            p99_us=p99,
            mean_us=mean,
            ratio_p50=p50 / first[0],
            ratio_p99=p99 / first[1],
            ratio_mean=mean / first[2],
            lost=lost / (counts.written + lost) if rate else 0.0,
        )
    return table
