"""How history lies in files: row groups of several sizes, orders, and files by time or by key, for several reads."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
from data import DAY_US, START, USER, Hands, features, rows, spine, start_us
from measure import Table, take_turns, took

import asof
from asof import FeatureGroup
from asof.ingest.prepare import Options, draft_of
from asof.offline import delta
from asof.parts import table_of

GROUPS = (30_720, 122_880, 491_520, 983_040)
DAYS = 30
LAYOUTS = (
    *(("key, time", size, "by key") for size in GROUPS),
    ("time, key", 122_880, "by key"),
    ("key, time", 122_880, "by time"),
    ("time, key", 122_880, "by time"),
    ("key, time", 122_880, "one file"),
)


def run(folder, *, quick):
    """Return the table of this benchmark."""
    total, keys, files, rounds = (20_000, 200, 4, 1) if quick else (8_000_000, 80_000, 8, 5)
    table = Table(
        f"Layout of {total:,} rows of {keys:,} keys in {files} files",
        "processor milliseconds of a point-in-time read (100,000 spine rows of all keys; 100 of 100 keys; 100 of one "
        "key) and of `read` for an hour: the least of the rounds. 'by key' is what `compact` writes, 'by time' what "
        "loads in the order of time do, both with 122,880 rows",
        rounds,
    )
    every = pa.concat_tables(made(total, keys))
    for order, group_rows, holds in LAYOUTS:
        place = folder / f"{order} {group_rows} {holds}".replace(", ", "_").replace(" ", "_")
        with asof.open(place, clock=Hands(START + timedelta(days=DAYS + 1))) as store:
            store.apply(FeatureGroup("g0", entity=USER, event_time="ts", features=features(0)))
            size = stored(store, every, order, group_rows, holds, files)
            took_ = take_turns(reads(store, keys), rounds, took)
        table.add(
            order=order,
            row_group=group_rows,
            files=holds,
            mb=size / 1e6,
            **{name: min(each.cpu for each in figures) * 1000 for name, figures in took_.items()},
        )
    return [table]


def made(total, keys):
    """Yield the rows of the history."""
    each = min(total, 1_000_000)
    for number in range(total // each):
        rng = np.random.default_rng(number)
        times = start_us() + rng.integers(0, DAYS * DAY_US, each)
        yield rows(0, rng.integers(0, keys, each), times)


def stored(store, every, order, group_rows, holds, files):  # noqa: PLR0917 - one layout
    """Store the rows in a layout, as one commit; return the bytes."""
    writer, parts = store._writer, store._parts  # noqa: SLF001 - no caller may choose a layout
    group = parts.registry.group("g0")
    table = table_of(group)
    by = "user" if holds == "by key" else "ts"
    numbers = every.column(by).cast(pa.int64()).to_numpy()
    ends = np.quantile(numbers, np.linspace(0, 1, files + 1))[1:-1] if holds != "one file" else []
    which = np.searchsorted(ends, numbers, side="right")
    columns = [every.column(name).to_numpy() for name in (("user", "ts") if order == "key, time" else ("ts", "user"))]
    found = []
    before, delta.ROW_GROUP_ROWS = (delta.ROW_GROUP_ROWS, delta.FILE_ROWS), group_rows
    delta.FILE_ROWS = every.num_rows
    for number in range(len(ends) + 1):
        mine = np.flatnonzero(which == number)
        mine = mine[np.lexsort((columns[1][mine], columns[0][mine]))]
        found += parts.history.stage(table, as_stored(table, every.take(mine)))
    delta.ROW_GROUP_ROWS, delta.FILE_ROWS = before
    draft = draft_of(group, "backfill", Options(), rows=every.num_rows, events=(0, 1), digest="")
    draft = replace(draft, availability="delay", files=tuple(replace(file, width=7) for file in found))
    writer._publish_staged([group], [draft], [None])  # noqa: SLF001 - files laid out by hand have no other way in
    return sum(file.size_bytes for file in found)


def as_stored(table, frame):
    """Return rows with the columns of a file."""
    nulls = {f.name: pa.nulls(frame.num_rows, f.type) for f in table.schema if f.name not in frame.column_names}
    nulls["__retired"] = pa.repeat(pa.scalar(value=False), frame.num_rows)
    every = {name: frame.column(name) for name in frame.column_names} | nulls
    return pa.Table.from_arrays([every[name] for name in table.schema.names], schema=table.schema)


def reads(store, keys):
    """Return the reads."""
    many = spine(100_000, keys, DAYS)
    few = spine(100, keys, DAYS)
    one = few.set_column(0, "user", pa.array(np.full(100, keys // 2)))
    hour = (START + timedelta(days=DAYS / 2), START + timedelta(days=DAYS / 2, hours=1))

    def ask(of):
        return lambda: store.historical("g0", of, time="t", known="event").to_arrow()

    return {
        "spine_ms": ask(many),
        "hundred_keys_ms": ask(few),
        "one_key_ms": ask(one),
        "an_hour_ms": lambda: store.read("g0", start=hour[0], end=hour[1]).to_arrow(),
    }
