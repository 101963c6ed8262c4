"""Streams: from a message with the broker to a row that the online store answers, and rows a second; 3 minutes."""

import asyncio
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats
import pyarrow as pa
import redis
from confluent_kafka import Producer
from data import USER, features
from measure import Table, median, percentile

import asof
from asof import FeatureGroup
from asof.streams import run as run_stream
from asof.testing.servers import KafkaServer, NatsServer, RedisServer, missing

RATES = (100, 1000)
GROUP = FeatureGroup("g0", entity=USER, event_time="ts", features=features(0), online=True)
NAMES = [feature.name for feature in GROUP.features]
START = datetime(2024, 1, 1, tzinfo=UTC)
BATCH = 5000


def run(folder, *, quick):
    """Return the tables of this benchmark; none where a server is not installed."""
    if missing():
        print(f"left out, for want of {', '.join(missing())}")
        return []
    seconds, count, rounds = (1, 12_000, 1) if quick else (10, 200_000, 3)
    delay = Table(
        "Stream: from sent to readable online",
        f"`asof stream run` in a process of its own (embedded store, one partition, JSON of 7 floats, defaults); "
        f"another process sends at a steady rate for {seconds} s and asks the online store until each row is there. "
        "Kafka is librdkafka's own broker for tests, which answers every 5 ms",
        1,
    )
    speed = Table(
        "Stream: rows a second",
        "Rows of 7 floats that wait with the broker, into history and online; one process, commits of "
        f"{BATCH:,} messages. Arrow: 1,000 rows a message. Beside it the same rows as dicts by store.push",
        rounds,
    )
    for kind in (RedisBroker, NatsBroker, KafkaBroker):
        with kind() as broker:
            for rate in RATES:
                measured(delay, broker, folder / f"{broker.name}{rate}", rate, seconds)
            rows_ = min(count, broker.holds)
            figures = [drained(broker, folder / f"{broker.name}-{n}", rows_, "json") for n in range(rounds)]
            speed.add(side=f"{broker.name}, JSON", rows=rows_, rows_a_second=median(figures))
            if kind is RedisBroker:
                figures = [drained(broker, folder / f"arrow-{n}", count, "arrow") for n in range(rounds)]
                speed.add(side=f"{broker.name}, Arrow", rows=count, rows_a_second=median(figures))
    figures = [pushed(folder / f"push-{n}", count) for n in range(rounds)]
    speed.add(side=f"store.push, {BATCH:,} a call", rows=count, rows_a_second=median(figures))
    return [delay, speed]


def row(number):
    """Return a row."""
    at = START + timedelta(microseconds=number)
    return {"user": number, "ts": at, **{name: number + at_ / 7 for at_, name in enumerate(NAMES)}}


def as_json(number):
    """Return a message of one row."""
    return json.dumps(row(number) | {"ts": row(number)["ts"].isoformat()}).encode()


def as_arrow(start, count):
    """Return a message of many rows."""
    table = pa.Table.from_pylist([row(number) for number in range(start, start + count)])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def measured(table, broker, folder, rate, seconds):
    """Send at a steady rate, and measure how long each row takes until it is read."""
    with asof.open(folder) as store, reading(folder, url := broker.made(), folder.parent / f"{folder.name}.log"):
        store.apply(GROUP)
        send = broker.sender(url)
        send(as_json(0))
        sent, seen = {}, {}
        while store.online("g0", {"user": 0}).statuses[NAMES[0]] != "PRESENT":
            time.sleep(0.01)
        count = rate * seconds
        messages = [as_json(number) for number in range(1, count + 1)]

        def produce():
            begun = time.perf_counter()
            for number, message in enumerate(messages, 1):
                time.sleep(max(begun + number / rate - time.perf_counter(), 0))
                sent[number] = time.perf_counter()
                send(message)

        thread = threading.Thread(target=produce)
        thread.start()
        for number in range(1, count + 1):
            while store.online("g0", {"user": number}).statuses[NAMES[0]] != "PRESENT":
                time.sleep(0.0005)
            seen[number] = time.perf_counter()
        thread.join()
        took = [(seen[number] - sent[number]) * 1000 for number in sent]
        commits = len(store.catalog.commits("g0"))
    table.add(
        broker=broker.name,
        messages_a_second=rate,
        p50_ms=percentile(took, 50),
        p99_ms=percentile(took, 99),
        commits=commits,
    )


@contextmanager
def reading(folder, url, log):
    """Have a process read the stream into a store, which must have the group by then."""
    with asof.open(folder) as store:
        store.apply(GROUP)
    code = "import sys; from asof.cli import main; sys.argv[0] = 'asof'; main()"
    words = ["stream", "run", str(folder), "g0", "--from", url]
    with log.open("wb") as out:
        member = subprocess.Popen([sys.executable, "-c", code, *words], stdout=out, stderr=out)
        try:
            yield
        finally:
            member.terminate()
            member.wait(60)


