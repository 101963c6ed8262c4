"""Views: the list of them, and the page of each."""

from typing import TYPE_CHECKING

from asof.errors import NotFoundError
from asof.ui.links import page_of
from asof.ui.page import OVERVIEW, Asked, Page, Subject, sections_of, tabs_of
from asof.ui.sections import OF_VIEW
from asof.ui.tables import Column, number, plain, prose, table_of

if TYPE_CHECKING:
    from asof.registry.registered import RegisteredView


def views(asked: Asked) -> Page:
    """Return the list of views: the newest version of each."""
    seen = asked.seen
    columns: list[Column[RegisteredView]] = [
        Column("name", "name", lambda each: plain(each.definition.name, page_of(each, seen))),
        Column("keys", "keys", lambda each: prose(", ".join(each.definition.spine_keys))),
        Column("features", "features", lambda each: number(len(each.definition.features)), numeric=True),
        Column("groups", "groups", lambda each: number(len(each.groups)), numeric=True),
        Column("owner", "owner", lambda each: plain(each.definition.owner)),
        Column("description", "description", lambda each: prose(each.definition.description)),
    ]
    table = table_of(list(seen.newest_views.values()), columns, id_="views", caption="Views", query=asked.query)
    return Page("list.html", "Views", {"table": table, "only": "", "of": "views"})


def view(asked: Asked, tab: str = OVERVIEW) -> Page:
    """Return the page of a view, or one of its tabs."""
    found = asked.seen.view(asked.path["name"])
    subject, tab = Subject(asked, found), asked.path.get("tab", tab)
    tabs = tabs_of(OF_VIEW, subject)
    if tab not in tabs:
        raise NotFoundError.named("tab", tab, [each for each in tabs if each], where=f"view {found.ref}")
    data = {
        "kind": "view",
        "about": found.definition,
        "ref": found.ref,
        "url": subject.url,
        "tab": tab,
        "tabs": tabs,
        "sections": sections_of(OF_VIEW, subject, tab),
    }
    return Page("subject.html", found.ref, data)
