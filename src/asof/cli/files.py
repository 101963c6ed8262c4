"""Data files by their suffix: Parquet, CSV and Arrow IPC, in and out."""

import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import click

SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}


class DataFile(click.Path):
    """The path of a data file, of a kind that its suffix names."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:  # noqa: ANN401 - click's interface
        """Return the path, if its suffix is known."""
        path = Path(str(super().convert(value, param, ctx)))
        if path.suffix.lower() not in SUFFIXES:
            self.fail(f"{str(path)!r} is no data file: its name must end in {', '.join(SUFFIXES)}", param, ctx)
        if not path.parent.is_dir():
            self.fail(f"there is no folder {str(path.parent)!r}", param, ctx)
        return path


FILE_IN = DataFile(exists=True, dir_okay=False, readable=True)
FILE_OUT = DataFile(dir_okay=False, writable=True)


def read_table(path: Path, types: Mapping[str, Any], *, timezone: str | None = None) -> Any:  # noqa: ANN401 - a pyarrow.Table; loaded when needed
    """Return a data file as a table.

    Args:
        path: The file.
        types: Arrow types of columns, for CSV; other files know theirs.
        timezone: The zone of naive times in a CSV, None to refuse them.

    Raises:
        DataError: The file is damaged, or of another kind than its name says.
    """
    from asof.ingest.csv_file import read_csv

    kind = SUFFIXES[path.suffix.lower()]
    if kind == "csv":
        return read_csv(path, types, timezone=timezone)
    with _told(path, kind):
        return _read_parquet(path) if kind == "parquet" else _read_arrow(path)


def read_batches(path: Path, advance: Callable[[int, int], None]) -> Any:  # noqa: ANN401 - a RecordBatchReader; loaded when needed
    """Return the rows of a Parquet or Arrow file batch by batch: it may be larger than memory.

    Args:
        path: The file.
        advance: Called with (rows read, rows of the file).

    Raises:
        DataError: The file is damaged, or of another kind than its name says; also while it is read.
    """
    import pyarrow as pa

    kind = SUFFIXES[path.suffix.lower()]
    with _told(path, kind):
        schema, total, batches = _parquet_batches(path) if kind == "parquet" else _arrow_batches(path)

    def read() -> Iterator[Any]:
        done = 0
        while True:
            with _told(path, kind):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch
            done += batch.num_rows
            advance(done, max(done, total))

    return pa.RecordBatchReader.from_batches(schema, read())


@contextmanager
def _told(path: Path, kind: str) -> Generator[None]:
    import pyarrow as pa

    from asof.errors import DataError

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        raise DataError(
            f"the file cannot be read as {kind.capitalize()}: {reason}",
            where=str(path),
            todo="is it complete, and what its name says?",
        ) from error


def _parquet_batches(path: Path) -> tuple[Any, int, Iterator[Any]]:
    from asof.arrow.streams import parquet_batches

    file, batches = parquet_batches(path)
    return file.schema_arrow, file.metadata.num_rows, batches


def _arrow_batches(path: Path) -> tuple[Any, int, Iterator[Any]]:
    import pyarrow as pa

    try:
        opened = pa.ipc.open_file(pa.memory_map(str(path)))
    except pa.ArrowInvalid:
        stream = pa.ipc.open_stream(pa.memory_map(str(path)))
        return stream.schema, 0, iter(stream)
    return opened.schema, 0, (opened.get_batch(at) for at in range(opened.num_record_batches))


def write_table(table: Any, path: Path) -> None:  # noqa: ANN401 - a pyarrow.Table; loaded when needed
    """Write a table to a file of the kind that the suffix names; the file is there only when it is whole."""
    write_batches(table.schema, table.to_batches(), path)


def write_batches(schema: Any, batches: Iterable[Any], path: Path) -> None:  # noqa: ANN401 - pyarrow's; loaded when needed
    """Write record batches of a schema as they come; see `write_table`."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    opened = {"parquet": _parquet_writer, "csv": _csv_writer, "arrow": _arrow_writer}[SUFFIXES[path.suffix.lower()]]
    try:
        with ExitStack() as stack:
            with _named(path):
                write = stack.enter_context(opened(stack.enter_context(unfinished.open("wb")), schema))
            for batch in batches:  # whose own errors have other places
                with _named(path):
                    write(batch)
            with _named(path):
                stack.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Generator[None]:
    """Have errors of writing say which file it is, such as that the disk is full."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def refuse_spine(out: Path | None, spine: Path) -> None:
    """Refuse to write answers over the file of their questions.

    Raises:
        UsageError: They are the same file, maybe by a link.
    """
    from asof.errors import UsageError

    if out is not None and out.exists() and out.samefile(spine):
        raise UsageError(f"--out {out} is the spine itself", todo="name another file")


def _read_parquet(path: Path) -> Any:  # noqa: ANN401 - a Table
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return file.read()


def _read_arrow(path: Path) -> Any:  # noqa: ANN401 - a Table
    import pyarrow as pa

    with path.open("rb") as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid:
            file.seek(0)
            return pa.ipc.open_stream(file).read_all()


Write = Callable[[Any], None]
"""Writes a record batch."""


@contextmanager
def _parquet_writer(file: IO[bytes], schema: Any) -> Generator[Write]:  # noqa: ANN401 - a Schema
    from pyarrow import parquet

    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer.write_batch


@contextmanager
def _arrow_writer(file: IO[bytes], schema: Any) -> Generator[Write]:  # noqa: ANN401 - a Schema
    import pyarrow as pa

    with pa.ipc.new_file(file, schema) as writer:
        yield writer.write_batch


@contextmanager
def _csv_writer(file: IO[bytes], schema: Any) -> Generator[Write]:  # noqa: ANN401 - a Schema
    import pyarrow as pa
    from pyarrow import csv

    from asof.errors import DataError

    nested = [at for at, field in enumerate(schema) if pa.types.is_nested(field.type)]
    for at in nested:
        schema = schema.set(at, pa.field(schema.field(at).name, pa.string()))

    def write(batch: Any) -> None:  # noqa: ANN401 - a RecordBatch
        columns = list(batch.columns)
        for at in nested:
            texts = [None if v is None else json.dumps(v, default=str) for v in columns[at].to_pylist()]
            columns[at] = pa.array(texts, pa.string())
        try:
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        except pa.ArrowInvalid as error:  # bytes that are no UTF-8
            raise DataError(
                f"CSV is text, and some of these values are none: {error}", todo="write to a .parquet or .arrow file"
            ) from error

    with csv.CSVWriter(file, schema) as writer:
        yield write
