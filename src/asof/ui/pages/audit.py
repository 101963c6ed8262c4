"""The audit log: who changed what, and what was denied."""

from asof.records import Deed
from asof.ui.links import page_of_ref
from asof.ui.page import Asked, Page
from asof.ui.shown import age, moment
from asof.ui.tables import Cell, Column, table_of

MOST = 200
"""Deeds that are looked at: the newest."""


def audit(asked: Asked) -> Page:
    """Return the audit log; it is for admins of all projects.

    Raises:
        DeniedError: The caller is none.
    """
    if not asked.caller.everywhere("admin"):
        raise asked.caller.denied("admin", "*", about="the audit log")
    seen, now_us, words = asked.seen, asked.sight.now_us, asked.query.get("matching", "")
    columns: list[Column[Deed]] = [
        Column("at", "when", lambda each: Cell(age(each.at_us, now_us), each.at_us, title=moment(each.at_us))),
        Column("writer", "who", lambda each: Cell(each.writer, each.writer or None, tone="wrap")),
        Column("what", "what", lambda each: Cell(each.what, each.what)),
        Column("about", "about", lambda each: Cell(each.about, each.about, page_of_ref(_ref(each.about), seen))),
        Column("outcome", "outcome", _outcome),
        Column("note", "note", lambda each: Cell(each.note, each.note or None, tone="wrap")),
    ]
    deeds = asked.sight.audit(matching=words, limit=MOST)
    table = table_of(deeds, columns, id_="deeds", caption="Changes and denied tries", query=asked.query)
    return Page("audit.html", "Audit", {"table": table, "matching": words, "most": MOST})


def _ref(about: str) -> str:
    """Return the version that a deed is about: "weather@1" of "weather@1:17"."""
    return about.partition(":")[0]


def _outcome(deed: Deed) -> Cell:
    return Cell(deed.outcome, deed.outcome, tone="bad" if deed.outcome == "denied" else "")
