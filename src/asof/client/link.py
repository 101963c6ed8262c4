"""The way to a server: HTTP for single answers, Flight for tables and all other verbs."""

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from asof.client.address import Address
from asof.client.http import BrokenConnectionError, Connection, request_head
from asof.client.retries import LateError, NotSentError, tried
from asof.errors import (
    AsofError,
    BackendError,
    PermanentError,
    TransientError,
    UnsupportedError,
    UsageError,
    warn,
)
from asof.progress import Progress, unheard
from asof.wire import PROTOCOL
from asof.wire.failures import Failure, error_of, unpacked_error
from asof.wire.requests import Request
from asof.wire.tables import said_by
from asof.wire.values import pack, unpack

T = TypeVar("T")

LONG = 60
"""Tables and long work may take so many times as long as a single answer."""

MOST_MESSAGE_BYTES = 1 << 20
"""Of what comes beside an answer, such as an error."""

PACKED = "application/msgpack"

Foreign = Any
"""Something of pyarrow.flight, which has no types."""


class BrokenOffError(TransientError):
    """An answer ended before its end."""


class Served(msgspec.Struct):
    """What a server says of itself.

    Attributes:
        version: Its version.
        protocol: The version of the messages that it understands.
        flight_port: Its port for Flight; None if it has none.
    """

    version: str
    protocol: int
    flight_port: int | None = None


class _Problem(msgspec.Struct):
    type: str
    title: str
    status: int
    where: str = ""
    todo: str = ""
    data: dict[str, Any] = {}


@dataclass(slots=True)
class Exchanged:
    """What came back of a stream: its rows, and what was said in the end."""

    rows: pa.Table
    result: Any


