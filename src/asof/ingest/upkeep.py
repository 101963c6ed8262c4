"""The upkeep of history, in the background: move the journal to files, merge small files, mirror the log in Delta.

None of it changes an answer; all of it may be interrupted at any point and done again.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from asof.clock import system_clock
from asof.engine.families import FAMILIES
from asof.engine.port import Rows
from asof.errors import AsofError, BackendError, ConflictError, NotFoundError
from asof.ingest.feed import current_group
from asof.ingest.merge import MOST_BYTES, SOON_BYTES, mergeable
from asof.ingest.retention import aged, horizon_of
from asof.ingest.rewrite import current_rows, rewritten, rows_in
from asof.ingest.statistics import journal_spans, merge_spans
from asof.ingest.sweep import Sweep
from asof.parts import Kind, Parts, apart, rewriting, table_of_kind, tables_of
from asof.progress import Progress, unheard
from asof.records import DataFile, Snapshot
from asof.registry.registered import RegisteredGroup

JOURNAL_ROWS = 20_000
"""Journal rows after which they are moved to a file: a read decodes them all."""

LOOKS = 4
"""How often a process that pushes so many looks whether the journal has them: others push to the same one."""

BACKGROUND = True
"""Whether a thread does the waiting work; else `Upkeep.work` does, at a moment that a test chooses."""

ATTEMPTS = 3

REST_SECONDS = 0.2
"""Rest between two rounds of the thread, at least as long as the last one took: many small commits share a round."""

GRACE_US = 15 * 60 * 1_000_000
"""How long replaced files are kept for readers that still hold their names."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes:
        group: The group, "weather@1".
        files_before: Files and journal parts before.
        files_after: Files after.
        rows: Rows kept.
        dropped: Rows dropped by retention.
    """

    group: str
    files_before: int
    files_after: int
    rows: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged in the background, by this process since the store was opened.

    Attributes:
        merges: How often.
        files: Files that were merged.
        rows: Rows that were written anew.
    """

    merges: int = 0
    files: int = 0
    rows: int = 0

    def __str__(self) -> str:
        """Return it as text."""
        steps = "1 step" if self.merges == 1 else f"{self.merges:,} steps"
        return f"{self.files:,} small files were merged in {steps}, {self.rows:,} rows written anew"


