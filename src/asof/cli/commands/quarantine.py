"""`asof quarantine`: list, replay, dismiss."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import COMMIT_SHAPE, commit_document, table_document
from asof.cli.files import FILE_IN, FILE_OUT, read_table, write_table
from asof.cli.lookup import find_group
from asof.cli.screen import counted
from asof.cli.writing import show_commit

if TYPE_CHECKING:
    from asof.cli.screen import Screen

LIST_SHAPE = {
    "rows": 2,
    "columns": {"origin": "string", "temp": "double", "__item": "string", "__reasons": "string"},
    "data": [{"origin": "JFK", "temp": 500.0, "__item": "99e6-000000000", "__reasons": "temp between -60 and 140"}],
    "out": None,
}


@click.group("quarantine", short_help="Look after the rows that broke a check.")
def command() -> None:
    """Look after the rows that broke a check: list them, store them when they are mended, or dismiss them.

    A group keeps them with on_violation="quarantine". Messages of streams that are no rows: `asof stream quarantine`.
    """


@asof_command("list", shape=LIST_SHAPE)
@store_argument
@click.argument("group")
@click.option("--limit", type=click.IntRange(0), metavar="N", help="Show so many rows; default: 20, with --json all.")
@click.option("--out", type=FILE_OUT, metavar="FILE", help="Write all of them to a file, to be mended and replayed.")
def listed(store: str, group: str, limit: int | None, out: Path | None) -> Answer:
    """List the rows of a group that broke a check, and that did not come again since."""
    with open_store(store) as opened:
        table = opened.quality.quarantine(group).to_arrow()
    if out is not None:
        write_table(table, out)
    document = {
        **table_document(table, data=out is None, limit=limit),
        "out": None if out is None else str(out),
    }

    def show(screen: "Screen") -> None:
        from asof.cli.preview import show_rows

        if out is not None:
            screen.line(f"{counted(table.num_rows, 'row')} in {out}", style="green")
        elif table.num_rows:
            show_rows(screen, table, limit=limit)
        else:
            screen.line("nothing: no row waits")

    return Answer(document, show)


@asof_command("replay", shape={"commits": [COMMIT_SHAPE]})
@store_argument
@click.argument("group")
@click.argument("file", type=FILE_IN, required=False)
@click.option("--backfill", is_flag=True, help="Count them as known by event time and delay, and not only from now on.")
def replay(store: str, group: str, file: Path | None, backfill: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Store rows that were mended, and take them out of quarantine.

    FILE is what `asof quarantine list --out` wrote, mended: the rows that it still holds are stored. Without it all
    rows are, as they are, if the check was wrong. What still breaks a check stays.
    """
    with open_store(store) as opened:
        rows = None
        if file is not None:
            from asof.arrow.layout import declared_schema
            from asof.quality.quarantine import OWN

            definition = find_group(opened, group)
            declared = [] if definition is None else list(declared_schema(definition))
            types = {field.name: field.type for field in (*declared, *OWN)}
            rows = read_table(file, types, timezone=None if definition is None else definition.timezone)
        commits = opened.quality.replay(group, rows, backfill=backfill)

    def show(screen: "Screen") -> None:
        for commit in commits:
            show_commit(screen, commit)
        if not commits:
            screen.line("nothing: no row waits")

    return Answer({"commits": [commit_document(commit) for commit in commits]}, show)


@asof_command("dismiss", shape={"dismissed": 2})
@store_argument
@click.argument("group")
@click.argument("items", nargs=-1, metavar="[ITEM]...")
@click.option("--all", "every", is_flag=True, help="All rows that wait.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept.")
def dismiss(store: str, group: str, items: tuple[str, ...], every: bool, reason: str) -> Answer:  # noqa: FBT001 - click's flag
    """Take rows out of quarantine that are not to be stored; ITEM is the column __item of the list."""
    if every == bool(items):
        raise click.UsageError("which rows? -> name them, or pass --all")
    with open_store(store) as opened:
        names = opened.quality.quarantine(group).to_arrow().column("__item").to_pylist() if every else items
        count = opened.quality.dismiss(group, names, reason=reason)
    return Answer({"dismissed": count}, lambda screen: screen.line(f"{counted(count, 'row')} dismissed", style="green"))


for each in (listed, replay, dismiss):
    command.add_command(each)
