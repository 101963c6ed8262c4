"""Rows of a group: the newest of each key, now or as of a time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from asof.errors import AsofError
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN
from asof.registry.registered import RegisteredGroup
from asof.ui.page import Section, Subject
from asof.ui.shown import local, value
from asof.ui.tables import Cell, Column, table_of

ROWS = 50
"""Keys that are shown."""


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    asked, group = subject.asked, subject.registered
    known = "served" if asked.query.get("known") == "served" else "event"
    form: dict[str, Any] = {"known": known, "static": group.definition.static, "url": subject.url, "at": ""}
    try:
        at = asked.moment("at")
        form["at"] = local(at)
        rows, more = asked.sight.rows(
            group,
            limit=ROWS,
            at=None if group.definition.static else at,
            known=at if known == "served" or group.definition.static else None,
        )
    except AsofError as error:
        return {**form, "problem": str(error), "table": None, "more": False}
    names = [name for name in rows.column_names if not name.startswith("__")]
    columns = [column_of(name, number) for number, name in enumerate(names)]
    if COMMIT_COLUMN in rows.column_names:
        columns += [
            column_of("commit", rows.column_names.index(COMMIT_COLUMN)),
            column_of("available", rows.column_names.index(AVAILABLE_COLUMN), "available at"),
        ]
    things = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
    about = f"The newest row of each key, as of {at:%Y-%m-%d %H:%M:%S} UTC" if at else "The newest row of each key"
    table = table_of(things, columns, id_="rows", caption=about, query=asked.query)
    return {**form, "problem": "", "table": table, "more": more, "shown": len(things)}


def column_of(name: str, number: int, title: str = "") -> Column[tuple[Any, ...]]:
    """Return the column of a place in rows of values."""

    def cell(row: tuple[Any, ...]) -> Cell:
        given = row[number]
        return Cell(value(given), _key(given), tone="null" if given is None else "")

    return Column(name, title or name, cell)


def _key(given: Any) -> str | float | int | None:  # noqa: ANN401 - any of our types
    if isinstance(given, datetime):
        return given.timestamp()
    return given if isinstance(given, str | int | float) or given is None else str(given)


def _has_rows(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.source is None


OF_GROUP: Section[RegisteredGroup] = Section("Data", "sections/data.html", _made, tab="data", applies=_has_rows)
