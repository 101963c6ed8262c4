"""Jobs: what is made of other groups and how far it is; and what a server has under way, and answered."""

from collections.abc import Sequence

from asof.registry.registered import RegisteredGroup
from asof.ui.figures import Counted
from asof.ui.links import cell_of_ref, page_of
from asof.ui.page import Asked, Page
from asof.ui.sight import Progress
from asof.ui.tables import Cell, Column, Table, prose, table_of


def jobs(asked: Asked) -> Page:
    """Return what there is to do, and what is done."""
    seen = asked.seen
    made = [
        each
        for each in seen.newest_groups.values()
        if each.origin is not None or each.definition.taken_from is not None
    ]
    under_way, most = (0, 0) if asked.figures is None else asked.figures.under_way()
    data = {
        "made": _made(asked, made) if made else None,
        "requests": None if asked.figures is None else _requests(asked, asked.figures.counted()),
        "under_way": under_way,
        "most": most,
        "serves": asked.figures is not None,
    }
    return Page("jobs.html", "Jobs", data)


def _made(asked: Asked, groups: Sequence[RegisteredGroup]) -> Table:
    every = [(each, asked.sight.progress(each)) for each in groups]
    columns: list[Column[tuple[RegisteredGroup, Progress]]] = [
        Column("group", "group", lambda each: Cell(each[0].ref, each[0].ref, page_of(each[0], asked.seen))),
        Column("from", "made from", lambda each: cell_of_ref(each[1].origin, asked.seen)),
        Column("by", "by", lambda each: Cell(each[1].code, each[1].code, tone="code")),
        Column("reached", "up to", lambda each: prose(each[1].reached)),
        Column("behind", "commits behind", _behind, numeric=True),
    ]
    return table_of(
        every, columns, id_="made", caption="Groups that are made from others, or taken from outside", query=asked.query
    )


def _behind(each: tuple[RegisteredGroup, Progress]) -> Cell:
    behind = each[1].behind
    if behind is None:
        return Cell("")
    return Cell(f"{behind:,}", behind, tone="warn" if behind else "good")


def _requests(asked: Asked, counted: Counted) -> Table:
    every = [(each, status, count) for each, by in counted.requests.items() for status, count in by.items()]
    columns: list[Column[tuple[str, str, int]]] = [
        Column("operation", "operation", lambda each: Cell(each[0], each[0])),
        Column("status", "status", lambda each: Cell(each[1], each[1], tone="bad" if each[1] >= "500" else "")),
        Column("count", "requests", lambda each: Cell(f"{each[2]:,}", each[2]), numeric=True),
    ]
    caption = "Requests since the server began"
    return table_of(every, columns, id_="requests", caption=caption, query=asked.query, order="-count")
