"""The training sets that were made with a view."""

from collections.abc import Mapping
from typing import Any

from asof.clock import show_us
from asof.definitions.training_set import MADE_WITH, TAG, is_training_set
from asof.registry.registered import RegisteredGroup, RegisteredView
from asof.ui.links import page_of
from asof.ui.page import Section, Subject
from asof.ui.tables import Cell, Column, table_of

MOST = 50


def _made(subject: Subject[RegisteredView]) -> Mapping[str, Any] | None:
    seen = subject.asked.seen
    found = [
        group
        for group in seen.groups
        if is_training_set(group.definition) and group.definition.tags.get(MADE_WITH) == subject.registered.ref
    ]
    if not found:
        return None

    def name(group: RegisteredGroup) -> Cell:
        text = group.definition.tags[TAG]
        return Cell(text, text, page_of(group, seen), tone="code")

    def rows(group: RegisteredGroup) -> Cell:
        count = subject.asked.sight.total(group).rows
        return Cell(f"{count:,}", count)

    columns: list[Column[RegisteredGroup]] = [
        Column("name", "training set", name),
        Column("rows", "rows", rows, numeric=True),
        Column("made", "made at", lambda each: Cell(show_us(each.created_at_us), each.created_at_us)),
    ]
    newest = sorted(found, key=lambda each: -each.created_at_us)
    query = subject.asked.query
    table = table_of(newest, columns, id_="sets", caption="Training sets", query=query, page_rows=MOST)
    return {"table": table, "anchors": ()}


OF_VIEW: Section[RegisteredView] = Section("Training sets", "sections/table.html", _made)