class Link:
    """Connections to one server, made when they are needed; threads share them. After a fork it begins anew."""

    def __init__(self, address: Address) -> None:
        """Be closed."""
        self.address = address
        self._begin()

    def _begin(self) -> None:
        self._context = self.address.context()
        self._free: list[Connection] = []
        self._lock = threading.Lock()
        self._flight: Foreign = None
        self._served: Served | None = None
        self._closed = False

    def let_go(self) -> dict[str, object]:
        """Forget the connections of a parent process, and return them: they are never closed."""
        of_parent: dict[str, object] = {"connections": self._free, "flight": self._flight}
        closed = self._closed
        self._begin()
        self._closed = closed
        return of_parent

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            self._closed = True
            client, self._flight = self._flight, None
        while self._free:
            self._free.pop().close()
        if client is not None:
            client.close()

    def served(self) -> Served:
        """Return what the server says of itself.

        Raises:
            UnsupportedError: It speaks another version. TransientError: It does not answer.
        """
        if self._served is None:
            try:
                served = msgspec.json.decode(self.http("GET", "/v1/server"), type=Served)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise UnsupportedError("this is no server of asof", where=self.address.url) from error
            self._served = self._checked(served)
        return self._served

    def http(self, method: str, path: str, body: bytes = b"", *, again: bool = True) -> bytes:
        """Return the body of an answer.

        Args:
            method: GET or POST.
            path: Path and query.
            body: A message.
            again: Whether it may be asked twice.

        Raises:
            AsofError: What the server said. TransientError: It did not answer.
        """
        head = self.head(method, path, body)
        return tried(lambda: self._once(head, body), again=again)

    def head(self, method: str, path: str, body: bytes) -> bytes:
        """Return the head of a request."""
        self._refuse_closed()
        return request_head(self.address, method, path, length=len(body), kind=PACKED)

    def _once(self, head: bytes, body: bytes) -> bytes:
        self._refuse_closed()
        with self._connection() as connection:
            return self._over(connection, head, body)

    def _over(self, connection: Connection, head: bytes, body: bytes) -> bytes:
        for _ in range(2):
            kept = connection.is_open
            try:
                status, answer = connection.request(head, body)
            except BrokenConnectionError as error:
                if kept and not error.answered:
                    continue  # the server hung up while nothing was asked
                raise lost(self.address, error) from error
            except TimeoutError as error:
                raise late(self.address, self.address.seconds) from error
            except ConnectionError as error:
                if kept:
                    continue
                raise unreached(self.address, error) from error
            except OSError as error:  # no such host, no route, TLS that does not fit
                raise unreached(self.address, error) from error
            return answer_of(status, answer)
        raise unreached(self.address, OSError("it hung up"))

    @contextmanager
    def _connection(self) -> Generator[Connection]:
        """Give a connection that nobody uses; there are as many as were ever used at a time."""
        try:
            connection = self._free.pop()
        except IndexError:
            connection = Connection(self.address, self._context)
        try:
            yield connection
        finally:
            if self._closed:
                connection.close()
            else:
                self._free.append(connection)

    def act(
        self, verb: str, request: Request, *, again: bool = True, advance: Progress = unheard, long: bool = False
    ) -> Any:  # noqa: ANN401 - the verb's own
        """Return the result of a verb that moves no table."""
        request.progress = advance is not unheard
        body = pa.py_buffer(pack(request))

        def work() -> object:
            flight, client = self._flight_client()
            results = client.do_action(flight.Action(verb, body), self._options(long=long))
            return _heard((each.body.to_pybytes() for each in results), advance)

        return self._flown(work, again=again, long=long)

    def put(
        self,
        verb: str,
        request: Request,
        schema: pa.Schema,
        batches: Callable[[], Iterator[pa.RecordBatch]],
        *,
        again: bool,
    ) -> Any:  # noqa: ANN401 - the verb's own
        """Send rows, and return what they became.

        Args:
            verb: The verb.
            request: Its words.
            schema: Of the rows.
            batches: Gives the rows from the beginning.
            again: Whether they may be sent twice.
        """
        command = pack([verb, pack(request)])

        def work() -> object:
            flight, client = self._flight_client()
            writer, messages = client.do_put(
                flight.FlightDescriptor.for_command(command), schema, self._options(long=True)
            )
            rows = 0
            done = False
            try:
                for batch in batches():
                    writer.write_batch(batch)
                    rows += batch.num_rows
                writer.write_metadata(pa.py_buffer(pack({"rows": rows})))
                writer.done_writing()
                result = _heard(iter(lambda: _bytes(messages.read()), None), unheard)
                done = True
            except BrokenOffError:
                writer.close()  # it says why
                raise
            finally:
                _closed(writer, quietly=not done)
            return result

        return self._flown(work, again=again, long=True)

    def get(self, verb: str, request: Request) -> Exchanged:
        """Return rows."""
        ticket = pack([verb, pack(request)])

        def work() -> Exchanged:
            flight, client = self._flight_client()
            table = client.do_get(flight.Ticket(ticket), self._options(long=True)).read_all()
            return Exchanged(table.replace_schema_metadata(None), said_by(table.schema))

        return self._flown(work, again=True, long=True)

    def stream(self, verb: str, request: Request) -> tuple[pa.Schema, Any, Iterator[pa.RecordBatch]]:
        """Return the schema of rows, what is said of them, and the rows while they come."""
        ticket = pack([verb, pack(request)])

        def work() -> Any:  # noqa: ANN401 - of pyarrow.flight, which has no types
            flight, client = self._flight_client()
            return client.do_get(flight.Ticket(ticket), self._options(long=True))

        reader = self._flown(work, again=True, long=True)
        with _translated(self.address, self.address.seconds * LONG):
            schema = reader.schema

        def batches() -> Iterator[pa.RecordBatch]:
            with _translated(self.address, self.address.seconds * LONG):
                for chunk in reader:
                    yield chunk.data.replace_schema_metadata(None)

        return schema.remove_metadata(), said_by(schema), batches()

    def exchange(
        self,
        verb: str,
        request: Request,
        schema: pa.Schema,
        batches: Sequence[pa.RecordBatch],
        advance: Progress = unheard,
    ) -> Exchanged:
        """Send rows, and return those that answer them."""
        request.progress = advance is not unheard
        command = pack([verb, pack(request)])

        def work() -> Exchanged:
            flight, client = self._flight_client()
            writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(command), self._options(long=True))
            done = False
            try:
                with suppress(pa.ArrowException, OSError):  # it may have answered already: reading tells how
                    writer.begin(schema)
                    for batch in batches:
                        writer.write_batch(batch)
                    writer.done_writing()
                rows: list[pa.RecordBatch] = []
                result = _heard(_messages(reader, rows), advance)
                found = pa.Table.from_batches(rows, reader.schema)
                done = True
            finally:
                _closed(writer, quietly=not done)
            return Exchanged(found, result)

        return self._flown(work, again=True, long=True)

    def _flown(self, work: Callable[[], T], *, again: bool, long: bool) -> T:
        def once() -> T:
            try:
                with _translated(self.address, self.address.seconds * (LONG if long else 1)):
                    return work()
            except NotSentError:
                with self._lock:  # it may come back with another port
                    self._served = self._flight = None
                raise

        return tried(once, again=again)

    def _flight_client(self) -> tuple[Foreign, Foreign]:
        """Return Flight, and its client of this process."""
        self._refuse_closed()
        if _used_in.difference({os.getpid()}):
            raise UnsupportedError(
                "this process was forked from one that used Flight, which then works in the parent only",
                where=self.address.url,
                todo='start processes with multiprocessing\'s "spawn" or "forkserver"; one key set at a time is read '
                "all the same",
            )
        from pyarrow import flight  # noqa: PLC0415 - 30 ms, and readers of single vectors need it not

        with self._lock:
            client = self._flight
        if client is None:
            port = self.served().flight_port
            if port is None:
                raise UnsupportedError(
                    "this server has no Flight", where=self.address.url, todo="start it without --no-flight"
                )
            place = f"grpc{'+tls' if self.address.tls else ''}://{self.address.place}:{port}"
            made = flight.connect(place, generic_options=[("grpc.max_metadata_size", MOST_MESSAGE_BYTES)])
            _used_in.add(os.getpid())
            with self._lock:
                client = self._flight = self._flight or made
        return flight, client

    def _options(self, *, long: bool) -> Foreign:
        from pyarrow import flight  # noqa: PLC0415 - as above

        headers = [(b"authorization", f"Bearer {self.address.key}".encode())] if self.address.key else []
        return flight.FlightCallOptions(timeout=self.address.seconds * (LONG if long else 1), headers=headers)

    def _checked(self, served: Served) -> Served:
        if served.protocol != PROTOCOL:
            raise UnsupportedError(
                f"the server {served.version} speaks version {served.protocol} of the protocol, this client {PROTOCOL}",
                where=self.address.url,
                todo="install the same version of asof on both sides",
            )
        return served

    def _refuse_closed(self) -> None:
        if self._closed:
            raise UsageError(f"the store {self.address.url!r} is closed", todo="open it again with asof.open")


