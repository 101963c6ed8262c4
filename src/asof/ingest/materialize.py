"""Make the rows of a group from those of its source: what is new there, or everything again.

Each commit that is made says in its meta which commits of the source it covers, so that what is published is also the
position of the next run. Why it is right: docs/decisions/0022-transformations.md.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import stored_rows
from asof.arrow.order import arrange, key_codes
from asof.arrow.streams import in_parts
from asof.errors import TransientError, UsageError
from asof.ingest.load import PART_BYTES, Load
from asof.ingest.prepare import Options
from asof.ingest.retention import refuse_taking_back
from asof.ingest.take import is_taken, source_of, take
from asof.ingest.transform import Transform
from asof.ingest.write import Writer
from asof.parts import Parts, pinned_rows
from asof.progress import Progress, unheard
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, OWN_KEY, RETIRED_COLUMN, Commit, Draft, Snapshot
from asof.registry.registered import RegisteredGroup

META = "asof:made"

CHUNK_ROWS = 1_000_000
"""Rows of the source that become one commit, if they are of several; they are in memory at once."""

BATCH_ROWS = 250_000
"""Rows that the transformation is given at once."""

ATTEMPTS = 20
"""How often another run may be first."""


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a made commit was made of; kept in its meta.

    Attributes:
        after: The commits of the source after this one,
        through: up to this one;
        seen: without those that were retracted by commits up to this one.
        start_us: Only rows with later event times.
        end_us: Only rows with event times up to this one.
        again: Whether other commits cover the same rows, and it stands on top of them.
    """

    after: int
    through: int
    seen: int = 0
    start_us: int | None = None
    end_us: int | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """What was made of a group so far.

    Attributes:
        head: The group's last commit.
        made: Its commits that count, with what they were made of, in order.
    """

    head: int
    made: tuple[tuple[int, Span], ...]

    @property
    def chain(self) -> list[tuple[int, Span]]:
        """The commits of which each goes on where the one before ends."""
        return [(number, span) for number, span in self.made if not span.again]

    @property
    def position(self) -> int:
        """Up to which commit of the source rows were made."""
        return self.chain[-1][1].through if self.chain else 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do, from one state of the group and of its source.

    Attributes:
        state: The state of the group.
        source: The history of the source.
        commits: The commits of the source that are to be read.
        spans: What is to be made, in order.
        gone: Made commits that it stands in for; None: it goes on where they end.
    """

    state: State
    source: Snapshot
    commits: tuple[Commit, ...]
    spans: tuple[Span, ...]
    gone: tuple[int, ...] | None = None


class MadeLoad(Load):
    """A load whose rows are made from tables of the source's stamped rows."""

    transform: Transform
    least_us: int = 0

    def clock(self) -> int:
        """Return the time, never before the rows arrived in the source: clocks step back, and differ."""
        return max(super().clock(), self.least_us)

    def prepared(self, table: pa.Table, offset: int) -> pa.Table:
        """Return what is made of a part, as rows of a data file."""
        definition = self.group.definition
        self.availability = "column"
        ended = table.column(RETIRED_COLUMN)
        rest = table.filter(ended)
        rows = stored_rows(definition, rest, retired=True, arrivals=rest.column(AVAILABLE_COLUMN))
        given = table.filter(pc.invert(ended)).drop_columns([RETIRED_COLUMN, COMMIT_COLUMN])
        if given.num_rows:
            made = self.transform.rows(given)
            options = replace(self.options, available_at=AVAILABLE_COLUMN)
            rows = pa.concat_tables([self.checked(made, options, offset).rows, rows])
        return arrange(rows, definition.keys, definition.event_time)


def materialize(  # noqa: PLR0913 - the words of `Store.materialize`
    parts: Parts,
    writer: Writer,
    name: str,
    bounds: tuple[int | None, int | None],
    *,
    full: bool = False,
    backfill: bool = False,
    advance: Progress = unheard,
) -> list[Commit]:
    """Make the rows of a group from what is new in its source; see `Store.materialize`."""
    group = parts.registry.group(name)
    if is_taken(group):
        return take(parts, writer, group, bounds=bounds, full=full, backfill=backfill, advance=advance)
    transform, origin = group.definition.transform, group.origin
    if transform is None or origin is None:
        raise UsageError(f"{group.ref} has no transformation", todo="declare transform= and source=, or write its rows")
    if backfill:
        what = "backfill=True says nothing here: a made row is known since its source's row is"
        raise UsageError(what, where=f"group {group.ref}", todo="leave it out")
    asked = None if bounds == (None, None) else Span(0, 0, start_us=bounds[0], end_us=bounds[1])
    run = _Run(parts, writer, group, origin, Transform(parts, group, transform))
    for _ in range(ATTEMPTS):
        work = run.work(asked, full=full)
        if run.done(work, advance):
            return run.commits
    raise TransientError(f"others kept materializing {group.ref}", todo="try again")


