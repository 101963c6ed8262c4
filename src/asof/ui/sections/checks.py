"""What checks said of the newest writes to a group."""

from collections.abc import Mapping
from typing import Any

from asof.checks import CheckReport
from asof.registry.registered import RegisteredGroup
from asof.ui.charts import Bar, bars
from asof.ui.page import Section, Subject
from asof.ui.shown import age, moment
from asof.ui.tables import Cell, Column, number, prose, table_of

MOST = 200
"""The newest reports are listed."""

BARS = 60


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    asked, own = subject.asked, subject.registered.definition
    reports, now_us = asked.sight.reports(subject.registered, limit=MOST), asked.sight.now_us
    columns: list[Column[CheckReport]] = [
        Column("at", "when", lambda each: Cell(age(each.at_us, now_us), each.at_us, title=moment(each.at_us))),
        Column("commit", "commit", lambda each: Cell(each.commit or "none", each.at_us)),
        Column("outcome", "outcome", _outcome),
        Column("rows", "rows", lambda each: number(each.rows), numeric=True),
        Column("aside", "put aside", lambda each: number(each.set_aside), numeric=True),
        Column("broken", "broken", lambda each: prose("; ".join(map(str, each.broken)))),
        Column("writer", "writer", lambda each: prose(each.writer)),
    ]
    table = table_of(reports, columns, id_="reports", caption="Writes, the newest first", query=asked.query)
    mode = {"strict": "the write is refused", "quarantine": "its rows are put aside", "warn": "it is said"}
    return {
        "checks": [str(check) for check in own.checks],
        "then": mode.get(own.on_violation, "nothing happens: they are off"),
        "table": table,
        "chart": _chart(reports[:BARS][::-1]),
    }


def _outcome(report: CheckReport) -> Cell:
    if report.refused:
        return Cell("refused", "refused", tone="bad")
    return Cell("hold", "hold", tone="good") if report.passed else Cell("broken", "broken", tone="warn")


def _chart(reports: list[CheckReport]) -> Any:  # noqa: ANN401 - markup
    """Return how many rows broke a check, by write; None if none ever did."""
    counts = [sum(result.broken for result in each.results) for each in reports]
    if not any(counts):
        return None
    each = [
        Bar(report.commit.rpartition(":")[2] or "none", count, f"{moment(report.at_us)}: {count:,} of {report.rows:,}")
        for report, count in zip(reports, counts, strict=True)
    ]
    return bars(each, unit="broken, by write", about=f"Rows that broke checks in the newest {len(each)} writes")


def _has_checks(subject: Subject[RegisteredGroup]) -> bool:
    return bool(subject.registered.definition.checks)


OF_GROUP: Section[RegisteredGroup] = Section("Checks", "sections/checks.html", _made, tab="checks", applies=_has_checks)
