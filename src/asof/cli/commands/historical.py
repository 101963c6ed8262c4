"""`asof historical`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document, table_document
from asof.cli.files import FILE_IN, FILE_OUT, read_table, refuse_spine, write_batches
from asof.cli.lookup import find, known_mode
from asof.cli.screen import counted, progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asof.cli.screen import Advance, Screen
    from asof.training.frame import HistoricalFrame
    from asof.training.report import Report

BATCH_ROWS = 500_000
"""Rows answered and written at a time: their answers take some 250 MB with 55 features."""

STATUSES = ("PRESENT", "NULL", "MISSING", "EXPIRED", "RETIRED")

SHAPE: Document = {
    "rows": 8,
    "columns": {"origin": "string", "temp": "double"},
    "data": None,
    "out": "training.parquet",
    "commits": {"weather@1": 17},
    "report": [{"group": "weather", "known": "served", "coincide": 0, **dict.fromkeys(STATUSES, 0)}],
    "plan": None,
}


@asof_command("historical", shape=SHAPE)
@store_argument
@click.argument("view")
@click.argument("spine_file", type=FILE_IN)
@click.option("--time", required=True, metavar="COL", help="The spine's column of times.")
@click.option("--out", type=FILE_OUT, metavar="FILE", help="Where to write the rows; default: show the first ones.")
@click.option("--known", metavar="WHEN", help='"served", "event", or a time such as 2026-01-01T12:00:00Z.')
@click.option("--commits", metavar="TAG", help="Read the store as it stood at a tag, see `asof tag`.")
@click.option("--statuses", is_flag=True, help="Add a column FEATURE__status for each feature.")
@click.option("--full-names", is_flag=True, help="Name features GROUP__FEATURE.")
@click.option("--timezone", metavar="ZONE", help="Zone of naive times in the spine.")
@click.option("--truncate", is_flag=True, help="Cut times to whole microseconds instead of refusing finer ones.")
@click.option("--explain", is_flag=True, help="Say how each group was read, and how long that took.")
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=BATCH_ROWS,
    show_default=True,
    metavar="N",
    help="With --out, answer and write so many rows of the spine at a time.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="Show so many rows; default: 20, with --json all."
)
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    view: str,
    spine_file: Path,
    time: str,
    out: Path | None,
    known: str | None,
    commits: str | None,
    statuses: bool,  # noqa: FBT001 - click's flag
    full_names: bool,  # noqa: FBT001 - click's flag
    timezone: str | None,
    truncate: bool,  # noqa: FBT001 - click's flag
    explain: bool,  # noqa: FBT001 - click's flag
    batch_rows: int,
    limit: int | None,
) -> Answer:
    """Make a training set: the values known at each time.

    The spine is answered point in time: each row gets the values that were known at its own time. VIEW is a view or a
    group, or features of several: weather:temp,planes:seats. SPINE_FILE (Parquet, CSV or Arrow IPC) has its key columns
    and a column of times; its other columns are kept as they are. JSON: `data` holds the rows, or null with --out;
    `plan` is null without --explain.
    """
    refuse_spine(out, spine_file)
    mode = known_mode(known)
    from asof.ingest.key_texts import key_types

    with open_store(store) as opened, progress(f"reading {view}", unit="rows") as advance:
        frame = opened.historical(
            view,
            read_table(spine_file, _spine_types(key_types(find(opened, view)), time), timezone=timezone),
            time=time,
            known=mode,
            commits=commits,
            statuses=statuses,
            full_names=full_names,
            timezone=timezone,
            truncate=truncate,
            explain=explain,
            batch_rows=None if out is None else batch_rows,
        )
        if out is not None:
            write_batches(frame.schema, _counted(frame, batch_rows, advance), out)
    return Answer(
        _document(frame, out, limit, explain=explain), lambda screen: _show(screen, frame, out, limit, explain=explain)
    )


def _counted(frame: "HistoricalFrame", rows: int, advance: "Advance") -> "Iterator[Any]":
    """Iterate over the batches of a frame, and tell how far it is."""
    done = 0
    for batch in frame.batches(rows):
        yield batch
        done += batch.num_rows
        advance(done, len(frame))


def _spine_types(keys: Any, time: str) -> dict[str, Any]:  # noqa: ANN401 - names and types
    from asof.arrow.types import TIMESTAMP, arrow_type

    return {name: arrow_type(dtype) for name, dtype in keys.items()} | {time: TIMESTAMP}


def _document(frame: "HistoricalFrame", out: Path | None, limit: int | None, *, explain: bool) -> dict[str, Any]:
    return {
        **table_document(
            frame.to_arrow() if out is None else frame.schema.empty_table(), data=out is None, limit=limit
        ),
        "rows": len(frame),
        "out": None if out is None else str(out),
        "commits": frame.commits,
        "report": _report(frame.report),
        "plan": _plan(frame.report) if explain else None,
    }


def _plan(report: "Report") -> dict[str, Any]:
    from asof.training.plan import plain

    return {name: plain(profile) for name, profile in report.plan.profiles.items()}


def _report(report: "Report") -> list[dict[str, Any]]:
    import msgspec

    from asof.catalog.answers import report_answer

    return msgspec.to_builtins(report_answer(report))


def _show(screen: "Screen", frame: "HistoricalFrame", out: Path | None, limit: int | None, *, explain: bool) -> None:
    from asof.cli.preview import show_rows

    if out is None:
        show_rows(screen, frame.to_arrow(), limit=limit)
    else:
        screen.line(f"{counted(len(frame), 'row')} x {len(frame.column_names)} columns in {out}", style="green")
    screen.line()
    rows = [[row["group"], row["known"], *(row[s] for s in STATUSES)] for row in _report(frame.report)]
    screen.table(["values of", "known", *(s.lower() for s in STATUSES)], rows)
    if explain:
        screen.line()
        screen.line(str(frame.report.plan))
