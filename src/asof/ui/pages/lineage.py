"""Lineage: the graph of everything, or of what has to do with one group or view."""

from asof.ui.graph import MOST, drawn, graph_of, with_streams
from asof.ui.page import Asked, Page
from asof.ui.tables import Cell, Column, table_of


def lineage(asked: Asked) -> Page:
    """Return the graph of a store, or around a group or view; of a large store, from where to begin."""
    seen, name = asked.seen, asked.path.get("name", "")
    graph, here = graph_of(seen), ""
    if name:
        found = seen.newest_views.get(name.partition("@")[0])
        here = (seen.view(name) if found is not None else seen.group(name)).ref
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
        table = table_of(things, columns, id_="things", caption="Groups and views", query=asked.query)
    data = {"graph": picture, "table": table, "ref": here, "count": count}
    return Page("lineage.html", f"Lineage of {here}" if here else "Lineage", data)
