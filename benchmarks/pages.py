"""Pages of a store with 5,000 features, as a browser loads them from `asof serve`, one after the other."""

import http.client
import sys
import time
from datetime import timedelta

import numpy as np
import pyarrow as pa
from data import START, Hands, start_us, timestamps
from http_reads import SERVE, serving
from measure import Table, median, percentile

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

PAGES = {
    "home": "/",
    "groups": "/groups",
    "group": "/groups/group_041",
    "group: data, of {rows:,} rows": "/groups/group_000/data",
    "group: statistics, of {rows:,} rows": "/groups/group_000/statistics",
    "group: a key of {rows:,} rows, explained": "/groups/group_000/lookup?key.key_0=7&why=group_000/f000_1",
    "view": "/views/view_07",
    "entity: a key of 25 groups": "/entities/entity_03?key.key_3=1",
    "search: one word, 5,000 hits": "/search?q=figure",
    "search while typing": "/search/hits?q=figure+7+of+process+41",
    "lineage of a view": "/lineage/view_07",
    "audit": "/audit",
}


def run(folder, *, quick):
    """Return the table of this benchmark."""
    many, rows, rounds = (20, 1000, 3) if quick else (500, 1_000_000, 30)
    fill(folder / "store", many, rows)
    table = Table(
        f"Pages, {many} groups of 10 features",
        f"one worker, one connection, {rounds} times each, one more before; without the browser's own time",
        rounds,
    )
    with serving([sys.executable, "-c", SERVE, "serve", str(folder / "store"), "--port", "0", "--no-flight"]) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for name, path in PAGES.items():
            wanted = path.replace("041", "011") if quick else path
            took, sizes = zip(*(load(connection, wanted) for _ in range(rounds + 1)), strict=True)
            figures = took[1:]
            table.add(
                page=name.format(rows=rows), kB=sizes[0] / 1000, p50_ms=median(figures), p99_ms=percentile(figures, 99)
            )
    return [table]


def fill(folder, many, rows):
    """Make a store whose first group has many rows, and the others few."""
    entities = [Entity(f"entity_{each:02}", keys={f"key_{each}": "int64"}) for each in range(20)]
    groups = [
        FeatureGroup(
            f"group_{number:03}",
            entity=entities[number % 20],
            event_time="at",
            features=[
                Feature(f"f{number:03}_{each}", "float64", description=f"figure {each} of process {number}")
                for each in range(10)
            ],
            ttl="6h",
            online=True,
            owner=f"team-{number % 7}",
        )
        for number in range(many)
    ]
    views = [FeatureView(f"view_{at:02}", features=groups[at::20][:5]) for at in range(20)]
    with asof.open(folder, clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*groups, *views)
        rng = np.random.default_rng(1)
        values = {f"f000_{each}": rng.normal(size=rows) for each in range(10)}
        at = timestamps(start_us() + np.arange(rows))
        store.backfill("group_000", pa.table({"key_0": np.arange(rows) % 100_000, "at": at, **values}))
        for number, group in enumerate(groups[1:], 1):
            row = {f"f{number:03}_{each}": float(each) for each in range(10)}
            store.push(group.name, [{f"key_{number % 20}": key, "at": START, **row} for key in range(3)])


def load(connection, path):
    """Load a page; return how long that took, in milliseconds, and its size."""
    begun = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path}: {answer.status}")
    return (time.perf_counter() - begun) * 1000, len(text)
