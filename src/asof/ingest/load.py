"""Load more rows than memory holds, as one commit: sorted parts, a file each, that are published together.

A part is conformed, checked and ordered like a small write. What parts share, rows of one key and event time, is found
by sorted hashes that lie on disk, and settled in the end as `arrange` settles it in one part.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.hashes import row_hashes
from asof.arrow.order import arrange
from asof.engine.port import Rows
from asof.errors import BackendError, DataError
from asof.ingest.prepare import Options, digest_of_parts, draft_of, prepare
from asof.offline.port import Table
from asof.parts import Parts, table_of
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, Availability, CommitKind, DataFile, Draft, Stamp
from asof.registry.port import RegisteredGroup

PART_ROWS = 2_000_000
PART_BYTES = 192 * 1024**2
"""What a part holds: four parts are in memory at once, as they are read, ordered and written."""

SLICE_HASHES = 8_000_000
"""Hashes that are compared at once."""


def streams(group: RegisteredGroup, options: Options) -> bool:
    """Return whether a load can be done in parts.

    Not if rows are compared with what is stored, or keys with those that lack; and not with `on_conflict="last"` and
    recorded arrivals, where rows that lose against the last of their part could still lend it their arrival in another.
    """
    last = options.on_conflict == "last" and options.available_at is not None
    return group.definition.on_unchanged != "skip" and options.absent != "retire" and not last


def load(parts: Parts, group: RegisteredGroup, tables: Iterable[pa.Table], kind: CommitKind, options: Options) -> Draft:
    """Make rows durable, unpublished, and return the commit that they are to become.

    Args:
        parts: The store's parts.
        group: Their group.
        tables: The rows, in parts that fit memory.
        kind: What the commit does.
        options: What the caller said.

    Raises:
        DataError: The rows break a rule; nothing is left behind.
        BackendError: A part of the store failed.
    """
    folder = parts.root / "tmp"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        begun = _Load(parts, group, kind, options, _Seen(file))
        try:
            begun.stage(tables)
            begun.settle()
            return begun.draft()
        except BaseException:  # an interrupt too: a load takes minutes, its files gigabytes
            with suppress(BackendError):  # it must not hide what happened; debris is found later
                parts.history.discard(staged.path for part in begun.files for staged in part)
            raise


class _Load:
    def __init__(self, parts: Parts, group: RegisteredGroup, kind: CommitKind, options: Options, seen: "_Seen") -> None:
        self.parts = parts
        self.group = group
        self.kind: CommitKind = kind
        self.options = options
        self.seen = seen
        self.availability: Availability = "commit"
        self.files: list[list[DataFile]] = []

    @property
    def table(self) -> Table:
        return table_of(self.group)

    def stage(self, tables: Iterable[pa.Table]) -> None:
        """Write each part, while the next one is prepared."""
        offset = 0
        writing: Future[list[DataFile]] | None = None
        with ThreadPoolExecutor(1, "asof-load") as pool:
            try:
                for table in tables:
                    rows = self.prepared(table, offset)
                    offset += table.num_rows
                    self.seen.add(row_hashes(rows, self.table.sort))
                    if writing is not None:
                        done, writing = writing, None
                        self.files.append(done.result())
                    writing = pool.submit(self.parts.history.stage, self.table, rows)
            except BaseException:  # an interrupt too: what is being written must be known
                if writing is not None:
                    with suppress(Exception):  # it must not hide what happened, but its files must be known
                        self.files.append(writing.result())
                raise
            if writing is not None:
                self.files.append(writing.result())

    def prepared(self, table: pa.Table, offset: int) -> pa.Table:
        """Return a part as rows of a data file; numbers of rows in a message are those of the part."""
        try:
            found = prepare(
                self.group,
                table,
                self.kind,
                replace(self.options, idempotency_key=""),
                now_us=self.parts.now_us(),
                warns=not offset,
            )
        except DataError as error:
            where = f"{error.where}, rows counted from row {offset:,} of the load" if offset else error.where
            raise DataError(error.what, where=where, todo=error.todo, data=error.data) from error
        self.availability = found.draft.availability
        return found.rows

    def settle(self) -> None:
        """Bring rows of one key and event time together that lie in several parts."""
        doubles, count = self.seen.doubles()
        if not len(doubles):
            return
        arrivals = AVAILABLE_COLUMN if self.availability == "column" else None
        definition = self.group.definition
        before = list(self.files)
        settled: list[list[DataFile]] = []
        for some in np.array_split(doubles, -(-count // PART_ROWS)):
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
        for part in before:
            left = pa.RecordBatchReader.from_batches(self.table.schema, self.rows_without(part, doubles))
            settled.append(self.parts.history.stage(self.table, left))
            self.files.append(settled[-1])
        self.parts.history.discard(file.path for part in before for file in part)
        self.files = settled

    def rows_without(self, files: Sequence[DataFile], hashes: np.ndarray) -> Iterator[pa.RecordBatch]:
        """Return the rows of staged files that have none of some sorted hashes."""
        for batch in self.rows(files):
            yield batch.filter(pc.invert(self.among(batch, hashes)))

    def among(self, batch: pa.RecordBatch, hashes: np.ndarray) -> pa.Array:
        """Return which rows have one of some sorted hashes."""
        mine = row_hashes(pa.Table.from_batches([batch]), self.table.sort)
        place = np.minimum(np.searchsorted(hashes, mine), len(hashes) - 1)
        return pa.array(hashes[place] == mine)

    def rows(self, files: Sequence[DataFile]) -> Iterator[pa.RecordBatch]:
        """Return the rows of staged files in the order of storage, as they were staged."""
        definition = self.group.definition
        stamp = Stamp(1, 0, self.availability)
        places = tuple((self.parts.history.location(file.path), file, stamp) for file in files)
        stored = Rows(
            self.table.schema, definition.keys, definition.event_time, 0, 1, layout=self.group.layout, files=places
        )
        ours = {COMMIT_COLUMN} if self.availability == "column" else {COMMIT_COLUMN, AVAILABLE_COLUMN}
        for batch in self.parts.engine.stamped(stored):
            columns = [
                pa.nulls(batch.num_rows, column.type) if name in ours else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.table.schema)

    def draft(self) -> Draft:
        """Return the commit."""
        files = [replace(file, width=len(self.group.layout)) for part in self.files for file in part]
        timed = bool(files) and self.table.event_time is not None
        events = (
            (min(file.min_event_us for file in files), max(file.max_event_us for file in files))
            if timed
            else (None, None)
        )
        digest = digest_of_parts(lambda: self.rows(files)) if self.options.idempotency_key else ""
        rows = sum(file.rows for file in files)
        draft = draft_of(self.group, self.kind, self.options, rows=rows, events=events, digest=digest)
        return replace(draft, availability=self.availability, files=tuple(files))


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
