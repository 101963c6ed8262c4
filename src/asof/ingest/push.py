"""Push single records: durable and readable online when the call returns. Source: SEMANTICS section 3, `push`.

Records go to the journal in the commit log's own transaction, so that a push is one synced write. Threads that push at
the same time share it: whoever comes first leads a group, and hands over to one that waited. With many threads Python's
lock is the limit: groups are as large as they can be, and their threads wake one after the other.
"""

import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.rows import encode_block
from asof.errors import AsofError, TransientError, UsageError
from asof.ingest.around import checking
from asof.ingest.feed import OnlineFeed, Published
from asof.ingest.prepare import ON_CONFLICT, Options, draft_of, prepare, writable
from asof.ingest.quarantine import aside
from asof.ingest.record import RecordEncoder
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts
from asof.parts.pinned import journal_schema
from asof.records import Commit, Draft
from asof.registry.port import StaleDefinitionsError
from asof.registry.registered import RegisteredGroup

MOST_TOGETHER = 256
"""Pushes of one shared transaction: enough to fill a sync, few enough to keep the first one waiting shortly."""

GATHER_SECONDS = 0.0005
"""How long a leader waits for one more: threads come back in a tenth of that, and a sync takes about as long."""

ATTEMPTS = 100
"""Definitions may change this often in a row."""


Records = Sequence[Mapping[str, object]] | pa.Table


class _Known(msgspec.Struct, frozen=True):
    """What was read of the definitions, under one generation of them.

    Attributes:
        generation: Which one.
        encoders: How the records of a group are stored, by the name that it was asked by.
        made: The served groups that are made of others.
    """

    generation: int = -1
    encoders: Mapping[str, RecordEncoder] = {}
    made: Sequence[RegisteredGroup] = ()


class _Ready(msgspec.Struct, frozen=True):
    """A push that may be published, under one generation of the definitions."""

    known: _Known
    group: RegisteredGroup
    draft: Draft
    rows: pa.Table | None = None
    record: tuple[bytes, int, bytes] | None = None

    def published(self, commit: Commit) -> Published:
        if commit.repeated:
            return Published(self.group, commit, None)
        return Published(self.group, commit, self.rows, self.record, self.draft.payload)


def _taken() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Waiting:
    """A push whose thread waits until another one releases its `turn`: a lock costs a tenth of what an Event does."""

    name: str
    records: Records
    options: Options
    ready: _Ready
    turn: threading.Lock = field(default_factory=_taken)
    leads: bool = False
    left: bool = False
    commit: Commit | None = None
    error: BaseException | None = None


