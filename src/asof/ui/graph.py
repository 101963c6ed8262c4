"""What is made of what, as a graph that is laid out in layers from left to right.

Its boxes are sources, groups, views, models and logs.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup, escape

from asof.definitions.quarantine import is_quarantine
from asof.definitions.serving_log import PREDICTIONS_OF, is_log, log_name
from asof.definitions.training_set import MADE_WITH, is_training_set
from asof.registry.registered import RegisteredGroup
from asof.training.model import Model
from asof.ui.links import model_page, page_of
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
    """A box: a source outside, a group, a view, a model.

    Attributes:
        id: Its name: "weather@1", "parquet:/data".
        kind: "source", "group", "view", "model" or "log": what asof keeps beside them.
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


def graph_of(seen: Seen, models: Sequence[Model] = (), fitted: Mapping[str, str] | None = None) -> Graph:
    """Return the graph of all groups and views, with the places outside where rows of groups stay.

    Args:
        seen: What the caller may read.
        models: Versions of models: the live ones among them are in the graph.
        fitted: The groups that keep the training sets of models, by their versions.
    """
    nodes: dict[str, Node] = {}
    edges: set[tuple[str, str]] = set()
    logs = {log_name(view.definition.name): view for view in seen.newest_views.values() if view.definition.log}
    for group in seen.groups:
        name, outside = group.definition.name, group.definition.external or group.definition.taken_from
        nodes[group.ref] = Node(group.ref, "log" if name in logs else "group", page_of(group, seen))
        if group.parent is not None:
            edges.add((group.parent.ref, group.ref))
        if outside is not None:
            nodes[str(outside)] = Node(str(outside), "source")
            edges.add((str(outside), group.ref))
        if name in logs:
            edges.add((logs[name].ref, group.ref))
        if is_training_set(group.definition):
            nodes[group.ref] = replace(nodes[group.ref], kind="log")
            edges.add((group.definition.tags.get(MADE_WITH, ""), group.ref))
        kept = seen.newest_groups.get(group.definition.tags.get("quarantine", ""))
        if kept is not None and is_quarantine(group.definition):
            nodes[group.ref] = replace(nodes[group.ref], kind="log")
            edges.add((kept.ref, group.ref))
    for view in seen.views:
        nodes[view.ref] = Node(view.ref, "view", page_of(view, seen))
        edges |= {(group.ref, view.ref) for group in view.groups.values()}
    for model in (each for each in models if each.live):
        nodes[model.ref] = Node(model.ref, "model", model_page(model.name))
        edges.add(((fitted or {}).get(model.training_set, model.view), model.ref))
    for group in seen.newest_groups.values():
        of = group.definition.tags.get(PREDICTIONS_OF) if is_log(group.definition) else None
        if of is not None:
            nodes[group.ref] = replace(nodes[group.ref], kind="log")
            edges |= {(each.ref, group.ref) for each in models if each.live and each.name == of and each.said.log}
    return Graph(nodes, frozenset(edge for edge in edges if nodes.keys() >= set(edge)))


def with_streams(graph: Graph, sight: Sight, seen: Seen) -> Graph:
    """Return a graph with the streams that are read into its groups."""
    nodes, edges = dict(graph.nodes), set(graph.edges)
    for ref in graph.nodes:
        group = seen.refs.get(ref)
        if isinstance(group, RegisteredGroup) and group.parent is None:
            for stream in sorted({name for name, _ in sight.streams(group)}):
                nodes[f"stream {stream}"] = Node(f"stream {stream}", "source")
                edges.add((f"stream {stream}", ref))
    return Graph(nodes, frozenset(edges))


