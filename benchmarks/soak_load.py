"""The clients of the soak: each asks as fast as it is answered, and tries again as the remote store does.

What a bounded number of tries mends is counted as mended; what it does not, is an error.
"""

import asyncio
import itertools
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from data import WIDTHS, features, start_us, timestamps

import asof
from asof.client import link
from asof.client.http import READ_BYTES, BrokenConnectionError, Buffer
from asof.client.retries import pauses, tried
from asof.errors import AsofError, TransientError

PASSING = (408, 429, 503, 504)
"""Statuses that docs/server.md tells clients to try again."""

PUSHED = 1_000_000
"""From here on are the users whose records are pushed: so many to each client of its own."""
USERS_EACH = 1000

NAMES = [feature.name for feature in features(0)]
WIDTH = sum(WIDTHS)
ROWS = 20
"""Of a spine."""

mending = threading.local()


@dataclass
class Kind:
    """What the clients of one kind met.

    Attributes:
        took: When each answer came, and how many seconds it took with all its tries.
        mended: Requests that needed more than one try.
        reasons: Why a try failed, and how often.
        errors: What no try mended.
    """

    took: list = field(default_factory=list)
    mended: int = 0
    reasons: Counter = field(default_factory=Counter)
    errors: list = field(default_factory=list)


class Load:
    """Clients of a server, and what they met.

    Attributes:
        kinds: What each kind of client met.
        acknowledged: By user, the values of acknowledged pushes, in their order.
        keys: Idempotency keys of acknowledged pushes over HTTP.
        doubtful: What was pushed, and never acknowledged: (user, value).
        stale: Pushes that were acknowledged, and not readable then.
        lossy: Whether Redis may lack what it was told.
        lasted: Seconds from its beginning to its end.
    """

    def __init__(self, port, users):
        """Ask nothing yet."""
        self.port = port
        self.users = users
        self.kinds = {}
        self.acknowledged, self.keys, self.doubtful, self.stale = {}, [], [], []
        self.lossy = False
        self.lasted = 0.0
        self._end = False
        self._begun = time.monotonic()
        self._clients = itertools.count()
        self._numbers = itertools.count(1)
        self._threads = []

    def start(self, counts):
        """Start clients: so many of each kind."""
        link.tried = _counted
        asynchronous = {
            "one entity": self._one,
            "100 entities": self._many,
            "push": self._push,
            "historical": self._spine,
        }
        blocking = {
            "remote store: online": self._remote_online,
            "remote store: push": self._remote_push,
            "remote store: read": self._remote_read,
            "remote store: historical": self._remote_historical,
        }
        self.kinds = {name: Kind() for name in counts}
        loops = [(name, asynchronous[name]) for name in counts if name in asynchronous for _ in range(counts[name])]

        async def every():
            await asyncio.gather(*(self._asking(self.kinds[name], work) for name, work in loops))

        self._threads = [threading.Thread(target=asyncio.run, args=(every(),))]
        for name, work in blocking.items():
            for _ in range(counts.get(name, 0)):
                self._threads.append(threading.Thread(target=self._calling, args=(self.kinds[name], work)))
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Let what is under way end."""
        self._end = True
        self.lasted = self.now()
        for thread in self._threads:
            thread.join()
        link.tried = tried

    def now(self):
        """Return the seconds since the load began."""
        return time.monotonic() - self._begun

    async def _asking(self, kind, work):
        client = Client(self.port, kind)
        turn = work(client, next(self._clients))
        while not self._end:
            begun = time.monotonic()
            if await anext(turn):
                kind.took.append((self.now(), time.monotonic() - begun))
        client.close()

    async def _one(self, client, _):
        while True:
            yield await client.post("/v1/views/everything/online", {"keys": {"user": self._user()}}) is not None

    async def _many(self, client, _):
        while True:
            keys = [{"user": self._user()} for _ in range(100)]
            yield await client.post("/v1/views/everything/online", {"keys": keys}) is not None

    async def _spine(self, client, _):
        while True:
            moment = datetime.fromtimestamp(start_us() / 1e6, UTC) + timedelta(hours=1)
            spine = [{"user": self._user(), "at": moment.isoformat()} for _ in range(ROWS)]
            body = {"spine": spine, "time": "at", "known": "event"}
            answer = await client.post("/v1/views/everything/historical", body)
            if answer is not None and len(answer["rows"]) != ROWS:
                client.kind.errors.append(f"{len(answer['rows'])} rows for a spine of {ROWS}")
            yield answer is not None

    async def _push(self, client, number):
        while True:
            user, value, record = self._record(number)
            key = f"soak-{value:.0f}"
            body = {"records": record | {"ts": record["ts"].isoformat()}, "idempotency_key": key}
            answer = await client.post("/v1/groups/g0/push", body)
            if answer is None:
                self.doubtful.append((user, value))
            else:
                self.keys.append(key)
                self.acknowledged.setdefault(user, []).append(value)
                if random.random() < 0.1:
                    seen = await client.post("/v1/views/g0/online", {"keys": {"user": user}})
                    self._fresh(user, value, seen and seen["values"][NAMES[0]])
            yield answer is not None

    def _calling(self, kind, work):
        with asof.open(f"asof://127.0.0.1:{self.port}") as store:
            number = next(self._clients)
            while not self._end:
                mending.tries = Counter()
                begun = time.monotonic()
                try:
                    work(store, number)
                    kind.took.append((self.now(), time.monotonic() - begun))
                    kind.mended += bool(mending.tries)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                    kind.errors.append(f"{self.now():.1f} s: {type(error).__name__}: {error}")
                kind.reasons.update(mending.tries)

    def _remote_online(self, store, _):
        if random.random() < 0.5:
            vectors = [store.online("everything", {"user": self._user()})]
        else:
            vectors = store.online("everything", [{"user": self._user()} for _ in range(100)])
        if any(len(vector.values) != WIDTH for vector in vectors):
            raise ValueError("an answer lacks features")

    def _remote_push(self, store, number):
        user, value, record = self._record(number)
        try:
            store.push("g0", record)
        except AsofError:
            self.doubtful.append((user, value))
            raise
        self.acknowledged.setdefault(user, []).append(value)
        if random.random() < 0.1:
            self._fresh(user, value, store.online("g0", {"user": user}).values[NAMES[0]])

    def _remote_read(self, store, _):
        time.sleep(0.5)
        if store.read("g1").to_arrow().num_rows != self.users:
            raise ValueError("a read lacks rows")

    def _remote_historical(self, store, _):
        time.sleep(0.1)
        users = [self._user() for _ in range(ROWS)]
        spine = pa.table({"user": users, "at": timestamps([start_us() + 3_600_000_000] * ROWS)})
        if store.historical("everything", spine, time="at", known="event").to_arrow().num_rows != ROWS:
            raise ValueError("an answer lacks rows")

    def _user(self):
        return random.randrange(self.users)

    def _record(self, number):
        """Return a record of one of a client's own users: the user, a value that no other has, and the record."""
        value = float(next(self._numbers))
        user = PUSHED + number * USERS_EACH + int(value) % USERS_EACH
        now = datetime.now(UTC)  # noqa: TID251 - records arrive now
        return user, value, {"user": user, "ts": now, **dict.fromkeys(NAMES, value)}

    def _fresh(self, user, value, seen):
        if seen is not None and seen != value and not self.lossy:
            self.stale.append((self.now(), user, value, seen))


