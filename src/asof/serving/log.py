"""The serving log: what was answered online, written to history in the background.

A read appends its raw rows to a queue and goes on. One thread makes rows of them, in short steps with rests between, so
that reads beside it do not wait for the interpreter, and writes them as commits of a group: the log of the view, or
the predictions of a model, as the answer's shape says. Where the disk is
slow the queue is full, and answers are dropped and counted; reads never wait and never fail for the log.

A process that ends, or closes the store, writes what waits; one that is killed loses the last seconds of the log.
"""

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from asof.erasure import without_erased
from asof.errors import AsofError, BackendError
from asof.ingest.around import checking
from asof.ingest.prepare import Options, prepare
from asof.ingest.write import Writer
from asof.parts import Parts, registered_as
from asof.registry.registered import RegisteredGroup
from asof.serving.log_rows import Answer, LogRows, Shape, row_bytes
from asof.serving.plan import Plan

QUEUE_ANSWERS = 100_000
QUEUE_BYTES = 64_000_000
"""What may wait; beyond either, answers are dropped."""

MOST_BYTES = 900_000
"""The largest answer that is logged: a row may have 1 MB."""

WRITE_SECONDS = 5.0
WRITE_ROWS = 50_000
"""When a batch is written: each makes a commit and a file."""

JOURNAL_ROWS = 100
"""Smaller batches go to the journal, which moves them to files by the thousand; larger ones would keep the
interpreter too long there."""

TICK_SECONDS = 0.05

SLICE = 256
"""Answers that are encoded together."""

WORK_SECONDS = 0.000_1
REST_SECONDS = 0.000_5
"""A reader waits at most this long for the interpreter, which other threads get while this one rests."""

BUSY_ANSWERS = 5_000
BUSY_SECONDS = 0.002
"""Work between rests when so many answers wait: who reads that fast gives the others little time."""

RETRY_SECONDS = (0.2, 1.0, 5.0)
"""Pauses between attempts to write."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What happened to the answers of a view, or of a model, that were to be logged, in this process.

    Counted since the store was opened.

    Attributes:
        written: Rows in the log.
        waiting: Answers that wait to be written.
        dropped: Answers that did not fit the queue, because the disk was slower than the reads.
        failed: Answers that could not be written.
        last_error: Why, the last time; "" if nothing ever failed.
    """

    written: int = 0
    waiting: int = 0
    dropped: int = 0
    failed: int = 0
    last_error: str = ""


@dataclass(slots=True)
class _Batch:
    """Rows of one plan and shape that are to be written together."""

    rows: LogRows
    name: str
    todo: str
    since: float
    parts: list[pa.RecordBatch] = field(default_factory=list[pa.RecordBatch])
    count: int = 0


_Place = tuple[Shape, str]
"""Where answers wait to be written: those of one shape, and one version of a view."""


