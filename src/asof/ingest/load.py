"""Load more rows than memory holds, as one commit: sorted parts, a file each, that are published together.

A part is conformed, checked and ordered like a small write. What parts share, rows of one key and event time, is found
by sorted hashes that lie on disk, and settled in the end as `arrange` settles it in one part.

Rows that are compared with history are read once more, part by part, and stored anew. The parts are brought into the
order of keys before, unless they came so: then each is compared with its own range of a history that was loaded so.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain, pairwise
from typing import IO, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.hashes import row_hashes
from asof.arrow.keys import encode_keys
from asof.arrow.order import arrange, of_whole_keys
from asof.arrow.streams import in_parts
from asof.engine.port import Rows
from asof.errors import BackendError, DataError
from asof.ingest.absent import absent_keys, without_keys
from asof.ingest.around import checking
from asof.ingest.prepare import Options, Prepared, check_one_moment, digest_of_parts, draft_of, full_digest, prepare
from asof.ingest.quarantine import aside, items_of, joined, rows_of, settle
from asof.ingest.statistics import rows_statistics
from asof.ingest.unchanged import Divided, divided, staged
from asof.offline.port import Table
from asof.parts import Parts, table_of
from asof.records import (
    ABSENT,
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    Availability,
    CommitKind,
    DataFile,
    Draft,
    Stamp,
)
from asof.registry.registered import RegisteredGroup
from asof.statistics import GroupStatistics
from asof.statistics.packing import pack

PART_ROWS = 2_000_000
PART_BYTES = 192 * 1024**2
"""What a part holds: four parts are in memory at once, as they are read, ordered and written."""

SLICE_HASHES = 8_000_000
"""Hashes that are compared at once."""


def streams(options: Options) -> bool:
    """Return whether a load can be done in parts.

    Not with `on_conflict="last"` and recorded arrivals, where rows that lose against the last of their part could
    still lend it their arrival in another.
    """
    return options.on_conflict != "last" or options.available_at is None


class Load:
    """Rows that were made durable, in parts, and may be published: `with Load(...) as load: load.draft()`.

    What was not published when the block ends is deleted.

    Args:
        parts: The store's parts.
        group: The group of the rows.
        kind: What the commit does.
        options: What the caller said.
        tables: The rows, in parts that fit memory.

    Raises:
        DataError: The rows break a rule; nothing is left behind.
        BackendError: A part of the store failed.
    """

    def __init__(
        self, parts: Parts, group: RegisteredGroup, kind: CommitKind, options: Options, tables: Iterable[pa.Table]
    ) -> None:
        """Read nothing yet."""
        self.parts = parts
        self.group = group
        self.kind: CommitKind = kind
        self.options = options
        self.tables = tables
        self.availability: Availability = "commit"
        self.moments: set[int | None] = set()
        self.in_order = False
        self.warns = True
        self.files: list[list[DataFile]] = []
        self.gone: list[list[DataFile]] = []
        self.made: list[DataFile] = []
        self.checking = checking(parts, group, kind, now_us=parts.now_us())
        self.asides: list[Draft] = []
        self.kept_back: set[bytes] = set()
        self.given: Sequence[DataFile] = ()
        self.statistics = GroupStatistics()
        self.ended = GroupStatistics()

    @property
    def table(self) -> Table:
        """Where the rows lie."""
        return table_of(self.group)

    def clock(self) -> int:
        """Return the time by which the rows are checked and published."""
        return self.parts.now_us()

    def __enter__(self) -> Self:
        """Make the rows durable."""
        folder = self.parts.root / "tmp"
        folder.mkdir(exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                seen = _Seen(file)
                self.stage(seen)
                self.settle(seen)
            self.conclude()
            if self.group.definition.on_unchanged == "skip" and not self.in_order:
                self.order()
        except BaseException:  # an interrupt too: a load takes minutes, its files gigabytes
            self.discard()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Delete what was not published."""
        self.discard()

    def discard(self) -> None:
        """Delete what was not published."""
        given = {file.path for file in self.given}
        every = (file.path for file in chain(*self.files, *self.gone, self.made, *(each.files for each in self.asides)))
        with suppress(BackendError):  # it must not hide what happened; debris is found later
            self.parts.history.discard([path for path in every if path not in given])

    def stage(self, seen: "_Seen") -> None:
        """Write each part, while the next one is prepared."""
        offset = 0
        ends: list[tuple[tuple[object, ...], ...]] = []
        with _Behind() as behind:
            for table in self.tables:
                rows = self.prepared(table, offset)
                offset += table.num_rows
                seen.add(row_hashes(rows, self.table.sort))
                if rows.num_rows:
                    ends.append(self.ends(rows))
                behind.do(lambda rows=rows: self.put(rows))
        self.in_order = all(one[1] < other[0] for one, other in pairwise(ends))

    def put(self, rows: pa.Table) -> None:
        """Store a part, and make its statistics."""
        self.files.append(self.parts.history.stage(self.table, rows))
        self.count(rows)

    def count(self, rows: pa.Table) -> None:
        """Add the statistics of some rows."""
        self.statistics = self.statistics.merge(rows_statistics(self.group, rows))

    def ends(self, rows: pa.Table) -> tuple[tuple[object, ...], ...]:
        """Return the first and the last key of ordered rows."""
        keys = self.group.definition.keys
        return tuple(tuple(rows.column(key)[at].as_py() for key in keys) for at in (0, rows.num_rows - 1))

    def prepared(self, table: pa.Table, offset: int) -> pa.Table:
        """Return a part as rows of a data file; numbers of rows in a message are those of the part."""
        try:
            found = self.checked(table, self.options, offset)
        except DataError as error:
            if "report" in error.data:  # it counts from the first row of the load
                raise
            where = f"{error.where}, rows counted from row {offset:,} of the load" if offset else error.where
            raise DataError(error.what, where=where, todo=error.todo, data=error.data) from error
        self.availability = found.draft.availability
        if self.options.absent == "retire":
            self.moments.add(found.draft.max_event_us)
            check_one_moment(self.moments, f"group {self.group.definition.name}")
        return found.rows

    def checked(self, table: pa.Table, options: Options, offset: int) -> Prepared:
        """Return a part as it may be stored, after what checks put aside was made durable."""
        found = prepare(
            self.group,
            table,
            self.kind,
            replace(options, idempotency_key=""),
            now_us=self.clock(),
            checking=self.checking,
            part=True,
            warns=self.warns and not offset,
        )
        if found.items is not None:
            self.put_aside(found.items)
        return found

    def put_aside(self, items: pa.Table) -> None:
        """Make rows durable that go to the quarantine."""
        self.asides.append(aside(self.parts, self.group, items, files=True))
        if self.options.absent == "retire":
            self.kept_back |= set(encode_keys(rows_of(self.group.definition, items).select(self.group.definition.keys)))

    def conclude(self) -> None:
        """Ask the checks that say something of all rows together; put all rows aside if one is broken.

        Raises:
            DataError: The group is strict, and one is.
        """
        definition = self.group.definition
        together = self.checking.together()
        if definition.on_violation != "quarantine" or not together:
            settle(definition, self.checking)
            return
        before, common = list(self.files), "; ".join(result.check for result in together)
        for part in before:
            for batch in self.rows(part):
                rows = pa.Table.from_batches([batch])
                reasons = [common] * rows.num_rows
                self.put_aside(items_of(definition, rows, reasons, None, now_us=self.clock()))
        self.parts.history.discard(file.path for part in before for file in part)
        self.files = []

    def settle(self, seen: "_Seen") -> None:
        """Bring rows of one key and event time together that lie in several parts."""
        doubles, count = seen.doubles()
        if not len(doubles):
            return
        self.in_order = False
        arrivals = AVAILABLE_COLUMN if self.availability == "column" else None
        definition = self.group.definition
        before = list(self.files)
        self.statistics = GroupStatistics()
        settled: list[list[DataFile]] = []
        for some in np.array_split(doubles, min(-(-count // PART_ROWS), len(doubles))):
            found = [batch.filter(self.among(batch, some)) for part in before for batch in self.rows(part)]
            rows = arrange(
                pa.Table.from_batches(found, schema=self.table.schema),
                definition.keys,
                definition.event_time,
                arrivals=arrivals,
                on_conflict=self.options.on_conflict,
                where=f"group {definition.name}",
                numbered=False,
            )
            settled.append(self.parts.history.stage(self.table, rows))
            self.files.append(settled[-1])
            self.count(rows)
        for part in before:
            left = pa.RecordBatchReader.from_batches(self.table.schema, self.rows_without(part, doubles))
            settled.append(self.parts.history.stage(self.table, left))
            self.files.append(settled[-1])
        self.parts.history.discard(file.path for part in before for file in part)
        self.files = settled

    def rows_without(self, files: Sequence[DataFile], hashes: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Return the rows of staged files that have none of some sorted hashes, and make their statistics."""
        for batch in self.rows(files):
            left = batch.filter(pc.invert(self.among(batch, hashes)))
            self.count(pa.Table.from_batches([left]))
            yield left

    def among(self, batch: pa.RecordBatch, hashes: np.ndarray) -> pa.Array:
        """Return which rows have one of some sorted hashes."""
        mine = row_hashes(pa.Table.from_batches([batch]), self.table.sort)
        place = np.minimum(np.searchsorted(hashes, mine), len(hashes) - 1)
        return pa.array(hashes[place] == mine)

    def rows(self, files: Sequence[DataFile]) -> Iterator[pa.RecordBatch]:
        """Return the rows of staged files in the order of storage, as they were staged."""
        ours = {COMMIT_COLUMN} if self.availability == "column" else {COMMIT_COLUMN, AVAILABLE_COLUMN}
        for batch in self.parts.engine.stamped(self.stored(files)):
            columns = [
                pa.nulls(batch.num_rows, column.type) if name in ours else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.table.schema)

    def stored(self, files: Sequence[DataFile]) -> Rows:
        """Return staged files as an engine reads them."""
        definition = self.group.definition
        stamp = Stamp(1, 0, self.availability)
        places = tuple((self.parts.history.location(file.path), file, stamp) for file in files)
        return Rows(
            self.table.schema, definition.keys, definition.event_time, 0, 1, layout=self.group.layout, files=places
        )

    def order(self) -> None:
        """Bring the rows into the order of keys: each part has whole keys, and greater ones than the part before."""
        before = list(self.files)
        every = pa.RecordBatchReader.from_batches(self.table.schema, self.rows(list(chain(*before))))
        tables = in_parts(every, most_rows=PART_ROWS, most_bytes=PART_BYTES)
        with _Behind() as behind:
            for rows in of_whole_keys(tables, self.group.definition.keys):
                behind.do(lambda rows=rows: self.files.append(self.parts.history.stage(self.table, rows)))
        self.parts.history.discard(file.path for part in before for file in part)
        self.files = self.files[len(before) :]
        self.in_order = True

    def draft(self, *, whole: bool = False) -> Draft:
        """Return the commit; its files are the caller's to publish or to delete.

        Args:
            whole: Store all rows, whatever the group says.
        """
        ends = self.options.absent == "retire" and (any(self.files) or not self.asides)
        draft = self.retired() if ends else Draft(self.group.id, self.kind)
        parts = [*self.files, *self.gone]
        every = list(chain(*parts))
        skips = self.group.definition.on_unchanged == "skip" and self.group.id in self.parts.log.heads()
        if skips and not whole:
            draft = self.divided(parts, draft)
        else:
            draft = replace(draft, files=tuple(replace(file, width=len(self.group.layout)) for file in every))
        timed = bool(every) and self.table.event_time is not None
        events = (
            (min(file.min_event_us for file in every), max(file.max_event_us for file in every))
            if timed
            else (None, None)
        )
        rows = sum(file.rows for file in every)
        digest = self.digest() if self.options.compared else ""
        whose = draft_of(self.group, self.kind, self.options, rows=rows, events=events, digest=digest)
        put = joined(self.asides)
        count = 0 if put is None else put.rows
        self.given = draft.files if put is None else (*draft.files, *put.files)
        return replace(
            whose,
            availability=self.availability,
            files=draft.files,
            unchanged=draft.unchanged,
            changes=draft.changes,
            drops=draft.drops,
            quarantined=whose.quarantined + count,
            aside=put,
            report=self.checking.report(set_aside=count).to_json() if self.checking.asked else "",
            statistics=pack(self.statistics.merge(self.ended)) if rows else None,
        )

    def take_back(self) -> None:
        """Have a draft that could not be published made again."""
        self.given = ()
        with suppress(BackendError):  # debris is found later
            self.parts.history.discard(file.path for file in chain(*self.gone, self.made))
        self.gone, self.made = [], []

    def digest(self) -> str:
        """Return the hash of the rows."""
        digest = digest_of_parts(lambda: self.rows(list(chain(*self.files))))
        return full_digest(digest) if self.options.absent == "retire" else digest

    def retired(self) -> Draft:
        """Store the end of the keys that the load lacks; return what is to be said of them."""
        every = list(chain(*self.files))
        moment = every[0].max_event_us if self.table.event_time is not None else None
        lacking, drops = absent_keys(self.parts, self.group, self.stored(every), moment)
        self.ended = GroupStatistics()
        with _Behind() as behind:
            for gone in in_parts(lacking, most_rows=PART_ROWS, most_bytes=PART_BYTES):
                rows = without_keys(gone, self.group.definition.keys, self.kept_back)
                if rows.num_rows:
                    self.ended = self.ended.merge(rows_statistics(self.group, rows))
                    behind.do(lambda rows=rows: self.gone.append(self.parts.history.stage(self.table, rows)))
        count = sum(file.rows for part in self.gone for file in part)
        return Draft(self.group.id, self.kind, changes={ABSENT: count}, drops=drops)

    def divided(self, parts: Sequence[Sequence[DataFile]], draft: Draft) -> Draft:
        """Store what changed of each part, and confirmations of the rest; return what is to be said of it."""
        changes = Counter(draft.changes)
        with _Behind() as behind:
            for rows in self.tables_of(parts):
                found = divided(self.parts, Prepared(self.group, rows, Draft(self.group.id, self.kind)))
                changes.update(found.draft.changes)
                drops = [each for each in (draft.drops, found.draft.drops) if each is not None]
                unchanged = draft.unchanged + found.draft.unchanged
                draft = replace(draft, unchanged=unchanged, drops=min(drops, default=None))
                behind.do(lambda found=found: self.keep(found))
        return replace(draft, files=tuple(self.made), changes=dict(changes))

    def keep(self, found: Divided) -> None:
        """Store what changed."""
        for new in staged(self.parts, self.group, found):
            self.made += new

    def slices(self) -> Iterator[pa.Table]:
        """Return the rows of the commit, the keys of each table as a whole in it."""
        return self.tables_of([*self.files, *self.gone])

    def tables_of(self, parts: Sequence[Sequence[DataFile]]) -> Iterator[pa.Table]:
        """Return parts as tables, each of which is read while the one before is used."""
        with ThreadPoolExecutor(1, "asof-load") as pool:
            coming: Future[pa.Table] | None = None
            for part in parts:
                ready, coming = coming, pool.submit(self.table_of, part)
                if ready is not None:
                    yield ready.result()
            if coming is not None:
                yield coming.result()

    def table_of(self, part: Sequence[DataFile]) -> pa.Table:
        """Return a part as a table."""
        return pa.Table.from_batches(self.rows(part), schema=self.table.schema)


class _Behind:
    """Does one thing after the other in a thread, at most one behind: `with _Behind() as behind: behind.do(...)`."""

    def __enter__(self) -> Self:
        self.pool = ThreadPoolExecutor(1, "asof-load")
        self.last: Future[None] | None = None
        return self

    def do(self, work: Callable[[], None]) -> None:
        """Begin, when what was begun before has been done; raise what that raised."""
        self.wait()
        self.last = self.pool.submit(work)

    def wait(self) -> None:
        if self.last is not None:
            done, self.last = self.last, None
            done.result()

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self.pool.shutdown()


class _Seen:
    """The hashes of each part, sorted, in a file that goes with this process."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.ends: list[int] = [0]

    def add(self, hashes: np.ndarray) -> None:
        """Keep those of a part."""
        hashes.sort()
        self.file.write(hashes.tobytes())
        self.ends.append(self.ends[-1] + len(hashes))

    def doubles(self) -> tuple[np.ndarray, int]:
        """Return the hashes that occur more than once, sorted, and how many rows have one of them."""
        total = self.ends[-1]
        if len(self.ends) <= 2 or not total:  # noqa: PLR2004 - one part
            return np.empty(0, np.uint64), 0
        self.file.flush()
        every = np.memmap(self.file, np.uint64, "r", shape=(total,))
        parts = [every[start:end] for start, end in zip(self.ends, self.ends[1:], strict=False)]
        steps = -(-total // SLICE_HASHES)
        found: list[np.ndarray] = []
        count = 0
        for step in range(steps):
            low, high = np.uint64((step << 64) // steps), np.uint64((((step + 1) << 64) // steps) - 1)
            slices = [p[np.searchsorted(p, low) : np.searchsorted(p, high, side="right")] for p in parts]
            some = np.sort(np.concatenate(slices))
            again = some[1:][some[1:] == some[:-1]]
            found.append(np.unique(again))
            count += len(again) + len(found[-1])
        return np.concatenate(found), count
