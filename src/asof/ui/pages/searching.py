"""Search: a page of its own, and what the field at the top of each page shows while somebody types."""

from urllib.parse import quote

from asof.catalog.search import Hit
from asof.ui.page import Asked, Page
from asof.ui.shown import value
from asof.ui.tables import Cell, Column, prose, table_of

SHOWN = 12
"""Hits that are shown while somebody types."""


def searching(asked: Asked) -> Page:
    """Return all hits, as a table."""
    words = asked.query.get("q", "").strip()
    columns: list[Column[Hit]] = [
        Column("name", "name", lambda hit: Cell(hit.name, hit.name, _page_of(hit))),
        Column("kind", "kind", lambda hit: Cell(hit.kind, hit.kind)),
        Column("where", "found in", lambda hit: Cell(hit.where, hit.where)),
        Column("text", "text", lambda hit: prose(value(hit.text))),
    ]
    table = table_of(asked.seen.search(words), columns, id_="hits", caption="Found", query=asked.query)
    return Page("search.html", f"Search: {words}" if words else "Search", {"table": table, "asked_for": words})


def hits(asked: Asked) -> Page:
    """Return the best hits, as a piece of a page."""
    words = asked.query.get("q", "").strip()
    found = asked.seen.search(words)
    shown = [(hit, _page_of(hit)) for hit in found[:SHOWN]]
    return Page("hits.html", "", {"hits": shown, "more": max(len(found) - SHOWN, 0), "asked_for": words})


def _page_of(hit: Hit) -> str:
    if hit.kind == "view":
        return f"/views/{quote(hit.name)}"
    group, _, feature = hit.name.partition(".")
    return f"/groups/{quote(group)}" + (f"#feature-{quote(feature)}" if feature else "")