class ServingLog:
    """Logs the online answers of one store."""

    def __init__(self, parts: Parts, writer: Writer) -> None:
        """Start with nothing; the thread begins with the first answer."""
        self._parts = parts
        self._writer = writer
        self._waiting: deque[Answer] = deque()
        self._encoding: Sequence[Answer] = ()
        self._most = QUEUE_ANSWERS
        self._idle = True
        self._closed = False
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._flushes = 0
        self._flushed = threading.Condition()
        self._done = 0
        self._batches: dict[_Place, _Batch] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._errors: dict[str, str] = {}
        self._failing: dict[str, str] = {}
        self._worked = 0.0

    @staticmethod
    def warm() -> None:
        """Let pyarrow import pandas now: its first array does, and must not in a thread while the process forks."""
        pa.array([0])

    def put(self, answer: Answer) -> None:
        """Hand over an answer; called by reads, so it does next to nothing."""
        if len(self._waiting) >= self._most:
            self._count(_name_of(answer), dropped=1)
            return
        self._waiting.append(answer)
        if self._idle:
            self._begin()

    def counts(self, name: str) -> LogCounts:
        """Return what happened to the answers of a view ("departure"), or of a model ("model delays")."""
        counted = self._counts.get(name, Counter[str]())
        waiting = sum(_name_of(answer) == name for answer in (*self._encoding, *list(self._waiting)))
        waiting += sum(batch.count for batch in list(self._batches.values()) if batch.name == name)
        return LogCounts(counted["written"], waiting, counted["dropped"], counted["failed"], self._errors.get(name, ""))

    def failures(self) -> dict[str, str]:
        """Return whose answers could not be logged the last time, with the reason."""
        return dict(self._failing)

    def flush(self) -> None:
        """Write what waits now, and wait until it is written or has failed."""
        with self._lock:
            if self._thread is None:
                return
            self._flushes += 1
            wanted = self._flushes
        self._wake.set()
        with self._flushed:
            self._flushed.wait_for(lambda: self._done >= wanted)

    def close(self) -> None:
        """Write what waits, and end the thread; answers that come later are dropped."""
        with self._lock:
            self._closed = True
            self._most = 0
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join()

    def _begin(self) -> None:
        """Wake the thread; start it the first time."""
        if self._thread is None:
            with self._lock:
                if self._thread is None and not self._closed:
                    self._thread = threading.Thread(target=self._run_to_the_end, name="asof-serving-log", daemon=True)
                    self._thread.start()
        self._wake.set()

    def _run_to_the_end(self) -> None:
        try:
            self._run()
        finally:  # nobody writes any more: whoever waits, or comes later, must not wait for it
            self._finish(sys.maxsize)

    def _run(self) -> None:
        while True:
            flushes, closed = self._flushes, self._closed
            self._gather()
            now = time.monotonic()
            for place, batch in list(self._batches.items()):
                if closed or flushes > self._done or now - batch.since >= WRITE_SECONDS:
                    self._write(place)
            if flushes > self._done:
                self._finish(flushes)
            if closed and not self._waiting:
                return
            self._sleep()

    def _finish(self, flushes: int) -> None:
        with self._flushed:
            self._done = flushes
            self._flushed.notify_all()

    def _sleep(self) -> None:
        """Wait for work: for the next tick, or if there is nothing at all until somebody calls."""
        self._wake.clear()
        if self._closed or self._flushes > self._done:
            return
        if self._batches or self._waiting:
            self._wake.wait(TICK_SECONDS)
            return
        self._idle = True
        if not self._waiting and not self._closed and self._flushes == self._done:  # else somebody came before `_idle`
            self._wake.wait()
        self._idle = False

    def _gather(self) -> None:
        """Make rows of what waits."""
        for _ in range(len(self._waiting) // SLICE + 1):
            answers = [self._waiting.popleft() for _ in range(min(SLICE, len(self._waiting)))]
            for first in {(id(answer[0]), id(answer[7])): answer for answer in answers}.values():
                plan, shape = first[0], first[7]
                self._encoding = [answer for answer in answers if answer[0] is plan and answer[7] is shape]
                try:
                    self._add(plan, shape, self._encoding)
                except Exception as error:  # noqa: BLE001 - counted and told; the thread must live
                    self._fail(shape.name(plan.view), len(self._encoding), f"{type(error).__name__}: {error}")
                self._encoding = ()

    def _add(self, plan: Plan, shape: Shape, answers: Sequence[Answer]) -> None:
        sizes = [row_bytes(answer) for answer in answers]
        self._most = 0 if self._closed else min(QUEUE_ANSWERS, QUEUE_BYTES * len(sizes) // (sum(sizes) + 1) + 1)
        small = [answer for answer, size in zip(answers, sizes, strict=True) if size <= MOST_BYTES]
        batch = self._batch(plan, shape)
        if len(small) < len(answers):
            self._fail(batch.name, len(answers) - len(small), f"an answer has over {MOST_BYTES:,} bytes")
        self._encode(batch, small)
        if batch.count >= WRITE_ROWS:
            self._write((shape, plan.ref))

    def _batch(self, plan: Plan, shape: Shape) -> _Batch:
        """Return the batch that takes answers of a plan: plans are compiled anew every few seconds, to the same."""
        place = shape, plan.ref
        batch = self._batches.get(place)
        if batch is not None and not batch.rows.same(plan):  # a view of that name was removed, and another made
            self._write(place)
            batch = None
        if batch is None:
            rows = LogRows(plan, shape)
            batch = _Batch(rows, shape.name(plan.view), shape.todo(plan.view), time.monotonic())
            self._batches[place] = batch
        return batch

    def _encode(self, batch: _Batch, answers: Sequence[Answer]) -> None:
        """Encode answers; if one of them cannot be, the others are all the same."""
        if not answers:
            return
        try:
            batch.parts.append(batch.rows.encode(answers, self._breathe))
            batch.count += len(answers)
        except Exception as error:  # noqa: BLE001 - a value of any kind must not end the log
            if len(answers) == 1:
                self._fail(batch.name, 1, f"{type(error).__name__}: {error}")
                return
            for answer in answers:
                self._encode(batch, [answer])

    def _write(self, place: _Place) -> None:
        """Write a batch; an attempt that may have succeeded is not doubled by the next."""
        batch = self._batches[place]
        try:
            if batch.count:
                self._try(batch)
                self._count(batch.name, written=batch.count)
                self._failing.pop(batch.name, None)
        except Exception as error:  # noqa: BLE001 - counted and told; the thread must live
            told = str(error) if isinstance(error, AsofError) else f"{type(error).__name__}: {error}"
            self._fail(batch.name, batch.count, told)
        del self._batches[place]

    def _try(self, batch: _Batch) -> None:
        table = batch.rows.table(batch.parts)
        name = str(table.column("answer")[0])
        for pause in (*RETRY_SECONDS, None):
            try:
                return self._store(batch, table, name)
            except (BackendError, OSError):
                if pause is None:
                    raise
                self._pause(pause)
        return None

    def _store(self, batch: _Batch, table: pa.Table, name: str) -> None:
        group = self._group(batch)
        table = without_erased(self._parts, group.definition, table)
        if not table.num_rows:
            return
        meta = {"serving_log": batch.name}
        now_us = self._parts.now_us()
        last_us = max(now_us, int(pc.max(table.column("clock").cast(pa.int64())).as_py()))
        if table.num_rows < JOURNAL_ROWS and last_us == now_us:
            self._writer.push(group.ref, table.to_pylist(), Options(meta=meta, idempotency_key=name))
            return
        # T may be ahead of a clock that was set back: it is no time in the future.
        checks = checking(self._parts, group, "write", now_us=last_us)
        prepared = prepare(group, table, "write", Options(meta=meta), now_us=last_us, checking=checks)
        # The first row's name is nobody else's: content needs no digest, which takes long to make.
        draft = replace(prepared.draft, idempotency_key=name, digest=name)
        self._writer.publish([replace(prepared, draft=draft)])

    def _group(self, batch: _Batch) -> RegisteredGroup:
        """Return the version of the log that has the shape of these rows.

        Raises:
            NotFoundError: It was removed.
        """
        return registered_as(self._parts, batch.rows.group, what="serving log", todo=batch.todo)

    def _breathe(self) -> None:
        """Rest when short steps of work add up, so that reads get the interpreter; not if somebody waits for us."""
        limit = WORK_SECONDS if len(self._waiting) < BUSY_ANSWERS else BUSY_SECONDS
        if time.thread_time() - self._worked > limit:
            if not self._closed and self._flushes == self._done:
                time.sleep(REST_SECONDS)
            self._worked = time.thread_time()

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._closed:
            time.sleep(min(0.05, seconds))

    def _fail(self, name: str, answers: int, why: str) -> None:
        self._errors[name] = self._failing[name] = why
        self._count(name, failed=answers)

    def _count(self, name: str, **counts: int) -> None:
        with self._lock:
            self._counts.setdefault(name, Counter()).update(counts)


def _name_of(answer: Answer) -> str:
    """Return whose answer it is."""
    return answer[7].name(answer[0].view)
