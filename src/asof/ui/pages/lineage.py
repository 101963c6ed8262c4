"""Lineage: the graph of everything, or of what has to do with one group, view or model."""

from collections.abc import Sequence

from asof.training.model import Model
from asof.ui.graph import MOST, drawn, graph_of, with_streams
from asof.ui.page import Asked, Page
from asof.ui.sight import Seen
from asof.ui.tables import Cell, Column, table_of


def lineage(asked: Asked) -> Page:
    """Return the graph of a store, or around a group, view or model; of a large store, from where to begin."""
    seen, name = asked.seen, asked.path.get("name", "")
    models = asked.sight.models(seen)
    graph, here = graph_of(seen, models, asked.sight.fitted_on(models)), ""
    if name:
        here = _ref(seen, models, name)
        graph = graph.around(here)
    else:
        graph = graph.only(each for edge in graph.edges for each in edge)
    count = len(graph.nodes)
    picture = drawn(with_streams(graph, asked.sight, seen), here) if count <= MOST else None
    table = None
    if picture is None:
        joined = sorted((each for each in graph.nodes.values() if each.href), key=lambda each: (each.kind, each.id))
        columns: list[Column[tuple[str, str]]] = [
            Column("name", "name", lambda each: Cell(each[0], each[0], f"/lineage/{each[0]}")),
            Column("kind", "kind", lambda each: Cell(each[1], each[1])),
        ]
        things = [(each.id, each.kind) for each in joined]
        table = table_of(things, columns, id_="things", caption="Groups, views and models", query=asked.query)
    data = {"graph": picture, "table": table, "ref": here, "count": count}
    return Page("lineage.html", f"Lineage of {here}" if here else "Lineage", data)


def _ref(seen: Seen, models: Sequence[Model], name: str) -> str:
    """Return the version of a group, a view, or a model, whichever has the name.

    Raises:
        NotFoundError: With names that come close.
    """
    base = name.partition("@")[0]
    if base in seen.newest_views:
        return seen.view(name).ref
    found = [each.ref for each in models if each.live and name in (each.name, each.ref)]
    return found[-1] if found and base not in seen.newest_groups else seen.group(name).ref
