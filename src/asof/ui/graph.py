"""What is made of what: sources, groups, views and logs, as a graph that is laid out in layers from left to right."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from asof.definitions.serving_log import log_name
from asof.registry.port import RegisteredGroup
from asof.ui.links import page_of
from asof.ui.sight import Seen, Sight

WIDE, HIGH = 176, 34
"""Size of a box."""

ACROSS, DOWN = 56, 12
"""Space between boxes."""

LETTERS = 22
"""Letters of a name that fit a box; all of them are in its title."""

MOST = 80
"""Boxes that are drawn; of more none can be read."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box: a source outside, a group, a view.

    Attributes:
        id: Its name: "weather@1", "parquet:/data".
        kind: "source", "group", "view" or "log".
        href: Its page; "" if it has none.
    """

    id: str
    kind: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """What leads where.

    Attributes:
        nodes: The boxes by their ids.
        edges: (from, to), in the direction in which values go.
    """

    nodes: Mapping[str, Node]
    edges: frozenset[tuple[str, str]]

    def around(self, of: str) -> "Graph":
        """Return what something is made of, and what is made of it, with what lies between."""
        kept = {of, *self._reached(of, 0), *self._reached(of, 1)}
        return self.only(kept)

    def only(self, kept: Iterable[str]) -> "Graph":
        """Return the part with these boxes."""
        names = {each for each in kept if each in self.nodes}
        edges = frozenset(edge for edge in self.edges if names.issuperset(edge))
        return Graph({name: node for name, node in self.nodes.items() if name in names}, edges)

    def _reached(self, start: str, end: int) -> set[str]:
        """Return all that can be reached from a box along edges (0) or against them (1)."""
        ways: defaultdict[str, list[str]] = defaultdict(list)
        for edge in self.edges:
            ways[edge[end]].append(edge[1 - end])
        found, todo = set[str](), [start]
        while todo:
            new = [each for each in ways[todo.pop()] if each not in found]
            found.update(new)
            todo += new
        return found


def graph_of(seen: Seen) -> Graph:
    """Return the graph of all groups and views, with the places outside where rows of groups stay."""
    nodes: dict[str, Node] = {}
    edges: set[tuple[str, str]] = set()
    logs = {log_name(view.definition.name): view for view in seen.newest_views.values() if view.definition.log}
    for group in seen.groups:
        name, place = group.definition.name, group.definition.external
        nodes[group.ref] = Node(group.ref, "log" if name in logs else "group", page_of(group, seen))
        if group.parent is not None:
            edges.add((group.parent.ref, group.ref))
        if place is not None:
            nodes[place] = Node(place, "source")
            edges.add((place, group.ref))
        if name in logs:
            edges.add((logs[name].ref, group.ref))
    for view in seen.views:
        nodes[view.ref] = Node(view.ref, "view", page_of(view, seen))
        edges |= {(group.ref, view.ref) for group in view.groups.values()}
    return Graph(nodes, frozenset(edge for edge in edges if nodes.keys() >= set(edge)))


def with_streams(graph: Graph, sight: Sight, seen: Seen) -> Graph:
    """Return a graph with the streams that are read into its groups."""
    nodes, edges = dict(graph.nodes), set(graph.edges)
    for ref in graph.nodes:
        group = seen.refs.get(ref)
        if isinstance(group, RegisteredGroup) and group.parent is None and group.definition.external is None:
            for stream in sorted({name for name, _ in sight.streams(group)}):
                nodes[f"stream {stream}"] = Node(f"stream {stream}", "source")
                edges.add((f"stream {stream}", ref))
    return Graph(nodes, frozenset(edges))


def drawn(graph: Graph, here: str = "") -> Markup:
    """Return a graph as SVG whose boxes are links; `here` is the box of the page."""
    layers = _layers(graph)
    places: dict[str, tuple[int, int]] = {}
    tallest = max((len(layer) for layer in layers), default=1)
    for number, layer in enumerate(layers):
        top = (tallest - len(layer)) * (HIGH + DOWN) // 2
        for row, name in enumerate(layer):
            places[name] = 1 + number * (WIDE + ACROSS), 1 + top + row * (HIGH + DOWN)
    width = len(layers) * (WIDE + ACROSS) - ACROSS + 2
    height = tallest * (HIGH + DOWN) - DOWN + 2
    lines = "".join(_line(*places[start], *places[end]) for start, end in sorted(graph.edges))
    boxes = "".join(_box(graph.nodes[name], *places[name], here=name == here) for layer in layers for name in layer)
    return Markup(  # noqa: S704 - numbers, and escaped text
        f'<svg class="graph" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-label="lineage">{lines}{boxes}</svg>'
    )


def _layers(graph: Graph) -> list[list[str]]:
    """Return the boxes in layers, each after all that leads to it; in a layer near to what leads there."""
    before: defaultdict[str, list[str]] = defaultdict(list)
    for start, end in sorted(graph.edges):
        before[end].append(start)
    depths: dict[str, int] = {}

    def depth(name: str, above: frozenset[str] = frozenset()) -> int:
        if name not in depths:
            starts = [each for each in before[name] if each not in above]  # a log leads to no view of its own
            depths[name] = 1 + max((depth(each, above | {name}) for each in starts), default=-1)
        return depths[name]

    layers: defaultdict[int, list[str]] = defaultdict(list)
    for name in sorted(graph.nodes):
        layers[depth(name)].append(name)
    placed: dict[str, float] = {}
    for number in sorted(layers):
        layer = layers[number]
        layer.sort(key=lambda name: (_middle([placed[each] for each in before[name] if each in placed]), name))
        placed |= {name: row / len(layer) for row, name in enumerate(layer)}
    return [layers[number] for number in sorted(layers)]


def _middle(places: list[float]) -> float:
    return sum(places) / len(places) if places else 0.5


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    x1, y1, y2 = x1 + WIDE, y1 + HIGH // 2, y2 + HIGH // 2
    bend = ACROSS // 2
    return f'<path class="edge" d="M{x1},{y1} C{x1 + bend},{y1} {x2 - bend},{y2} {x2},{y2}"/>'


def _box(node: Node, x: int, y: int, *, here: bool) -> str:
    name = node.id if len(node.id) <= LETTERS else f"{node.id[: LETTERS - 1]}…"
    title = escape(f"{node.kind} {node.id}")
    box = (
        f'<g class="node {node.kind}{" here" if here else ""}"><title>{title}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        f'<text x="{x + 10}" y="{y + HIGH // 2 + 5}">{escape(name)}</text></g>'
    )
    return f'<a href="{escape(node.href)}" aria-label="{title}">{box}</a>' if node.href else box
