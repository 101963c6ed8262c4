"""Frames that may be larger than memory: they are read batch by batch, in their order."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from asof.arrow.frames import Frame
from asof.errors import DataError, NotFoundError, UsageError

BATCH_ROWS = 131_072
BUFFER_BYTES = 1 << 20
"""What is read ahead of a column: else a row group of any size is read at once."""

SUFFIXES = (".parquet", ".pq")


def to_batches(frame: Frame, *, where: str = "") -> pa.RecordBatchReader | None:
    """Return the batches of a frame that is not in memory yet; None for any other.

    Args:
        frame: The path of a Parquet file, a pyarrow dataset, Parquet file or reader, a DuckDB relation.
        where: What the rows are for, for messages.

    Raises:
        UsageError: A path of something else. NotFoundError: There is no such file. DataError: It is damaged.
    """
    kind = cast("type[object]", type(frame))
    if isinstance(frame, str | Path):
        return _file_batches(Path(frame), where)
    if isinstance(frame, pa.RecordBatchReader):
        return frame
    if kind.__module__ == "pyarrow._dataset":
        if hasattr(frame, "scanner"):  # else it is one
            frame = frame.scanner(batch_size=BATCH_ROWS, batch_readahead=4, fragment_readahead=1)
        return cast("pa.RecordBatchReader", frame.to_reader())
    if kind.__module__ == "pyarrow.parquet.core" and hasattr(frame, "iter_batches"):
        return _told(frame.schema_arrow, frame.iter_batches(BATCH_ROWS), where)
    if kind.__name__ == "DuckDBPyRelation":
        return pa.RecordBatchReader.from_stream(frame)
    return None


def known_rows(frame: Frame) -> int:
    """Return how many rows a frame has that is not in memory; 0 if that is not known before they are read."""
    kind = cast("type[object]", type(frame))
    if isinstance(frame, str | Path):
        from pyarrow import parquet  # noqa: PLC0415 - 0.1 s, and only files need it

        return int(parquet.read_metadata(frame).num_rows)
    if kind.__name__ == "FileSystemDataset" and frame.format.default_extname == "parquet":
        return int(frame.count_rows())  # it reads the ends of the files only
    return int(frame.metadata.num_rows) if kind.__name__ == "ParquetFile" else 0


def whole(frame: Frame) -> Frame:
    """Return a frame that can be read twice: one that is not in memory yet is read."""
    batches = to_batches(frame)
    return frame if batches is None else batches.read_all()


def in_parts(batches: pa.RecordBatchReader, *, most_rows: int, most_bytes: int) -> Iterator[pa.Table]:
    """Return the rows in tables of about so many rows or bytes; at least one table, perhaps of no rows."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    begun = False
    for batch in (each.slice(at, most_rows) for each in batches for at in range(0, each.num_rows, most_rows)):
        held.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= most_rows or size >= most_bytes:
            yield pa.Table.from_batches(held)
            held, rows, size, begun = [], 0, 0, True
    if rows or not begun:
        yield pa.Table.from_batches(held, schema=batches.schema)


def parquet_batches(path: Path) -> tuple[Any, Iterator[pa.RecordBatch]]:
    """Open a Parquet file; return it (a `pyarrow.parquet.ParquetFile`) and its batches, of which one is read ahead."""
    from pyarrow import parquet  # noqa: PLC0415 - 0.1 s, and only files need it

    file = parquet.ParquetFile(path, buffer_size=BUFFER_BYTES, pre_buffer=False)
    return file, file.iter_batches(BATCH_ROWS)


def _file_batches(path: Path, where: str) -> pa.RecordBatchReader:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{str(path)!r} is no frame",
            where=where,
            todo="pass a frame, or the path of a Parquet file (.parquet); read other files yourself",
        )
    if not path.exists():
        raise NotFoundError(f"there is no file {str(path)!r}", where=where)
    with _translated(where):
        file, batches = parquet_batches(path)
    return _told(file.schema_arrow, batches, where)


def _told(schema: pa.Schema, batches: Iterator[pa.RecordBatch], where: str) -> pa.RecordBatchReader:
    """Return batches as a reader; what cannot be read is told in our words."""

    def read() -> Iterator[pa.RecordBatch]:
        while True:
            with _translated(where):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    return pa.RecordBatchReader.from_batches(schema, read())


@contextmanager
def _translated(where: str) -> Generator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"the file cannot be read: {reason}", where=where, todo="is it complete?") from error
