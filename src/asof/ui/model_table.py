"""Versions of models as a table, on their own page and on that of a view."""

from collections.abc import Mapping, Sequence

from asof.clock import show_us
from asof.training.model import Model, told
from asof.ui.links import cell_of_ref, model_page
from asof.ui.page import Asked
from asof.ui.tables import Cell, Column, Table, plain, prose, table_of

STAGES: Mapping[str, str] = {"production": "good", "staging": "warn", "archived": "", "none": ""}
"""How a stage is marked."""


def versions_table(asked: Asked, versions: Sequence[Model], *, id_: str = "versions") -> Table:
    """Return versions of models as a table, the newest first."""
    seen, fitted = asked.seen, asked.sight.fitted_on(versions)

    def training_set(each: Model) -> Cell:
        group = cell_of_ref(fitted.get(each.training_set, ""), seen)
        return Cell(each.training_set, each.training_set, group.href)

    columns: list[Column[Model]] = [
        Column("model", "model", lambda each: Cell(each.ref, each.ref, model_page(each.name))),
        Column("stage", "stage", stage_cell),
        Column("set", "fitted on", training_set),
        Column("view", "view", lambda each: cell_of_ref(each.view, seen)),
        Column("metrics", "metrics", lambda each: prose(told(each.metrics))),
        Column("logged", "logged", lambda each: Cell(f"{each.said.log:.0%}", each.said.log), numeric=True),
        Column("kept", "kept", lambda each: Cell(show_us(each.kept.created_at_us), each.kept.created_at_us)),
        Column("by", "by", lambda each: plain(each.writer)),
    ]
    return table_of(versions[::-1], columns, id_=id_, caption="Versions", query=asked.query)


def stage_cell(each: Model) -> Cell:
    """Return a cell that says the stage of a version."""
    return Cell(each.stage, each.stage, tone=STAGES[each.stage])
