"""A tree of one entity's events, which knows what functions make of any run of them.

Leaves hold events in the order of time and identity; an inner node has an entry for each child: where its events begin
and end, and the states of its events. So what lies between two times is joined from few states and the events of two
leaves, wherever the times lie, and an event that comes late, is corrected or taken out costs one path of nodes.

Nodes are numbered, and kept by somebody else; the root is kept with the tree. Nothing here knows bytes or stores.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

from asof.windows.aggregation import Aggregation
from asof.windows.functions import Event, Function
from asof.windows.kinds import Window

MOST = 32
"""Events of a leaf, or children of a node."""

FILLED = 24
"""Of those that a node has when others are made beside it: there is room for what comes late."""

LONG_AGO = -(1 << 62)
"""Before all events."""

State = Any
Order = tuple[int, bytes]


class Kept(NamedTuple):
    """An event as a leaf keeps it.

    Attributes:
        time_us: When it happened.
        identity: The bytes of its source's key.
        values: Of the columns of the shape, as they travel.
    """

    time_us: int
    identity: bytes
    values: Sequence[object]

    @property
    def order(self) -> Order:
        """What events are ordered by, and told apart by."""
        return self.time_us, self.identity


class Run(NamedTuple):
    """Where events of a condition lie.

    Attributes:
        first_us, last_us: The first and the last.
        widest_us: The widest gap between two that follow each other.
    """

    first_us: int
    last_us: int
    widest_us: int = 0

    def then(self, later: "Run") -> "Run":
        """Return both, the other one of which is later."""
        gap = later.first_us - self.last_us
        return Run(self.first_us, later.last_us, max(self.widest_us, gap, later.widest_us))


class Summary(NamedTuple):
    """What is known of some events.

    Attributes:
        runs: Of the events of each condition of the shape; None if there are none.
        states: Of each part of the shape.
    """

    runs: tuple[Run | None, ...]
    states: tuple[State, ...]


class Entry(NamedTuple):
    """A child of a node.

    Attributes:
        node: Its number.
        first: The order of its first event.
        last_us: The time of its last event.
        summary: Of its events.
    """

    node: int
    first: Order
    last_us: int
    summary: Summary


Node = list[Kept] | list[Entry]
"""A leaf, or an inner node; a leaf may be empty."""

Op = tuple[Order, Kept | None]
"""Put an event at its place, or take it out."""


def is_leaf(node: Node) -> bool:
    """Return whether a node holds events."""
    return not node or isinstance(node[0], Kept)


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


SAME_STATE = {"mean": "sum", "stddev": "variance"}
"""Functions whose states are those of another one."""

_ANY = Window("lifetime")


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

    def needless_until(self, t_us: int) -> int:
        """Return until when events count in no window at T or later."""
        return LONG_AGO if self._reach_us is None else t_us - self._reach_us

    def summary(self, events: Sequence[Kept]) -> Summary:
        """Return that of events, which are in order."""
        values = [self._values(event) for event in events]
        those = [self._those(at, values) for at in range(self.wheres)]
        runs = tuple(_run([events[at].time_us for at in every]) for every in those)
        states = tuple(part.function.of(self._events(part, events, values, those[part.where])) for part in self.parts)
        return Summary(runs, states)

    def counting(self, events: Sequence[Kept], where: int) -> Sequence[int]:
        """Return the places of the events that satisfy a condition."""
        return self._those(where, [self._values(event) for event in events])

    def joined(self, summaries: Sequence[Summary]) -> Summary:
        """Return that of the events of several, of which each is later than the one before."""
        runs = tuple(_joined_runs(every) for every in zip(*(each.runs for each in summaries), strict=True))
        states = zip(*(each.states for each in summaries), strict=True)
        return Summary(
            runs, tuple(reduce(p.function.merge, every) for p, every in zip(self.parts, states, strict=True))
        )

    @property
    def blank(self) -> Summary:
        """That of no events."""
        return Summary((None,) * self.wheres, tuple(part.function.empty for part in self.parts))

    def _values(self, event: Kept) -> list[object]:
        return [
            value if convert is None or value is None else convert(value)
            for value, convert in zip(event.values, self._converters, strict=True)
        ]

    def _those(self, where: int, values: Sequence[Sequence[object]]) -> Sequence[int]:
        """Return the places of the events of a condition."""
        predicate = self._predicates[where]
        if predicate is None:
            return range(len(values))
        return [at for at, row in enumerate(values) if predicate(dict(zip(self.columns, row, strict=True)))]

    @staticmethod
    def _events(
        part: Part, events: Sequence[Kept], values: Sequence[Sequence[object]], places: Iterable[int]
    ) -> Iterator[Event]:
        column = part.column
        for at in places:
            event = events[at]
            yield Event(event.time_us, event.identity, None if column is None else values[at][column])


def _run(times_us: Sequence[int]) -> Run | None:
    if not times_us:
        return None
    return Run(times_us[0], times_us[-1], max((later - one for one, later in pairwise(times_us)), default=0))


def _joined_runs(runs: Iterable[Run | None]) -> Run | None:
    there = [run for run in runs if run is not None]
    return reduce(Run.then, there) if there else None


@dataclass(slots=True)
class Tree:
    """The events of an entity.

    Attributes:
        shape: What is kept.
        root: The node at the top.
        unused: The least number that no node ever had.
        load: Gives the other nodes by their numbers.
        written: Nodes that were changed; None if they are gone.
    """

    shape: Shape
    root: Node
    unused: int
    load: Callable[[int], Node]
    written: dict[int, Node | None] = field(default_factory=dict[int, "Node | None"])

    # ---- change

    def update(self, ops: Sequence[Op]) -> None:
        """Put events and take events out, all in order and each at a place of its own."""
        nodes = self._updated(self.root, ops)
        while len(nodes) > 1:
            nodes = _divided([self._kept(self._number(), node) for node in nodes])
        self.root = nodes[0] if nodes else []
        while len(self.root) == 1 and isinstance(only := self.root[0], Entry):  # one child is no branch
            self.root = self._node(only.node)
            self.written[only.node] = None

    def prune(self, until_us: int) -> bool:
        """Take out nodes whose events are all at or before a time: those below the root, and events of a root alone.

        Of two that begin with the same root, the one with the later time takes out all that the other one does.

        Returns:
            Whether there were any.
        """
        entries = [entry for entry in self.root if isinstance(entry, Entry)]
        gone = [entry for entry in entries if entry.last_us <= until_us]
        for entry in gone:
            self._drop(entry.node)
        events = [event for event in self.root if isinstance(event, Kept)]
        left: Node = [event for event in events if event.time_us > until_us] if events else entries[len(gone) :]
        changed = len(left) < len(self.root)
        self.root = left
        return changed

    def _drop(self, number: int) -> None:
        for below in self._node(number):
            if isinstance(below, Entry):
                self._drop(below.node)
        self.written[number] = None

    def _updated(self, node: Node, ops: Sequence[Op]) -> list[Node]:
        """Return what becomes of a node: one or several beside each other, or none."""
        if is_leaf(node):
            events = {event.order: event for event in node if isinstance(event, Kept)}
            for order, event in ops:
                if event is None:
                    events.pop(order, None)
                else:
                    events[order] = event
            return _divided([events[order] for order in sorted(events)])
        entries = [entry for entry in node if isinstance(entry, Entry)]
        found: list[Entry] = []
        ends = [bisect_left(ops, (entry.first,)) for entry in entries[1:]]
        for entry, (begin, end) in zip(entries, pairwise([0, *ends, len(ops)]), strict=True):
            if begin == end:
                found.append(entry)
                continue
            below = self._updated(self._node(entry.node), ops[begin:end])
            self.written[entry.node] = None
            numbers = [entry.node, *(self._number() for _ in below[1:])]
            found += [self._kept(number, each) for number, each in zip(numbers, below, strict=False)]
        return _divided(found)

    def _kept(self, number: int, node: Node) -> Entry:
        self.written[number] = node
        first, last = node[0], node[-1]
        if isinstance(first, Entry) and isinstance(last, Entry):
            summary = self.shape.joined([entry.summary for entry in node if isinstance(entry, Entry)])
            return Entry(number, first.first, last.last_us, summary)
        events = [event for event in node if isinstance(event, Kept)]
        return Entry(number, events[0].order, events[-1].time_us, self.shape.summary(events))

    def _number(self) -> int:
        self.unused += 1
        return self.unused - 1

    def _node(self, number: int) -> Node:
        node = self.written.get(number)
        return self.load(number) if node is None else node

    # ---- ask

    def events(self) -> Iterator[Kept]:
        """Give all events, in order."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            yield from (event for event in node if isinstance(event, Kept))
            waiting += [self._node(entry.node) for entry in reversed(node) if isinstance(entry, Entry)]

    def answers(self, names: Iterable[str], t_us: int) -> tuple[dict[str, object], int | None]:
        """Return the values of features at T, which is not before any event; and the newest event that counts.

        Raises:
            DataError: A value does not fit its type.
        """
        wanted = {name: self.shape.features[name] for name in names}
        spans = {name: self._span(made, t_us) for name, made in wanted.items()}
        bounds = sorted({bound for span in spans.values() if span is not None for bound in span})
        summaries = self._between(bounds)
        place = {bound: at for at, bound in enumerate(bounds)}
        values: dict[str, object] = {}
        newest: int | None = None
        for name, made in wanted.items():
            span, part = spans[name], self.shape.parts[made.part]
            held = [] if span is None else summaries[place[span[0]] : place[span[1]]]
            states = [each.states[made.part] for each in held]
            values[name] = made.function.finish(reduce(part.function.merge, states, part.function.empty), t_us)
            for run in (each.runs[part.where] for each in held):
                if run is not None and (newest is None or run.last_us > newest):
                    newest = run.last_us
        return values, newest

    def _span(self, made: Made, t_us: int) -> tuple[int, int] | None:
        """Return (after, until) of the events that a window holds; None if it is empty."""
        if made.window.kind == "session":
            begin = self._begin(self.root, self.shape.parts[made.part].where, made.window.length_us, t_us)
            return None if begin is None else (begin - 1, t_us)
        after, until = made.window.bounds(t_us)
        return (LONG_AGO if after is None else after), until

    def _begin(self, node: Node, where: int, gap_us: int, next_us: int, begin: int | None = None) -> int | None:
        """Return when the run of events began that leads to a time, with gaps below a length; None if none does.

        Args:
            node: Where to look.
            where: Of which events.
            gap_us: The length.
            next_us: What comes after the events of the node.
            begin: The beginning as far as it is known.
        """
        for run, below in reversed(self._runs(node, where)):
            if next_us - run.last_us >= gap_us:
                return begin
            if run.widest_us >= gap_us and below is not None:
                return self._begin(self._node(below), where, gap_us, next_us, begin)
            begin = next_us = run.first_us
        return begin

    def _runs(self, node: Node, where: int) -> list[tuple[Run, int | None]]:
        """Return the runs of a node's parts, each with the node that holds it; of events alone there is none."""
        if is_leaf(node):
            events = [event for event in node if isinstance(event, Kept)]
            return [(Run(events[at].time_us, events[at].time_us), None) for at in self.shape.counting(events, where)]
        entries = [entry for entry in node if isinstance(entry, Entry)]
        return [(run, entry.node) for entry in entries if (run := entry.summary.runs[where]) is not None]

    def _between(self, bounds: Sequence[int]) -> list[Summary]:
        """Return the summaries of the events between each bound (exclusive) and the next one (inclusive)."""
        found: list[list[Summary]] = [[] for _ in bounds[1:]]
        if found:
            self._collect(self.root, bounds, found)
        return [self.shape.joined(every) if every else self.shape.blank for every in found]

    def _collect(self, node: Node, bounds: Sequence[int], found: Sequence[list[Summary]]) -> None:
        if is_leaf(node):
            events = [event for event in node if isinstance(event, Kept)]
            times = [event.time_us for event in events]
            cuts = [bisect_right(times, bound) for bound in bounds]
            for at, (begin, end) in enumerate(pairwise(cuts)):
                if begin < end:
                    found[at].append(self.shape.summary(events[begin:end]))
            return
        for entry in node:
            assert isinstance(entry, Entry)  # noqa: S101 - it is no leaf
            first, last = bisect_left(bounds, entry.first[0]), bisect_left(bounds, entry.last_us)
            if first == last:
                if 0 < first < len(bounds):
                    found[first - 1].append(entry.summary)
            elif last > 0 and first < len(bounds):
                self._collect(self._node(entry.node), bounds, found)


def _divided(parts: list[Any]) -> list[Any]:
    """Return the parts of a node, in several nodes if they are too many for one; no node if there are none."""
    if len(parts) <= MOST:
        return [parts] if parts else []
    return [parts[at : at + FILLED] for at in range(0, len(parts), FILLED)]
