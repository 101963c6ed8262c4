"""Redis Streams: `redis://HOST:PORT/DATABASE/KEY?partitions=4&field=value&lease=10`.

A stream is a key; with partitions=N there are N of them, KEY:0, KEY:1, ... They are leased to members: Redis' own
groups hand each message to any member, so that those of one key of ours would overtake each other. The group is there
all the same, and says how far we are.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from asof.errors import BackendError, MissingDependencyError, PermanentError, TransientError, UsageError
from asof.streams.leases import Leases
from asof.streams.port import Message, Resume, Start, number_in, refuse_options

try:
    import redis
    from redis.exceptions import AuthorizationError, BusyLoadingError
except ImportError as error:
    raise MissingDependencyError("redis", extra="redis") from error

OPTIONS = "partitions, field, lease"
LEASE_SECONDS = 10.0
ANSWER_SECONDS = 5.0

_KEEP = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
_GIVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_MEMBERS = """local now = redis.call('TIME')[1] * 1000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])"""

Answer = Any
"""What the server says."""


class RedisStreams:
    """The stream port over Redis; see `asof.streams.port.Stream`."""

    def __init__(self, url: str, *, group: str, resume: Resume, start: Start = "earliest") -> None:
        """Connect, and join the group."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        database, _, key = parts.path.strip("/").partition("/")
        self._where = f"Redis at {parts.hostname}, {key or 'stream'}"
        if not key or not database.isdigit():
            raise UsageError(f"{parts.path!r} names no stream", todo="write redis://HOST:PORT/DATABASE/KEY")
        count = int(number_in(options, "partitions", 1, self._where))
        lease = number_in(options, "lease", LEASE_SECONDS, self._where)
        self._field = options.pop("field", "value").encode()
        refuse_options(options, OPTIONS, self._where)
        keys = [f"{key}:{number}" for number in range(count)] if count > 1 else [key]
        self._group, self._resume, self._start = group, resume, start
        self._at: dict[str, str] = {}
        self._read: dict[str, int | None] = {}
        plain = urlunsplit((parts.scheme, parts.netloc, f"/{database}", "", ""))
        try:
            client: Any = redis.Redis
            self._client = client.from_url(plain, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
        except ValueError:  # its message may hold the password
            raise UsageError("this is no URL of Redis", where=self._where) from None
        self._leases = Leases(keys, _Office(self._ask, f"asof:{group}:{key}", lease), lease)
        try:
            self._ask("PING")
        except BaseException:
            self._client.close()
            raise

    @property
    def held(self) -> Mapping[str, int]:
        """See `Stream.held`."""
        return self._leases.held

    def poll(self, most: int, seconds: float) -> Sequence[Message]:
        """See `Stream.poll`."""
        taken, lost = self._leases.look()
        for partition in lost:
            self._at.pop(partition, None)
        if taken:
            try:
                self._begin(taken)
            except BaseException:  # it is not known where to begin: somebody else may have better luck
                for partition in taken:
                    self._leases.drop(partition)
                raise
        if not most:
            return []
        if not self._at:
            self._ask("BLPOP", f"asof:{self._group}:nothing", _wait(seconds))  # waits, and hears of a lost connection
            return []
        share = -(-most // len(self._at))
        words = ("COUNT", share, "BLOCK", max(int(_wait(seconds) * 1000), 1), "STREAMS", *self._at, *self._at.values())
        found = self._ask("XREAD", *words)
        entries: Any = found.items() if hasattr(found, "items") else found or []  # by the version of the protocol
        messages = [self._message(bytes(name).decode(), each) for name, own in entries for each in _flat(own)]
        for message in messages:
            self._at[message.partition] = message.place
            read = self._read[message.partition]
            self._read[message.partition] = None if read is None else read + 1
        return messages

    def report(self, positions: Mapping[str, str]) -> None:
        """See `Stream.report`."""
        with suppress(BackendError):
            for partition, place in positions.items():
                read = self._read.get(partition) if self._at.get(partition) == place else None
                words = () if read is None else ("ENTRIESREAD", read)
                self._ask("XGROUP", "SETID", partition, self._group, place, *words)

    def lag(self) -> Mapping[str, int]:
        """See `Stream.lag`; Redis 7 is needed, and a stream that was read from its start."""
        found: dict[str, int] = {}
        with suppress(BackendError):
            for partition, at in self._at.items():
                known = self._known("STREAM", partition)
                read = self._read.get(partition)
                if known.get(b"last-generated-id", b"0-0").decode() == at:
                    found[partition] = 0
                elif read is not None and b"entries-added" in known:
                    found[partition] = max(int(known[b"entries-added"]) - read, 0)
        return found

    def close(self) -> None:
        """See `Stream.close`."""
        with suppress(BackendError):
            self._leases.close()
        self._at = {}
        self._client.close()

    def _begin(self, taken: Sequence[str]) -> None:
        positions = self._resume(taken)
        for partition in taken:
            with suppress(_BusyError):
                self._ask("XGROUP", "CREATE", partition, self._group, "0", "MKSTREAM")
            known = self._known("STREAM", partition)
            at = positions.get(partition, "")
            added = int(known.get(b"entries-added", -1))
            read: int | None = added - int(known[b"length"]) if added >= 0 else None
            if not at and self._start == "latest":
                at, read = known[b"last-generated-id"].decode(), max(added, 0)
            elif at:
                groups = [_pairs(each) for each in self._ask("XINFO", "GROUPS", partition)]
                none: dict[bytes, Any] = {}
                ours = next((each for each in groups if each[b"name"].decode() == self._group), none)
                same = ours.get(b"last-delivered-id", b"").decode() == at
                read = ours.get(b"entries-read") if same else None
            self._at[partition] = at or "0-0"
            self._read[partition] = read

    def _message(self, partition: str, entry: Answer) -> Message:
        place = entry[0].decode()
        fields = _pairs(entry[1])
        value = fields.pop(self._field, None)
        if value is None and len(fields) == 1:
            _, value = fields.popitem()
        headers = tuple((name.decode(errors="replace"), each) for name, each in fields.items())
        return Message(partition, place, value, None, headers, int(place.partition("-")[0]) * 1000)

    def _known(self, *words: str) -> dict[bytes, Any]:
        return _pairs(self._ask("XINFO", *words))

    def _ask(self, *words: Any) -> Answer:  # noqa: ANN401 - what redis-py takes
        """Send a command; its answer is not parsed further than the protocol goes.

        Raises:
            TransientError, PermanentError: The server is away, or refuses.
        """
        try:
            return self._client.execute_command(*words, NEVER_DECODE=True)
        except (redis.AuthenticationError, AuthorizationError) as error:
            raise PermanentError("Redis refuses the user or the password", where=self._where) from error
        except (redis.ConnectionError, redis.TimeoutError, BusyLoadingError) as error:
            raise TransientError(
                f"the broker cannot be reached: {error}", where=self._where, todo="see that Redis runs there"
            ) from error
        except redis.RedisError as error:
            if str(error).startswith("BUSYGROUP"):
                raise _BusyError("the group is there", where=self._where) from error
            if str(error).startswith(("READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY ")):
                raise TransientError(f"Redis cannot answer now: {error}", where=self._where) from error
            raise PermanentError(f"Redis refuses: {error}", where=self._where) from error


class _BusyError(PermanentError):
    """The group is there already."""


class _Office:
    """Leases as keys that expire; see `asof.streams.leases.Office`."""

    def __init__(self, ask: Any, prefix: str, seconds: float) -> None:  # noqa: ANN401 - as above
        self._ask = ask
        self._prefix = prefix
        self._ms = max(int(seconds * 1000), 1)
        self._me = secrets.token_hex(8)

    def members(self) -> int:
        return self._ask("EVAL", _MEMBERS, 1, f"{self._prefix}:members", self._me, self._ms)

    def take(self, partition: str) -> bool:
        return self._ask("SET", self._key(partition), self._me, "NX", "PX", self._ms) is not None

    def keep(self, partition: str) -> bool:
        return bool(self._ask("EVAL", _KEEP, 1, self._key(partition), self._me, self._ms))

    def give(self, partition: str) -> None:
        self._ask("EVAL", _GIVE, 1, self._key(partition), self._me)

    def leave(self) -> None:
        self._ask("ZREM", f"{self._prefix}:members", self._me)

    def _key(self, partition: str) -> str:
        return f"{self._prefix}:lease:{partition}"


def _wait(seconds: float) -> float:
    """Return how long one question may wait: less than an answer may take."""
    return min(max(seconds, 0.001), ANSWER_SECONDS / 2)


def _flat(own: Answer) -> Answer:
    """Return the entries of a stream: the newer protocol puts them into one list more."""
    return own[0] if own and own[0] and isinstance(own[0][0], list | tuple) else own


def _pairs(found: Answer) -> dict[bytes, Any]:
    if isinstance(found, dict):
        return found  # pyright: ignore[reportUnknownVariableType]
    return dict(zip(found[::2], found[1::2], strict=True))
