"""Point-in-time reads over rows that stay outside of the store: a folder of Parquet files, and a table of PostgreSQL.

The folder is as somebody writes it who does not know us: a file a day, in no order. 'by hand' is the best of several
DuckDB statements over the same files. The server runs on this machine, and shares its cores. 2 minutes.
"""

import os
from datetime import timedelta

import ibis
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from data import START, USER, Hands, features, history, spine
from hand_written import EVENT, NARROW, Layout, answer
from measure import Table, median, seconds, take_turns, took
from online_servers import running
from pyarrow import csv

import asof
from asof import FeatureGroup, FeatureView
from asof.testing.servers import PostgresServer, missing

COMMITS = 10


def run(folder, *, quick):
    """Return the tables of this benchmark."""
    os.environ["ASOF_COMPACTION"] = "off"
    return [in_place(folder / "files", quick=quick), *of_server(folder / "server", quick=quick)]


def in_place(folder, *, quick):
    """Return the table of files."""
    total, size, rounds = (3000, 500, 1) if quick else (1_000_000, 100_000, 3)
    table = Table(
        f"External Parquet files, {total:,} rows of 7 features in {COMMITS} files",
        "seconds of one `historical` of all features by event time; 'external': the files in place, their footers "
        "known; 'stored': the same rows backfilled into the store; 'by hand': the best DuckDB statement over the "
        "external files. `to_stored`, `to_hand`: ratios of external to them; `first_s`: the first read of the external "
        "files; `load_s`: what it took to store the rows",
        rounds,
    )
    for per_key, asked_rows in ((100, size),) if quick else ((10, size), (100, size), (1000, size), (100, size // 100)):
        place = folder / f"{per_key}-{asked_rows}"
        files = place / "files"
        files.mkdir(parents=True)
        asked = spine(asked_rows, total // per_key, COMMITS)
        with asof.open(place / "store", clock=Hands(START + timedelta(days=400))) as store:
            store.apply(group("stored", None), group("external", f"parquet:{files}"))
            load = 0.0
            for at, (_, batch) in enumerate(history(0, total=total, per_key=per_key, commits=COMMITS)):
                pq.write_table(batch, files / f"{at}.parquet")
                load += seconds(lambda batch=batch: store.backfill("stored", batch))
            layout = Layout([f.name for f in features(0)], ("user",), [str(f) for f in sorted(files.glob("*"))], [])
            table.add(rows_a_key=per_key, spine=asked_rows, **compared(store, layout, asked, rounds), load_s=load)
    return table


def compared(store, layout, asked, rounds):
    """Return the figures of all sides, after a look whether they agree."""

    def read(name):
        return lambda: store.historical(name, asked, time="t").to_arrow()

    def by_hand(way):
        return lambda: answer(way, [layout], asked)

    first = seconds(read("external"))
    expected = read("stored")()
    if not read("external")().equals(expected):
        raise AssertionError("external rows are answered in another way")
    ways = EVENT | NARROW
    for name, way in ways.items():
        if not answer(way, [layout], asked).equals(expected):
            raise AssertionError(f"{name} differs from the store's answer")
    best = min(ways, key=lambda name: min(seconds(by_hand(ways[name])) for _ in range(2)))
    sides = {"external": read("external"), "stored": read("stored"), "hand": by_hand(ways[best])}
    wall = {side: median([each.wall for each in found]) for side, found in take_turns(sides, rounds, took).items()}
    return {
        "external_s": wall["external"],
        "stored_s": wall["stored"],
        "by_hand_s": wall["hand"],
        "to_stored": wall["external"] / wall["stored"],
        "to_hand": wall["external"] / wall["hand"],
        "first_s": first,
        "best_by_hand": best,
    }


def of_server(folder, *, quick):
    """Return the table of a server's table."""
    total, rounds = (3000, 1) if quick else (500_000, 2)
    table = Table(
        f"External table of PostgreSQL, {total:,} rows of 7 features, an index on key and time",
        "seconds of one `historical` of two features; 'external': only the keys, times and columns that the spine can "
        "reach are fetched; 'whole': keys, times and these features of all rows are fetched through Ibis, and answered "
        "by hand in DuckDB",
        rounds,
    )
    if missing():
        print(f"left out, for want of {', '.join(missing())}")
        return []
    with running(PostgresServer) as server:
        fill(server.url, total)
        with asof.open(folder / "store", clock=Hands(START + timedelta(days=400))) as store:
            declared = group("external", f"{server.url}?table=rows")
            store.apply(declared, FeatureView("two", features=[declared[f.name] for f in features(0)[:2]]))
            for size in (50, 500) if quick else (100, 1000, 10_000, 100_000):
                asked = spine(size, total // 100, COMMITS)
                table.add(spine=size, **fetched(store, server.url, folder, asked, rounds))
    return [table]


def fill(url, total):
    """Make the table."""
    columns = ", ".join(f"{feature.name} float8" for feature in features(0))
    with psycopg.connect(url, autocommit=True) as client:
        client.execute(f'CREATE TABLE rows ("user" bigint, ts timestamptz, {columns})')
        for _, batch in history(0, total=total, per_key=100, commits=COMMITS):
            with client.cursor() as cursor, cursor.copy("COPY rows FROM STDIN (FORMAT csv)") as copy:
                copy.write(as_csv(batch))
        client.execute('CREATE INDEX ON rows ("user", ts)')
        client.execute("ANALYZE rows")


def as_csv(batch):
    """Return rows as text."""
    sink = pa.BufferOutputStream()
    csv.write_csv(batch, sink, csv.WriteOptions(include_header=False))
    return sink.getvalue().to_pybytes()


def fetched(store, url, folder, asked, rounds):
    """Return the figures of both sides, after a look whether they agree."""
    names = [feature.name for feature in features(0)][:2]

    def ours():
        return store.historical("two", asked, time="t").to_arrow()

    def whole():
        connection = ibis.connect(url)
        rows = connection.table("rows").select("user", "ts", *names).to_pyarrow()
        connection.disconnect()
        pq.write_table(rows, folder / "whole.parquet")
        return answer(EVENT[next(iter(EVENT))], [Layout(names, ("user",), [str(folder / "whole.parquet")], [])], asked)

    if not ours().equals(whole()):
        raise AssertionError("rows of the server are answered in another way")
    profile = store.historical("two", asked, time="t", explain=True).report.plan.profiles["external"]
    found = take_turns({"external": ours, "whole": whole}, rounds, took)
    wall = {side: median([each.wall for each in every]) for side, every in found.items()}
    return {
        "external_s": wall["external"],
        "whole_s": wall["whole"],
        "ratio": wall["external"] / wall["whole"],
        "rows_fetched": profile.rows,
        "fetch_s": profile.seconds["fetch"],
    }


def group(name, external):
    """Return the group of the rows."""
    return FeatureGroup(name, entity=USER, event_time="ts", features=features(0), external=external)
