"""Beside Feast 0.67 in its own environment: one vector online, and a small training set; the sides take turns."""

import json
import shutil
import subprocess
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from data import DAY_US, START, Hands, groups, rows, spine, start_us, view
from measure import Table, calls_us, median, percentile, seconds
from point_in_time import fill

import asof

HERE = Path(__file__).parent
USERS = 2000
CALLS = 1000
SPINE = 20_000
PER_KEY = 10
READS = 3
"""Reads of asof beside one of Feast, which takes up to 200 times as long."""


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    subprocess.run([HERE / "feast_env.sh"], check=True)
    rounds = 1 if quick else 5
    declared = groups(online=True)
    clock = Hands(START + timedelta(days=20))
    with asof.open(folder / "store", clock=clock) as store, Feast(folder) as feast:
        store.apply(*declared, view(declared), *view_of_two(declared))
        for at, group in enumerate(declared):
            for batch in batches(at):
                store.backfill(group.name, batch)
            pq.write_table(store.read(group.name).to_arrow(), folder / f"{group.name}.parquet")
        asked = spine(SPINE, USERS, 10)
        pq.write_table(asked, folder / "spine.parquet")
        loaded = feast.ask("materialize")
        tables = [
            online(store, feast, rounds),
            historical(store, feast, asked, min(rounds, 3)),
            Table(
                "Feast: load into its online store (SQLite)",
                f"`materialize` of the newest rows of {USERS:,} keys x 8 groups, once",
                1,
                [{"side": "feast 0.67", "seconds": loaded["seconds"], "rows_a_second": USERS * 8 / loaded["seconds"]}],
            ),
        ]
    return [*tables, large(folder, "duckdb", min(rounds, 3), quick=quick)]


def large(folder, kind, rounds, *, quick):
    """Measure a training set of all groups beside one of Feast's stores."""
    rows, asked_rows = (3000, 300) if quick else (1_000_000, 100_000)
    table = Table(
        f"Training set beside Feast's {kind} store, {asked_rows:,} spine rows x 8 groups / 55 features x {rows:,} rows",
        f"seconds; 'times' is how many times faster asof is (median, {READS} reads before and after each of Feast's), "
        f"'rows' what Feast gave for the {asked_rows:,} asked for",
        rounds,
    )
    for per_key in (10, 100):
        home = folder / f"{kind}-{per_key}"
        place = fill(home, 8, rows, per_key, 10, late=False)
        asked = spine(asked_rows, rows // per_key, 10)
        pq.write_table(asked, home / "spine.parquet")
        with asof.open(place, clock=Hands(START + timedelta(days=400))) as store, Feast(home) as feast:
            for group in groups(online=False):
                pq.write_table(store.read(group.name).to_arrow(), home / f"{group.name}.parquet")
            read = partial(store.historical, "everything", asked, time="t", known="event")
            ours, theirs = [], []
            for _ in range(rounds + 1):  # the first does not count
                theirs.append(feast.ask("historical", store=kind, groups=8))
                ours += [seconds(read) for _ in range(READS)]
            theirs = theirs[1:]
        took = median([each["seconds"] for each in theirs])
        table.add(
            rows_a_key=per_key, asof_s=median(ours), feast_s=took, times=took / median(ours), rows=theirs[0]["rows"]
        )
        shutil.rmtree(home)
    return table


def view_of_two(declared):
    """Return a view of two groups, for the training set."""
    return [asof.FeatureView("two", features=declared[:2])]


def batches(group):
    """Return a group's history: each user once a day."""
    for day in range(PER_KEY):
        rng = np.random.default_rng((group, day))
        yield rows(group, np.arange(USERS), start_us() + day * DAY_US + rng.integers(0, DAY_US, USERS))


def online(store, feast, rounds):
    """Measure one vector a call."""
    rng = np.random.default_rng(3)
    asked = [int(key) for key in rng.integers(0, USERS, CALLS)]
    figures = {"asof": [], "feast 0.67, SQLite": []}
    for round_ in range(rounds + 1):
        ours = calls_us(lambda key: store.online("everything", {"user": key}).values, asked)
        theirs = feast.ask("online", keys=asked[: CALLS // 5])["took_us"]
        if round_:
            figures["asof"].append(ours)
            figures["feast 0.67, SQLite"].append(theirs)
    if store.online("everything", {"user": asked[0]}).values != feast.ask("values", key=asked[0])["values"]:
        raise AssertionError("the answers differ")
    table = Table(
        "Online beside Feast, one entity, 8 groups / 55 features",
        f"microseconds a call, in process, {USERS:,} keys; both give the same values",
        rounds,
    )
    first = None
    for side, took in figures.items():
        p50 = median([percentile(each, 50) for each in took])
        first = first or p50
        p99 = median([percentile(each, 99) for each in took])
        table.add(side=side, p50_us=p50, p99_us=p99, ratio_p50=p50 / first)
    return table


def historical(store, feast, asked, rounds):
    """Measure a training set of two groups."""
    figures = {"asof": [], "feast 0.67, default store": [], "feast 0.67, duckdb store": []}
    found = {}
    for _ in range(rounds):
        took = {
            "asof": seconds(lambda: found.update(asof=store.historical("two", asked, time="t", known="event"))),
        }
        for kind, side in (("file", "feast 0.67, default store"), ("duckdb", "feast 0.67, duckdb store")):
            answer = feast.ask("historical", store=kind, groups=2)
            took[side] = answer["seconds"]
            found[side] = answer["rows"]
        for side, value in took.items():
            figures[side].append(value)
    found["asof"] = len(found["asof"])
    table = Table(
        f"Training set beside Feast, {len(asked):,} spine rows x 2 groups x {USERS * PER_KEY:,} rows",
        f"seconds, {PER_KEY} rows a key; 'rows' is what came back for the {len(asked):,} rows asked for",
        rounds,
    )
    first = None
    for side, took in figures.items():
        first = first or median(took)
        table.add(side=side, seconds=median(took), ratio=median(took) / first, rows=found[side])
    return table


class Feast:
    """A process that runs Feast in its own environment and does what it is asked."""

    def __init__(self, folder):
        """Start it."""
        python = HERE.parent / ".bench" / "feast" / "bin" / "python"
        self.process = subprocess.Popen(
            [python, HERE / "feast_side.py", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what, **arguments):
        """Ask for something; return the answer."""
        self.process.stdin.write(json.dumps({"what": what, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"Feast died on {what}")
        return json.loads(line)

    def __enter__(self):
        """Use it in a block."""
        return self

    def __exit__(self, *_):
        """End it."""
        self.process.stdin.close()
        self.process.wait()