def drained(broker, folder, count, kind):
    """Return the rows a second of a stream that waits with the broker."""
    url = broker.made()
    if kind == "json":
        broker.fill(url, (as_json(number) for number in range(count)))
    else:
        broker.fill(url, (as_arrow(start, 1000) for start in range(0, count, 1000)))
    with asof.open(folder) as store:
        store.apply(GROUP)
        stop = threading.Event()

        def look():
            while sum(commit.rows for commit in store.catalog.commits("g0")) < count:
                time.sleep(0.05)
            stop.set()

        watch = threading.Thread(target=look)
        watch.start()
        size = BATCH if kind == "json" else BATCH // 1000
        run_stream(store, "g0", url, format=kind, batch_rows=size, stop=stop)
        watch.join()
        commits = store.catalog.commits("g0")
    between = (commits[-1].committed_at_us - commits[0].committed_at_us) / 1e6  # joining a group is not counted
    return (count - commits[0].rows) / between


def pushed(folder, count):
    """Return the rows a second by store.push."""
    rows = [row(number) for number in range(count)]
    with asof.open(folder) as store:
        store.apply(GROUP)
        begun = time.perf_counter()
        for start in range(0, count, BATCH):
            store.push("g0", rows[start : start + BATCH])
        return count / (time.perf_counter() - begun)


async def silent(_):
    """Say nothing of a server that was stopped."""


class _Broker:
    """A broker in a folder of its own.

    Attributes:
        holds: So many messages may wait with it.
    """

    kind, name, holds = None, "", 1_000_000

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="asof-"))
        self.server = self.kind(self.folder / "server")
        self.server.start()
        self.names = (f"s{number}" for number in itertools.count())
        return self

    def __exit__(self, *_):
        self.server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisBroker(_Broker):
    """Redis Streams."""

    kind, name = RedisServer, "Redis Streams"

    def made(self):
        """Return the URL of a new stream."""
        return f"{self.server.url}/{next(self.names)}"

    def sender(self, url):
        """Return what sends a message."""
        client, key = redis.Redis.from_url(self.server.url), url.rpartition("/")[2]
        return lambda value: client.xadd(key, {"value": value})

    def fill(self, url, values):
        """Send many messages."""
        with redis.Redis.from_url(self.server.url) as client:
            pipe = client.pipeline(transaction=False)
            for value in values:
                pipe.xadd(url.rpartition("/")[2], {"value": value})
            pipe.execute()


class NatsBroker(_Broker):
    """NATS JetStream."""

    kind, name = NatsServer, "NATS JetStream"

    def made(self):
        """Return the URL of a new stream."""
        name = next(self.names)

        async def make():
            server = await nats.connect(self.server.url)
            await server.jetstream().add_stream(name=name, subjects=[name])
            await server.close()

        asyncio.run(make())
        return f"{self.server.url}/{name}"

    def sender(self, url):
        """Return what sends a message."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        connected = nats.connect(self.server.url, error_cb=silent, allow_reconnect=False)
        server = asyncio.run_coroutine_threadsafe(connected, loop).result()
        stream, subject = server.jetstream(), url.rpartition("/")[2]
        return lambda value: asyncio.run_coroutine_threadsafe(stream.publish(subject, value), loop).result()

    def fill(self, url, values):
        """Send many messages."""

        async def send():
            server = await nats.connect(self.server.url)
            stream, every = server.jetstream(publish_async_max_pending=4000), list(values)
            for start in range(0, len(every), 1000):
                part = every[start : start + 1000]
                await asyncio.gather(*[await stream.publish_async(url.rpartition("/")[2], each) for each in part])
            await server.close()

        asyncio.run(send())


class KafkaBroker(_Broker):
    """The Kafka that librdkafka has for tests; it keeps 5 MB of each of a topic's four partitions."""

    kind, name, holds = KafkaServer, "Kafka (of tests)", 60_000

    def made(self):
        """Return the URL of a new topic."""
        name = next(self.names)
        Producer({"bootstrap.servers": self.server.bootstrap}).list_topics(name, timeout=30)
        return f"{self.server.url}/{name}?fetch.wait.max.ms=5"

    def sender(self, url):
        """Return what sends a message."""
        producer = Producer({"bootstrap.servers": self.server.bootstrap, "linger.ms": 0})
        topic = url.partition("?")[0].rpartition("/")[2]

        def send(value):
            producer.produce(topic, value, partition=0)
            producer.poll(0)

        return send

    def fill(self, url, values):
        """Send many messages."""
        producer = Producer({"bootstrap.servers": self.server.bootstrap, "queue.buffering.max.messages": 1_000_000})
        for number, value in enumerate(values):
            producer.produce(url.partition("?")[0].rpartition("/")[2], value, partition=number % 4)
            producer.poll(0)
        producer.flush(60)
