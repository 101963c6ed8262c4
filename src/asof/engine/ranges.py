"""Windows as ranges of the ordered events of a key: for many events, of which neither sums nor tiles are made.

DuckDB gives the events of the spine's keys in the order of key, time and identity, once for all windows. Between which
two of their places a window lies is a binary search. What is made of it reads those places only: a first or last event
starts at an end of the range, and goes on where an event does not count at T; a distinct count, a quantile or how often
values occur look at a slice of an array. Keys are answered in parts, so that the events of one part are held at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.answers import COUNTED, ENDS, column_type, values_type
from asof.engine.events import Asking
from asof.engine.literals import quoted, same_key
from asof.engine.planning import count
from asof.engine.point_in_time import is_late
from asof.engine.port import EVENT_COLUMN, Rows
from asof.engine.windows import Part, bounds_of, is_event
from asof.windows.aggregation import DISTINCT, Aggregation
from asof.windows.conditions import Condition
from asof.windows.functions import Event, order_of
from asof.windows.kinds import Window
from asof.windows.sketches import share_of

EDGES = ("first", "last", *ENDS)
"""Functions that look at some events at one end of a window."""

PART_ROWS = 4_000_000
"""Events that are held at once, as far as keys have equally many: some 60 bytes each, and their values."""

TOPS = ("top_k", "top_k_approx")

SPARSE = 8
"""Counting all values takes as long as sorting those of a window, if there are so many times more."""

Ints = np.ndarray[Any, np.dtype[np.int64]]
Truths = np.ndarray[Any, np.dtype[np.bool_]]


def takes(aggregation: Aggregation) -> bool:
    """Return whether an aggregation is made of ranges. A session begins where its events say."""
    named = (*EDGES, *DISTINCT, *COUNTED, "quantile")
    return aggregation.function in named and aggregation.window.kind != "session"


def parts(rows: Rows) -> int:
    """Return in how many parts keys are answered; each reads the history."""
    return -(-count(rows) // PART_ROWS)


class Ready:
    """An aggregation whose answers come as they are; see `asof.engine.answers.Answering`.

    Attributes:
        parts: One, which is the answer.
    """

    def __init__(self) -> None:
        """Ask for the answer."""
        self.parts = [Part("")]

    def answers(self, found: Sequence[pa.ChunkedArray], times_us: np.ndarray[Any, Any]) -> pa.Array:  # noqa: ARG002
        """See `Answering.answers`."""
        return found[0].combine_chunks()


def aggregate(
    rows: Rows,
    wanted: Mapping[int, Aggregation],
    *,
    asking: Asking,
    relation: str,
    ask: Callable[[str], pa.Table],
) -> pa.Table:
    """Return the answers: `__row` of the spine, those of each number as `__0`, `__1`, ..., and `__event_us`.

    Args:
        rows: The source.
        wanted: What is wanted, of what `takes`, by number.
        asking: What is asked.
        relation: What `asof.engine.events` gives, in parentheses.
        ask: Gives what a statement gives.
    """
    many = parts(rows)
    return pa.concat_tables(
        [
            _Part(rows, [*wanted.values()], asking, relation, ask, f"__k % {many} = {at}").answers([*wanted])
            for at in range(many)
        ]
    )


@dataclass(frozen=True, slots=True)
class _Track:
    """The events that count for something, in order, and which of them a window holds for each row of the spine.

    Attributes:
        places: Theirs among all events.
        begins, ends: The range of each row of the spine.
        since_us, until_us: From when, and until when, each is an event; None: always.
        times_us: T of each row of the spine.
    """

    places: Ints
    begins: Ints
    ends: Ints
    since_us: Ints | None
    until_us: Ints | None
    times_us: Ints

    def nearest(self, most: int, *, last: bool) -> tuple[Ints, Ints]:
        """Return the first, or last, so many events of each row: all in order, by rows; and how many each row has."""
        many, at, step = np.zeros(len(self.begins), np.int64), self.begins.copy(), 1
        if last:
            at, step = self.ends - 1, -1
        rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        left = np.flatnonzero(self.begins < self.ends)
        while len(left):
            seen = self._counts(at[left], left)
            rows.append(left[seen])
            found.append(at[left[seen]])
            many[left[seen]] += 1
            at[left] += step
            inside = (at[left] >= self.begins[left]) & (at[left] < self.ends[left])
            left = left[inside & (many[left] < most)]
        by_row = np.lexsort((places := np.concatenate(found), np.concatenate(rows)))
        return self.places[places[by_row]], many

    def _counts(self, at: Ints, rows: Ints) -> Truths:
        """Return whether events count for rows of the spine."""
        if self.since_us is None or self.until_us is None:
            return np.ones(len(at), np.bool_)
        return (self.since_us[at] <= self.times_us[rows]) & (self.times_us[rows] < self.until_us[at])

    def slices(self, values: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
        """Give for each row of the spine the values of its events, of an array that has one for each event."""
        bounds = zip(self.begins.tolist(), self.ends.tolist(), self.times_us.tolist(), strict=True)
        for begin, end, t_us in bounds:
            if self.since_us is None or self.until_us is None:
                yield values[begin:end]
            else:
                yield values[begin:end][(self.since_us[begin:end] <= t_us) & (t_us < self.until_us[begin:end])]


class _Part:
    """The events and the rows of the spine of some of its keys."""

    def __init__(  # noqa: PLR0917 - the parts of one question
        self,
        rows: Rows,
        wanted: Sequence[Aggregation],
        asking: Asking,
        relation: str,
        ask: Callable[[str], pa.Table],
        some: str,
    ) -> None:
        self._rows, self._wanted = rows, wanted
        self._wheres = list(dict.fromkeys(each.where for each in wanted))
        windows = list(dict.fromkeys(each.window for each in wanted))
        late = is_late(rows, asking.known)
        self._events = ask(self._statement(asking, relation, some, late=late)).combine_chunks()
        keys = _keys(asking, some)
        ends = list(dict.fromkeys(end for window in windows for end in bounds_of(window) if end is not None))
        columns = "".join(f", {end} AS __end{at}" for at, end in enumerate(ends))
        same = same_key(asking.on, "s", "k")
        self._spine = ask(f"SELECT s.__row, s.__t_us, k.__k{columns} FROM {asking.spine} s JOIN {keys} k ON {same}")
        self._since_us, self._until_us = (self._ints("__from"), self._ints("__until")) if late else (None, None)
        self._times_us = self._spine.column("__t_us").to_numpy()
        places = {end: self._place(self._spine.column(f"__end{at}").to_numpy()) for at, end in enumerate(ends)}
        first = self._place(None)
        self._ranges = {
            window: tuple(first if end is None else places[end] for end in bounds_of(window)) for window in windows
        }

    def _statement(self, asking: Asking, relation: str, some: str, *, late: bool) -> str:
        columns = list(dict.fromkeys(each.column for each in self._wanted if each.column))
        values = [f"r.{quoted(name)} AS {quoted(f'__v_{name}')}" for name in columns]
        holds = [f"{is_event(self._rows, where) or 'true'} AS __w{at}" for at, where in enumerate(self._wheres)]
        spans = ["r.__from", "r.__until"] if late else []
        order = ", ".join(["k.__k", "r.__e", *(f"r.{quoted(key)}" for key in self._rows.keys)])
        events = f"(SELECT *, {', '.join(holds)} FROM {relation})"
        flags = [f"r.__w{at}" for at in range(len(holds))]
        return (
            f"SELECT {', '.join(['k.__k', 'r.__e', *spans, *flags, *values])} FROM {events} r"
            f" JOIN {_keys(asking, some)} k ON {same_key(asking.on, 'r', 'k')} ORDER BY {order}"
        )

    def answers(self, numbers: Sequence[int]) -> pa.Table:
        """Return the answers; see `aggregate`."""
        found = {f"__{number}": self._made(each) for number, each in zip(numbers, self._wanted, strict=True)}
        newest: Ints | None = None
        for where, window in dict.fromkeys((each.where, each.window) for each in self._wanted):
            places, many = self._track(where, None, window).nearest(1, last=True)
            times_us = np.full(len(many), np.iinfo(np.int64).min)
            times_us[many > 0] = self._ints("__e")[places]
            newest = times_us if newest is None else np.maximum(newest, times_us)
        assert newest is not None  # noqa: S101 - something is wanted
        found[EVENT_COLUMN] = pa.array(newest, mask=newest == np.iinfo(np.int64).min)
        return pa.table({"__row": self._spine.column("__row"), **found})

    def _made(self, of: Aggregation) -> pa.Array:
        """Return what an aggregation comes to for each row of the spine."""
        track, dtype = self._track(of.where, of.column, of.window), values_type(of, self._rows.schema)
        if of.function in EDGES:
            places, many = track.nearest(of.most or 1, last=of.function.startswith("last"))
            values = pc.take(self._column(of.column or ""), pa.array(places)).cast(
                dtype.value_type if of.most else dtype
            )
            if of.most:
                return pa.ListArray.from_arrays(np.r_[0, np.cumsum(many)].astype(np.int32), values).cast(dtype)
            return pc.take(values, pa.array(np.cumsum(many) - 1, mask=many == 0))
        if of.function == "quantile":
            return pa.array([*_quantiles(of, track, self._numbers(of)[track.places])], dtype)
        return pa.array([*self._by_value(of, track)], dtype)

    def _by_value(self, of: Aggregation, track: _Track) -> Iterator[object]:
        """Give what an aggregation makes of how often the values of each row of the spine occur."""
        encoded = self._column(of.column or "").dictionary_encode()
        values: list[Any] = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, 0).to_numpy().astype(np.int64)[track.places]
        algebra = of.algebra(0)
        if of.function in COUNTED:
            orders = [*map(order_of, values)]
            for held in track.slices(codes):
                which, many = _counted(held, len(values))
                if of.function in TOPS and len(many) > of.most:  # no other can be among the most frequent ones
                    often = many >= np.partition(many, -of.most)[-of.most]
                    which, many = which[often], many[often]
                state = zip(which.tolist(), many.tolist(), strict=True)
                yield algebra.finish({orders[code]: (values[code], times) for code, times in state}, 0)
            return
        states = [algebra.prepare(Event(0, b"", value)) for value in values] if of.exact_up_to else []
        for held in track.slices(codes):
            which, _ = _counted(held, len(values))
            if not of.exact_up_to or len(which) <= of.exact_up_to:
                yield len(which)
            else:
                yield algebra.finish(algebra.joined([states[code] for code in which.tolist()]), 0)

    def _track(self, where: Condition | None, column: str | None, window: Window) -> _Track:
        holds = self._events.column(f"__w{self._wheres.index(where)}").to_numpy()
        if column is not None:
            holds = holds & pc.is_valid(self._column(column)).to_numpy(zero_copy_only=False)
        places = np.flatnonzero(holds)
        begins, ends = (np.searchsorted(places, bound) for bound in self._ranges[window])
        since_us = None if self._since_us is None else self._since_us[places]
        until_us = None if self._until_us is None else self._until_us[places]
        return _Track(places, begins, ends, since_us, until_us, self._times_us)

    def _place(self, ends_us: Ints | None) -> Ints:
        """Return how many events lie before the keys of the spine's rows, or up to a time of theirs; see `_order`."""
        times_us, order = self._order
        ranks = 0 if ends_us is None else np.searchsorted(times_us, ends_us, side="right")
        return np.searchsorted(order, self._spine.column("__k").to_numpy() * (len(times_us) + 1) + ranks)

    @cached_property
    def _order(self) -> tuple[Ints, Ints]:
        """The different times of events, and a number for each event that orders them by key and time."""
        times_us, ranks = np.unique(self._ints("__e"), return_inverse=True)
        return times_us, self._ints("__k") * (len(times_us) + 1) + ranks

    def _ints(self, name: str) -> Ints:
        return self._events.column(name).to_numpy()

    def _column(self, name: str) -> pa.Array:
        column = self._events.column(f"__v_{name}")
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)

    def _numbers(self, of: Aggregation) -> np.ndarray[Any, np.dtype[np.float64]]:
        column = self._column(of.column or "")
        if pa.types.is_decimal(column_type(of, self._rows.schema)):  # Arrow's cast is not rounded to the nearest float
            return np.array([0.0 if value is None else float(value) for value in column.to_pylist()])
        return pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy()


def _counted(codes: Ints, most: int) -> tuple[Ints, Ints]:
    """Return the different numbers, all below the greatest one, and how often each occurs."""
    if most > SPARSE * len(codes):
        return np.unique(codes, return_counts=True)
    many = np.bincount(codes, minlength=most)
    return (which := np.flatnonzero(many)), many[which]


def _quantiles(of: Aggregation, track: _Track, values: np.ndarray[Any, Any]) -> Iterator[float | None]:
    """Give the quantile of each row of the spine, which is exact however many values there are."""
    share = share_of(of.q or 0)
    for held in track.slices(values):
        place = max(1, -(-share.numerator * len(held) // share.denominator)) - 1
        yield float(np.partition(held, place)[place]) + 0.0 if len(held) else None  # NaN is above all


def _keys(asking: Asking, some: str) -> str:
    """Return the different keys of a spine with a number each, `__k`, that is always the same; some of them."""
    on = ", ".join(map(quoted, asking.on))
    numbered = f"SELECT *, row_number() OVER (ORDER BY {on}) AS __k FROM (SELECT DISTINCT {on} FROM {asking.spine})"
    return f"(SELECT * FROM ({numbered}) WHERE {some})"
