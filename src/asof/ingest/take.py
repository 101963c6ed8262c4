"""Take rows from outside of the store into a group: what is new there, or everything again.

Each piece of a source becomes a commit, and the position behind it moves with that commit. So a run that is killed goes
on after its last piece, and of two runs at once each piece is published by one. docs/decisions/0023-sources.md.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform, conform_time
from asof.arrow.streams import in_parts
from asof.clock import show_us
from asof.errors import AsofError, DataError, UsageError
from asof.ingest.load import PART_BYTES, PART_ROWS, Load
from asof.ingest.prepare import Options
from asof.ingest.retention import refuse_taking_back
from asof.ingest.sources.calls import PARTITION as CURSOR
from asof.ingest.sources.external import external_source
from asof.ingest.sources.open import open_source
from asof.ingest.sources.port import Asked, Piece, Source
from asof.ingest.sources.spans import PARTITION as EVENT_TIME
from asof.ingest.transform import Transform
from asof.ingest.write import Writer
from asof.parts import Parts
from asof.progress import Progress
from asof.records import AVAILABLE_COLUMN, Commit, CommitKind, Draft, Step, Taken
from asof.registry.port import StalePositionsError
from asof.registry.registered import RegisteredGroup

META = "asof:taken"
"""The note of a piece, as JSON, in the meta of its commit."""

PIECE = "source"
"""The name of a piece, in the meta of its commit."""

GUARD = "asof:anew"
"""The stream whose position moves when everything is taken again: what belongs to that is published with it or not."""

BATCH_ROWS = 250_000
"""Rows that a transformation is given at once."""

RECENT = 20
"""Among so many commits there is one that took rows, as a rule: the others are retracts."""

MOST_SHOWN = 5
"""Pieces that failed, of which an error says why."""


def is_taken(group: RegisteredGroup) -> bool:
    """Return whether the rows of a group are taken from outside of the store."""
    return group.definition.taken_from is not None or _external(group) is not None


def source_of(parts: Parts, group: RegisteredGroup) -> Source:
    """Return the source that the rows of a group are taken from.

    Raises:
        UsageError: It is a function that cannot be imported. ConflictError: The function is not what it was.
    """
    external = _external(group)
    return open_source(parts, group.definition) if external is None else external_source(parts, external.definition)


def told_positions(parts: Parts, group: RegisteredGroup) -> str:
    """Return how far the rows of a group were taken, for people."""
    positions = _taken(parts.streams.positions(group))
    if not positions:
        return "nothing yet"
    if EVENT_TIME in positions:
        return f"up to {show_us(int(positions[EVENT_TIME]))}"
    if CURSOR in positions:
        return f"up to cursor {last_note(parts, group)['cursor']!r}"
    return f"{len(positions):,} files"


def last_note(parts: Parts, group: RegisteredGroup) -> Mapping[str, Any]:
    """Return the note of the newest piece that was taken; empty if there is none."""
    for newest in (RECENT, None):
        for commit in reversed(parts.log.commits(group, limit=newest)):
            if META in commit.meta:
                return msgspec.json.decode(commit.meta[META])
    return {}


def take(  # noqa: PLR0913 - the words of `Store.materialize`
    parts: Parts,
    writer: Writer,
    group: RegisteredGroup,
    *,
    bounds: tuple[int | None, int | None],
    full: bool,
    backfill: bool,
    advance: Progress,
) -> list[Commit]:
    """Take what is new outside of the store into a group; see `Store.materialize`."""
    definition = group.definition
    if backfill and (definition.available_at is not None or _external(group) is not None):
        what = "backfill=True says nothing here: each row says itself since when it was known"
        raise UsageError(what, where=f"group {definition.name}", todo="leave it out")
    if bounds != (None, None) and definition.event_time is None:
        raise UsageError("a static group has no event times", where=f"group {definition.name}", todo="leave out bounds")
    run = _Run(parts, writer, group, backfill=backfill)
    while True:
        try:
            run.once(Asked(parts.now_us(), *bounds, full, lambda: last_note(parts, group)), advance)
        except StalePositionsError:  # another run was further each time, so this ends when the source does
            continue
        return run.commits


def _taken(positions: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Return how far rows were taken, by partition: a group has one source."""
    return {partition: reached for (stream, partition), reached in positions.items() if stream != GUARD}


