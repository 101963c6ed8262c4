"""What statistics cost: writes with and without them, in turns, and how large what is kept is."""

import warnings

import numpy as np
from data import USER, features, rows, start_us
from measure import Table, median, take_turns, took

import asof
from asof import Feature, FeatureGroup
from asof.errors import DataWarning
from asof.ingest import write as ingest

SIZES = ((1_000, 20, 9), (100_000, 1, 9), (1_000_000, 1, 5))
"""Rows of a write, writes of a round, rounds."""

KINDS = ("floats", "floats and words", "floats and ids")
"""Of the last two, five features are floats, one is an int64 and one a text: of 5,000 words, or no text twice."""


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    warnings.simplefilter("ignore", DataWarning)
    table = Table(
        "Writes with statistics, and without",
        "7 features (`floats and words`: 5 of them, an int64, and one of 5,000 words; `floats and ids`: no text comes "
        "twice); `share` is what they add to the time of the write by the clock, `cpu_share` to the processor "
        "seconds of all threads; `kept_kib` is what those of a commit take in the registry. Rows in the "
        "order of keys; history only",
        SIZES[0][2],
    )
    for kind in KINDS:
        for size, writes, rounds in ((1_000, 2, 1),) if quick else SIZES:
            measured(table, folder / f"{kind} {size}", kind, size, writes, rounds)
    return [table]


def measured(table, folder, kind, size, writes, rounds):  # noqa: PLR0917 - one comparison
    """Add what writes of one size take."""
    declared = features(0)
    if kind != "floats":
        declared = [*declared[:5], Feature("text", "string"), Feature("n", "int64")]
    frames = [frame(number, kind, size) for number in range(writes)]
    with asof.open(folder) as store:
        store.apply(FeatureGroup("g0", entity=USER, event_time="ts", features=declared))
        sides = {"with": lambda: written(store, frames), "without": lambda: bare(store, frames)}
        figures = take_turns(sides, rounds, took)
        kept = store._parts.statistics.spans(store._parts.registry.group("g0"))  # noqa: SLF001 - what is kept
    wall = {side: median(each.wall for each in found) for side, found in figures.items()}
    cpu = {side: median(each.cpu for each in found) for side, found in figures.items()}
    table.add(
        columns=kind,
        rows=size,
        writes=writes,
        seconds=wall["with"],
        share=wall["with"] / wall["without"] - 1,
        cpu_share=cpu["with"] / cpu["without"] - 1,
        kept_kib=median(len(span.body) for span in kept) / 1024,
    )


def written(store, frames):
    """Write frames."""
    for each in frames:
        store.write("g0", each)


def bare(store, frames):
    """Write frames without statistics."""
    begun, ingest.begun = ingest.begun, lambda prepared: lambda: [None] * len(prepared)
    try:
        written(store, frames)
    finally:
        ingest.begun = begun


def frame(number, kind, size):
    """Return the rows of one write, in the order of keys."""
    rng = np.random.default_rng(number)
    times = start_us() + number * 10_000_000 + np.sort(rng.choice(10_000_000, size, replace=False))
    found = rows(0, np.sort(rng.integers(0, 100_000, size)), times)
    if kind == "floats":
        return found
    words = np.array([f"word {at}" for at in range(5_000)])[rng.integers(0, 5_000, size)]
    texts = words if kind == "floats and words" else [f"{each:016x}" for each in rng.integers(0, 1 << 62, size)]
    found = found.select(["user", "ts", *(feature.name for feature in features(0)[:5])])
    return found.append_column("text", [texts]).append_column("n", [rng.integers(0, 1_000, size)])
