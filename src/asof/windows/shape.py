"""What trees of events keep for the features of a group: columns of events, conditions, states that features share."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

from asof.windows import states
from asof.windows.aggregation import Aggregation
from asof.windows.functions import Event, Function
from asof.windows.kinds import Window
from asof.windows.nodes import Branch, Entry, Leaf, Node, Run

LONG_AGO = -(1 << 62)
"""Before all events."""

State = Any

SAME_STATE = {"mean": "sum", "stddev": "variance"}
"""Functions whose states are those of another one."""

_ANY = Window("lifetime")


@dataclass(frozen=True, slots=True)
class Part:
    """A state that is kept, of which several features may be made.

    Attributes:
        function: What makes it.
        column: The place of its column; None: the events themselves.
        where: The place of its condition.
    """

    function: Function[State]
    column: int | None
    where: int


@dataclass(frozen=True, slots=True)
class Made:
    """A feature.

    Attributes:
        part: The place of its state.
        function: What finishes it.
        window: Which events count.
    """

    part: int
    function: Function[State]
    window: Window


class Asked(NamedTuple):
    """Features that are asked for together.

    Attributes:
        windows: The different windows, each with the place of its condition.
        features: Their names, the places of their states and of their windows, and what finishes them.
    """

    windows: Sequence[tuple[Window, int]]
    features: Sequence[tuple[str, int, int, Callable[[State, int], object]]]


class Piece(NamedTuple):
    """Neighbours in a node: events, or children.

    Attributes:
        node: The node.
        begin, end: The place of the first one, and that after the last one.
    """

    node: Node
    begin: int
    end: int


class Shape:
    """What trees of a group keep.

    Attributes:
        columns: Columns of the source that are kept of each event.
        parts: The states.
        features: How each feature is made, by its name.
        wheres: How many conditions there are; the first one is that of all events.
    """

    def __init__(
        self,
        aggregations: Sequence[Aggregation],
        algebra: Callable[[Aggregation], Function[State]],
        converters: Mapping[str, Callable[[Any], object]],
    ) -> None:
        """Lay it out.

        Args:
            aggregations: Those of the group, in the order of its layout: others that come after change no place.
            algebra: Gives the function of an aggregation.
            converters: Make a value of what travelled, of the columns for which it is not the same.
        """
        self.columns = tuple(dict.fromkeys(name for each in aggregations for name in each.columns))
        place = {name: at for at, name in enumerate(self.columns)}
        conditions = dict.fromkeys([None, *(each.where for each in aggregations)])
        wheres = {where: at for at, where in enumerate(conditions)}
        self._predicates = [None if where is None else where.predicate() for where in wheres]
        self._converters = [converters.get(name) for name in self.columns]
        self.wheres = len(wheres)
        self.parts: list[Part] = []
        self.features: dict[str, Made] = {}
        self._asked: dict[tuple[str, ...], Asked] = {}
        self._reach_us: int | None = 0
        known: dict[Aggregation, int] = {}
        for each in aggregations:
            function = algebra(each)
            key = replace(each, name="", function=SAME_STATE.get(each.function, each.function), window=_ANY)
            if key not in known:
                known[key] = len(self.parts)
                column = None if each.column is None else place[each.column]
                self.parts.append(Part(function, column, wheres[each.where]))
            self.features[each.name] = Made(known[key], function, each.window)
            after, _ = each.window.bounds(0)
            reach_us = None if after is None else each.window.length_us + each.window.hop_us
            self._reach_us = None if reach_us is None or self._reach_us is None else max(self._reach_us, reach_us)

    @property
    def reach_us(self) -> int | None:
        """How far the windows reach back at most; None: to the first event."""
        return self._reach_us

    def asked(self, names: tuple[str, ...]) -> Asked:
        """Return what is asked for by the names of features, laid out once for all entities and times."""
        found = self._asked.get(names)
        if found is None:
            made = [(name, self.features[name]) for name in names]
            places: dict[tuple[Window, int], int] = {}
            features = [
                (name, each.part, places.setdefault((each.window, self.parts[each.part].where), len(places)))
                for name, each in made
            ]
            finished = [(*feature, each.function.finish) for feature, (_, each) in zip(features, made, strict=True)]
            found = self._asked[names] = Asked([*places], finished)
        return found

    def needless_until(self, t_us: int) -> int:
        """Return until when events count in no window at T or later."""
        return LONG_AGO if self._reach_us is None else t_us - self._reach_us

    def entry(self, number: int, node: Node) -> Entry:
        """Return what a branch knows of a node, which is not empty."""
        whole = Piece(node, 0, len(node))
        runs = [self._run(whole, where) for where in range(self.wheres)]
        written = [states.plain(part.function, self.state(at, [whole])) for at, part in enumerate(self.parts)]
        if isinstance(node, Leaf):
            return Entry(number, node.times_us[0], node.identities[0], node.times_us[-1], runs, written)
        return Entry(number, node.firsts_us[0], node.identities[0], node.lasts_us[-1], runs, written)

    def state(self, number: int, pieces: Iterable[Piece]) -> State:
        """Return the state of the part of a number over the events of pieces.

        Raises:
            PermanentError: A state cannot be read.
        """
        part, found = self.parts[number], list[State]()
        for node, begin, end in pieces:
            if isinstance(node, Branch):
                found += states.read(part.function, node.states[number][begin:end])
            else:
                found.append(self._made(part, node, begin, end))
        return part.function.joined(found)

    def newest(self, where: int, pieces: Iterable[Piece]) -> int:
        """Return when the last event of pieces was that satisfies a condition; `LONG_AGO` if none does."""
        if self._predicates[where] is None:
            lasts = [(node.times_us if isinstance(node, Leaf) else node.lasts_us)[end - 1] for node, _, end in pieces]
        else:
            lasts = [run.last_us for piece in pieces for run, _ in self.runs(piece, where)]
        return max(lasts, default=LONG_AGO)

    def runs(self, piece: Piece, where: int) -> list[tuple[Run, int | None]]:
        """Return the runs of a piece, each with the node that holds it; of events alone there is none."""
        node, begin, end = piece
        if isinstance(node, Leaf):
            times_us = node.times_us
            return [(Run(times_us[at], times_us[at]), None) for at in self._counting(node, begin, end, where)]
        both = zip(node.runs[where][begin:end], node.nodes[begin:end], strict=True)
        return [(run, number) for run, number in both if run is not None]

    def _run(self, piece: Piece, where: int) -> Run | None:
        node, begin, end = piece
        if isinstance(node, Branch):
            there = [run for run in node.runs[where] if run is not None]
            return reduce(Run.then, there) if there else None
        times_us = [node.times_us[at] for at in self._counting(node, begin, end, where)]
        if not times_us:
            return None
        return Run(times_us[0], times_us[-1], max((later - one for one, later in pairwise(times_us)), default=0))

    def _made(self, part: Part, leaf: Leaf, begin: int, end: int) -> State:
        """Return the state of events of a leaf."""
        counting = self._counting(leaf, begin, end, part.where)
        column = part.column
        values: Sequence[object] = [None] * len(counting)
        if column is not None:
            convert, kept = self._converters[column], leaf.columns[column]
            values = kept[begin:end] if isinstance(counting, range) else [kept[at] for at in counting]
            if convert is not None:
                values = [None if value is None else convert(value) for value in values]
        if part.function.gather is not None:
            return part.function.gather(values)
        identities, times_us = leaf.identities, leaf.times_us
        return part.function.of(
            Event(times_us[at], identities[at], value) for at, value in zip(counting, values, strict=True)
        )

    def _counting(self, leaf: Leaf, begin: int, end: int, where: int) -> Sequence[int]:
        """Return the places of the events that satisfy a condition."""
        predicate = self._predicates[where]
        if predicate is None or begin == end:
            return range(begin, end)
        columns = [
            column[begin:end] if convert is None else [None if v is None else convert(v) for v in column[begin:end]]
            for column, convert in zip(leaf.columns, self._converters, strict=True)
        ]
        rows = zip(*columns, strict=True)
        return [at for at, row in enumerate(rows, begin) if predicate(dict(zip(self.columns, row, strict=True)))]
