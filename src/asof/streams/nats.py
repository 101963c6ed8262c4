"""NATS JetStream: `nats://HOST:PORT/STREAM?partitions=4&lease=10`.

With partitions=N the messages lie under the subjects STREAM.0, STREAM.1, ... of the stream, else under any. Partitions
are leased to members, in a bucket of keys: consumers that members share hand each message to any of them, so that those
of one key of ours would overtake each other. Each partition has a consumer of its own, which shows how far it is read.
"""

import asyncio
import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from asof.errors import BackendError, MissingDependencyError, PermanentError, TransientError, UsageError
from asof.streams.leases import Leases
from asof.streams.port import Message, Resume, Start, number_in, refuse_options

try:
    import nats
    from nats.errors import AuthorizationError, Error, NoServersError
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, KeyValueConfig
    from nats.js.errors import APIError, BucketNotFoundError, KeyNotFoundError, NoKeysError, NotFoundError
except ImportError as error:
    raise MissingDependencyError("nats-py", extra="nats") from error

OPTIONS = "partitions, lease"
LEASE_SECONDS = 10.0
ANSWER_SECONDS = 5.0
AHEAD = 5000
"""Messages of a partition that are asked for at once, and so lie in memory."""

PULL_SECONDS = 20.0
"""How long the server keeps a question for messages."""

IDLE_SECONDS = 300.0
"""After which the server forgets the consumer of a member that died."""

T = TypeVar("T")

Native = Any
"""An object of nats-py."""


class _Partition:
    """What a held partition has on its way; touched by the loop's thread and ours."""

    def __init__(self, at: int) -> None:
        self.consumer = ""
        self.at = at
        self.waiting: deque[Message] = deque()
        self.delivered = 0
        self.wanted = 0
        self.asked_at = 0.0
        self.broken = False
        self.behind: int | None = None
        self.subscription: Native = None
        self.inbox = ""