class Pusher:
    """Group commit for pushes.

    Groups are read from the registry once, and again when a publication finds that definitions have changed.
    """

    def __init__(self, parts: Parts, feed: OnlineFeed, upkeep: Upkeep) -> None:
        """Start with nobody waiting."""
        self._parts = parts
        self._feed = feed
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._answered: deque[_Waiting] = deque()
        self._led = False
        self._expected = 1
        self._all_here = threading.Condition(self._lock)
        self._known = _Known()

    def push(self, name: str, records: Records, options: Options) -> Commit:
        """Store records as one commit.

        Raises:
            NotFoundError: Unknown group. UsageError: It is no sequence of records. DataError: A record breaks a rule.
            BackendError: A part of the store failed.
        """
        try:
            ready = self._ready(name, records, options)
        except AsofError:
            if self._known.generation == self._parts.registry.generation():
                raise
            self._known = _Known()  # it may fit the definitions of now
            ready = self._ready(name, records, options)
        item = _Waiting(name, records, options, ready)
        with self._lock:
            self._waiting.append(item)
            item.leads = not self._led
            self._led = True
            if len(self._waiting) == self._expected > 1:
                self._all_here.notify()
        try:
            if not item.leads:
                item.turn.acquire()
                self._wake()
            if item.leads:
                self._gather()
        except BaseException:  # an interrupt
            self._leave(item)
            raise
        if item.leads:
            self._lead()
        if item.error is not None:
            raise item.error
        assert item.commit is not None  # noqa: S101 - a leader set one or the other
        return item.commit

    def _ready(self, name: str, records: Records, options: Options) -> _Ready:
        known = self._known
        if name not in known.encoders:
            known = self._look_up(name)
        encoder = known.encoders[name]
        group, now_us = encoder.group, self._parts.now_us()
        if isinstance(records, list) and len(records) == 1 and options.on_conflict in ON_CONFLICT:
            found = encoder.encode(records[0], now_us=now_us) if isinstance(records[0], dict) else None
            if found is not None:
                digest = encoder.digest(found) if options.compared else ""
                event_us = found.event_us
                events = event_us, event_us
                draft = draft_of(group, "push", options, rows=1, events=events, digest=digest, payload=found.block)
                return _Ready(known, group, draft, None, (found.key, event_us or 0, found.payload))
        if isinstance(records, pa.Table):
            return self._of_frame(known, group, records, options, now_us)
        rows: list[object] = list(records) if isinstance(records, Iterable) else [records]  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        if not all(isinstance(row, Mapping) for row in rows):
            raise UsageError(
                f"{type(records).__name__} is no sequence of records",
                where=f"group {group.definition.name}",
                todo="pass a dict, or a list of dicts; for a frame use write",
            )
        return self._of_frame(known, group, rows, options, now_us)

    def _of_frame(self, known: _Known, group: RegisteredGroup, rows: Frame, options: Options, now_us: int) -> _Ready:
        checks = checking(self._parts, group, "push", now_us=now_us)
        prepared = prepare(group, rows, "push", options, now_us=now_us, checking=checks)
        columns = journal_schema(group).names
        payload = encode_block(prepared.rows.select(columns)) if prepared.rows.num_rows else None
        put = None if prepared.items is None else aside(self._parts, group, prepared.items, files=False)
        return _Ready(known, group, replace(prepared.draft, payload=payload, aside=put), prepared.rows)

    def _look_up(self, name: str) -> _Known:
        generation = self._parts.registry.generation()  # before the groups: never newer than they are
        encoder = RecordEncoder(writable(self._parts.registry.group(name).writable))
        known = self._known
        if known.generation != generation:
            made = [group for group in self._parts.registry.made() if group.definition.online]
            known = _Known(generation, {}, made)
        self._known = known = _Known(generation, {**known.encoders, name: encoder}, known.made)
        return known

    def _gather(self) -> None:
        """Wait for as many as came together the last time, while they keep coming.

        Those that were just answered are on their way back. The first one would else lead a group of its own, and half
        of all transactions would store a single push.
        """
        with self._lock:
            seen = 0
            while seen < len(self._waiting) < self._expected:
                seen = len(self._waiting)
                self._all_here.wait(GATHER_SECONDS)

    def _lead(self) -> None:
        with self._lock:
            together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            self._expected = len(together)
        try:
            self._store(together)
        except BaseException as error:  # noqa: BLE001 - every waiter must hear of it, whatever it is
            for item in together:
                if item.error is None and (item.commit is None or item.leads):  # an interrupt is the leader's
                    item.error = error
        with self._lock:
            self._hand_over()
            self._answered.extend(item for item in together if not (item.leads or item.left))
        self._wake()

    def _wake(self) -> None:
        """Let the next one that was answered go on, who wakes the one after it.

        All at once they would fight for Python's lock: half of the system's time of a push.
        """
        with self._lock:
            if self._answered:
                self._answered.popleft().turn.release()

    def _hand_over(self) -> None:
        """Let the first who waits lead; we hold the lock."""
        self._led = bool(self._waiting)
        if self._led:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()

    def _leave(self, item: _Waiting) -> None:
        """Take out a push that was interrupted while it waited, unless a leader is storing it; nobody wakes it then."""
        with self._lock:
            item.left = True
            if item in self._waiting:
                self._waiting.remove(item)
                if item.leads:
                    self._hand_over()
            elif item in self._answered:
                self._answered.remove(item)
        self._wake()  # it may have been its turn to do so

    def _store(self, together: Sequence[_Waiting]) -> None:
        items, answers = self._published(together)
        made = self._made(items)
        served = {group.stored.id for group in made}
        grown: list[tuple[RegisteredGroup, int]] = []
        new: list[tuple[_Waiting, Commit]] = []
        repeated: list[tuple[_Waiting, Commit]] = []
        for item, answer in zip(items, answers, strict=True):
            if isinstance(answer, AsofError):
                item.error = answer
                continue
            (commit,) = answer
            if not commit.repeated:
                grown.append((item.ready.group, commit.rows))
            if item.ready.group.definition.online or item.ready.group.id in served:
                (repeated if commit.repeated else new).append((item, commit))
            else:  # and it still was when this was published, under its generation
                item.commit = commit
        self._upkeep.pushed(grown)
        self._serve(new, made)
        self._serve(repeated, made)  # the first time they may have been stored, and the online store have failed

    def _made(self, items: Sequence[_Waiting]) -> list[RegisteredGroup]:
        """Return the served groups that are made of those of the items."""
        groups = {item.ready.group.id for item in items}
        return [group for group in items[0].ready.known.made if group.stored.id in groups] if items else []

    def _serve(self, commits: Sequence[tuple[_Waiting, Commit]], made: Sequence[RegisteredGroup]) -> None:
        if not commits:
            return
        try:
            self._feed.apply([item.ready.published(commit) for item, commit in commits], made=made)
        except AsofError as error:
            for item, _ in commits:
                item.error = error
            return
        for item, commit in commits:
            item.commit = commit

    def _published(self, together: Sequence[_Waiting]) -> tuple[Sequence[_Waiting], list[list[Commit] | AsofError]]:
        """Publish pushes; return those that could be prepared, with their answers."""
        items = list(together)
        for _ in range(ATTEMPTS):
            generation = self._known.generation
            for item in items:
                if item.ready.known.generation != generation:
                    self._prepare_again(item)
            items = [item for item in items if item.error is None]
            if any(item.ready.known.generation != items[0].ready.known.generation for item in items):
                continue  # definitions changed between two of them
            try:
                return items, self._parts.log.publish(
                    [[item.ready.draft] for item in items],
                    clock=self._parts.now_us,
                    writer=self._parts.writer,
                    generation=items[0].ready.known.generation if items else None,
                )
            except StaleDefinitionsError:
                self._known = _Known()
        raise TransientError("others kept changing definitions", todo="try again")

    def _prepare_again(self, item: _Waiting) -> None:
        """Prepare a push under the present definitions; it may not fit them any more."""
        try:
            item.ready = self._ready(item.name, item.records, item.options)
        except AsofError as error:
            item.error = error
