"""Reads over HTTP on loopback: `asof serve` beside an application that answers the same bytes and does nothing else.

The load comes from this process, over connections that stay open; it shares the machine's cores with the server.
"""

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import numpy as np
import uvicorn
from data import START, Hands, groups, rows, start_us, view
from measure import Table, median, percentile

import asof

PER_SECOND = 1000
CONNECTIONS = 16
SERVE = "import asof.cli; asof.cli.main()"


def run(folder, *, quick):
    """Return the table of this benchmark."""
    keys, seconds, rounds = (500, 0.1, 1) if quick else (100_000, 4.0, 5)
    declared = groups(online=True)
    with asof.open(folder / "store", clock=Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, 4000)]
    batches = [asked[at : at + 100] for at in range(0, len(asked), 100)]
    table = Table(
        "Reads over HTTP, 8 groups / 55 features",
        f"one worker; {seconds:g} s a round; `bare`: the same web server, an application that answers the same bytes. "
        f"Paced: {PER_SECOND:,} requests a second over {CONNECTIONS} connections, late ones at once; else each "
        "connection asks as fast as it is answered. The load generator shares the cores",
        rounds,
    )
    shapes = {
        "one entity, paced": ([{"keys": keys} for keys in asked], PER_SECOND),
        "one entity": ([{"keys": keys} for keys in asked], None),
        "100 entities": ([{"keys": keys} for keys in batches], None),
        "100 entities, one connection": ([{"keys": keys} for keys in batches], None),
        "100 entities by columns, one connection": ([{"keys": keys, "orient": "columns"} for keys in batches], None),
    }
    with serving([sys.executable, "-c", SERVE, "serve", str(folder / "store"), "--port", "0"]) as port:
        for name, (bodies, pace) in shapes.items():
            requests = [request(body) for body in bodies]
            answer = asyncio.run(ask_once(port, requests[0]))
            (folder / "answer").write_bytes(answer)
            connections = 1 if "one connection" in name else CONNECTIONS
            with serving([sys.executable, __file__, str(folder / "answer")]) as bare:
                figures = {"asof": [], "bare": []}
                for round_ in range(rounds + 1):
                    for side, at in (("asof", port), ("bare", bare)):
                        took = asyncio.run(load(at, requests, seconds, connections, pace))
                        if round_:
                            figures[side].append(took)
            add(table, name, figures, seconds)
    return [table]


def add(table, name, figures, seconds):
    """Add a row a shape."""
    p50 = {side: [percentile(took, 50) for took in rounds] for side, rounds in figures.items()}
    table.add(
        asked=name,
        p50_ms=median(p50["asof"]) / 1000,
        p99_ms=median([percentile(took, 99) for took in figures["asof"]]) / 1000,
        requests_a_second=median([len(took) / seconds for took in figures["asof"]]),
        bare_p50_ms=median(p50["bare"]) / 1000,
        ratio_p50=median([own / bare for own, bare in zip(p50["asof"], p50["bare"], strict=True)]),
    )


def request(body):
    """Return the bytes of a request."""
    text = json.dumps(body).encode()
    head = f"POST /v1/views/everything/online HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


@contextmanager
def serving(command):
    """Start a server, and give its port when it answers."""
    with started(command) as (port, _):
        yield port


@contextmanager
def started(command):
    """Start a server, and give its port and its process when it answers."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"127\.0\.0\.1:(\d+)", line)))
        while True:  # the port is told a moment before it answers
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        process.communicate()


async def ask(reader, writer, sent):
    """Send a request, and return the body of its answer."""
    writer.write(sent)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head.decode())
    return await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))


async def ask_once(port, sent):
    """Return the body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = await ask(reader, writer, sent)
    writer.close()
    return body


async def load(port, requests, seconds, connections, pace):
    """Ask for some seconds; return how long each request took since it was sent, in microseconds."""
    took = []
    begun = time.perf_counter()
    due = iter(range(10**9))

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in due:
            start = time.perf_counter()
            if pace:
                wanted = begun + number / pace
                if wanted > start:
                    await asyncio.sleep(wanted - start)
                    start = time.perf_counter()
            if start - begun > seconds:
                break
            await ask(reader, writer, requests[number % len(requests)])
            took.append((time.perf_counter() - start) * 1e6)
        writer.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return took


def bare(file):
    """Serve the bytes of a file, whatever is asked."""
    body = Path(file).read_bytes()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]

    async def app(_scope, receive, send):
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, port=0, lifespan="off", access_log=False)


if __name__ == "__main__":
    bare(sys.argv[1])