class Client:
    """A client with one kept-alive connection, that tries again.

    Args:
        port: The server's port.
        kind: Where to count.
    """

    def __init__(self, port, kind):
        """Be closed."""
        self.kind = kind
        self._port = port
        self._stream = None
        self._waits = None

    def close(self):
        """Hang up."""
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None

    async def post(self, path, body):
        """Return the answer; None if no try got one."""
        text = json.dumps(body).encode()
        message = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
        waits = pauses()
        tries = 0
        while True:
            tries += 1
            try:
                status, answer, keeps = await asyncio.wait_for(self._exchanged(message), 35)
                if not keeps:
                    self.close()
            except (OSError, BrokenConnectionError, TimeoutError) as error:
                self.close()
                reason, passing = f"{type(error).__name__}: {error}", True
            else:
                if status == 200:
                    self.kind.mended += tries > 1
                    return json.loads(answer)
                reason, passing = f"{status}: {json.loads(answer).get('title', '')}", status in PASSING
            self.kind.reasons[reason] += 1
            wait = next(waits, None)
            if wait is None or not passing:
                self.kind.errors.append(f"after {tries} tries: {reason}")
                return None
            await asyncio.sleep(wait)

    async def _exchanged(self, message):
        if self._stream is None:
            self._stream = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._stream
        writer.write(message)
        buffer = Buffer()
        while not buffer.feed(await reader.read(READ_BYTES)):
            pass
        return buffer.answer()


def _counted(work, *, again):
    """Try as the remote store does, and count what failed."""

    def once():
        try:
            return work()
        except TransientError as error:
            getattr(mending, "tries", Counter())[f"{type(error).__name__}: {error.what[:100]}"] += 1
            raise

    return tried(once, again=again)
