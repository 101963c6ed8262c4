"""Groups: the list of them, and the page of each."""

from asof.errors import NotFoundError
from asof.ui.health import State, states
from asof.ui.links import page_of
from asof.ui.page import OVERVIEW, Asked, Page, Subject, sections_of, tabs_of
from asof.ui.sections import OF_GROUP
from asof.ui.shown import age, moment
from asof.ui.sight import Seen
from asof.ui.tables import Cell, Column, number, plain, prose, table_of

ONLY = ("stale", "failing")
"""What the list may be narrowed to."""


def groups(asked: Asked) -> Page:
    """Return the list of groups: the newest version of each."""
    seen, only = asked.seen, asked.query.get("only", "")
    every = states(asked.sight, seen)
    if only in ONLY:
        every = [each for each in every if getattr(each, only)]
    columns = _columns(seen, asked.sight.now_us)
    table = table_of(every, columns, id_="groups", caption="Groups", query=asked.query)
    return Page("list.html", "Groups", {"table": table, "only": only if only in ONLY else "", "of": "groups"})


def group(asked: Asked, tab: str = OVERVIEW) -> Page:
    """Return the page of a group, or one of its tabs."""
    found = asked.seen.group(asked.path["name"])
    subject, tab = Subject(asked, found), asked.path.get("tab", tab)
    tabs = tabs_of(OF_GROUP, subject)
    if tab not in tabs:
        raise NotFoundError.named("tab", tab, [each for each in tabs if each], where=f"group {found.ref}")
    data = {
        "kind": "group",
        "about": found.definition,
        "ref": found.ref,
        "url": subject.url,
        "tab": tab,
        "tabs": tabs,
        "sections": sections_of(OF_GROUP, subject, tab),
    }
    return Page("subject.html", found.ref, data)


def _columns(seen: Seen, now_us: int) -> list[Column[State]]:
    def name(each: State) -> Cell:
        return Cell(each.group.definition.name, each.group.definition.name, page_of(each.group, seen))

    def newest(each: State) -> Cell:
        event_us = each.totals.max_event_us
        tone = "warn" if each.stale else ""
        return Cell(age(event_us, now_us), event_us, tone=tone, title="" if event_us is None else moment(event_us))

    def rows(each: State) -> Cell:
        return number(each.totals.rows) if each.group.source is None else Cell("", title="made of events")

    return [
        Column("name", "name", name),
        Column("entity", "entity", lambda each: plain(each.group.definition.entity.name)),
        Column("features", "features", lambda each: number(len(each.group.definition.features)), numeric=True),
        Column("rows", "rows", rows, numeric=True),
        Column("newest", "newest row", newest, numeric=True),
        Column("online", "online", lambda each: plain("yes" if each.group.definition.online else "no")),
        Column("owner", "owner", lambda each: plain(each.group.definition.owner)),
        Column("description", "description", lambda each: prose(each.group.definition.description)),
    ]
