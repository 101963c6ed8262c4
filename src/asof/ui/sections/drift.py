"""Which features of a group have moved: those of a commit beside those of a tag, or of all commits before it."""

from collections.abc import Mapping
from typing import Any

from asof.errors import AsofError
from asof.registry.registered import RegisteredGroup
from asof.statistics.drift import FeatureDrift
from asof.ui.page import Section, Subject
from asof.ui.shown import age
from asof.ui.tables import Cell, Column, prose, table_of

RECENT = 40
"""Commits that can be chosen."""

TONES = {"drifted": "warn", "same": "good", "unknown": ""}


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    asked, group = subject.asked, subject.registered
    now_us = asked.sight.now_us
    commits = [each for each in asked.sight.commits(group, limit=RECENT) if each.rows]
    if len(commits) < 2:  # noqa: PLR2004 - two sides
        return {"few": True}
    numbers = {each.id: each.number for each in commits}
    current = asked.query.get("current", commits[-1].id)
    baseline, by = asked.query.get("baseline", ""), asked.query.get("by", "")
    before = (1, max(numbers.get(current, commits[-1].number) - 1, 1))
    form: dict[str, Any] = {
        "few": False,
        "url": subject.url,
        "current": current,
        "baseline": baseline,
        "by": by,
        "columns": group.definition.columns,
        "commits": [(each.id, f"{each.id}, {age(each.committed_at_us, now_us)}") for each in reversed(commits)],
        "tags": [each.name for each in asked.sight.tags()],
        "problem": "",
        "table": None,
        "notes": (),
    }
    try:
        found = asked.sight.drift(group, baseline=baseline or before, current=current, by=by)
    except AsofError as error:
        return {**form, "problem": str(error)}
    table = table_of(list(found.features), _columns(), id_="drift", caption="Features", query=asked.query)
    return {**form, "table": table, "notes": found.notes, "sides": f"{found.current}, beside {found.baseline}"}


def _columns() -> list[Column[FeatureDrift]]:
    return [
        Column("name", "feature", lambda each: Cell(each.name, each.name, tone="code")),
        Column("verdict", "verdict", lambda each: Cell(each.verdict, each.verdict, tone=TONES[each.verdict])),
        Column("psi", "psi", _psi, numeric=True),
        Column("missing", "missing", _missing, numeric=True),
        Column("why", "why", lambda each: prose("; ".join(each.why))),
        Column("moved", "moved by", lambda each: prose(str(each.moved_by[0]) if each.moved_by else "")),
    ]


def _psi(each: FeatureDrift) -> Cell:
    found = each.value("psi")
    return Cell("") if found is None else Cell(f"{found:.3g}", found, title="population stability index")


def _missing(each: FeatureDrift) -> Cell:
    return Cell(f"{each.baseline_missing:.1%} → {each.current_missing:.1%}", each.current_missing)


def _has_rows(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.source is None and subject.registered.definition.external is None


OF_GROUP: Section[RegisteredGroup] = Section("Drift", "sections/drift.html", _made, tab="drift", applies=_has_rows)
