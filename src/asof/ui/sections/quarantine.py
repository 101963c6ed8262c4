"""Rows of a group that broke a check, and that somebody is to look after."""

from collections.abc import Mapping
from typing import Any

from asof.registry.registered import RegisteredGroup
from asof.ui.page import Section, Subject
from asof.ui.sections.data import column_of
from asof.ui.tables import table_of

ROWS = 500
"""The newest rows are listed."""

FIRST = {"__reasons": "because"}
LAST = {"__set_aside_at": "put aside at", "__commit": "came with", "__item": "item"}


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    rows = subject.asked.sight.quarantine(subject.registered)
    newest = rows.slice(max(rows.num_rows - ROWS, 0))
    titles = FIRST | {name: name for name in rows.column_names if not name.startswith("__")} | LAST
    things = list(zip(*(newest.column(name).to_pylist() for name in titles), strict=True))[::-1]
    columns = [column_of(name.strip("_"), at, title) for at, (name, title) in enumerate(titles.items())]
    table = table_of(things, columns, id_="rows", caption="Rows in quarantine", query=subject.asked.query)
    name, place = subject.registered.definition.name, subject.asked.sight.name
    return {"table": table, "total": rows.num_rows, "name": name, "place": place}


def _keeps(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.definition.on_violation == "quarantine"


OF_GROUP: Section[RegisteredGroup] = Section(
    "Quarantine", "sections/quarantine.html", _made, tab="quarantine", applies=_keeps
)
