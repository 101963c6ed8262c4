"""Commits as a table."""

from collections.abc import Mapping, Sequence

from asof.records import Commit
from asof.ui.links import page_of_ref
from asof.ui.shown import age, moment
from asof.ui.sight import Seen
from asof.ui.tables import Cell, Column, Table, number, prose, table_of


def commit_table(
    commits: Sequence[Commit],
    seen: Seen,
    *,
    now_us: int,
    query: Mapping[str, str],
    caption: str,
    detailed: bool = False,
) -> Table:
    """Return commits, in their order, as a table; a detailed one has columns for what most commits lack."""
    columns: list[Column[Commit]] = [
        Column("commit", "commit", lambda each: Cell(each.id, each.id, page_of_ref(each.group, seen))),
        Column("kind", "kind", lambda each: Cell(each.kind, each.kind)),
        Column("at", "committed", lambda each: _when(each, now_us), numeric=True),
        Column("rows", "rows", lambda each: number(each.rows), numeric=True),
        Column("writer", "writer", lambda each: prose(each.writer)),
    ]
    more: list[Column[Commit]] = [
        Column("unchanged", "unchanged", lambda each: number(each.unchanged), numeric=True),
        Column("aside", "put aside", _aside, numeric=True),
        Column("note", "note", _note),
    ]
    columns += more if detailed else []
    return table_of(commits, columns, id_="commits", caption=caption, query=query)


def _when(commit: Commit, now_us: int) -> Cell:
    return Cell(age(commit.committed_at_us, now_us), commit.committed_at_us, title=moment(commit.committed_at_us))


def _aside(commit: Commit) -> Cell:
    return Cell(f"{commit.quarantined:,}", commit.quarantined, tone="bad" if commit.quarantined else "")


def _note(commit: Commit) -> Cell:
    parts = [commit.reason, *(f"{name}={value}" for name, value in commit.meta.items())]
    parts += [f"retracts {commit.group}:{commit.target}"] if commit.target is not None else []
    return prose(", ".join(part for part in parts if part))