def unit_of(parts: Parts, name: str) -> str:
    """Return what the progress of materializing a group counts."""
    group = parts.registry.group(name)
    return source_of(parts, group).unit if is_taken(group) else "rows"


def state_of(parts: Parts, group: RegisteredGroup) -> State:
    """Return what was made of a group so far."""
    commits = parts.log.commits(group)
    gone = {commit.target for commit in commits if commit.kind == "retract"}
    made = [
        (commit.number, msgspec.json.decode(commit.meta[META], type=Span))
        for commit in commits
        if commit.number not in gone and META in commit.meta
    ]
    return State(commits[-1].number if commits else 0, tuple(made))


class _Run:
    """One call of `materialize`."""

    def __init__(
        self, parts: Parts, writer: Writer, group: RegisteredGroup, origin: RegisteredGroup, transform: Transform
    ) -> None:
        self.parts = parts
        self.writer = writer
        self.group = group
        self.origin = origin
        self.transform = transform
        self.commits: list[Commit] = []

    def work(self, bounds: Span | None, *, full: bool) -> Work:
        """Return what is to be done, as things stand."""
        state = state_of(self.parts, self.group)
        source = self.parts.log.snapshot(self.origin)
        new = Span(state.position, source.pin)
        if bounds is not None and state.chain:
            again = msgspec.structs.replace(bounds, through=state.position, again=True)
            return self._work(state, source, [again], ())
        if full or not state.chain:
            every = Span(0, source.pin, start_us=bounds and bounds.start_us, end_us=bounds and bounds.end_us)
            gone = tuple(number for number, _ in state.made)
            return self._work(state, source, [every], gone if full else None)
        begin = self._begin(state, source)
        if begin is None:
            return self._work(state, source, [new], None)
        chain = [(number, span) for number, span in state.chain if span.after >= begin]
        gone = tuple(number for number, _ in (chain if begin else state.made))
        return self._work(state, source, [*(span for _, span in chain), new], gone)

    def _begin(self, state: State, source: Snapshot) -> int | None:
        """Return from where on rows are to be made anew: the source retracted some that were made; None: it did not."""
        begin: int | None = None
        for commit in self.parts.log.commits(self.origin, after=state.position):
            target = commit.target
            if target is None or commit.number > source.pin:
                continue
            for _, span in state.made:
                if span.after < target <= span.through and span.seen < commit.number:
                    after = 0 if span.again else span.after
                    begin = after if begin is None else min(begin, after)
        return begin

    def _work(self, state: State, source: Snapshot, spans: Sequence[Span], gone: tuple[int, ...] | None) -> Work:
        """Return the spans joined, and cut into chunks."""
        joined: list[Span] = []
        for span in (msgspec.structs.replace(each, seen=source.pin) for each in spans):
            same = joined and (joined[-1].start_us, joined[-1].end_us) == (span.start_us, span.end_us)
            if same and joined[-1].through == span.after:
                joined[-1] = msgspec.structs.replace(joined[-1], through=span.through)
            elif span.after < span.through:
                joined.append(span)
        after = joined[0].after if joined else source.pin
        commits = self.parts.log.commits(self.origin, after=after)
        commits = [commit for commit in commits if commit.number <= source.pin]
        return Work(state, source, tuple(commits), tuple(_chunks(joined, commits)), gone)

    def done(self, work: Work, advance: Progress) -> bool:
        """Do it; return False if somebody else was first: then it is another work."""
        rows = {commit.number: commit.rows for commit in work.commits}
        total, seen = sum(_rows(span, rows) for span in work.spans), 0
        with ExitStack() as staged:
            loads: list[MadeLoad] = []
            for chunk in work.spans:
                advance(seen, total)
                for span, tables in self._segments(work, chunk):
                    head = self.commits[-1].number if work.gone is None and self.commits else work.state.head
                    load = self._load(work, span, tables, head, len(loads))
                    if work.gone is not None:
                        loads.append(staged.enter_context(load))
                        continue
                    commit = self.writer.load(load)
                    if commit.repeated:
                        self.commits.clear()
                        return False
                    self.commits.append(commit)
                seen += _rows(chunk, rows)
            if work.gone is not None:
                found = self._swapped(loads, work.gone)
                if found is None:
                    return False
                self.commits += found
        advance(total, total)
        return True

    def _load(self, work: Work, span: Span, tables: Iterator[pa.Table], head: int, number: int) -> MadeLoad:
        options = Options(
            available_at=AVAILABLE_COLUMN,
            meta={META: msgspec.json.encode(span).decode()},
            idempotency_key=f"{OWN_KEY}made after {head}, {number}",
        )
        load = MadeLoad(self.parts, self.group, "backfill", options, tables)
        load.transform = self.transform
        load.least_us = work.source.committed_at_us
        return load

    def _swapped(self, loads: Sequence[MadeLoad], gone: Sequence[int]) -> list[Commit] | None:
        """Publish commits, and retracts of those that they stand in for, at once; None if somebody else was first."""
        if gone:
            refuse_taking_back(self.parts, self.group)
        reason = "made anew"
        retracts = [Draft(self.group.id, "retract", target=number, reason=reason) for number in gone]
        return self.writer.swap(self.group, loads, retracts)

    def _segments(self, work: Work, chunk: Span) -> Iterator[tuple[Span, Iterator[pa.Table]]]:
        """Return the commits that a chunk becomes, each with the stamped rows of the source that it is made from."""
        reader = self._read(work, chunk)
        if sum(chunk.after < commit.number <= chunk.through for commit in work.commits) <= 1:
            yield chunk, in_parts(reader, most_rows=BATCH_ROWS, most_bytes=PART_BYTES)
            return
        table = reader.read_all()
        numbers = table.column(COMMIT_COLUMN).to_numpy()
        ends = [chunk.after, *_cuts(table, self.group, numbers), chunk.through]
        for low, high in pairwise(ends):
            part = table.filter(pa.array((numbers > low) & (numbers <= high)))
            batches = pa.RecordBatchReader.from_batches(part.schema, part.to_batches(max_chunksize=BATCH_ROWS))
            yield (
                msgspec.structs.replace(chunk, after=low, through=high),
                in_parts(batches, most_rows=BATCH_ROWS, most_bytes=PART_BYTES),
            )

    def _read(self, work: Work, chunk: Span) -> pa.RecordBatchReader:
        """Return the stamped rows of a chunk in the order of keys and versions, without those that are retracted."""
        rows, _ = pinned_rows(self.parts, self.origin, pin=work.source.pin, after=chunk.after)
        if not rows.cold:  # else the files of both families must have the same rows
            rows = replace(rows, files=tuple(item for item in rows.files if item[1].first_commit <= chunk.through))
        hidden = pa.array(list(work.source.retracted), pa.int64())
        stamped = self.parts.engine.stamped(rows)
        time = _time(self.origin)

        def wanted() -> Iterator[pa.RecordBatch]:
            for batch in stamped:
                number = batch.column(COMMIT_COLUMN)
                kept = pc.and_(pc.greater(number, chunk.after), pc.less_equal(number, chunk.through))
                kept = pc.and_not(kept, pc.is_in(number, hidden))
                event = batch.column(time).cast(pa.int64())
                if chunk.start_us is not None:
                    kept = pc.and_(kept, pc.greater(event, chunk.start_us))
                if chunk.end_us is not None:
                    kept = pc.and_(kept, pc.less_equal(event, chunk.end_us))
                yield batch.filter(kept)

        return pa.RecordBatchReader.from_batches(stamped.schema, wanted())


