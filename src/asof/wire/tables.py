"""Tables on the wire: batches of a bounded size, and small tables within a message."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from asof.arrow.frames import Frame, to_table
from asof.arrow.streams import to_batches
from asof.errors import UsageError

BATCH_ROWS = 131_072
BATCH_BYTES = 8 * 1024**2
"""About so much of a table is one message."""


def outgoing(frame: Frame, *, where: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return a caller's frame as its schema and batches of plain types; one not in memory is read as it is sent.

    Raises:
        UsageError: It is no frame. DataError: A column cannot be converted.
    """
    reader = to_batches(frame, where=where)
    if reader is None:
        table, _ = to_table(frame, where=where)
        return table.schema, parts_of(table.to_batches())
    empty, _ = to_table(reader.schema.empty_table(), where=where)
    if empty.schema.equals(reader.schema):
        return reader.schema.remove_metadata(), parts_of(reader)
    return empty.schema, parts_of(each for batch in reader for each in to_table(batch, where=where)[0].to_batches())


def parts_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Return the rows in batches that are no larger than a message should be."""
    for batch in batches:
        every = batch.num_rows
        rows = max(1, min(BATCH_ROWS, every * BATCH_BYTES // max(batch.nbytes, 1)))
        yield from (batch.slice(at, rows) for at in range(0, every, rows))


def saying(schema: pa.Schema, said: Mapping[str, Any]) -> pa.Schema:
    """Return a schema that says something of its rows: as JSON, since to many languages metadata is text."""
    return schema.with_metadata({b"asof": msgspec.json.encode(said)})


def said_by(schema: pa.Schema) -> dict[str, Any]:
    """Return what a schema says of its rows.

    Raises:
        UsageError: It says nothing.
    """
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    try:
        return msgspec.json.decode(metadata.get(b"asof", b""), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise UsageError(f"these rows say nothing of themselves: {error}") from error


def to_bytes(table: pa.Table) -> bytes:
    """Return a small table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_bytes(message: bytes) -> pa.Table:
    """Return the table of an Arrow stream, checked in full.

    Raises:
        UsageError: It is none.
    """
    try:
        table = pa.ipc.open_stream(message).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"this is no table: {type(error).__name__}: {error}") from error
    return table
