"""Write rows into a store: prepare, make durable, publish, serve.

Nothing is visible before the commit record is published, and everything is when it is. What a crash leaves behind is
either debris (files that no commit names) or a commit that the online store has not applied yet; both are repaired.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Self

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame
from asof.arrow.order import OnConflict
from asof.arrow.streams import in_parts, to_batches
from asof.checks import CheckReport
from asof.clock import to_us
from asof.definitions import FeatureGroup
from asof.definitions.names import checked_text
from asof.errors import AsofError, BackendError, DataError, UsageError
from asof.ingest.absent import with_absent
from asof.ingest.around import checking
from asof.ingest.feed import OnlineFeed, Published, Slices
from asof.ingest.load import PART_BYTES, PART_ROWS, Load, streams
from asof.ingest.prepare import Options, Prepared, prepare, prepare_retirement, writable
from asof.ingest.push import Pusher, Records
from asof.ingest.quarantine import aside
from asof.ingest.statistics import begun
from asof.ingest.unchanged import Divided, divided, staged, whole
from asof.ingest.upkeep import Upkeep
from asof.online.port import Applied
from asof.parts import Parts
from asof.progress import Progress, unheard
from asof.records import Commit, CommitKind, DataFile, Draft
from asof.registry.port import StaleRowsError
from asof.registry.registered import RegisteredGroup

ATTEMPTS = 3
"""How often rows are compared with history before they are stored in full, if history loses rows meanwhile."""

MOST_DIGITS = 18
"""The longest commit number: it fits 64 bits."""


class Writer:
    """The way in for one store."""

    def __init__(self, parts: Parts) -> None:
        """Keep the parts; background upkeep starts with the first write."""
        self._parts = parts
        self.feed = OnlineFeed(parts)
        self.upkeep = Upkeep(parts)
        self._pusher = Pusher(parts, self.feed, self.upkeep)

    def write(self, group: str, frame: Frame, kind: CommitKind, options: Options) -> Commit:
        """Store a frame as one commit of a group; see `Store.write` and `Store.backfill`."""
        registered = self._parts.registry.group(group).writable
        batches = to_batches(frame, where=f"group {registered.definition.name}")
        if batches is not None:
            frame = batches
            if streams(options):
                parts = in_parts(batches, most_rows=PART_ROWS, most_bytes=PART_BYTES)
                frame, more = next(parts), next(parts, None)
                if more is not None:
                    return self.load(Load(self._parts, registered, kind, options, chain((frame, more), parts)))
        return self.publish([self.prepared(registered, frame, kind, options)])[0]

    def prepared(self, group: RegisteredGroup, frame: Frame, kind: CommitKind, options: Options) -> Prepared:
        """Return a frame as rows that may be stored, by the clock of now; what checks refuse is remembered.

        Raises:
            As `prepare`.
        """
        now_us = self._parts.now_us()
        try:
            checks = checking(self._parts, group, kind, now_us=now_us)
            return prepare(group, frame, kind, options, now_us=now_us, checking=checks)
        except DataError as error:
            self._refused(group, error)
            raise

    def _refused(self, group: RegisteredGroup, error: DataError) -> None:
        """Keep what checks said of rows that they refused."""
        report = error.data.get("report")
        if isinstance(report, CheckReport):
            body = msgspec.structs.replace(report, refused=True).to_json()
            with suppress(BackendError):  # it must not hide what happened
                now_us, writer = self._parts.now_us(), self._parts.writer
                self._parts.reports.refused(group, body, writer=writer, now_us=now_us)

    def rehearse(self, group: FeatureGroup, frame: Frame, options: Options) -> None:
        """Refuse a frame that a group, which is not registered yet, would refuse; see `write`."""
        now_us = self._parts.now_us()
        layout = tuple(feature.name for feature in group.features)
        registered = RegisteredGroup(0, 1, group, group.known or "event", now_us, layout)
        checks = checking(self._parts, registered, "write", now_us=now_us)
        prepare(registered, frame, "write", options, now_us=now_us, checking=checks)

    def retire(self, group: str, keys: Frame, event_time: datetime | None, options: Options) -> Commit:
        """Store the end of keys as one commit; see `Store.retire`."""
        registered = self._parts.registry.group(group).writable
        event_us = None if event_time is None else to_us(event_time, what="event_time")
        return self.publish([prepare_retirement(registered, keys, event_us, options, now_us=self._parts.now_us())])[0]

    def push(self, group: str, records: Records, options: Options) -> Commit:
        """Store records through the journal; see `Store.push`."""
        return self._pusher.push(group, records, options)

    def retract(self, commit: str | Commit, reason: str) -> Commit:
        """Hide the rows of a commit; see `Store.retract`."""
        ref, number = commit_name(commit)
        group = writable(self._parts.registry.group(ref).retractable)
        if not checked_text(reason, "reason").strip():
            raise UsageError("a retract needs a reason", todo='pass reason="..."')
        draft = Draft(group.id, "retract", target=number, reason=reason)
        published = self._publish([draft])
        self.feed.apply([Published(group, published[0], None)])
        return published[0]

    def publish(self, prepared: Sequence[Prepared]) -> list[Commit]:
        """Make prepared rows durable, publish them as one, and serve them."""
        prepared = self._with_asides(prepared)
        for _ in range(ATTEMPTS):
            with suppress(StaleRowsError):  # rows that confirmations name may be gone
                loads = [with_absent(self._parts, item) for item in prepared]
                return self._store(loads, [divided(self._parts, item) for item in loads])
        loads = [with_absent(self._parts, item) for item in prepared]
        return self._store(loads, [whole(item) for item in loads])

    def _with_asides(self, prepared: Sequence[Prepared]) -> list[Prepared]:
        """Make durable what was put aside."""
        done: list[Prepared] = []
        try:
            for item in prepared:
                put = None if item.items is None else aside(self._parts, item.group, item.items)
                done.append(item if put is None else replace(item, draft=replace(item.draft, aside=put)))
        except AsofError:
            self._discard([item.draft.all_files for item in done])
            raise
        return done

    def load(self, load: Load) -> Commit:
        """Store rows that come in parts as one commit."""
        try:
            return self._loaded(load)
        except DataError as error:
            self._refused(load.group, error)
            raise

    def _loaded(self, load: Load) -> Commit:
        with load:
            for _ in range(ATTEMPTS):
                with suppress(StaleRowsError):
                    return self._publish_load(load)
            return self._publish_load(load, whole=True)

    def _publish_load(self, load: Load, *, whole: bool = False) -> Commit:
        draft = load.draft(whole=whole)
        try:
            rows = [load.slices if load.in_order else None]
            return self._publish_staged([load.group], [draft], rows, clock=load.clock)[0]
        except StaleRowsError:
            load.take_back()
            raise

    def _store(self, prepared: Sequence[Prepared], parts: Sequence[Divided]) -> list[Commit]:
        files: list[list[DataFile]] = []
        made = begun(prepared)
        try:
            for item, part in zip(prepared, parts, strict=True):
                files.append([])
                for new in staged(self._parts, item.group, part):
                    files[-1] += new  # a part must be known
            drafts = [
                replace(part.draft, files=tuple(new), statistics=found)
                for part, new, found in zip(parts, files, made(), strict=True)
            ]
        except AsofError:
            self._discard([*files, *(part.draft.all_files for part in parts)])
            raise
        try:
            return self._publish_staged([item.group for item in prepared], drafts, [item.rows for item in prepared])
        except StaleRowsError:
            self._discard(files)
            raise

    def _publish_staged(
        self,
        groups: Sequence[RegisteredGroup],
        drafts: Sequence[Draft],
        rows: Sequence[pa.Table | Slices | None],
        *,
        clock: Callable[[], int] | None = None,
    ) -> list[Commit]:
        """Publish commits whose files are durable, and serve them; rows that are not at hand are read from history.

        The files of what is refused are deleted, but not after a StaleRowsError: the caller may need them again.
        """
        files = [draft.all_files for draft in drafts]
        try:
            commits = self._publish(drafts, clock)
        except BackendError:  # it may have been published all the same: what no commit names is deleted later
            self.upkeep.doubtful(file.path for new in files for file in new)
            raise
        except StaleRowsError:
            raise
        except AsofError:
            self._discard(files)
            raise
        if any(commit.repeated for commit in commits):
            self._discard(files)
            # The first time it may have been stored, and the online store have failed.
            rows = [None] * len(commits)
        else:
            self._written(groups, drafts)
        self.feed.apply([Published(*each) for each in zip(groups, commits, rows, strict=True)])
        return commits

    def _written(self, groups: Sequence[RegisteredGroup], drafts: Sequence[Draft]) -> None:
        """Have the upkeep look after groups that have new files, and after quarantines that have."""
        asides = {draft.aside.group_id: draft.aside for draft in drafts if draft.aside is not None}
        kept = [group for group in self._parts.registry.groups() if group.id in asides] if asides else []
        self.upkeep.written([*groups, *(group for group in kept if asides[group.id].files)])
        self.upkeep.pushed([(group, asides[group.id].rows) for group in kept if asides[group.id].payload is not None])

    def swap(self, group: RegisteredGroup, loads: Sequence[Load], retracts: Sequence[Draft]) -> list[Commit] | None:
        """Publish loads of one group, and retracts of what they stand in for, in one step; and serve them.

        Returns:
            The commits; None if the idempotency key of the first load was used before: then nothing changes.
        """
        drafts = [*(load.draft(whole=True) for load in loads), *retracts]
        files = [draft.all_files for draft in drafts]
        clock = loads[0].clock if loads else self._parts.now_us
        try:
            answers = self._parts.log.publish([[draft] for draft in drafts], clock=clock, writer=self._parts.writer)
        except BackendError:  # see _publish_staged
            self.upkeep.doubtful(file.path for new in files for file in new)
            raise
        commits = [commit for answer in answers if not isinstance(answer, AsofError) for commit in answer]
        for new, answer in zip(files, answers, strict=True):
            if isinstance(answer, AsofError) or answer[0].repeated:
                self._discard([new])
        self._written([group], drafts)
        self.feed.apply([Published(group, commit, None) for commit in commits])
        if commits and commits[0].repeated:
            for commit in commits:
                if not commit.repeated and commit.kind != "retract":  # the other one made fewer
                    self._publish([Draft(group.id, "retract", target=commit.number, reason="another run was first")])
            return None
        for answer in answers:
            if isinstance(answer, AsofError):
                raise answer
        return commits

    def recover(self, *, tolerant: bool = False, advance: Progress = unheard) -> None:
        """Apply commits that the online store lacks, after a crash or a definition that turned it on.

        Args:
            tolerant: Keep what fails for `doctor` to tell, instead of raising it.
            advance: Told how many of the groups are done.
        """
        with self._parts.online.snapshot() as snapshot:
            applied = dict(snapshot.applied)
        heads = self._parts.log.heads()  # after the marks: what is applied was published before
        suspect = self._parts.online.suspect
        groups = self._parts.registry.groups()
        for done, group in enumerate(groups):
            advance(done, len(groups))
            mark, head = applied.get(group.id, Applied()), heads.get(group.stored.id)
            if not group.definition.online or (head is None and not mark.commit):
                continue
            try:
                if suspect or self.feed.is_foreign(group, mark):
                    self.feed.rebuild(group)
                elif mark.applying or group.source or (head is not None and mark.commit < head.number):
                    self.feed.catch_up(group)
            except BackendError as error:
                if not tolerant:
                    raise
                self.upkeep.failures[f"applying {group.ref} online"] = str(error)
        if suspect:
            self._parts.online.trust()
        advance(len(groups), len(groups))

    def close(self) -> None:
        """Finish the upkeep."""
        self.upkeep.close()

    def _discard(self, files: Sequence[Sequence[DataFile]]) -> None:
        with suppress(BackendError):  # it must not hide what happened; debris is found later
            self._parts.history.discard(file.path for new in files for file in new)

    def _publish(self, drafts: Sequence[Draft], clock: Callable[[], int] | None = None) -> list[Commit]:
        clock = clock or self._parts.now_us
        (answer,) = self._parts.log.publish([drafts], clock=clock, writer=self._parts.writer)
        if isinstance(answer, AsofError):
            raise answer
        return answer


class Together:
    """Several groups written as one: `with store.together() as tx: tx.write(...); tx.write(...)`.

    Nothing is stored before the block ends; if it raises, nothing is stored at all. A group is written once.
    """

    def __init__(self, parts: Parts, writer: Writer) -> None:
        """Start empty."""
        self._parts = parts
        self._writer = writer
        self._prepared: list[Prepared] = []
        self._open = False
        self.commits: list[Commit] = []

    def write(
        self,
        group: str,
        frame: Frame,
        *,
        meta: dict[str, str] | None = None,
        idempotency_key: str = "",
        on_conflict: OnConflict = "error",
    ) -> None:
        """Add rows arriving now; see `Store.write`.

        Raises:
            DataError: The rows break a rule. UsageError: The group is in it already, or the block is not open.
        """
        if not self._open:
            raise UsageError(
                "this is outside of its block, so nothing would be stored",
                todo="write inside: with store.together() as tx: tx.write(...)",
            )
        registered = self._parts.registry.group(group).writable
        if any(item.group.id == registered.id for item in self._prepared):
            raise UsageError(f"group {registered.ref} is written twice together", todo="join the frames")
        options = Options(meta=meta, idempotency_key=idempotency_key, on_conflict=on_conflict)
        self._prepared.append(self._writer.prepared(registered, frame, "write", options))

    def __enter__(self) -> Self:
        """Begin."""
        if self._open or self.commits:
            raise UsageError("this was begun before", todo="call store.together() anew")
        self._open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Publish what was added, as one; unless the block raised."""
        self._open = False
        if kind is None and self._prepared:
            self.commits = self._writer.publish(self._prepared)


def commit_name(commit: str | Commit) -> tuple[str, int]:
    """Return (group, number) of a commit or its name, such as "weather@1:17" or "weather:17".

    Raises:
        UsageError: The text names no commit.
    """
    if isinstance(commit, Commit):
        return commit.group, commit.number
    group, _, number = str(commit).rpartition(":")
    if not group or not (number.isascii() and number.isdigit() and len(number) <= MOST_DIGITS):
        raise UsageError(f"{commit!r} names no commit", todo='write it as "weather:17"; see `asof commits weather`')
    return group, int(number)
