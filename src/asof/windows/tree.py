"""A tree of one entity's events, which knows what functions make of any run of them.

Leaves hold events in the order of time and identity; a branch has an entry for each child: where its events begin and
end, and the states of its events. So what lies between two times is joined from few states and the events of two
leaves, wherever the times lie, and an event that comes late, is corrected or taken out costs one path of nodes.

Nodes are numbered, and kept by somebody else; the root is kept with the tree. Nothing here knows bytes or stores.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from asof.windows.nodes import Branch, Entry, Kept, Leaf, Node, Op
from asof.windows.shape import LONG_AGO, Made, Piece, Shape, State

MOST = 32
"""Events of a leaf, or children of a branch."""

FILLED = 24
"""Of those that a node has when others are made beside it: there is room for what comes late."""

P = TypeVar("P")
Span = tuple[int, int]


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
        wanted = {name: self.shape.features[name] for name in names}
        spans = {name: self._span(made, t_us) for name, made in wanted.items()}
        bounds = sorted({bound for span in spans.values() if span is not None for bound in span})
        place = {bound: at for at, bound in enumerate(bounds)}
        held = {name: None if span is None else (place[span[0]], place[span[1]]) for name, span in spans.items()}
        pieces = self._between(bounds)
        states = {made.part: _States(self.shape, made.part, pieces) for made in wanted.values()}
        values = {name: made.function.finish(states[made.part].over(held[name]), t_us) for name, made in wanted.items()}
        return values, self._newest(wanted, held, pieces)

    def _newest(
        self, wanted: Mapping[str, Made], held: Mapping[str, Span | None], pieces: Sequence[Sequence[Piece]]
    ) -> int | None:
        """Return the time of the newest event that counts for a feature; None if there is none."""
        spans = {(self.shape.parts[made.part].where, held[name]) for name, made in wanted.items()}
        looked = {(where, at) for where, span in spans if span is not None for at in range(*span)}
        newest = max((self.shape.newest(where, pieces[at]) for where, at in looked), default=LONG_AGO)
        return None if newest == LONG_AGO else newest

    def _span(self, made: Made, t_us: int) -> Span | None:
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

    def _collect(self, node: Node, bounds: Sequence[int], found: Sequence[list[Piece]]) -> None:
        if isinstance(node, Leaf):
            begun = ended = [bisect_right(node.times_us, bound) for bound in bounds]
        else:
            begun = [bisect_right(node.firsts_us, bound) for bound in bounds]
            ended = [bisect_right(node.lasts_us, bound) for bound in bounds]
            for at in sorted({end for begin, end in zip(begun, ended, strict=True) if end < begin}):
                self._collect(self._node(node.nodes[at]), bounds, found)  # a bound lies within
        for pieces, begin, end in zip(found, begun, ended[1:], strict=False):
            if begin < end:
                pieces.append(Piece(node, begin, end))


class _States:
    """States of a part over neighbouring pieces; windows that end together use the same ones."""

    def __init__(self, shape: Shape, number: int, pieces: Sequence[Sequence[Piece]]) -> None:
        self._shape, self._number, self._pieces = shape, number, pieces
        self._function = shape.parts[number].function
        self._known: dict[Span, State] = {}

    def over(self, span: Span | None) -> State:
        """Return the state of the pieces from one place to another."""
        if span in self._known:
            return self._known[span]
        begin, end = span or (0, 0)
        state = self._function.empty
        for at in reversed(range(begin, end)):
            if (at, at + 1) not in self._known:
                self._known[at, at + 1] = self._shape.state(self._number, self._pieces[at])
            if (at, end) not in self._known:
                self._known[at, end] = self._function.joined([self._known[at, at + 1], state])
            state = self._known[at, end]
        return state


def _divided(parts: list[P]) -> list[list[P]]:
    """Return the parts of a node, in several nodes if they are too many for one; no node if there are none."""
    if len(parts) <= MOST:
        return [parts] if parts else []
    return [parts[at : at + FILLED] for at in range(0, len(parts), FILLED)]