def _chunks(spans: Sequence[Span], commits: Sequence[Commit]) -> Iterator[Span]:
    """Cut spans between commits of the source, so that each has few enough rows, or is one commit."""
    for span in spans:
        after, last, rows = span.after, span.after, 0
        for commit in commits:
            if not span.after < commit.number <= span.through:
                continue
            if rows and rows + commit.rows > CHUNK_ROWS:
                yield msgspec.structs.replace(span, after=after, through=last)
                after, rows = last, 0
            last, rows = commit.number, rows + commit.rows
        yield msgspec.structs.replace(span, after=after)


def _cuts(table: pa.Table, group: RegisteredGroup, numbers: np.ndarray) -> list[int]:
    """Return commits of the source after which to cut, so that no part has two versions of one key and event time."""
    if table.num_rows < 2:  # noqa: PLR2004 - a pair
        return []
    definition = group.definition
    codes = key_codes(table, definition.keys)
    times = table.column(_time(group)).cast(pa.int64()).to_numpy()
    same = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    pairs = sorted(zip(numbers[1:][same].tolist(), numbers[:-1][same].tolist(), strict=True))
    cuts: list[int] = []
    for later, earlier in pairs:
        if not cuts or cuts[-1] < earlier:
            cuts.append(later - 1)
    return cuts


def _time(group: RegisteredGroup) -> str:
    assert group.definition.event_time is not None  # noqa: S101 - the definition was checked
    return group.definition.event_time


def _rows(span: Span, rows: Mapping[int, int]) -> int:
    return sum(count for number, count in rows.items() if span.after < number <= span.through)
