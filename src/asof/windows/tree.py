"""A tree of one entity's events, which knows what functions make of any run of them.

Leaves hold events in the order of time and identity; a branch has an entry for each child: where its events begin and
end, and the states of its events. So what lies between two times is joined from few states and the events of two
leaves, wherever the times lie, and an event that comes late, is corrected or taken out costs one path of nodes.

Nodes are numbered, and kept by somebody else; the root is kept with the tree. Nothing here knows bytes or stores.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from asof.windows.kinds import Window
from asof.windows.nodes import Branch, Entry, Kept, Leaf, Node, Op
from asof.windows.shape import LONG_AGO, Piece, Shape, State

MOST = 32
"""Events of a leaf, or children of a branch."""

FILLED = 24
"""Of those that a node has when others are made beside it: there is room for what comes late."""

P = TypeVar("P")
Span = tuple[int, int]

EMPTY: Span = (0, 0)


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
            nodes = [Branch.of(each) for each in _divided([self._kept(self._number(), node) for node in nodes])]
        self.root = nodes[0] if nodes else Leaf()
        while isinstance(self.root, Branch) and len(self.root) == 1:  # one child is no branch
            (only,) = self.root.nodes
            self.root = self._node(only)
            self.written[only] = None

    def prune(self, until_us: int) -> bool:
        """Take out nodes whose events are all at or before a time: those below the root, and events of a root alone.

        Of two that begin with the same root, the one with the later time takes out all that the other one does.

        Returns:
            Whether there were any.
        """
        root = self.root
        gone = bisect_right(root.times_us if isinstance(root, Leaf) else root.lasts_us, until_us)
        if not gone:
            return False
        if isinstance(root, Leaf):
            self.root = Leaf.of([*root.events()][gone:])
            return True
        for number in root.nodes[:gone]:
            self._drop(number)
        self.root = Branch.of([*root.entries()][gone:]) if gone < len(root) else Leaf()
        return True

    def _drop(self, number: int) -> None:
        node = self._node(number)
        for below in node.nodes if isinstance(node, Branch) else ():
            self._drop(below)
        self.written[number] = None

    def _updated(self, node: Node, ops: Sequence[Op]) -> list[Node]:
        """Return what becomes of a node: one or several beside each other, or none."""
        if isinstance(node, Leaf):
            events = {event.order: event for event in node.events()}
            for order, event in ops:
                if event is None:
                    events.pop(order, None)
                else:
                    events[order] = event
            return [Leaf.of(each) for each in _divided([events[order] for order in sorted(events)])]
        found: list[Entry] = []
        entries = [*node.entries()]
        ends = [bisect_left(ops, ((entry.first_us, entry.identity),)) for entry in entries[1:]]
        for entry, (begin, end) in zip(entries, pairwise([0, *ends, len(ops)]), strict=True):
            if begin == end:
                found.append(entry)
                continue
            below = self._updated(self._node(entry.node), ops[begin:end])
            self.written[entry.node] = None
            numbers = [entry.node, *(self._number() for _ in below[1:])]
            found += [self._kept(number, each) for number, each in zip(numbers, below, strict=False)]
        return [Branch.of(each) for each in _divided(found)]

    def _kept(self, number: int, node: Node) -> Entry:
        self.written[number] = node
        return self.shape.entry(number, node)

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
            if isinstance(node, Leaf):
                yield from node.events()
            else:
                waiting += map(self._node, reversed(node.nodes))

    def answers(self, names: Iterable[str], t_us: int) -> tuple[dict[str, object], int | None]:
        """Return the values of features at T, which is not before any event; and the newest event that counts.

        Raises:
            DataError: A value does not fit its type.
        """
        asked = self.shape.asked(tuple(names))
        spans = [self._span(window, where, t_us) for window, where in asked.windows]
        bounds = sorted({bound for span in spans if span is not None for bound in span})
        place = {bound: at for at, bound in enumerate(bounds)}
        held = [None if span is None else (place[span[0]], place[span[1]]) for span in spans]
        pieces = self._between(bounds)
        wanted: dict[int, set[Span]] = {}
        for _, part, window, _ in asked.features:
            wanted.setdefault(part, set()).add(held[window] or EMPTY)
        states = {part: self._states(part, spans, pieces) for part, spans in wanted.items()}
        values = {
            name: finish(states[part][held[window] or EMPTY], t_us) for name, part, window, finish in asked.features
        }
        newest = {(where, span) for (_, where), span in zip(asked.windows, held, strict=True) if span is not None}
        return values, self._newest(newest, pieces)

    def _states(self, part: int, spans: Collection[Span], pieces: Sequence[Sequence[Piece]]) -> dict[Span, State]:
        """Return the states of a part over neighbouring pieces; windows that end together use the same ones."""
        function = self.shape.parts[part].function
        found: dict[Span, State] = {}
        known: dict[int, State] = {}
        for last in {end for _, end in spans}:
            begins = {begin for begin, end in spans if end == last}
            state, is_empty = function.empty, True
            if last in begins:
                found[last, last] = state
            for at in range(last - 1, min(begins) - 1, -1):
                if pieces[at]:
                    if at not in known:
                        known[at] = self.shape.state(part, pieces[at])
                    state, is_empty = known[at] if is_empty else function.merge(known[at], state), False
                if at in begins:
                    found[at, last] = state
        return found

    def _newest(self, spans: Collection[tuple[int, Span]], pieces: Sequence[Sequence[Piece]]) -> int | None:
        """Return the time of the newest event in spans that satisfies their conditions; None if there is none."""
        newest = LONG_AGO
        for where in {where for where, _ in spans}:
            looked = {at for other, span in spans if other == where for at in range(*span)}
            for at in sorted(looked, reverse=True):  # the first one that has any is the latest
                there = self.shape.newest(where, pieces[at])
                if there != LONG_AGO:
                    newest = max(newest, there)
                    break
        return None if newest == LONG_AGO else newest

    def _span(self, window: Window, where: int, t_us: int) -> Span | None:
        """Return (after, until) of the events that a window holds, of a condition; None if it is empty."""
        if window.kind == "session":
            begin = self._begin(self.root, where, window.length_us, t_us)
            return None if begin is None else (begin - 1, t_us)
        after, until = window.bounds(t_us)
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
        for run, below in reversed(self.shape.runs(Piece(node, 0, len(node)), where)):
            if next_us - run.last_us >= gap_us:
                return begin
            if run.widest_us >= gap_us and below is not None:
                return self._begin(self._node(below), where, gap_us, next_us, begin)
            begin = next_us = run.first_us
        return begin

    def _between(self, bounds: Sequence[int]) -> list[list[Piece]]:
        """Return the events between each bound (exclusive) and the next one (inclusive), in pieces of no order."""
        found: list[list[Piece]] = [[] for _ in bounds[1:]]
        if found:
            self._collect(self.root, bounds, found)
        return found

    def _collect(
        self, node: Node, bounds: Sequence[int], found: Sequence[list[Piece]], first: int = 0, last: int | None = None
    ) -> None:
        """Divide a node among what lies between bounds.

        Args:
            node: The node.
            bounds: All of them.
            found: What lies between each and the next one, so far.
            first: The place of the first one that may divide it; those before are earlier than it.
            last: The place after the last one that may; those from there on are later. None: after all.
        """
        last = len(bounds) if last is None else last
        if isinstance(node, Leaf):
            begun = ended = [bisect_right(node.times_us, bound) for bound in bounds[first:last]]
        else:
            begun = [bisect_right(node.firsts_us, bound) for bound in bounds[first:last]]
            ended = [bisect_right(node.lasts_us, bound) for bound in bounds[first:last]]
            at = 0
            while at < len(begun):
                child, start = ended[at], at
                at += 1
                if child < begun[start]:  # a bound lies within
                    while at < len(begun) and ended[at] == child:
                        at += 1
                    self._collect(self._node(node.nodes[child]), bounds, found, first + start, first + at)
        begins, ends = [0, *begun], [*ended, len(node)]
        for at in range(max(first - 1, 0), min(last, len(found))):
            begin, end = begins[at - first + 1], ends[at - first + 1]
            if begin < end:
                found[at].append(Piece(node, begin, end))


def _divided(parts: list[P]) -> list[list[P]]:
    """Return the parts of a node, in several nodes if they are too many for one; no node if there are none."""
    if len(parts) <= MOST:
        return [parts] if parts else []
    return [parts[at : at + FILLED] for at in range(0, len(parts), FILLED)]
