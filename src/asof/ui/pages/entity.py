"""Entities: what features describe, and a console that looks a key up in all groups of one."""

from itertools import accumulate

from asof.definitions.entity import Entity
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.console import console
from asof.ui.links import page_of
from asof.ui.page import Asked, Page
from asof.ui.tables import Column, number, plain, prose, table_of

MOST = 150
"""Features that one look-up asks for; of one group all."""


def entities(asked: Asked) -> Page:
    """Return the list of entities."""
    columns: list[Column[tuple[Entity, list[RegisteredGroup]]]] = [
        Column("name", "name", lambda each: plain(each[0].name, f"/entities/{each[0].name}")),
        Column("keys", "keys", lambda each: prose(_keys(each[0]))),
        Column("groups", "groups", lambda each: number(len(each[1])), numeric=True),
        Column("about", "description", lambda each: prose(each[0].description)),
    ]
    table = table_of(list(asked.seen.entities.values()), columns, id_="entities", caption="Entities", query=asked.query)
    return Page("list.html", "Entities", {"table": table, "only": "", "of": "entities"})


def entity(asked: Asked) -> Page:
    """Return the page of an entity."""
    seen = asked.seen
    own, groups = seen.entity(asked.path["name"])
    views = [
        each
        for each in seen.newest_views.values()
        if any(g.definition.entity.name == own.name for g in each.groups.values())
    ]
    asks: list[tuple[RegisteredGroup | RegisteredView, str]] = [
        (each, page_of(each, seen))
        for each in groups
        if each.definition.online and dict(each.definition.entity.keys) == dict(own.keys)
    ]
    sums = accumulate(len(each.definition.features) for each, _ in asks)
    many = max(sum(each <= MOST for each in sums), min(len(asks), 1))
    data = {
        "entity": own,
        "keys": _keys(own),
        "console": console(asked, asked.url, own.keys, asks[:many]) if asks else None,
        "left": len(asks) - many,
        "groups": table_of(groups, _group_columns(asked), id_="groups", caption="Groups of it", query=asked.query),
        "views": table_of(views, _view_columns(asked), id_="views", caption="Views that read them", query=asked.query),
    }
    return Page("entity.html", own.name, data)


def _keys(entity: Entity) -> str:
    return ", ".join(f"{name}: {dtype}" for name, dtype in entity.keys.items())


def _group_columns(asked: Asked) -> list[Column[RegisteredGroup]]:
    return [
        Column("name", "name", lambda each: plain(each.definition.name, page_of(each, asked.seen))),
        Column("features", "features", lambda each: number(len(each.definition.features)), numeric=True),
        Column("online", "online", lambda each: plain("yes" if each.definition.online else "no")),
        Column("about", "description", lambda each: prose(each.definition.description)),
    ]


def _view_columns(asked: Asked) -> list[Column[RegisteredView]]:
    return [
        Column("name", "name", lambda each: plain(each.definition.name, page_of(each, asked.seen))),
        Column("features", "features", lambda each: number(len(each.definition.features)), numeric=True),
        Column("about", "description", lambda each: prose(each.definition.description)),
    ]
