"""Arrow Flight (gRPC): the verbs of the remote store, with tables as streams of Arrow.

    DoAction    every verb that moves no table; its answer is the last of the results
    DoPut       write, backfill, together.write, training_set: the commit comes as metadata when the stream has ended
    DoGet       read: the pins are in the metadata of the schema
    DoExchange  historical, predict and online: a spine, or keys, come in; answers go out, at last how they came out

What is asked for is a message of `asof.wire.requests`: in the body of an action; elsewhere, in the ticket or the
descriptor's command, a pair of the verb and it. What goes out beside tables are pairs: ("progress", [done, total]),
("warning", text), and ("done", result). An error has its parts in the `extra_info` of the Flight error.
"""

import contextvars
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, cast

import pyarrow as pa
from pyarrow import flight

from asof.errors import AsofError, DataError, TransientError, UsageError, listening
from asof.progress import Progress
from asof.server.access import token_of
from asof.server.admission import place_of
from asof.server.calls import Admit, Calls, Tell, checked
from asof.server.limits import Limits
from asof.server.shared import Shared, shared
from asof.server.spans import tracer_of
from asof.server.watched import CallMiddleware, CallMiddlewareFactory
from asof.store import Store
from asof.wire.failures import packed_failure
from asof.wire.tables import parts_of, saying
from asof.wire.values import pack, unpack

CALL = "call"

log = logging.getLogger("asof.server")

Foreign = Any
"""Something of pyarrow.flight, which has no types."""


class FlightServer(flight.FlightServerBase):
    """A server that listens from the moment it is made, until `stop`.

    Args:
        store: The store; closed by whoever opened it, after `stop`.
        host: The address to listen at.
        port: The port; 0 for a free one. What it is, `port` tells.
        limits: What a call may cost.
        admit: Where each call passes.
        with_http: What it shares with HTTP, if this process serves that too.
        certificate: The certificate (PEM) and its key, to encrypt connections; empty: they are not.
    """

    def __init__(  # noqa: PLR0913 - what `asof serve` says, and what it shares with HTTP
        self,
        store: Store,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits,
        admit: Admit,
        with_http: Shared | None = None,
        certificate: Sequence[bytes] = (),
    ) -> None:
        """Listen."""
        own = with_http or shared(store, limits)
        self._calls = Calls(store, limits=limits, admit=admit, jobs=own.jobs, models=own.models)
        self._limits = limits
        place = f"[{host}]" if ":" in host else host
        try:
            flight.FlightServerBase.__init__(
                self,
                f"grpc{'+tls' if certificate else ''}://{place}:{port}",
                middleware={CALL: CallMiddlewareFactory(own.metrics, tracer_of())},
                tls_certificates=[tuple(certificate)] if certificate else None,
            )
        except (OSError, pa.ArrowException) as error:
            todo = "another server may run there; choose one with --flight-port, 0 takes a free one"
            raise TransientError(f"port {port} cannot be taken for Flight", where=host, todo=todo) from error

    def stop(self, seconds: float) -> bool:
        """Take no more calls, and wait for those under way; return whether they finished in time."""
        stopping = threading.Thread(target=self.shutdown, daemon=True)
        stopping.start()
        stopping.join(seconds)
        return not stopping.is_alive()

    def do_action(self, context: Foreign, action: Foreign) -> Iterator[Foreign]:
        """Answer a verb that moves no table."""
        with _told(action.type, _call_of(context)):
            message = action.body.to_pybytes()

            def work(tell: Tell) -> object:  # whole within one thread: who calls is known to it only
                with self._asked(context, action.type, message) as asked:
                    return self._act(action.type, asked, tell)

            for told in _messages(work, beside=_wants_progress(message)):
                yield flight.Result(pa.py_buffer(told))

    def do_put(self, context: Foreign, descriptor: Foreign, reader: Foreign, writer: Foreign) -> None:
        """Store the rows of a stream."""
        with _told("put", _call_of(context)):
            verb, message = _pair(descriptor.command)
            if verb not in ("write", "backfill", "together.write", "training_set"):
                raise UsageError(f"{verb} does not store the rows of a stream", todo="put write or backfill")

            def tell(what: str, told: object) -> None:
                writer.write(pa.py_buffer(pack([what, told])))

            with self._asked(context, verb, message) as asked, listening(lambda text: tell("warning", text)):
                batches = self._batches(context, reader, ends=asked.ends)
                tell("done", self._calls.put(verb, asked, reader.schema, batches))

    def do_get(self, context: Foreign, ticket: Foreign) -> Foreign:
        """Return the stored rows of a group."""
        call = _call_of(context)
        with _told("read", call):
            verb, message = _pair(ticket.ticket)
            if verb != "read":
                raise UsageError(f"{verb} does not only read rows", todo="get read")
            with self._asked(context, verb, message) as asked:
                schema, rows, said = self._calls.read(asked)
            call.streams = True
            schema = saying(schema, said)
            return flight.GeneratorStream(schema, _rows(rows, schema, call))

    def do_exchange(self, context: Foreign, descriptor: Foreign, reader: Foreign, writer: Foreign) -> None:
        """Answer a spine, or keys."""
        with _told("exchange", _call_of(context)):
            verb, message = _pair(descriptor.command)

            def tell(what: str, told: object) -> None:
                writer.write_metadata(pa.py_buffer(pack([what, told])))

            with self._asked(context, verb, message) as asked, listening(lambda text: tell("warning", text)):
                match verb:
                    case "historical" | "predict":
                        spine = self._calls.table(reader.schema, self._batches(context, reader))
                        progress = _telling(tell) if asked.progress else False
                        answer = self._calls.historical if verb == "historical" else self._calls.predict
                        table, result = answer(asked, spine, progress)
                    case "online":
                        given = None
                        if asked.keys is None:
                            given = self._calls.table(reader.schema, self._batches(context, reader))
                        table, result = self._calls.online(asked, given)
                    case _:
                        raise UsageError(f"{verb} exchanges no tables", todo="exchange historical, predict or online")
                writer.begin(table.schema)
                for batch in parts_of(table.to_batches()):
                    writer.write_batch(batch)
                tell("done", result)

    def _asked(self, context: Foreign, verb: str, message: bytes) -> AbstractContextManager[Any]:
        """Give what is asked, if it may be: each call passes here."""
        call, peer = _call_of(context), context.peer()
        call.named(verb, place_of(peer))
        return self._calls.asked(verb, message, token=token_of(call.authorization), address=peer)

    def _act(self, verb: str, asked: Any, tell: Tell) -> object:  # noqa: ANN401 - the verb's own
        progress = _telling(tell) if asked.progress else False
        return self._calls.act(verb, asked, progress)

    def _batches(self, context: Foreign, reader: Foreign, *, ends: bool = False) -> Iterator[pa.RecordBatch]:
        """Return the batches of a stream while they come.

        Raises:
            DataError: It broke off.
        """
        rows = 0
        told: int | None = None
        try:
            for chunk in reader:
                if chunk.data is not None:
                    rows += chunk.data.num_rows
                    yield checked(chunk.data, self._limits)
                if chunk.app_metadata is not None and ends:
                    told = unpack(chunk.app_metadata.to_pybytes())["rows"]
        except (pa.ArrowException, OSError, KeyError, TypeError) as error:
            raise DataError(f"the stream broke off after {rows:,} rows: {error}", todo="send it again") from error
        if context.is_cancelled() or (ends and told != rows):
            raise DataError(f"the stream broke off after {rows:,} rows", todo="send it again")


