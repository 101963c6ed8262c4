"""`asof read`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document, table_document
from asof.cli.files import FILE_OUT, write_table
from asof.cli.lookup import moment
from asof.cli.screen import counted, progress
from asof.cli.writing import column_list

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.training.frame import HistoricalFrame

SHAPE: Document = {
    "rows": 72,
    "columns": {"origin": "string", "temp": "double"},
    "data": [{"origin": "JFK", "temp": 61.0}],
    "out": None,
    "commits": {"weather@1": 17},
}


@asof_command("read", shape=SHAPE)
@store_argument
@click.argument("group")
@click.option("--start", metavar="TIME", help="Only event times after this one.")
@click.option("--end", metavar="TIME", help="Only event times up to and including this one.")
@click.option("--columns", metavar="COL,COL", help="Only these columns.")
@click.option("--known", metavar="TIME", help="Only rows that were available then.")
@click.option("--commits", metavar="TAG", help="Read the group as it stood at a tag, see `asof tag`.")
@click.option("--latest", is_flag=True, help="Only the newest row of each key.")
@click.option("--clocks", is_flag=True, help="Add __commit and __available_at.")
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Show so many rows; default: 20, with --json all."
)
@click.option("--out", type=FILE_OUT, metavar="FILE", help="Where to write all rows; default: show the first ones.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    group: str,
    start: str | None,
    end: str | None,
    columns: str | None,
    known: str | None,
    commits: str | None,
    latest: bool,  # noqa: FBT001 - click's flag
    clocks: bool,  # noqa: FBT001 - click's flag
    limit: int | None,
    out: Path | None,
) -> Answer:
    """Show the stored rows of a group.

    All versions of them, unless --latest is given. A TIME is written as 2026-01-01T12:00:00Z. JSON: `data` holds
    the rows, or null with --out.
    """
    with open_store(store) as opened, progress(f"reading {group}"):
        frame = opened.read(
            group,
            start=moment(start, "--start"),
            end=moment(end, "--end"),
            columns=column_list(columns),
            known=moment(known, "--known"),
            commits=commits,
            latest=latest,
            clocks=clocks,
        )
        if out is not None:
            write_table(frame.to_arrow(), out)
    document = {
        **table_document(frame.to_arrow(), data=out is None, limit=limit),
        "out": None if out is None else str(out),
        "commits": frame.commits,
    }
    return Answer(document, lambda screen: _show(screen, frame, out, limit))


def _show(screen: "Screen", frame: "HistoricalFrame", out: Path | None, limit: int | None) -> None:
    from asof.cli.preview import show_rows

    if out is None:
        show_rows(screen, frame.to_arrow(), limit=limit)
    else:
        screen.line(f"{counted(len(frame), 'row')} x {len(frame.column_names)} columns in {out}", style="green")