_used_in: set[int] = set()
"""The process that used Flight; in another one, forked from it, gRPC waits for ever for threads of its parent."""


def answer_of(status: int, body: bytes) -> bytes:
    """Return the body of an answer, unless it is a problem.

    Raises:
        AsofError: It is one.
    """
    if status == 200:  # noqa: PLR2004 - OK
        return body
    raise problem_of(status, body)


def problem_of(status: int, body: bytes) -> AsofError:
    """Return the error of an HTTP answer."""
    try:
        found = msgspec.json.decode(body, type=_Problem)
    except msgspec.DecodeError:
        kind = TransientError if status in (408, 429, 502, 503, 504) else PermanentError
        return kind(f"the server answered with HTTP status {status}", todo="is it a server of asof?")
    kinds = {408: "TransientError", 413: "UnsupportedError", 429: "TransientError", 504: "TransientError"}
    kind = kinds.get(found.status, "UsageError") if found.type == "RequestError" else found.type
    return error_of(Failure(kind, found.title, found.where, found.todo, found.data))


def _heard(messages: Iterator[bytes], advance: Progress) -> Any:  # noqa: ANN401 - the verb's own
    """Pass on what is told, and return the result."""
    for message in messages:
        what, told = unpack(message)
        match what:
            case "progress":
                advance(*told)
            case "warning":
                warn(str(told))
            case "done":
                result = told
                for _ in messages:  # the call ends well, or raises
                    pass
                return result
            case _:
                pass  # of a newer server
    raise BrokenOffError("the answer broke off", todo="try again")


def _messages(reader: Foreign, rows: list[pa.RecordBatch]) -> Iterator[bytes]:
    """Return what is told beside the rows of an answer, and keep the rows."""
    while True:
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return
        if chunk.data is not None:
            rows.append(chunk.data)
        if chunk.app_metadata is not None:
            yield chunk.app_metadata.to_pybytes()


def _bytes(buffer: Foreign) -> bytes | None:
    return None if buffer is None else buffer.to_pybytes()


def _closed(writer: Foreign, *, quietly: bool) -> None:
    try:
        writer.close()
    except (pa.ArrowException, OSError):  # the reason is raised already
        if not quietly:
            raise


@contextmanager
def _translated(address: Address, seconds: float) -> Generator[None]:
    """Raise errors of Flight as ours."""
    from pyarrow import flight  # noqa: PLC0415 - as above

    try:
        yield
    except flight.FlightTimedOutError as error:
        raise late(address, seconds) from error
    except flight.FlightUnavailableError as error:
        if error.extra_info:
            raise unpacked_error(error.extra_info) from None
        text = str(error)
        raise (unreached if "failed to connect" in text else lost)(address, error) from error
    except (flight.FlightUnauthenticatedError, flight.FlightUnauthorizedError) as error:
        if error.extra_info:
            raise unpacked_error(error.extra_info) from None
        raise UsageError(f"the server lets nobody in: {_line(error)}", where=address.url) from error
    except flight.FlightError as error:
        if error.extra_info:
            raise unpacked_error(error.extra_info) from None
        raise lost(address, error) from error
    except pa.ArrowException as error:
        if isinstance(error, OSError):
            raise lost(address, error) from error
        raise BackendError(f"the answer cannot be read: {_line(error)}", where=address.url) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def unreached(address: Address, error: Exception) -> NotSentError:
    """Return the error of a server that is not there."""
    return NotSentError(
        f"no server was reached: {_line(error)}", where=address.url, todo="does `asof serve` run there?"
    )


def lost(address: Address, error: Exception) -> TransientError:
    """Return the error of an answer that did not come whole."""
    return TransientError(
        f"the connection was lost: {_line(error)}",
        where=address.url,
        todo="try again; what was to be stored may be stored all the same",
    )


def late(address: Address, seconds: float) -> LateError:
    """Return the error of an answer that did not come in time."""
    return LateError(
        f"no answer within {seconds:g} s",
        where=address.url,
        todo="try again, or pass timeout= to asof.open; what was to be stored may be stored all the same",
    )
