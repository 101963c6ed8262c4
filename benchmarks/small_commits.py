"""Ten thousand small commits: how fast they are written, and how their rows are read beside those of one commit."""

import warnings
from datetime import timedelta

import numpy as np
import pyarrow as pa
from data import START, USER, Hands, features, rows, start_us, timestamps
from measure import Table, seconds, take_turns

import asof
from asof import FeatureGroup
from asof.errors import DataWarning

ROWS = 100
"""Rows of a commit."""

SPINE = 10_000


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    commits, pushes, users, rounds = (40, 40, 100, 1) if quick else (10_000, 2_000, 10_000, 5)
    warnings.simplefilter("ignore", DataWarning)  # rows of the past count as known from now on: it is the same read
    return [
        measured(folder / "writes", "write", (commits, users, rounds)),
        measured(folder / "off", "write", (commits // 10, users, rounds), compaction="off"),
        measured(folder / "pushes", "push", (pushes, users, rounds)),
    ]


def measured(folder, verb, sizes, *, compaction="auto"):
    """Return the table of one way to write: the commits, then the reads before and after `compact`."""
    commits, users, rounds = sizes
    how = "" if compaction == "auto" else f", compaction = {compaction!r}"
    table = Table(
        f"{commits:,} commits of {ROWS} rows by {verb}{how}, read beside one commit of the same rows",
        f"7 floats, history only; a read is point in time, {SPINE:,} spine rows; after the last commit nobody waits "
        "for the background; the ratio is that of the times to those of one commit; file counts are of live files",
        rounds,
    )
    clock = Hands(START + timedelta(days=1))
    frames = [frame(number, users) for number in range(commits)]
    spine = asked(commits, users)
    group = FeatureGroup("g0", entity=USER, event_time="ts", features=features(0))
    with asof.open(folder / "one", clock=clock) as one:
        one.apply(group)
        one.backfill("g0", pa.concat_tables(frames))
    store = opened(folder / "many", clock, compaction)
    store.apply(group)
    add = getattr(store, verb)
    given = [each.to_pylist() for each in frames] if verb == "push" else frames
    took = seconds(lambda: [add("g0", each) for each in given])
    table.add(step=f"{verb} {commits:,} commits", seconds=took, commits_a_second=commits / took)
    read(table, "at once", store, folder / "one", clock, spine, rounds)
    closing = seconds(store.close)
    table.add(step="close", seconds=closing)
    with asof.open(folder / "many", clock=clock) as store:
        read(table, "opened again", store, folder / "one", clock, spine, rounds)
        table.add(step="compact", seconds=seconds(store.compact), files=files(store))
        read(table, "after compact", store, folder / "one", clock, spine, rounds)
    return table


def opened(folder, clock, compaction):
    """Return a new store with a setting."""
    asof.open(folder, clock=clock).close()
    settings = folder / "asof.toml"
    settings.write_text(settings.read_text().replace('compaction = "auto"', f'compaction = "{compaction}"'))
    return asof.open(folder, clock=clock)


def read(table, when, store, one, clock, spine, rounds):  # noqa: PLR0913, PLR0917 - one comparison
    """Add the time of a read beside that of the same read of one commit."""
    with asof.open(one, clock=clock) as single:
        if not answers(store, spine).equals(answers(single, spine)):
            raise AssertionError("many commits and one commit give different answers")
        sides = {"many": lambda: answers(store, spine), "one": lambda: answers(single, spine)}
        took = {side: sorted(each)[rounds // 2] for side, each in take_turns(sides, rounds).items()}
    table.add(step=f"read {when}", seconds=took["many"], ratio=took["many"] / took["one"], files=files(store))


def answers(store, spine):
    """Return the answers to a spine."""
    return store.historical("g0", spine, time="t", known="event").to_arrow()


def files(store):
    """Return how many data files a store has."""
    parts = store._parts  # noqa: SLF001 - what `describe` says in words
    return len(parts.log.snapshot(parts.registry.group("g0")).files)


def frame(number, users):
    """Return the rows of one commit: a second of events."""
    rng = np.random.default_rng(number)
    times = start_us() + number * 1_000_000 + np.sort(rng.choice(1_000_000, ROWS, replace=False))
    return rows(0, rng.integers(0, users, ROWS), times)


def asked(commits, users):
    """Return the spine."""
    rng = np.random.default_rng(7)
    times = start_us() + rng.integers(0, commits * 1_000_000, SPINE)
    return pa.table({"user": rng.integers(0, users, SPINE), "t": timestamps(times)})
