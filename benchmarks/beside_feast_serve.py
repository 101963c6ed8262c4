"""Reads over HTTP on loopback: `asof serve` beside `feast serve`, one worker a side; the sides take turns.

The load comes from this process, over connections that stay open; it shares the machine's cores with the servers.
"""

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
from beside_feast import HERE, USERS, Feast, batches
from data import START, Hands, groups, view
from http_reads import CONNECTIONS, SERVE, ask_once, load, serving
from measure import Table, median, percentile

import asof

PER_SECOND = 50
"""Requests of the paced rows: about half of what Feast's worker can."""


def run(folder, *, quick):
    """Return the table of this benchmark."""
    subprocess.run([HERE / "feast_env.sh"], check=True)
    seconds, rounds = (1.0, 1) if quick else (4.0, 5)
    fill(folder)
    rng = np.random.default_rng(5)
    users = [int(key) for key in rng.integers(0, USERS, 4000)]
    asked = {"one entity": [[user] for user in users], "100 entities": np.reshape(users, (-1, 100)).tolist()}
    table = Table(
        "Reads over HTTP beside `feast serve`, 8 groups / 55 features",
        f"one worker a side, {USERS:,} keys, {seconds:g} s a round; asof's own call, the same server asked in Feast's "
        f"words, and Feast 0.67 with SQLite; {CONNECTIONS} connections, each asks as fast as it is answered, or all "
        f"together {PER_SECOND} times a second (paced). The load generator shares the cores",
        rounds,
    )
    python = HERE.parent / ".bench" / "feast" / "bin" / "python"
    with ExitStack() as running:
        ours = running.enter_context(serving([sys.executable, "-c", SERVE, "serve", str(folder / "store"), "--port=0"]))
        theirs = running.enter_context(serving([python, HERE / "feast_side.py", folder, "serve"]))
        for name, keys in asked.items():
            own = [own_request([{"user": user} for user in each]) for each in keys]
            feast = [feast_request(each) for each in keys]
            sides = {"asof": (ours, own), "asof, Feast's call": (ours, feast), "feast 0.67": (theirs, feast)}
            compare(ours, theirs, feast[0])
            for pace in (None, PER_SECOND) if name == "one entity" else (None,):
                took = {side: [] for side in sides}
                for round_ in range(rounds + 1):
                    for side, (port, requests) in sides.items():
                        each = asyncio.run(load(port, requests, seconds, CONNECTIONS, pace))
                        if round_:
                            took[side].append(each)
                add(table, f"{name}{', paced' if pace else ''}", took, seconds)
    return [table]


def fill(folder):
    """Make both stores, with the same rows."""
    declared = groups(online=True)
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=20))) as store, Feast(folder) as feast:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            for batch in batches(at):
                store.backfill(group.name, batch)
            pq.write_table(store.read(group.name).to_arrow(), folder / f"{group.name}.parquet")
        feast.ask("materialize")


def compare(ours, theirs, request):
    """Raise if the servers give other values."""
    found = [json.loads(asyncio.run(ask_once(port, request))) for port in (ours, theirs)]
    first, second = (
        dict(zip(each["metadata"]["feature_names"], [column["values"] for column in each["results"]], strict=True))
        for each in found
    )
    if first != second:
        raise AssertionError("the answers differ")


def own_request(keys):
    """Return the bytes of asof's call."""
    return posted("/v1/views/everything/online", {"keys": keys if len(keys) > 1 else keys[0]})


def feast_request(users):
    """Return the bytes of Feast's call."""
    names = [f"{group.name}:{feature.name}" for group in groups(online=True) for feature in group.features]
    return posted("/get-online-features", {"features": names, "entities": {"user": users}})


def posted(path, body):
    """Return the bytes of a request."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text


def add(table, name, took, seconds):
    """Add a row a side."""
    rate = {side: median([len(each) / seconds for each in rounds]) for side, rounds in took.items()}
    for side, rounds in took.items():
        table.add(
            asked=name,
            side=side,
            p50_ms=median([percentile(each, 50) for each in rounds]) / 1000,
            p99_ms=median([percentile(each, 99) for each in rounds]) / 1000,
            requests_a_second=rate[side],
            times=rate[side] / rate["feast 0.67"],
        )
