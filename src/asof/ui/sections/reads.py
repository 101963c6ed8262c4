"""What a group or view is made of, and what is made of it."""

from collections.abc import Mapping
from typing import Any

from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.graph import MOST, drawn, graph_of, with_streams
from asof.ui.page import Section, Subject


def _made(subject: Subject[Any]) -> Mapping[str, Any] | None:
    asked, ref = subject.asked, subject.registered.ref
    models = asked.sight.models(asked.seen)
    graph = graph_of(asked.seen, models, asked.sight.fitted_on(models)).around(ref)
    if len(graph.nodes) <= MOST:
        graph = with_streams(graph, asked.sight, asked.seen)
    if not graph.edges:
        return None
    return {"graph": drawn(graph, ref) if len(graph.nodes) <= MOST else None, "ref": ref, "count": len(graph.nodes)}


OF_GROUP: Section[RegisteredGroup] = Section("Lineage", "sections/lineage.html", _made)
OF_VIEW: Section[RegisteredView] = Section("Lineage", "sections/lineage.html", _made)
