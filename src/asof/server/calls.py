"""What the server does for a call of the remote store, however it came: by Flight, or over HTTP."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from asof.access.caller import calling
from asof.errors import DataError, NotFoundError, UnsupportedError, UsageError
from asof.ingest.write import Together
from asof.progress import Wanted
from asof.records import OWN_KEY, Commit
from asof.server import training_sets
from asof.server.direct import direct_read
from asof.server.jobs import Jobs
from asof.server.limits import Limits
from asof.server.models import ServedModels, need, readable
from asof.server.verbs import VERBS
from asof.store import Store
from asof.training.streamed import BATCH_ROWS
from asof.wire import requests
from asof.wire.direct import packed_read
from asof.wire.online import Cards
from asof.wire.reports import sent_report
from asof.wire.values import record, unpack

Tell = Callable[[str, Any], None]
"""Tells the client something beside the answer: ("progress", [done, total]) or ("warning", text)."""

TOGETHER_SECONDS = 600
"""How long a transaction waits for its next step."""

MOST_TOGETHER = 100
"""Transactions that are open at a time."""

log = logging.getLogger("asof.server")


class Admit(Protocol):
    """Where each call passes, before anything is done for it."""

    def __call__(
        self, token: str | None, address: str, verb: str, request: requests.Request
    ) -> AbstractContextManager[None]:
        """Let a call pass, or raise; what is done for it is done within what this returns.

        Args:
            token: What the client sent as its key: `Authorization: Bearer ...`.
            address: Where it came from.
            verb: Its name in `asof.server.verbs.VERBS`; the role that it takes is there.
            request: What is asked.
        """
        ...


@dataclass(slots=True)
class Open:
    """A transaction that is not done.

    Attributes:
        together: What was written so far.
        busy: Held while something is added or published.
        size: Bytes of it.
        used: When it was used last.
        commits: What it became.
    """

    together: Together
    busy: threading.Lock = field(default_factory=threading.Lock)
    size: int = 0
    used: float = field(default_factory=time.monotonic)
    commits: list[Commit] | None = None


class Calls:
    """Answers calls over one store. Safe to call from several threads.

    Args:
        store: The store; closed by whoever opened it.
        limits: What a call may cost.
        admit: Where each call passes.
        jobs: The jobs of this process.
        models: The models of this process.
    """

    def __init__(self, store: Store, *, limits: Limits, admit: Admit, jobs: Jobs, models: ServedModels) -> None:
        """Have no transaction open."""
        self._store = store
        self._models = models
        self._limits = limits
        self._admit = admit
        self._jobs = jobs
        self.cards = Cards()
        self._open: dict[str, Open] = {}
        self._lock = threading.Lock()

    @contextmanager
    def asked(self, verb: str, message: bytes, *, token: str | None, address: str) -> Generator[Any]:
        """Give what is asked, if it may be; it is done within the block.

        Raises:
            UsageError, NotFoundError: It is no request of ours.
        """
        found = VERBS.get(verb)
        if found is None:
            raise NotFoundError.named("verb", verb, VERBS)
        request = record(found.request, unpack(message))
        with self._admit(token, address, verb, request):
            yield request

    def act(self, verb: str, asked: Any, progress: Wanted) -> Any:  # noqa: ANN401 - the verb's own
        """Answer a verb that moves no table.

        Raises:
            UsageError: It moves one. TransientError: There are as many jobs as may be.
        """
        if verb == "together.commit":
            return self._publish(asked)
        if verb == "together.leave":
            with self._lock:
                self._open.pop(asked.together, None)
            return None
        act = VERBS[verb].act
        if act is None:
            raise UsageError(f"{verb} moves a table, and is no action", todo="put, get or exchange it")
        with self._jobs.place() if VERBS[verb].job else nullcontext():
            return act(self._store, asked, progress)

    def put(self, verb: str, asked: Any, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Any:  # noqa: ANN401 - the verb's own
        """Take the rows of a stream, while they come: to be stored, or as a spine."""
        if verb != "training_set":
            return self.write(verb, asked, schema, batches)
        with self._jobs.place():
            return training_sets.made(self._store, asked, pa.RecordBatchReader.from_batches(schema, batches))

    def write(self, verb: str, asked: requests.Write, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Any:  # noqa: ANN401 - a commit, or the number of a transaction
        """Store the rows of a stream, while they come."""
        if verb == "together.write":
            return self._add(asked, self.table(schema, batches))
        rows = pa.RecordBatchReader.from_batches(schema, batches)
        words: dict[str, Any] = {
            "meta": asked.meta,
            "idempotency_key": asked.idempotency_key,
            "on_conflict": asked.on_conflict,
            "truncate": asked.truncate,
            "absent": asked.absent,
        }
        if verb == "backfill":
            return self._store.backfill(asked.group, rows, available_at=asked.available_at, **words)
        return self._store.write(asked.group, rows, keys=asked.keys, event_time=asked.event_time, **words)

    def read(self, asked: requests.Read) -> tuple[pa.Schema, Iterator[pa.RecordBatch], dict[str, Any]]:
        """Return the schema of a group's stored rows, the rows, read while they are taken, and what is said of them.

        In place of the rows it may say what the client needs to read them itself. Else it is a job until the first rows
        are there: from then on the client sets the pace, and may stop taking any.
        """
        words = {name: getattr(asked, name) for name in asked.__struct_fields__}
        for name in ("progress", "group", "direct"):
            words.pop(name)
        frame = self._store.read(asked.group, batch_rows=BATCH_ROWS, **words)
        said: dict[str, Any] = {"commits": dict(frame.commits)}
        direct = direct_read(frame, self._limits.direct_bytes) if asked.direct else None
        if direct is not None:
            return frame.schema, iter(()), {**said, "direct": packed_read(direct)}
        with self._jobs.place():
            batches = frame.batches()
            first = list(islice(batches, 1))
        return frame.schema, chain(first, batches), said

    def historical(self, asked: requests.Historical, spine: pa.Table, progress: Wanted) -> tuple[pa.Table, Any]:
        """Return the columns that answer a spine, and how they came out."""
        with self._jobs.place():
            return self._historical(asked, spine, progress)

    def _historical(self, asked: requests.Historical, spine: pa.Table, progress: Wanted) -> tuple[pa.Table, Any]:
        words = {name: getattr(asked, name) for name in asked.__struct_fields__}
        for name in ("progress", "view", "compare", "dry"):
            words.pop(name)
        if asked.dry:
            frame = self._store.historical(asked.view, spine, batch_rows=max(spine.num_rows, 1), **words)
            return _answers(frame.schema.empty_table(), spine), {"commits": frame.commits, "report": None}
        frame = self._store.historical(asked.view, spine, progress=progress, **words)
        if asked.compare:
            return spine.slice(0, 0).select([]), {"comparison": frame.report.compare()}
        return _answers(frame.to_arrow(), spine), {"commits": frame.commits, "report": sent_report(frame)}

    def predict(self, asked: requests.PredictRows, spine: pa.Table, progress: Wanted) -> tuple[pa.Table, Any]:
        """Return what a model gives for a spine, and what it was read at."""
        allowed = {model.ref for model in readable(self._store, calling())}
        served = self._models.need(str(asked.model), lambda each: each.model.ref in allowed)
        need(self._store, served.model, "reader")
        words = {name: getattr(asked, name) for name in asked.__struct_fields__ if name not in ("progress", "model")}
        with self._jobs.place():
            frame = served.predictor.predict(spine, **words, progress=progress)
        return _answers(frame.to_arrow(), spine), {"model": served.model.ref, "commits": frame.commits}

    def online(self, asked: requests.Online, rows: pa.Table | None) -> tuple[pa.Table, Any]:
        """Return the newest values of many key sets, and what they were made from."""
        keys: list[Any] = asked.keys if rows is None else rows.to_pylist()
        if not isinstance(keys, list):  # pyright: ignore[reportUnnecessaryIsInstance] - clients err
            raise UsageError("these are no key sets", todo="send a list of dicts, or a table")
        request = None if asked.request is None else _inputs(asked.request)
        vectors = self._store.online(asked.view, keys, request=request)
        shared, table = self.cards.many(vectors, has=asked.card)
        return table, shared

    def table(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> pa.Table:
        """Return the rows of a stream that must be in memory.

        Raises:
            UnsupportedError: They are too many.
        """
        held: list[pa.RecordBatch] = []
        size = 0
        for batch in batches:
            held.append(batch)
            size += batch.nbytes
            if size > self._limits.table_bytes:
                raise UnsupportedError(
                    f"the rows are more than the {self._limits.table_bytes:,} bytes of one call",
                    todo="send them in parts",
                )
        return pa.Table.from_batches(held, schema)

    def _add(self, asked: requests.Write, rows: pa.Table) -> str:
        number, opened = self._transaction(asked.together)
        with opened.busy:
            with self._lock:
                if sum(each.size for each in self._open.values()) + rows.nbytes > self._limits.table_bytes:
                    raise UnsupportedError(
                        "what is written together is larger than this server holds", todo="write less"
                    )
            opened.together.write(
                asked.group,
                rows,
                meta=asked.meta,
                idempotency_key=asked.idempotency_key,
                on_conflict=asked.on_conflict,
            )
            opened.size += rows.nbytes
        return number

    def _transaction(self, number: str) -> tuple[str, Open]:
        now = time.monotonic()
        with self._lock:
            for name, each in list(self._open.items()):
                if now - each.used > TOGETHER_SECONDS and not each.busy.locked():
                    del self._open[name]
            if not number:
                if len(self._open) >= MOST_TOGETHER:
                    raise UnsupportedError("too many transactions are open", todo="try again later")
                number = secrets.token_hex(16)
                self._open[number] = Open(self._store.together().__enter__())
            opened = self._open.get(number)
            if opened is None:
                raise NotFoundError(
                    "this transaction is not there any more: nothing of it was stored", todo="begin it again"
                )
            opened.used = now
            return number, opened

    def _publish(self, asked: requests.Together) -> list[Commit]:
        """Publish a transaction; a second time, tell its commits again, also after the server was started again."""
        try:
            _, opened = self._transaction(asked.together)
        except NotFoundError:
            if commits := self._published(asked.keys):
                return commits
            raise
        with opened.busy:
            if opened.commits is None:
                opened.together.__exit__(None)
                opened.commits = opened.together.commits
            return opened.commits

    def _published(self, keys: Sequence[str]) -> list[Commit]:
        """Return the commits under keys that a client made for itself; none unless each has one."""
        found = [
            commit
            for key in keys
            if key.startswith(OWN_KEY)
            for commit in self._store.catalog.commits(matching=key)
            if commit.idempotency_key == key
        ]
        return found if len(found) == len(keys) else []


def checked(batch: pa.RecordBatch, limits: Limits) -> pa.RecordBatch:
    """Return a batch from the network, if it is one.

    Raises:
        DataError: It is malformed. UnsupportedError: It is too large.
    """
    if batch.nbytes > limits.batch_bytes:
        raise UnsupportedError(
            f"a batch has more than {limits.batch_bytes:,} bytes", todo="send the rows in smaller batches"
        )
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        raise DataError(f"a batch is malformed: {error}", todo="mend whatever wrote it") from error
    return batch


def _answers(table: pa.Table, spine: pa.Table) -> pa.Table:
    return table.select(table.column_names[spine.num_columns :])


def _inputs(text: str) -> Any:  # noqa: ANN401 - what a caller passed
    with suppress(msgspec.DecodeError, RecursionError):
        return msgspec.json.decode(text)
    raise UsageError("the inputs of the request are no JSON")