class Upkeep:
    """Keeps the history of one store in shape; work is done by one thread that ends when there is nothing to do.

    Attributes:
        failures: What could not be done the last time, with the reason.
        merged: What was merged, for each group ("weather@1").
    """

    def __init__(self, parts: Parts) -> None:
        """Start idle."""
        self._parts = parts
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._mirror: dict[int, RegisteredGroup] = {}
        self._unseen: dict[int, int] = {}
        self._seal: dict[int, RegisteredGroup] = {}
        self._doubtful: set[str] = set()
        self._closed = False
        self._closing = threading.Event()
        self._swept_us = 0
        self.failures: dict[str, str] = {}
        self.merged: dict[str, Merged] = {}

    def written(self, groups: Iterable[RegisteredGroup]) -> None:
        """Remember that groups have new files."""
        with self._lock:
            self._mirror |= {group.id: group for group in groups}
        self._wake()

    def pushed(self, grown: Iterable[tuple[RegisteredGroup, int]]) -> None:
        """Remember by how many rows the journals of groups grew; at first, and now and then, look how long they are."""
        look: dict[int, RegisteredGroup] = {}
        with self._lock:
            for group, rows in grown:
                unseen = self._unseen.get(group.id, JOURNAL_ROWS) + rows
                if unseen >= max(JOURNAL_ROWS // LOOKS, 1):
                    unseen = 0
                    look[group.id] = group
                self._unseen[group.id] = unseen
            self._seal |= look
        if look:
            self._wake()

    def close(self) -> None:
        """Finish what is waiting."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._closing.set()
        if thread is not None:
            thread.join()
        self.work()

    def work(self) -> None:
        """Do what is waiting; what fails is kept in `failures`."""
        while self._round():
            pass

    def _round(self) -> bool:
        """Do what is waiting now; return whether there was something."""
        with self._lock:
            seal, self._seal = self._seal, {}
            mirror, self._mirror = self._mirror, {}
            if not seal and not mirror:
                self._thread = None
                return False
        for group in seal.values():
            moved: list[int] = []
            self._tried(group, _sealing(group), lambda g=group, to=moved: to.append(self.seal(g, least=JOURNAL_ROWS)))
            if any(moved):
                mirror[group.id] = group
        for group in (seal | mirror).values():
            self._tried(group, _sweeping(group), lambda g=group: self.sweep_trees(g))
            self._tried(group, _counting(group), lambda g=group: merge_spans(self._parts, g))
        for group in mirror.values():
            self._tried(group, _merging(group), lambda g=group: self.merge(g))
            self._tried(group, _mirroring(group), lambda g=group: self._mirror_now(g))
        return True

    def _rounds(self) -> None:
        """Do what is waiting, with rests."""
        begun = time.monotonic()
        while self._round():
            self._closing.wait(max(REST_SECONDS, time.monotonic() - begun))
            begun = time.monotonic()

    def seal(self, group: RegisteredGroup, *, least: int = 1) -> int:
        """Move the journal rows of a group to a file; return how many.

        Nothing happens if there are fewer than `least`, or if another process was first.
        """
        group, rows, snapshot = current_rows(self._parts, group)
        if rows.journal is None or rows.journal.num_rows < least:
            return 0
        only = replace(rows, files=(), retracted={})
        try:
            self._replace(group, only, snapshot, removed=(), sealed=[stamp.number for stamp, _ in snapshot.journal])
        except ConflictError:
            return 0
        return rows.journal.num_rows

    def merge(self, group: RegisteredGroup) -> int:
        """Merge small files of a group while there are too many of them; return how many were merged.

        Files of a serving log that are too old are dropped first. Nothing happens if the store's settings say so, or
        while others write files anew.
        """
        merged = 0
        if self._parts.compaction == "auto" and self._drop_answers(group):
            self._sweep_seldom()
        while self._parts.compaction == "auto" and (now := self._merge_once(group)):
            merged += now
        if merged:
            self._sweep_seldom()
        return merged

    def _merge_once(self, group: RegisteredGroup) -> int:
        most_bytes = SOON_BYTES if self._closed else MOST_BYTES
        live = [file for file, _ in self._parts.log.snapshot(group).files]
        if not mergeable(live, most_bytes=most_bytes):
            return 0
        with rewriting(self._parts.root, wait=False) as ours:
            if not ours:
                return 0
            group, rows, snapshot = current_rows(self._parts, group)
            chosen = {file.path for file in mergeable([file for file, _ in snapshot.files], most_bytes=most_bytes)}
            if not chosen:
                return 0
            only = replace(rows, files=tuple(item for item in rows.files if item[1].path in chosen), journal=None)
            files = self._replace(group, only, snapshot, removed=chosen, sealed=[])
        had = self.merged.get(group.ref, Merged())
        count = sum(file.rows for file in files)
        self.merged[group.ref] = Merged(had.merges + 1, had.files + len(chosen), had.rows + count)
        return len(chosen)

    def sweep_trees(self, source: RegisteredGroup) -> int:
        """Take events that no window reaches any more out of trees that are made of a group's; return the steps done.

        Nothing happens if the store's settings say so, or while others write files anew, or erase.
        """
        steps = 0
        for group in self._made_of(source) if self._parts.compaction == "auto" else ():
            more = True
            while more and not (steps and self._closing.is_set()):  # a store that is closed does one step
                with rewriting(self._parts.root, wait=False) as ours:
                    more = ours and Sweep(self._parts, group).step()
                steps += more
        return steps

    def _made_of(self, source: RegisteredGroup) -> list[RegisteredGroup]:
        made = self._parts.registry.made()
        return [group for group in made if group.definition.online and group.stored.id == source.id]

    def _drop_answers(self, group: RegisteredGroup) -> int:
        """Drop the files of a serving log that are too old as a whole; return how many."""
        now_us = self._parts.now_us()
        snapshot = self._parts.log.snapshot(group)
        horizon_us = horizon_of(self._parts, group, snapshot, now_us=now_us)
        gone = [] if horizon_us is None else aged(group, snapshot, horizon_us)
        if horizon_us is None or not gone:
            return 0
        with rewriting(self._parts.root, wait=False) as ours:
            if not ours:
                return 0
            horizon = (horizon_us, snapshot.pin)
            self._parts.log.replace_files(group, removed=gone, added=[], now_us=now_us, horizon=horizon)
        return len(gone)

    def _sweep_seldom(self) -> None:
        """Delete what was replaced long ago; by a clock that a test sets, readers may hold it all the same."""
        now_us = self._parts.now_us()
        if self._parts.clock is system_clock and now_us - self._swept_us > GRACE_US:
            self._swept_us = now_us
            self.sweep(now_us=now_us)

    def compact_all(
        self, groups: Sequence[RegisteredGroup], *, now_us: int, advance: Progress = unheard
    ) -> list[Compaction]:
        """Compact groups one after the other; `advance` is told how many of their rows are done."""
        stored = [self._parts.log.snapshot(group) for group in groups]
        rows = [sum(file.rows for file, _ in snapshot.files) for snapshot in stored]
        done: list[Compaction] = []
        for at, group in enumerate(groups):
            advance(sum(rows[:at]), sum(rows))
            done.append(self.compact(group, now_us=now_us))
        advance(sum(rows), sum(rows))
        return done

    def compact(self, group: RegisteredGroup, *, now_us: int) -> Compaction:
        """Write all rows of a group anew, ordered and stamped, and drop what its retention no longer keeps.

        Raises:
            ConflictError: Other processes kept changing its files meanwhile.
        """
        done = None
        with rewriting(self._parts.root):
            for _ in range(ATTEMPTS - 1):
                with suppress(ConflictError):
                    done = self._compact(group, now_us)
                    break
            done = done or self._compact(group, now_us)
            for made in self._made_of(group):
                self._tried(group, _sweeping(group), lambda m=made: Sweep(self._parts, m).all())
        for what in (_sealing(group), _merging(group), _mirroring(group)):
            self.failures.pop(what, None)  # that is done now
        return done

    def _compact(self, group: RegisteredGroup, now_us: int) -> Compaction:
        group, rows, snapshot = current_rows(self._parts, group)
        before = len(rows.files) + len(snapshot.journal)
        had = rows_in([file for file, _ in snapshot.files]) + (rows.journal.num_rows if rows.journal else 0)
        horizon_us = horizon_of(self._parts, group, snapshot, now_us=now_us)
        kinds = len({Kind.of(file) for file, _ in snapshot.files})
        settled = before == kinds and all(stamp is None for _, stamp in snapshot.files)
        if settled and horizon_us is None:
            self._mirror_now(group)  # an earlier one may have failed
            return Compaction(group.ref, before, before, had, 0)
        files = self._replace(
            group,
            rows,
            snapshot,
            removed=[file.path for file, _ in snapshot.files],
            sealed=[stamp.number for stamp, _ in snapshot.journal],
            horizon_us=horizon_us,
        )
        self._mirror_now(group)
        self.sweep(now_us=now_us)
        kept = rows_in(files)
        return Compaction(group.ref, before, len(files), kept, had - kept)

    def mirror(self, group: RegisteredGroup) -> None:
        """Make the Delta log of a group hold its live files."""
        self._mirror_now(group)
        self.failures.pop(_mirroring(group), None)

    def sweep(self, *, now_us: int, grace_us: int = GRACE_US) -> int:
        """Delete replaced files that no reader can hold any more, and debris; return how many files went."""
        log, history = self._parts.log, self._parts.history
        old = list(log.files(replaced_before_us=now_us - grace_us))
        history.discard(old)
        if old:
            log.forget_files(old)
        return len(old) + self._sweep_debris()

    def discard_replaced(self, groups: Sequence[RegisteredGroup]) -> int:
        """Delete the replaced files of groups whatever their age, and debris; return how many files went."""
        folders = tuple(f"{table.name}/" for group in groups for table in tables_of(group))
        gone = [path for path, live in self._parts.log.files().items() if not live and path.startswith(folders)]
        self._parts.history.discard(gone)
        if gone:
            self._parts.log.forget_files(gone)
        return len(gone) + self._sweep_debris()

    def let_go_of_copies(self) -> None:
        """Delete this machine's copies of files that were deleted, perhaps by another machine."""
        if self._parts.history.remote:
            self._parts.history.keep_only(self._parts.log.files())

    def doubtful(self, paths: Iterable[str]) -> None:
        """Remember files of ours that may have been published, or not: a later sweep deletes those that were not."""
        with self._lock:
            self._doubtful.update(paths)

    def debris(self) -> list[str]:
        """Return the data files that no commit names, and that no living writer is about to publish."""
        found = {*self._parts.history.debris(()), *self._doubtful}
        known = self._parts.log.files()  # asked after the files were listed: what was published in between is known
        return [path for path in found if path not in known]

    def _sweep_debris(self) -> int:
        debris = self.debris()
        self._parts.history.discard(debris)
        self.let_go_of_copies()
        with self._lock:
            self._doubtful -= {*debris}
        return len(debris)

    def _replace(
        self,
        group: RegisteredGroup,
        rows: Rows,
        snapshot: Snapshot,
        *,
        removed: Iterable[str],
        sealed: list[int],
        horizon_us: int | None = None,
    ) -> list[DataFile]:
        parts = self._parts
        gone = {*removed}
        replaced = [file for file, _ in snapshot.files if file.path in gone]
        first = min([file.first_commit for file in replaced] + sealed, default=1)
        last = max([file.last_commit for file in replaced] + sealed, default=snapshot.pin)
        # With a horizon, what confirmations name may go: then they become rows of their own.
        kinds = apart(rows) if horizon_us is None else [(Kind(), rows)]
        stamped: list[DataFile] = []
        for kind, part in kinds:
            new = rewritten(parts, group, kind, part, horizon_us=horizon_us)
            stamped += [replace(file, first_commit=first, last_commit=last) for file in new]
        journal = rows.journal if sealed else None
        spans = [] if journal is None else journal_spans(parts, group, journal, snapshot, sealed)
        try:
            parts.log.replace_files(
                group,
                removed=gone,
                added=stamped,
                sealed=sealed,
                now_us=parts.now_us(),
                horizon=None if horizon_us is None else (horizon_us, snapshot.pin),
                statistics=spans,
            )
        except ConflictError:  # not after a failure: the files may be in place all the same
            parts.history.discard(file.path for file in stamped)
            raise
        return stamped

    def _mirror_now(self, group: RegisteredGroup) -> None:
        snapshot = self._parts.log.snapshot(group)
        group = current_group(self._parts, group)
        try:
            for family in (None, *FAMILIES) if group.cold else (None,):
                kind = Kind(family=family)
                live = [file for file, _ in snapshot.files if Kind.of(file) == kind]
                self._parts.history.mirror(table_of_kind(group, kind), live=live)
        finally:
            if self._is_gone(group):  # with its folder, which the mirror may have made again
                for table in tables_of(group):
                    self._parts.history.drop(table)

    def _wake(self) -> None:
        with self._lock:
            if self._closed or not BACKGROUND or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._rounds, name="asof-upkeep", daemon=True)
            self._thread.start()

    def _tried(self, group: RegisteredGroup, what: str, work: Callable[[], object]) -> bool:
        try:
            work()
        except (ConflictError, NotFoundError):
            return False  # another process did it, or the group is gone
        except AsofError as error:
            with suppress(BackendError):  # the registry itself may be away
                if self._is_gone(group):  # its files went while we worked
                    return False
            self.failures[what] = str(error)  # tried again with the next write; `doctor` shows it
            return False
        self.failures.pop(what, None)
        return True

    def _is_gone(self, group: RegisteredGroup) -> bool:
        try:
            return self._parts.registry.group(group.ref).id != group.id
        except NotFoundError:
            return True


def _sealing(group: RegisteredGroup) -> str:
    return f"moving the journal of {group.ref} to files"


def _sweeping(group: RegisteredGroup) -> str:
    return f"sweeping what is made of {group.ref}"


def _counting(group: RegisteredGroup) -> str:
    return f"merging statistics of {group.ref}"


def _merging(group: RegisteredGroup) -> str:
    return f"merging small files of {group.ref}"


def _mirroring(group: RegisteredGroup) -> str:
    return f"mirroring {group.ref} in Delta"
