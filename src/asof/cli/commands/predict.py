"""`asof predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.files import FILE_IN, FILE_OUT, SUFFIXES, read_batches, read_table, refuse_spine, write_batches
from asof.cli.lookup import find, known_mode
from asof.cli.screen import counted, progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from asof.models import Predictor
    from asof.store import Store

BATCH_ROWS = 200_000
"""Rows of the spine predicted at a time: with 55 features some 250 MB, of which a model makes a copy."""

SHAPE: Document = {
    "model": "delays@3",
    "rows": 40,
    "columns": {"origin": "string", "sched_dep": "timestamp[us, tz=UTC]", "prediction": "double"},
    "commits": {"weather@1": 17},
    "out": "predictions.parquet",
    "group": None,
    "commit": None,
    "repeated": False,
    "table": None,
}


@asof_command("predict", shape=SHAPE)
@store_argument
@click.argument("model")
@click.argument("spine_file", type=FILE_IN)
@click.option("--time", metavar="COL", help="The spine's column of times; none for a view of static groups.")
@click.option("--known", metavar="WHEN", help='"served", "event", or a time; default: as the training set was made.')
@click.option("--commits", metavar="TAG", help="Read the store as it stood at a tag, see `asof tag`.")
@click.option("--timezone", metavar="ZONE", help="Zone of naive times in the spine.")
@click.option("--truncate", is_flag=True, help="Cut times to whole microseconds instead of refusing finer ones.")
@click.option("--features", is_flag=True, help="Keep the features too, as they were read.")
@click.option("--out", type=FILE_OUT, metavar="FILE", help="Write a Parquet, CSV or Arrow IPC file.")
@click.option("--group", metavar="NAME", help="Write into a group of predictions, which is made if there is none.")
@click.option("--sql", metavar="URL", help="Write into a table of postgresql://USER@HOST:PORT/DATABASE.")
@click.option("--table", metavar="NAME", help="With --sql: the table, which is made if there is none.")
@click.option(
    "--if-exists",
    type=click.Choice(["append", "replace", "fail"]),
    default="fail",
    show_default=True,
    help="With --sql: what becomes of the rows of a table that is there.",
)
@click.option(
    "--batch-rows",
    type=click.IntRange(min=1),
    default=BATCH_ROWS,
    show_default=True,
    metavar="N",
    help="Rows of the spine predicted at a time.",
)
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    model: str,
    spine_file: Path,
    time: str | None,
    out: Path | None,
    group: str | None,
    sql: str | None,
    table: str | None,
    if_exists: Literal["append", "replace", "fail"],
    **options: Any,  # noqa: ANN401 - those of `Predictor.batches`
) -> Answer:
    """Predict for each row of a spine, into a file, a group or a table.

    MODEL is the newest live version of a name, one version ("delays@3") or that of a stage ("delays@production").
    SPINE_FILE (Parquet and Arrow IPC need not fit memory; CSV) has the keys of the model's view and a column of times:
    each row is predicted by the features that were known at its time.

    All or nothing: what is broken off leaves no file, no commit and no row. In a group the predictions are features
    like any other, that arrive now and are true at the times of their rows; the same predictions again are stored
    once. A group and a table say in a column `model` which version predicted.
    """
    if [out, group, sql].count(None) != 2:  # noqa: PLR2004 - all but one
        raise click.UsageError("where do the predictions go? -> --out FILE, --group NAME, or --sql URL --table NAME")
    if (sql is None) != (table is None):
        raise click.UsageError("a table needs both -> --sql URL --table NAME")
    if group is not None and time is None:
        raise click.UsageError("rows of a group have times -> --time COL")
    refuse_spine(out, spine_file)
    options["known"] = known_mode(options["known"])
    with open_store(store) as opened, progress(f"predicting with {model}", unit="rows") as advance:
        predictor = opened.models.load(model).fixed()
        spine = _spine(opened, predictor.model.view, spine_file, time, options["timezone"])
        words: dict[str, Any] = {"time": time, "progress": advance, **options}
        if group is not None:
            document, said = _into_group(predictor, group, spine, words)
        else:
            place = _File(out) if out is not None else _Table(str(sql), str(table), if_exists, predictor.model.ref)
            made = _Made(predictor.batches(spine, **words))
            document = _document(predictor, made.rows, made.schema, made.pins) | place.take(made)
            document["rows"], said = made.rows, place.said
    text = f"{counted(document['rows'], 'prediction')} of {document['model']} {said}"
    return Answer(document, lambda screen: screen.line(text, style="green"))


def _into_group(predictor: "Predictor", group: str, spine: Any, words: dict[str, Any]) -> tuple[dict[str, Any], str]:  # noqa: ANN401 - as `_spine` gives it
    """Write predictions into a group; return the document, and what is to be told."""
    stored = predictor.into_group(group, spine, **words)
    before = " (they were there before)" if stored.commit.repeated else ""
    told = {"group": group, "commit": stored.commit.id, "repeated": stored.commit.repeated}
    document = _document(predictor, stored.rows, stored.schema, stored.commits) | told
    return document, f"in {group}, commit {stored.commit.id}{before}"


def _document(predictor: "Predictor", rows: int, schema: Any, pins: "Mapping[str, int]") -> dict[str, Any]:  # noqa: ANN401 - a pyarrow.Schema
    """Return what there is to tell of predictions, wherever they go."""
    return {
        "model": predictor.model.ref,
        "rows": rows,
        "columns": {field.name: str(field.type) for field in schema},
        "commits": dict(pins),
        "out": None,
        "group": None,
        "commit": None,
        "repeated": False,
        "table": None,
    }


class _Made:
    """Predictions on their way: their columns are known when the first ones are.

    Attributes:
        schema: Their columns.
        rows: How many there were so far.
        pins: What they were read at.
    """

    def __init__(self, batches: "Iterator[tuple[Any, Mapping[str, int]]]") -> None:
        self._batches = batches
        self._first, self.pins = next(batches)
        self.schema = self._first.schema
        self.rows = 0

    def tables(self) -> "Iterator[Any]":
        """Iterate over the predictions, once."""
        from itertools import chain

        for table in chain([self._first], (table for table, _ in self._batches)):
            self.rows += table.num_rows
            yield table


class _Place:
    """Where predictions go.

    Attributes:
        said: What became of them, for people.
    """

    said: str

    def take(self, made: _Made) -> dict[str, Any]:
        """Take all predictions, or none; return what is to be told of it."""
        raise NotImplementedError


@dataclass
class _File(_Place):
    path: Path

    def take(self, made: _Made) -> dict[str, Any]:
        batches = (batch for table in made.tables() for batch in table.to_batches())
        write_batches(made.schema, batches, self.path)
        self.said = f"in {self.path}"
        return {"out": str(self.path)}


class _Table(_Place):
    def __init__(self, url: str, table: str, if_exists: Literal["append", "replace", "fail"], ref: str) -> None:
        """Refuse what is no place of a table, before anything is predicted."""
        from asof.external.into import shown, table_place

        self.place, self.ref = table_place(url, table), ref
        self.if_exists: Literal["append", "replace", "fail"] = if_exists
        self.name = shown(self.place)

    def take(self, made: _Made) -> dict[str, Any]:
        from asof.external.into import table_writer
        from asof.models.into_group import with_version

        empty = with_version(made.schema.empty_table(), self.ref)
        with table_writer(self.place, empty.schema, self.if_exists) as write:
            for table in made.tables():
                write(with_version(table, self.ref))
        self.said = f"in {self.name}"
        return {"table": self.name}


def _spine(opened: "Store", view: str, file: Path, time: str | None, timezone: str | None) -> Any:  # noqa: ANN401 - a path, a pyarrow.Table or RecordBatchReader
    kind = SUFFIXES[file.suffix.lower()]
    if kind == "parquet":
        return file
    if kind == "arrow":
        return read_batches(file, lambda done, total: None)  # noqa: ARG005 - `Predictor.batches` tells
    from asof.arrow.types import TIMESTAMP, arrow_type
    from asof.ingest.key_texts import asked_types

    types = {name: arrow_type(dtype) for name, dtype in asked_types(find(opened, view)).items()}
    return read_table(file, types | ({} if time is None else {time: TIMESTAMP}), timezone=timezone)
