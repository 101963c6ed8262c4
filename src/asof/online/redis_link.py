"""Connections to a Redis server: one a thread at a time, tried again where that can help, errors in our words."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from asof.errors import BackendError, MissingDependencyError, PermanentError, TransientError, UsageError
from asof.online.deadlines import Cut, Deadlines, OutOfTimeError
from asof.online.redis_scripts import DIGESTS, SCRIPTS
from asof.online.remote import Pool, Until, attempts, is_up, late

try:
    import redis
    from redis.backoff import NoBackoff
    from redis.exceptions import AuthorizationError, NoPermissionError, NoScriptError
    from redis.retry import Retry
except ImportError as error:
    raise MissingDependencyError("redis", extra="redis") from error

T = TypeVar("T")

Answer = Any
"""What the server says: bytes, int, None, or a list of these."""

LOST = (redis.ConnectionError, redis.TimeoutError)
ANSWER_SECONDS = 5
"""How long one try waits for an answer; the URL's socket_timeout comes first."""

WILL_PASS = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY")
"""Errors of a server that starts, fails over, or is held up by a script."""


class Link:
    """One connection.

    Attributes:
        server: Names the run of the server: another one after a restart or a failover.
        cut: Cuts it.
    """

    __slots__ = ("_wire", "cut", "server")

    def __init__(self, wire: Any, where: str) -> None:  # noqa: ANN401 - redis' connections have several types
        """Connect.

        Raises:
            PermanentError: The server may evict rows without a word.
        """
        self._wire = wire
        wire.connect()
        self.cut = Cut(wire._sock.fileno())  # noqa: SLF001 - no other way there
        try:
            info = self.info()
        except BaseException:
            self.drop()
            raise
        self.server = info.get("run_id", "")
        if info.get("maxmemory_policy", "").startswith("allkeys") and info.get("maxmemory", "0") != "0":
            self.drop()
            raise PermanentError(
                f"the server drops rows when its memory is full (maxmemory-policy {info['maxmemory_policy']})",
                where=where,
                todo="set maxmemory-policy to noeviction, or to a volatile one: rows of asof do not expire",
            )

    def ask(self, *words: bytes | str | int) -> Answer:
        """Send a command; return the answer."""
        self._wire.send_command(*words, check_health=False)
        return self._wire.read_response(disable_decoding=True)

    def send(self, packed: bytes) -> Answer:
        """Send a command in the server's own form; return the answer."""
        self._wire.send_packed_command([packed], check_health=False)
        return self._wire.read_response(disable_decoding=True)

    def transaction(self, packed: bytes, count: int) -> Answer:
        """Send MULTI, so many commands and EXEC in the server's own form; return EXEC's answer."""
        self._wire.send_packed_command([packed], check_health=False)
        failed: redis.ResponseError | None = None
        for _ in range(count + 1):  # whatever it says: all answers must be read, or the next call gets them
            try:
                self._wire.read_response(disable_decoding=True)
            except redis.ResponseError as error:
                failed = failed or error
        try:
            answers = self._wire.read_response(disable_decoding=True)
        except redis.ResponseError as error:
            raise failed or error from None
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers

    def run(self, script: str, keys: Sequence[bytes], words: Sequence[bytes]) -> Answer:
        """Run one of our scripts."""
        try:
            return self.ask("EVALSHA", DIGESTS[script], len(keys), *keys, *words)
        except NoScriptError:
            self.load()
            return self.ask("EVALSHA", DIGESTS[script], len(keys), *keys, *words)

    def load(self) -> None:
        """Bring the server our scripts: a restart forgets them."""
        for text in SCRIPTS.values():
            self.ask("SCRIPT", "LOAD", text)

    def info(self) -> dict[str, str]:
        """Return what the server says about itself."""
        pairs = (line.partition(":") for line in self.ask("INFO").decode().splitlines())
        return {name: value for name, _, value in pairs}

    def setting(self, name: str) -> str:
        """Return one of the server's settings; "" if it is empty."""
        found = self.ask("CONFIG", "GET", name)
        return found[1].decode() if found else ""

    def drop(self) -> None:
        """Disconnect."""
        self.cut.close()
        self._wire.disconnect()


