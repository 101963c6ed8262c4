"""Online reads from Redis and PostgreSQL: the store's call beside a hand-written read of the same bytes; 5 minutes."""

import shutil
import tempfile
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import psycopg
import redis
from data import START, Hands, groups, rows, start_us, view
from measure import Table, calls_us, median, percentile, take_turns, took

import asof
from asof.testing.servers import PostgresServer, RedisServer, missing

HEAD_BYTES = 16
NAME = "bench"


def run(folder, *, quick):
    """Return the tables of this benchmark; none where a server is not installed."""
    if missing():
        print(f"left out, for want of {', '.join(missing())}")
        return []
    sizes = (500, 200, 1) if quick else (50_000, 2000, 5)
    tables = []
    with running(RedisServer) as server:
        tables += reads("Redis", folder / "redis", f"{server.url}?prefix={NAME}", RawRedis(server), sizes)
        tables.append(loads(folder / "loads", f"{server.url}?prefix=loads", 5000 if quick else 1_000_000))
    with running(PostgresServer) as server:
        url = f"{server.url}?schema={NAME}"
        tables += reads("PostgreSQL", folder / "postgres", url, RawPostgres(server), sizes)
    return tables


@contextmanager
def running(kind):
    """Give a server in a folder that another user may read."""
    folder = Path(tempfile.mkdtemp(prefix="asof-"))
    folder.chmod(0o755)
    server = kind(folder / "server")
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def reads(name, folder, url, raw, sizes):
    """Measure reads of one and of a hundred entities."""
    keys, calls, rounds = sizes
    declared = groups(online=True)
    with opened(folder, url, Hands(START + timedelta(days=1))) as store:
        store.apply(*declared, view(declared))
        for at, group in enumerate(declared):
            store.backfill(group.name, rows(at, np.arange(keys), start_us() + np.arange(keys)))
    rng = np.random.default_rng(1)
    asked = [{"user": int(key)} for key in rng.integers(0, keys, calls)]
    batches = [asked[at : at + 100] for at in range(0, len(asked), 100)]
    with ExitStack() as stack:
        store = stack.enter_context(opened(folder, url))
        stack.enter_context(closing(raw))
        raw.open()
        for one in asked[:100]:
            if list(store.online("everything", one).values.values()) != raw.many([one])[0]:
                raise AssertionError(one)
        return [
            compare(
                Table(f"Online in {name}, one entity, 8 groups / 55 features", ABOUT, rounds),
                {
                    f"by hand: {raw.how}": lambda keys: raw.many([keys]),
                    "store.online(...).values": lambda keys: store.online("everything", keys).values,
                    "an empty round trip": lambda _: raw.nothing(),
                },
                lambda call: calls_us(call, asked),
                rounds,
            ),
            compare(
                Table(f"Online in {name}, 100 entities a call, 8 groups / 55 features", ABOUT, rounds),
                {
                    f"by hand: {raw.how}": raw.many,
                    "[v.values for v in store.online(...)]": lambda keys: [
                        v.values for v in store.online("everything", keys)
                    ],
                },
                lambda call: calls_us(call, batches),
                rounds,
            ),
        ]


ABOUT = (
    "microseconds a call over loopback, the server on the same cores; by hand reads the same rows in one round trip "
    "and decodes them, without marks, statuses or receipts"
)


@contextmanager
def opened(folder, url, clock=None):
    """Give a store whose online store has a URL."""
    folder.mkdir(exist_ok=True)
    (folder / "asof.toml").write_text(f'format = 1\nonline = "{url}"\n')
    with asof.open(folder, clock=clock) as store:
        yield store


class RawRedis:
    """Reads rows as one writes it by hand: one pipeline of HMGET a group, not atomic."""

    how = "pipeline of HMGET + decode"

    def __init__(self, server):
        """Keep the server."""
        self.server = server

    def open(self):
        """Connect, and learn the groups' keys."""
        self.client = redis.Redis.from_url(self.server.url)
        self.groups = sorted(self.client.keys(f"asof:{{{NAME}}}:g*"))
        self.decode = msgspec.msgpack.Decoder().decode

    def close(self):
        """Disconnect."""
        self.client.close()

    def many(self, asked):
        """Return the values of users."""
        keys = [(one["user"] + (1 << 63)).to_bytes(8, "big") for one in asked]
        pipeline = self.client.pipeline(transaction=False)
        for group in self.groups:
            pipeline.hmget(group, keys)
        decode = self.decode
        return [
            [value for row in found for value in decode(row[HEAD_BYTES:])]
            for found in zip(*pipeline.execute(), strict=True)
        ]

    def nothing(self):
        """Go there and back."""
        self.client.ping()


class RawPostgres:
    """Reads rows as one writes it by hand: one prepared statement."""

    how = "one statement + decode"

    def __init__(self, server):
        """Keep the server."""
        self.server = server

    def open(self):
        """Connect."""
        self.client = psycopg.connect(self.server.url, autocommit=True, prepare_threshold=0)
        self.decode = msgspec.msgpack.Decoder().decode
        self.text = f"SELECT key, row FROM {NAME}.rows WHERE key = ANY(%b) AND group_id = ANY(%b) ORDER BY group_id"
        self.client.execute(f"ANALYZE {NAME}.rows")  # else the server guesses, and reads the whole table
        self.groups = [g for (g,) in self.client.execute(f"SELECT group_id FROM {NAME}.marks ORDER BY 1")]

    def close(self):
        """Disconnect."""
        self.client.close()

    def many(self, asked):
        """Return the values of users."""
        keys = [(one["user"] + (1 << 63)).to_bytes(8, "big") for one in asked]
        values = {key: [] for key in keys}
        decode = self.decode
        for key, row in self.client.execute(self.text, (list(values), self.groups), binary=True):
            values[key] += decode(row[HEAD_BYTES:])
        return [values[key] for key in keys]

    def nothing(self):
        """Go there and back."""
        self.client.execute("SELECT 1")


def loads(folder, url, count):
    """Measure loads into Redis: the first one, and one that changes every key."""
    (group,) = groups(1, online=True)
    table = Table(
        f"Loads into Redis, {count:,} rows of 7 floats, one group",
        "rows a second, history included; the first load comes in steps, that of half as many is visible in one step",
        0,
    )
    with opened(folder, url, Hands(START + timedelta(days=2))) as store:
        store.apply(group)
        for side, size, later in (("first load", count, 0), ("newer rows of half the keys", count // 2, 1)):
            frame = rows(0, np.arange(size), start_us() + np.arange(size) + later)
            figures = took(lambda frame=frame: store.backfill(group.name, frame))
            table.add(side=side, rows_a_second=size / figures.wall, cpu_s_a_million=figures.cpu / size * 1e6)
    return table


def compare(table, sides, measure, rounds):
    """Add a row a side; the ratio is that of the medians to the first side's."""
    figures = take_turns(sides, rounds, measure)
    first = None
    for name, took_us in figures.items():
        p50 = median([percentile(each, 50) for each in took_us])
        p99 = median([percentile(each, 99) for each in took_us])
        first = first or p50
        table.add(side=name, p50_us=p50, p99_us=p99, ratio_p50=p50 / first)
    return table