class NatsStream:
    """The stream port over NATS JetStream; see `asof.streams.port.Stream`."""

    def __init__(self, url: str, *, group: str, resume: Resume, start: Start = "earliest") -> None:
        """Connect, and join the group."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        self._stream = parts.path.strip("/")
        self._where = f"NATS at {parts.hostname}, stream {self._stream}"
        if not re.fullmatch(r"[^\s/.*>]+", self._stream):
            raise UsageError(f"{parts.path!r} names no stream", todo="write nats://HOST:PORT/STREAM")
        count = int(number_in(options, "partitions", 1, self._where))
        self._lease = number_in(options, "lease", LEASE_SECONDS, self._where)
        refuse_options(options, OPTIONS, self._where)
        self._group, self._resume, self._start = group, resume, start
        self._subjects = {str(n): f"{self._stream}.{n}" if count > 1 else "" for n in range(count)}
        self._held: dict[str, _Partition] = {}
        self._came = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asof-nats", daemon=True)
        self._thread.start()
        self._server: Native = None
        self._js: Native = None
        self._leases: Leases | None = None
        try:
            self._connect(urlunsplit((parts.scheme, parts.netloc, "", "", "")))
        except BaseException:
            self.close()
            raise

    @property
    def held(self) -> Mapping[str, int]:
        """See `Stream.held`."""
        return {} if self._leases is None else self._leases.held

    def poll(self, most: int, seconds: float) -> Sequence[Message]:
        """See `Stream.poll`."""
        if not self._server.is_connected:
            time.sleep(min(seconds, 0.2))
            raise self._away("it is looked for")
        assert self._leases is not None  # noqa: S101 - connected
        taken, lost = self._leases.look()
        for partition in lost:
            self._end(partition)
        if taken:
            self._begin(taken)
        for name, own in self._held.items():
            if own.broken:
                self._renew(name, own)
            elif own.wanted <= 0 and len(own.waiting) < AHEAD:
                self._pull(own)
            elif own.wanted > 0 and time.monotonic() > own.asked_at + PULL_SECONDS + ANSWER_SECONDS:
                own.broken = True  # the server forgot our question
        if not most:
            return []
        found = self._take(most)
        if not found:
            self._came.wait(seconds)
            found = self._take(most)
        return found

    def report(self, positions: Mapping[str, str]) -> None:
        """See `Stream.report`: the server counts what it delivers, and there is nothing to tell."""

    def lag(self) -> Mapping[str, int]:
        """See `Stream.lag`."""
        return {name: own.behind + len(own.waiting) for name, own in self._held.items() if own.behind is not None}

    def close(self) -> None:
        """See `Stream.close`."""
        if self._loop.is_closed():
            return
        with suppress(BackendError):
            if self._leases is not None and self._server.is_connected:
                self._leases.close()
        with suppress(BackendError):
            if self._server is not None:
                self._run(self._server.close())
        self._held = {}
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _connect(self, url: str) -> None:
        async def silent(_: Exception) -> None:
            """Keep quiet: what matters is raised where it matters."""

        async def back() -> None:
            for own in self._held.values():
                own.broken = True  # what was on its way when the connection went is lost

        async def connected() -> Native:
            connect: Native = getattr(nats, "connect")  # noqa: B009 - its types are not known
            return await connect(
                url,
                error_cb=silent,
                reconnected_cb=back,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=2,
                allow_reconnect=True,
            )

        self._server = self._run(self._tried(connected()))
        self._js = self._server.jetstream(timeout=ANSWER_SECONDS)
        self._known()
        bucket = f"asof_leases_{int(self._lease * 1000)}"
        self._leases = Leases(list(self._subjects), _Office(self._run, self._bucket(bucket), self._group), self._lease)

    def _bucket(self, name: str) -> Native:
        async def made() -> Native:
            try:
                return await self._js.key_value(name)
            except (BucketNotFoundError, NotFoundError):
                return await self._js.create_key_value(KeyValueConfig(bucket=name, ttl=self._lease))

        return self._run(made())

    def _known(self) -> Native:
        """Return what the server says about the stream."""
        try:
            return self._run(self._js.stream_info(self._stream))
        except _UnknownError:
            raise PermanentError("there is no such stream", where=self._where, todo="make it first") from None

    def _begin(self, taken: Sequence[str]) -> None:
        assert self._leases is not None  # noqa: S101 - connected
        try:
            positions = self._resume(taken)
            for name in taken:
                place = positions.get(name, "")
                at = int(place) if place else 0 if self._start == "earliest" else self._known().state.last_seq
                own = _Partition(at)
                self._subscribe(name, own)
                self._held[name] = own
        except BaseException:  # somebody else may have better luck
            for name in taken:
                self._end(name)
                self._leases.drop(name)
            raise

    def _renew(self, name: str, own: _Partition) -> None:
        """Read a partition from where we are: something on its way was lost."""
        self._leave(own)
        self._held[name] = fresh = _Partition(own.at)
        try:
            self._subscribe(name, fresh)
        except BaseException:
            fresh.broken = True
            raise

    def _subscribe(self, name: str, own: _Partition) -> None:
        state = self._known().state
        if own.at and state.first_seq > own.at + 1 and not self._subjects[name]:
            raise PermanentError(
                f"messages {own.at + 1} to {state.first_seq - 1} are gone from the stream before they were read",
                where=self._where,
                todo="keep messages longer; to go on behind the gap, read it under another --name with --start",
            )
        # Nobody else may pull from it: the last messages, given to who hung and came back, would be missed by no count.
        own.consumer = f"{_plain(self._group)}-{name}-{secrets.token_hex(4)}"
        config: Native = ConsumerConfig(
            durable_name=own.consumer,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=own.at + 1,
            ack_policy=AckPolicy.NONE,
            filter_subject=self._subjects[name] or None,
            inactive_threshold=IDLE_SECONDS,
        )

        async def arrived(message: Native) -> None:
            self._arrived(name, own, message)

        async def begun() -> None:
            await self._js.add_consumer(self._stream, config)
            own.inbox = self._server.new_inbox()
            own.subscription = await self._server.subscribe(
                own.inbox, cb=arrived, pending_msgs_limit=0, pending_bytes_limit=0
            )

        self._run(begun())
        self._pull(own)

    def _pull(self, own: _Partition) -> None:
        own.wanted, own.asked_at = AHEAD, time.monotonic()
        asked = json.dumps({"batch": AHEAD, "expires": int(PULL_SECONDS * 1e9)}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{own.consumer}"
        self._run(self._server.publish(subject, asked, own.inbox))

    def _arrived(self, name: str, own: _Partition, message: Native) -> None:
        """Keep a message; in the loop's thread."""
        if not message.reply.startswith("$JS.ACK."):  # a status: what we asked for has ended
            own.wanted = 0
            own.broken = own.broken or message.headers is None or message.headers.get("Status") not in ("408", "404")
            self._came.set()
            return
        known = message.metadata
        own.delivered += 1
        if known.sequence.consumer != own.delivered:
            own.broken = True
        if own.broken:
            return
        own.wanted -= 1
        own.behind = known.num_pending
        given: Mapping[str, str] = message.headers or {}
        headers = tuple((each, value.encode()) for each, value in given.items())
        at_us = int(known.timestamp.timestamp() * 1e6)
        own.waiting.append(Message(name, str(known.sequence.stream), message.data, None, headers, at_us))
        self._came.set()

    def _take(self, most: int) -> list[Message]:
        self._came.clear()
        found: list[Message] = []
        for own in self._held.values():
            while own.waiting and len(found) < most:
                found.append(own.waiting.popleft())
                own.at = int(found[-1].place)
        return found

    def _end(self, name: str) -> None:
        own = self._held.pop(name, None)
        if own is not None:
            self._leave(own)

    def _leave(self, own: _Partition) -> None:
        with suppress(BackendError):
            if own.subscription is not None:
                self._run(own.subscription.unsubscribe())
                self._run(self._js.delete_consumer(self._stream, own.consumer))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop's thread.

        Raises:
            TransientError, PermanentError: The server is away, or refuses.
        """
        try:
            return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, 4 * ANSWER_SECONDS), self._loop).result()
        except NotFoundError as error:
            raise _UnknownError("NATS knows no such thing", where=self._where) from error
        except AuthorizationError as error:
            raise PermanentError("NATS refuses the user or the password", where=self._where) from error
        except APIError as error:
            code, said = getattr(error, "code", None), getattr(error, "description", None) or type(error).__name__
            if code is not None and code >= 500:  # noqa: PLR2004 - as in HTTP
                raise self._away(str(said)) from error
            raise PermanentError(f"NATS refuses: {said}", where=self._where) from error
        except (Error, OSError, TimeoutError) as error:
            raise self._away(str(error) or type(error).__name__) from error

    async def _tried(self, work: Coroutine[Any, Any, T]) -> T:
        """Connect, but not for ever."""
        try:
            return await asyncio.wait_for(work, ANSWER_SECONDS)
        except TimeoutError as error:
            raise NoServersError from error

    def _away(self, why: str) -> TransientError:
        return TransientError(
            f"the broker cannot be reached: {why}", where=self._where, todo="see that NATS runs there, with JetStream"
        )


class _UnknownError(PermanentError):
    """NATS has no such stream or key."""


class _Office:
    """Leases as keys that expire; see `asof.streams.leases.Office`."""

    def __init__(self, run: Any, bucket: Native, group: str) -> None:  # noqa: ANN401 - generic over its result
        self._run = run
        self._bucket = bucket
        self._prefix = _plain(group)
        self._me = secrets.token_hex(8)
        self._revisions: dict[str, int] = {}

    def members(self) -> int:
        self._run(self._bucket.put(f"{self._prefix}.members.{self._me}", b"1"))

        async def counted() -> int:
            try:
                mine = f"{self._prefix}.members."
                return sum(key.startswith(mine) for key in await self._bucket.keys())  # it filters from 2.10 on
            except NoKeysError:
                return 1

        return self._run(counted())

    def take(self, partition: str) -> bool:
        try:
            self._revisions[partition] = self._run(self._bucket.create(self._key(partition), self._me.encode()))
        except PermanentError:  # it is somebody's
            return False
        return True

    def keep(self, partition: str) -> bool:
        last = self._revisions.get(partition, 0)
        try:
            self._revisions[partition] = self._run(self._bucket.update(self._key(partition), self._me.encode(), last))
        except PermanentError:
            return False
        return True

    def give(self, partition: str) -> None:
        with suppress(PermanentError, KeyNotFoundError):
            self._run(self._bucket.delete(self._key(partition), last=self._revisions.pop(partition, 0)))

    def leave(self) -> None:
        self._run(self._bucket.delete(f"{self._prefix}.members.{self._me}"))

    def _key(self, partition: str) -> str:
        return f"{self._prefix}.lease.{partition}"


def _plain(group: str) -> str:
    """Return a group's name as NATS takes it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", group)