class Links:
    """The connections of one store."""

    def __init__(self, url: str, where: str) -> None:
        """Keep the URL; connect later.

        Raises:
            UsageError: The URL makes no sense.
        """
        self._where = where
        self._idle: Pool[Link] = Pool(self._connected, Link.drop)
        self._deadlines = Deadlines()
        try:
            parts = urlsplit(url)
            if parts.scheme != "unix" and parts.path.strip("/"):
                int(parts.path.strip("/"))  # the package takes what is no number for database 0
            # Our own tries come instead of the package's: they know what may be repeated.
            pool: Any = redis.ConnectionPool
            self._wires = pool.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                max_connections=1 << 30,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
            self._wires.make_connection()  # does not connect, but refuses options that it does not know
        except (ValueError, TypeError):  # its message may hold the password
            raise UsageError(
                "this is no URL of Redis", where=where, todo="write redis://HOST:PORT/DATABASE?prefix=NAME"
            ) from None

    def send(self, packed: bytes, until: Until = None) -> Answer:
        """Send a call of one of our scripts in the server's own form; return the answer."""

        def run(link: Link) -> Answer:
            try:
                return link.send(packed)
            except NoScriptError:
                link.load()
                return link.send(packed)

        return self.call(run, until)

    def call(self, work: Callable[[Link], T], until: Until = None) -> T:
        """Do something over a connection; again over a new one where the connection or the server failed.

        Args:
            work: What to do.
            until: See `OnlineStore.snapshot`.

        Raises:
            TransientError: It failed each time. PermanentError: Another time would not help.
        """
        for last in attempts(until):
            link: Link | None = None
            try:
                link = self._idle.take(until)
                with self._deadlines.cutting(link.cut, until):
                    answer = work(link)
            except OutOfTimeError:
                raise late(self._where) from None
            except redis.RedisError as error:
                if is_up(until):
                    self._idle.drop(link)  # the others may be as good as before
                    raise late(self._where) from error
                if link is not None and isinstance(error, redis.ResponseError) and not _may_pass(error):
                    self._idle.give(link)  # the server said no: the connection is as good as before
                else:
                    self._idle.close()
                    self._idle.drop(link)
                if last or not _may_pass(error):
                    raise self._translation(error) from error
            except BaseException:  # an interrupt
                self._idle.drop(link)  # an answer may be on its way
                raise
            else:
                (self._idle.drop if is_up(until) else self._idle.give)(link)  # it may have been cut just now
                return answer
        raise AssertionError

    def close(self) -> None:
        """Disconnect what is idle, and what comes back."""
        self._idle.end()

    def _connected(self) -> Link:
        return Link(self._wires.make_connection(), self._where)

    def _translation(self, error: redis.RedisError) -> BackendError:
        text = str(error)
        if isinstance(error, redis.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
            todo = "check user and password in the variable ASOF_ONLINE"
            return PermanentError("Redis refuses the user or the password", where=self._where, todo=todo)
        if _may_pass(error):
            what = f"the online store cannot be reached: {text}"
            return TransientError(what, where=self._where, todo="see that Redis runs there, and try again")
        if text.startswith(("OOM", "command not allowed when used memory")):
            return PermanentError(f"Redis has no memory left: {text}", where=self._where, todo="raise its maxmemory")
        if text.startswith("MISCONF"):
            return PermanentError(f"Redis cannot write its files: {text}", where=self._where, todo="free disk space")
        if "NOPERM" in text or isinstance(error, NoPermissionError):
            return PermanentError(f"Redis refuses: {text}", where=self._where, todo="give the user that permission")
        return PermanentError(f"Redis refuses: {text}", where=self._where)


def _may_pass(error: redis.RedisError) -> bool:
    if isinstance(error, redis.AuthenticationError | AuthorizationError):
        return False
    return isinstance(error, LOST) or str(error).startswith(WILL_PASS)