def drawn(graph: Graph, here: str = "") -> Markup:
    """Return a graph as SVG whose boxes are links; `here` is the box of the page."""
    layers, ways = _layers(graph)
    places: dict[str, tuple[int, int]] = {}
    heights = [sum(_height(graph, name) + DOWN for name in layer) - DOWN for layer in layers]
    tallest = max(heights, default=HIGH)
    for number, (layer, high) in enumerate(zip(layers, heights, strict=True)):
        y = 1 + (tallest - high) // 2
        for name in layer:
            places[name] = 1 + number * (WIDE + ACROSS), y + _height(graph, name) // 2
            y += _height(graph, name) + DOWN
    width = max(len(layers), 1) * (WIDE + ACROSS) - ACROSS + 2
    lines = "".join(_line([places[name] for name in way]) for way in ways)
    boxes = "".join(_box(node, *places[name], here=name == here) for name, node in graph.nodes.items())
    return Markup(  # noqa: S704 - numbers, and escaped text
        f'<svg class="graph" width="{width}" height="{tallest + 2}" viewBox="0 0 {width} {tallest + 2}" '
        f'aria-label="lineage">{lines}{boxes}</svg>'
    )


def _height(graph: Graph, name: str) -> int:
    return HIGH if name in graph.nodes else 0


def _layers(graph: Graph) -> tuple[list[list[str]], list[list[str]]]:
    """Return the boxes in layers, as far to the right as what they lead to allows; and the way of each edge.

    An edge over several layers has a place of its own in each between, so that it crosses no box.
    """
    after: defaultdict[str, list[str]] = defaultdict(list)
    for start, end in sorted(graph.edges):
        after[start].append(end)
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            depths[name] = 0  # definitions have no circles; should one be, it ends here
            depths[name] = 1 + max(map(depth, after[name]), default=-1)
        return depths[name]

    deepest = max(map(depth, graph.nodes), default=0)
    layers: list[list[str]] = [[] for _ in range(deepest + 1)]
    for name in sorted(graph.nodes):
        layers[deepest - depths[name]].append(name)
    ways: list[list[str]] = []
    for start, end in sorted(graph.edges):
        between = range(deepest - depths[start] + 1, deepest - depths[end])
        bends = [f"{start} > {end} > {number}" for number in between]
        for number, name in zip(between, bends, strict=True):
            layers[number].append(name)
        ways.append([start, *bends, end])
    _untangle(layers, ways)
    return layers, ways


def _untangle(layers: list[list[str]], ways: Sequence[Sequence[str]]) -> None:
    """Order each layer by the middle of its neighbours in the one beside it: to the right, and back again."""
    before: defaultdict[str, list[str]] = defaultdict(list)
    after: defaultdict[str, list[str]] = defaultdict(list)
    for way in ways:
        for start, end in pairwise(way):
            before[end].append(start)
            after[start].append(end)
    for neighbours, order in ((before, layers), (after, layers[::-1]), (before, layers)):
        places: dict[str, float] = {}
        for layer in order:
            middles = {name: _middle([places[each] for each in neighbours[name] if each in places]) for name in layer}
            layer.sort(key=lambda name, middles=middles: middles[name])
            places |= {name: (row + 0.5) / len(layer) for row, name in enumerate(layer)}


def _middle(places: Sequence[float]) -> float:
    return sum(places) / len(places) if places else 0.5


def _line(way: Sequence[tuple[int, int]]) -> str:
    """Return the way of an edge: curves between layers, straight through those that it only passes."""
    x, y = way[0]
    parts = [f"M{x + WIDE},{y}"]
    for number, (to_x, to_y) in enumerate(way[1:], 1):
        from_x = x + WIDE
        bend = (from_x + to_x) // 2
        parts.append(f"C{bend},{y} {bend},{to_y} {to_x},{to_y}")
        if number < len(way) - 1:
            parts.append(f"H{to_x + WIDE}")
        x, y = to_x, to_y
    return f'<path class="edge" d="{" ".join(parts)}"/>'


def _box(node: Node, x: int, middle: int, *, here: bool) -> str:
    y = middle - HIGH // 2
    name = node.id if len(node.id) <= LETTERS else f"{node.id[: LETTERS - 1]}…"
    title = escape(f"{node.kind} {node.id}")
    box = (
        f'<g class="node {node.kind}{" here" if here else ""}"><title>{title}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDE}" height="{HIGH}" rx="6"/>'
        f'<text x="{x + 10}" y="{y + HIGH // 2 + 5}">{escape(name)}</text></g>'
    )
    return f'<a href="{escape(node.href)}" aria-label="{title}">{box}</a>' if node.href else box
