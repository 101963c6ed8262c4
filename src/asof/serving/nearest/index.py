"""The newest rows of a group with their vectors, in memory: a cache of the online store, made from history.

Rows lie in segments. A segment never changes; a commit adds one, and its rows hide older ones of the same keys. When
segments are many, or much is hidden, they are put together.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.keys import encode_keys
from asof.engine.families import narrowed
from asof.engine.port import EVENT_COLUMN
from asof.errors import ConflictError, TransientError
from asof.ingest.feed import current_group, newest_rows
from asof.parts import Parts, pinned_rows
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN
from asof.registry.registered import RegisteredGroup
from asof.serving.nearest.approximate import Lists
from asof.serving.nearest.distance import LARGEST, Floats, Metric, Places, Truths, is_tame

SEGMENTS = 16
"""More of them are put together: each costs a search some 0.1 ms."""

HIDDEN = 4
"""All rows are put together when one in so many lies outside of the first segment, or is hidden in it."""

EXACT_IN_FLOAT32 = frozenset({pa.int8(), pa.int16(), pa.float32()})

Matrix = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Rows of different keys.

    Attributes:
        table: The key columns, and those that filters asked for.
        keys: The keys, as the online store has them.
        events_us: Event times; 0 in a static group.
        commits: Commits.
        matrix: The vectors; zeros where there is none.
        squares: The sum of squares of each.
        points: Which rows have a vector that can be compared: the others are retired, null, or hold null, NaN, infinity
            or a number beyond `LARGEST`.
        tame: Whether float32 does for bounds.
        lists: By metric, what finds near rows faster; made when it is asked for.
        making: Held while such are made.
    """

    table: pa.Table
    keys: pa.Array
    events_us: Integers
    commits: Integers
    matrix: Matrix
    squares: Floats
    points: Truths
    tame: bool
    lists: dict[Metric, Lists]
    making: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.events_us)

    @property
    def nbytes(self) -> int:
        """How much memory it takes, with its lists."""
        columns = (self.events_us, self.commits, self.matrix, self.squares, self.points)
        held = sum(each.nbytes for each in columns) + self.table.nbytes + self.keys.nbytes
        return held + sum(each.nbytes for each in list(self.lists.values()))

    def places_of(self, keys: pa.Array) -> Integers:
        """Return the place of each key; -1 if it is not here."""
        if len(keys) > len(self):
            return pc.fill_null(pc.index_in(keys, value_set=self.keys), -1).to_numpy().astype(np.int64)
        number = pc.index_in(self.keys, value_set=keys)  # of a few keys: no table of all of ours is made
        there = np.flatnonzero(number.is_valid().to_numpy(zero_copy_only=False))
        places = np.full(len(keys), -1, np.int64)
        places[number.drop_null().to_numpy()] = there
        return places

    def taken(self, alive: Truths) -> "Segment":
        """Return some of the rows."""
        if alive.all():
            return self
        kept = pa.array(alive)
        return Segment(
            self.table.filter(kept), self.keys.filter(kept), self.events_us[alive], self.commits[alive],
            self.matrix[alive], self.squares[alive], self.points[alive], self.tame, {},
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The newest rows after a commit.

    Attributes:
        commit: The last commit that is in it.
        columns: Columns beside the keys that filters may ask for.
        segments: The rows.
        alive: For each segment, which of its rows no later one replaced.
    """

    commit: int
    columns: frozenset[str]
    segments: tuple[Segment, ...]
    alive: tuple[Truths, ...]

    @property
    def nbytes(self) -> int:
        """How much memory its segments take."""
        return sum(segment.nbytes for segment in self.segments)

    def has(self, commit: int, columns: frozenset[str]) -> bool:
        """Return whether it is that of a commit, or of a later one, and has some columns."""
        return self.commit >= commit and columns <= self.columns

    def after(self, new: Segment, commit: int) -> "State":
        """Return the state after some rows; one that is not newer than the row of its key does not count."""
        fresh = np.ones(len(new), bool)
        alive: list[Truths] = []
        for segment, living in zip(self.segments, self.alive, strict=True):
            at = segment.places_of(new.keys)
            found = np.flatnonzero(at >= 0)
            found = found[living[at[found]]]
            there = at[found]
            newer = new.events_us[found] > segment.events_us[there]
            same = new.events_us[found] == segment.events_us[there]
            newer |= same & (new.commits[found] > segment.commits[there])
            fresh[found[~newer]] = False
            alive.append(_hidden(living, there[newer]))
        if not fresh.any():
            return replace(self, commit=commit)
        kept = new.taken(fresh)
        added = State(commit, self.columns, (*self.segments, kept), (*alive, np.ones(len(kept), bool)))
        return added.tidied()

    def without(self, keys: Sequence[bytes]) -> "State":
        """Return the state without the rows of some keys."""
        gone = pa.array(keys, pa.binary())
        alive = [
            _hidden(living, at[at >= 0])
            for segment, living in zip(self.segments, self.alive, strict=True)
            for at in [segment.places_of(gone)]
        ]
        return replace(self, alive=tuple(alive))

    def tidied(self) -> "State":
        """Return the state with its segments put together where they are many, or much is hidden."""
        first, *others = self.segments
        loose = sum(map(len, others)) + int((~self.alive[0]).sum())
        if loose * HIDDEN > len(first):
            return self._joined(0)
        return self._joined(1) if len(self.segments) > SEGMENTS else self

    def _joined(self, start: int) -> "State":
        rest = [s.taken(a) for s, a in zip(self.segments[start:], self.alive[start:], strict=True)]
        whole = joined(rest)
        alive = (*self.alive[:start], np.ones(len(whole), bool))
        return replace(self, segments=(*self.segments[:start], whole), alive=alive)


class Index:
    """The state of one feature of one group version, as far as it was asked for. Safe to use from several threads."""

    def __init__(self, parts: Parts, group: RegisteredGroup, feature: str) -> None:
        """Hold nothing yet."""
        self._parts = parts
        self._group = group
        self._feature = feature
        self._state: State | None = None
        self._lock = threading.Lock()

    def at(self, commit: int, columns: frozenset[str]) -> State:
        """Return the state at a commit, or at a later one; what is missing is read from history.

        Raises:
            ConflictError: The group was removed. TransientError: Retention is ahead of the commit.
        """
        state = self._state
        if state is not None and state.has(commit, columns):  # not behind who reads history for another question
            return state
        with self._lock:
            state = self._state
            if state is not None and state.has(commit, columns):
                return state
            if state is None or not columns <= state.columns or self._took_back(state.commit):
                wanted = columns if state is None else columns | state.columns
                rows = self._read(commit, 0, wanted)
                found = State(commit, wanted, (rows,), (np.ones(len(rows), bool),))
            else:
                found = state.after(self._read(commit, state.commit, state.columns), commit)
            self._state = found
            return found

    def mend(self, seen: State, mended: State) -> None:
        """Keep a state that the online store corrected, unless there is another one by now."""
        with self._lock:
            if self._state is seen:
                self._state = mended

    def drop(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._state = None

    def _took_back(self, since: int) -> bool:
        """Return whether a commit was retracted since another one: rows that it hid count again."""
        return any(commit.kind == "retract" for commit in self._parts.log.commits(self._group, after=since))

    def _read(self, commit: int, after: int, columns: frozenset[str]) -> Segment:
        """Return the newest rows of the commits after one up to another."""
        group = current_group(self._parts, self._group)  # after the commit: its rows have no other features
        try:
            rows, _ = pinned_rows(self._parts, group, pin=commit, after=after)
        except ConflictError as error:
            todo = "try again: the online store is about to catch up"
            raise TransientError(f"retention is ahead of what {group.ref} has online", todo=todo) from error
        wanted = narrowed(rows, {*columns, self._feature})
        tables = list(newest_rows(self._parts, wanted, group))
        nothing = wanted.schema.append(pa.field(EVENT_COLUMN, pa.int64())).empty_table()
        return segment_of(pa.concat_tables(tables) if tables else nothing, rows.keys, self._feature, columns)


def segment_of(whole: pa.Table, keys: Sequence[str], feature: str, columns: Iterable[str]) -> Segment:
    """Return newest rows as a segment.

    Args:
        whole: The rows, as `Engine.newest` gives them.
        keys: The key columns.
        feature: The column of vectors.
        columns: Further columns to keep.
    """
    names = [*keys, *sorted(set(columns) - set(keys))]
    matrix, points = vectors_of(whole.column(feature))
    points &= ~whole.column(RETIRED_COLUMN).to_numpy()
    matrix[~points] = 0
    squares = sums_of_squares(matrix)
    return Segment(
        table=pa.table({name: whole.column(name) for name in names}).combine_chunks(),  # wherever they come from
        keys=pa.array(encode_keys(whole.select(list(keys))) if whole.num_rows else [], pa.binary()),
        events_us=whole.column(EVENT_COLUMN).to_numpy(),
        commits=whole.column(COMMIT_COLUMN).to_numpy(),
        matrix=matrix,
        squares=squares,
        points=points,
        tame=is_tame(squares),
        lists={},
    )


def joined(segments: Sequence[Segment]) -> Segment:
    """Return the rows of several segments as one."""
    return Segment(
        table=pa.concat_tables([each.table for each in segments]).combine_chunks(),
        keys=pa.concat_arrays([each.keys for each in segments]),
        events_us=np.concatenate([each.events_us for each in segments]),
        commits=np.concatenate([each.commits for each in segments]),
        matrix=np.concatenate([each.matrix for each in segments]),
        squares=np.concatenate([each.squares for each in segments]),
        points=np.concatenate([each.points for each in segments]),
        tame=all(each.tame for each in segments),
        lists={},
    )


def vectors_of(column: pa.ChunkedArray) -> tuple[Matrix, Truths]:
    """Return vectors as rows of a matrix, float32 if that holds their numbers, and which of them can be compared."""
    kind, width = column.type.value_type, column.type.list_size
    dtype = np.float32 if kind in EXACT_IN_FLOAT32 else np.float64
    largest = min(LARGEST, float(np.finfo(dtype).max))
    matrix = np.zeros((len(column), width), dtype)
    points = np.zeros(len(column), bool)
    start = 0
    for chunk in column.chunks:
        there = chunk.is_valid().to_numpy(zero_copy_only=False)
        numbers = chunk.drop_null().flatten().to_numpy(zero_copy_only=False)  # a null among numbers becomes NaN
        rows = numbers.astype(dtype, copy=False).reshape(-1, width)
        matrix[start : start + len(chunk)][there] = rows
        with np.errstate(invalid="ignore"):
            points[start : start + len(chunk)][there] = (np.abs(rows) <= largest).all(axis=1)
        start += len(chunk)
    return matrix, points


def sums_of_squares(matrix: Matrix) -> Floats:
    """Return the sum of squares of each row, in float64."""
    parts = [
        np.einsum("ij,ij->i", wide, wide)
        for at in range(0, len(matrix), 65_536)
        for wide in [matrix[at : at + 65_536].astype(np.float64)]
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def _hidden(alive: Truths, places: Places) -> Truths:
    """Return which rows are alive after some are gone."""
    if not len(places):
        return alive
    left = alive.copy()
    left[places] = False
    return left
