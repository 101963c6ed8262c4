"""Push single records: durable and readable online when the call returns. Source: SEMANTICS section 3, `push`.

Records go to the journal in the commit log's own transaction, so that a push is one synced write. Threads that push at
the same time share it: whoever comes first leads a group, and hands over to one that waited.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from asof.arrow.rows import encode_block
from asof.errors import AsofError, UsageError
from asof.ingest.feed import OnlineFeed, Published
from asof.ingest.prepare import Options, Prepared, prepare
from asof.ingest.upkeep import Upkeep
from asof.parts import Parts
from asof.parts.pinned import journal_schema
from asof.records import Commit
from asof.registry.port import RegisteredGroup

MOST_TOGETHER = 256
"""Pushes of one shared transaction: enough to fill a sync, few enough to keep the first one waiting shortly."""


@dataclass(slots=True)
class _Waiting:
    prepared: Prepared
    turn: threading.Event = field(default_factory=threading.Event)
    leads: bool = False
    commit: Commit | None = None
    error: BaseException | None = None


class Pusher:
    """Group commit for pushes."""

    def __init__(self, parts: Parts, feed: OnlineFeed, upkeep: Upkeep) -> None:
        """Start with nobody waiting."""
        self._parts = parts
        self._feed = feed
        self._upkeep = upkeep
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._led = False

    def push(self, group: RegisteredGroup, records: Sequence[Mapping[str, object]], options: Options) -> Commit:
        """Store records as one commit.

        Raises:
            UsageError: It is no sequence of records. DataError: A record breaks a rule.
            BackendError: A part of the store failed.
        """
        rows: list[object] = list(records) if isinstance(records, Iterable) else [records]  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        if not all(isinstance(row, Mapping) for row in rows):
            raise UsageError(
                f"{type(records).__name__} is no sequence of records",
                where=f"group {group.definition.name}",
                todo="pass a dict, or a list of dicts; for a frame use write",
            )
        prepared = prepare(group, rows, "push", options, now_us=self._parts.now_us())
        columns = journal_schema(group).names
        payload = encode_block(prepared.rows.select(columns)) if prepared.rows.num_rows else None
        item = _Waiting(Prepared(group, prepared.rows, replace(prepared.draft, payload=payload)))
        with self._lock:
            self._waiting.append(item)
            item.leads = not self._led
            self._led = True
        if not item.leads:
            item.turn.wait()
        if item.leads:
            self._lead()
        if item.error is not None:
            raise item.error
        assert item.commit is not None  # noqa: S101 - a leader set one or the other
        return item.commit

    def _lead(self) -> None:
        with self._lock:
            together, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        try:
            self._store(together)
        except BaseException as error:  # noqa: BLE001 - every waiter must hear of it, whatever it is
            for item in together:
                if item.commit is None and item.error is None:
                    item.error = error
        with self._lock:
            successor = self._waiting[0] if self._waiting else None
            self._led = successor is not None
        if successor is not None:
            successor.leads = True
            successor.turn.set()
        for item in together:
            if not item.leads:
                item.turn.set()

    def _store(self, together: Sequence[_Waiting]) -> None:
        drafts = [[item.prepared.draft] for item in together]
        answers = self._parts.log.publish(drafts, clock=self._parts.now_us, writer=self._parts.writer)
        published: list[Published] = []
        repeated: list[Published] = []
        for item, answer in zip(together, answers, strict=True):
            if isinstance(answer, AsofError):
                item.error = answer
            elif answer[0].repeated:
                repeated.append(Published(item.prepared.group, answer[0], None))
            else:
                published.append(Published(item.prepared.group, answer[0], item.prepared.rows))
        self._feed.apply(published)
        self._feed.apply(repeated)  # the first time they may have been stored, and the online store have failed
        for item, answer in zip(together, answers, strict=True):
            if not isinstance(answer, AsofError):
                item.commit = answer[0]
        for item in published:
            self._upkeep.pushed(item.group, item.commit.rows)
