"""`asof materialize`."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, Document, commit_document
from asof.cli.lookup import moment
from asof.cli.screen import counted
from asof.cli.writing import show_commit

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.records import Commit

SHAPE: Document = {
    "rows": 72,
    "commits": [{**COMMIT_SHAPE, "commit": "departures@1:3", "group": "departures@1", "kind": "backfill"}],
}


@asof_command("materialize", shape=SHAPE)
@store_argument
@click.argument("group")
@click.option("--start", metavar="TIME", help="Only event times after this one: they are made again.")
@click.option("--end", metavar="TIME", help="Only event times up to and including this one: they are made again.")
@click.option("--full", is_flag=True, help="Make all rows again, in place of those from before.")
@click.option("--backfill", is_flag=True, help="They are history: known since their event time and the group's delay.")
def command(store: str, group: str, start: str | None, end: str | None, full: bool, backfill: bool) -> Answer:  # noqa: FBT001, PLR0917 - click's options
    """Make the rows of a group from what is new in its source.

    GROUP has a source: another group, files, a function. Python's code is imported from the present folder, or from
    where Python finds it. A TIME is written as 2026-01-01T12:00:00Z. What was made stays if a later step fails, or is
    killed; type it again to go on.
    """
    bounds = moment(start, "--start"), moment(end, "--end")
    with _here(), open_store(store) as opened:
        commits = opened.materialize(group, *bounds, full=full, backfill=backfill, progress=True)
    rows = sum(commit.rows for commit in commits)
    document = {"rows": rows, "commits": list(map(commit_document, commits))}
    return Answer(document, lambda screen: _show(screen, group, commits, rows))


def _show(screen: "Screen", group: str, commits: "list[Commit]", rows: int) -> None:
    if not commits:
        screen.line(f"{group}: nothing new in its source", style="green")
    for commit in commits:
        if commit.target is None:
            show_commit(screen, commit)
    retracted = sum(commit.target is not None for commit in commits)
    if retracted:
        screen.line(f"{counted(rows, 'row')} made; {counted(retracted, 'commit')} from before retracted")


@contextmanager
def _here() -> Generator[None]:
    """Let Python find modules in the present folder, as `python -m` does."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
