"""`asof model quality`: how good the online predictions of a model were, over time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.files import FILE_IN, read_table
from asof.cli.lookup import find, moment

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.models.quality import ModelQuality, QualityRow
    from asof.store import Store

SHAPE: Document = {
    "model": "delays",
    "every": "1d",
    "rows": [
        {
            "model": "delays@3",
            "start": "2026-03-04T00:00:00Z",
            "end": "2026-03-05T00:00:00Z",
            "predictions": 200,
            "outcomes": 180,
            "pending": 12,
            "missing": 8,
            "kind": "numbers",
            "measures": {"mae": 9.5, "rmse": 14.1},
        }
    ],
    "notes": ["outcomes: arrivals.arr_delay after 12h, known until 2026-03-05T12:00:00Z"],
}


@asof_command("quality", shape=SHAPE)
@store_argument
@click.argument("name")
@click.option("--every", default="1d", show_default=True, metavar="LENGTH", help="The length of time of a row.")
@click.option("--start", metavar="TIME", help="Only predictions after it, such as 2026-01-01T12:00:00Z.")
@click.option("--end", metavar="TIME", help="Only predictions at it or before.")
@click.option(
    "--outcomes",
    type=FILE_IN,
    metavar="FILE",
    help="Rows of keys, time and label; else that of the training set.",
)
def quality(  # noqa: PLR0917 - one for each option
    store: str, name: str, every: str, start: str | None, end: str | None, outcomes: Path | None
) -> Answer:
    """Hold what a model predicted online against what became of it.

    NAME is a model, all of its versions, or one of them, "delays@3".
    """
    after, until = moment(start, "--start"), moment(end, "--end")
    with open_store(store) as opened:
        given = None if outcomes is None else _rows_of(opened, name, outcomes)
        found = opened.models.quality(name, outcomes=given, start=after, end=until, every=every)
    return Answer(_document(found), lambda screen: _show(screen, found))


def _rows_of(store: "Store", name: str, path: Path) -> Any:  # noqa: ANN401 - a pyarrow.Table; loaded when needed
    """Return the rows of a file: keys as the view has them, and of CSV the time as one."""
    from asof.arrow.types import TIMESTAMP, arrow_type
    from asof.ingest.key_texts import key_types

    model = store.models.get(name)
    types = {key: arrow_type(dtype) for key, dtype in key_types(find(store, model.view)).items()}
    time = store.training_set(model.training_set).manifest.time
    return read_table(path, {**types, time: TIMESTAMP} if time else types)


def _document(found: "ModelQuality") -> Document:
    from asof.definitions.durations import show_duration

    rows = [_row(row) for row in found.rows]
    return {"model": found.name, "every": show_duration(found.every_us), "rows": rows, "notes": list(found.notes)}


def _row(row: "QualityRow") -> dict[str, Any]:
    from asof.clock import show_us

    return {
        "model": row.model,
        "start": show_us(row.start_us),
        "end": show_us(row.end_us),
        "predictions": row.predictions,
        "outcomes": row.outcomes,
        "pending": row.pending,
        "missing": row.missing,
        "kind": row.kind,
        "measures": row.measures,
    }


def _show(screen: "Screen", found: "ModelQuality") -> None:
    heads, rows = found.cells()
    if rows:
        screen.table(heads, rows, right=[False, False, *[True] * (len(heads) - 2)])
    else:
        screen.line("no prediction is logged")
    for note in found.notes:
        screen.line(note)