def _external(group: RegisteredGroup) -> RegisteredGroup | None:
    origin = group.origin
    return origin if origin is not None and origin.definition.external is not None else None


class _Run:
    """One call of `take`."""

    def __init__(self, parts: Parts, writer: Writer, group: RegisteredGroup, *, backfill: bool) -> None:
        definition = group.definition
        self.parts = parts
        self.writer = writer
        self.group = group
        self.where = f"group {group.ref}"
        self.source = source_of(parts, group)
        self.carried = _external(group) is not None
        self.arrival = AVAILABLE_COLUMN if self.carried else definition.available_at
        self.kind: CommitKind = "backfill" if backfill or self.arrival is not None else "write"
        self.transform = None if definition.transform is None else Transform(parts, group, definition.transform)
        self.positions: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.guard = ""
        self.commits: list[Commit] = []
        self.warned = False

    def once(self, asked: Asked, advance: Progress) -> None:
        """Take what is new, from the positions as they are.

        Raises:
            StalePositionsError: Another run moved them. DataError: Pieces failed; the others are stored.
        """
        found = self.parts.streams.positions(self.group)  # before the commits: what is newer is then stale
        self.positions = _taken(found)
        self.guard, self.waiting = found.get((GUARD, ""), ""), {}
        gone = self._counted() if asked.full else ()
        if gone:
            refuse_taking_back(self.parts, self.group)
        failed: list[tuple[str, AsofError]] = []
        with ExitStack() as staged:
            loads: list[Load] = []
            for piece in self.source.pieces(self.positions, asked, advance):
                try:
                    load = self._load(piece, asked)
                    if load is None:
                        continue
                    if asked.full:
                        loads.append(staged.enter_context(load))
                    else:
                        self._published(load, piece)
                except (DataError, UsageError) as error:
                    if asked.full or not self.source.apart:
                        raise
                    failed.append((piece.name, error))
            if asked.full:
                self._anew(loads, gone)
        if failed:
            raise self._told(failed)

    def _counted(self) -> tuple[int, ...]:
        """Return the commits that are not retracted."""
        commits = self.parts.log.commits(self.group)
        gone = {commit.target for commit in commits}
        return tuple(each.number for each in commits if each.kind != "retract" and each.number not in gone)

    def _load(self, piece: Piece, asked: Asked) -> Load | None:
        """Return the rows of a piece, of which the first are read; None if there are none."""
        rows = self._rows(piece, asked)
        first = next(rows, None)
        if first is None:
            self.waiting |= piece.moves
            return None
        steps = self._steps(self.waiting | dict(piece.moves))
        meta = {PIECE: piece.name, META: msgspec.json.encode(piece.note).decode()}
        options = Options(available_at=self.arrival, meta=meta, taken=Taken(steps) if steps else None)
        batches = (batch for table in chain((first,), rows) for batch in table.to_batches())
        reader = pa.RecordBatchReader.from_batches(first.schema, batches)
        parts = in_parts(reader, most_rows=PART_ROWS, most_bytes=PART_BYTES)
        load = Load(self.parts, self.group, self.kind, options, parts)
        load.warns, self.warned = not self.warned, True
        return load

    def _steps(self, moves: Mapping[str, str]) -> tuple[Step, ...]:
        name = self.source.name
        return tuple(Step(name, each, self.positions.get(each, ""), reached) for each, reached in moves.items())

    def _published(self, load: Load, piece: Piece) -> None:
        self.commits.append(self.writer.load(load))
        self.positions |= self.waiting | dict(piece.moves)
        self.waiting = {}

    def _anew(self, loads: Sequence[Load], gone: Sequence[int]) -> None:
        """Publish all pieces, and retracts of what was taken before, in one step: all of it, or nothing.

        The first commit moves the positions, and a guard to a place of which nobody else knows; the others must find
        it there.
        """
        if not loads:
            if gone:
                todo = "retract its commits one by one, if that is meant"
                raise DataError("the source gave no rows to replace what was taken", where=self.where, todo=todo)
            return
        guard = secrets.token_hex(16)
        steps = {step: None for load in loads if load.options.taken for step in load.options.taken.steps}
        last = {step.partition: step for step in steps} | {step.partition: step for step in self._steps(self.waiting)}
        first = Taken((*last.values(), Step(GUARD, "", self.guard, guard)))
        after = Taken((Step(GUARD, "", guard, guard),))
        for load in loads:
            load.options = replace(load.options, taken=first if load is loads[0] else after)
        retracts = [Draft(self.group.id, "retract", target=each, reason="taken anew", taken=after) for each in gone]
        self.commits += self.writer.swap(self.group, loads, retracts) or []

    def _rows(self, piece: Piece, asked: Asked) -> Iterator[pa.Table]:
        """Give the rows of a piece that are wanted, as the columns of the group; no table is empty."""
        for table in piece.rows():
            starts = range(0, table.num_rows, BATCH_ROWS)
            for batch in (table.slice(at, BATCH_ROWS) for at in starts) if starts else (table,):
                made = self._within(self._made(batch), piece, asked)
                if made.num_rows:
                    yield made

    def _made(self, given: pa.Table) -> pa.Table:
        """Return the rows that are made of some, and since when each was known, if they say that."""
        if self.transform is None:
            made = given
        elif not given.num_rows:
            return given
        else:
            made = self.transform.rows(given) if self.carried else self.transform.made(given)
        definition = self.group.definition
        rows = conform(made, definition, extra=() if self.arrival is None else (self.arrival,))
        if self.arrival is None or self.arrival not in made.column_names:
            return rows
        where = f"group {definition.name}, column {self.arrival}"
        return rows.append_column(
            self.arrival, conform_time(made.column(self.arrival), where, timezone=definition.timezone)
        )

    def _within(self, rows: pa.Table, piece: Piece, asked: Asked) -> pa.Table:
        """Return the rows that are wanted.

        Raises:
            DataError: The piece has others than it may have.
        """
        time = self.group.definition.event_time
        if time is None or not rows.num_rows:
            return rows
        events = rows.column(time).cast(pa.int64())
        if piece.within is not None and not pc.all(_inside(events, *piece.within)).as_py():
            wrong = events.filter(pc.invert(_inside(events, *piece.within)))[0].as_py()
            what = f"the source gave a row of {show_us(wrong)} when it was asked for {piece.name}"
            raise DataError(what, where=self.where, todo="give the rows with start < event time <= end")
        return rows.filter(_inside(events, asked.start_us, asked.end_us)) if asked.bounded else rows

    def _told(self, failed: Sequence[tuple[str, AsofError]]) -> DataError:
        shown = "; ".join(f"{name}: {error}" for name, error in failed[:MOST_SHOWN])
        more = f"; and {len(failed) - MOST_SHOWN:,} more" if len(failed) > MOST_SHOWN else ""
        return DataError(
            f"{len(failed):,} file{'s' if len(failed) > 1 else ''} could not be taken: {shown}{more}",
            where=self.where,
            todo="the others are stored; correct these, and materialize again",
            data={"failed": {name: str(error) for name, error in failed}},
        )


def _inside(events: pa.ChunkedArray, start_us: int | None, end_us: int | None) -> pa.ChunkedArray:
    inside = pc.is_valid(events)
    if start_us is not None:
        inside = pc.and_(inside, pc.greater(events, start_us))
    return inside if end_us is None else pc.and_(inside, pc.less_equal(events, end_us))