def _call_of(context: Foreign) -> CallMiddleware:
    return context.get_middleware(CALL)


def _wants_progress(message: bytes) -> bool:
    """Return whether a request wants to be told how far it is; one that makes no sense is refused later."""
    with suppress(AsofError):
        request: Foreign = unpack(message)
        return isinstance(request, dict) and cast("dict[str, Foreign]", request).get("progress") is True
    return False


def _telling(tell: Tell) -> Progress:
    return lambda done, total: tell("progress", [done, total])


def _pair(message: bytes | None) -> tuple[str, bytes]:
    """Return a verb and its request, of a ticket or command."""
    pair: Foreign = unpack(message or b"")
    if isinstance(pair, list):
        verb, request, *more = [*cast("list[Foreign]", pair), None, None]
        if isinstance(verb, str) and isinstance(request, bytes) and more == [None, None]:
            return verb, request
    raise UsageError("this is no pair of a verb and a request", todo="see docs/remote.md")


def _rows(rows: Iterator[pa.RecordBatch], schema: pa.Schema, call: CallMiddleware) -> Iterator[pa.RecordBatch]:
    with _told("read", call):
        for batch in parts_of(rows):
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)
        call.streams = False


def _messages(work: Callable[[Tell], object], *, beside: bool) -> Iterator[bytes]:
    """Return what is told while work is done, and its result; in a thread beside, it is told at once."""
    told: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()

    def tell(what: str, each: object) -> None:
        told.put(pack([what, each]))

    def run() -> None:
        try:
            with listening(lambda text: tell("warning", text)):
                tell("done", work(tell))
        except BaseException as error:  # noqa: BLE001 - raised where the call is answered
            told.put(error)
        told.put(None)

    if beside:
        threading.Thread(target=contextvars.copy_context().run, args=(run,)).start()
    else:
        run()
    while (message := told.get()) is not None:
        if isinstance(message, BaseException):
            raise message
        yield message


@contextmanager
def _told(verb: str, call: CallMiddleware) -> Generator[None]:
    """Have the client hear of an error; what nobody foresaw is logged, and not told."""
    try:
        yield
    except (flight.FlightError, GeneratorExit):
        raise
    except AsofError as error:
        call.failed(error)
        if isinstance(error, TransientError):
            raise flight.FlightUnavailableError(str(error)[:1000], packed_failure(error)) from error
        raise flight.FlightServerError(str(error)[:1000], packed_failure(error)) from error
    except Exception as error:  # whatever it is: gRPC would tell the client its text
        call.failed(error)
        log.exception("%s failed", verb)
        raise flight.FlightInternalError("the server failed; its log says how", packed_failure(error)) from error
