"""The spine of a training set: read batch by batch, as often as it takes, in the types that are kept."""

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.frames import Frame, to_table
from asof.arrow.streams import in_parts, known_rows, to_batches
from asof.arrow.types import arrow_type, inferred_type
from asof.definitions.types import DType
from asof.errors import DataError, NotFoundError

PART_BYTES = 128 * 1024**2
WHERE = "spine"


@dataclass(frozen=True, slots=True)
class Spine:
    """The rows of a caller.

    Attributes:
        types: The type of each column.
        total: How many rows there are; 0 if nobody knows before they are read.
    """

    types: dict[str, DType]
    total: int
    _source: "pa.Table | IO[bytes] | pa.RecordBatchReader"
    _time: str
    _timezone: str | None
    _truncate: bool

    @property
    def schema(self) -> pa.Schema:
        """The columns as they are kept."""
        return pa.schema([(name, arrow_type(dtype)) for name, dtype in self.types.items()])

    def parts(self, rows: int) -> Iterator[pa.Table]:
        """Return the rows in tables of about so many.

        Raises:
            DataError: A value does not fit the type of its column, a time is null or naive.
        """
        if isinstance(self._source, pa.Table):
            size = max(self._source.num_rows, 1)
            found = (self._source.slice(at, rows) for at in range(0, size, rows))
        else:
            found = in_parts(self._reader(), most_rows=rows, most_bytes=PART_BYTES)
        for part in found:
            yield self._conformed(to_table(part, where=WHERE)[0])

    def times_us(self, table: pa.Table) -> np.ndarray:
        """Return the times of some rows of it, in microseconds."""
        return table.column(self._time).cast(pa.int64()).to_numpy()

    def _reader(self) -> pa.RecordBatchReader:
        if isinstance(self._source, pa.RecordBatchReader):
            return self._source
        assert not isinstance(self._source, pa.Table)  # noqa: S101 - asked before
        self._source.seek(0)
        return pa.ipc.open_stream(self._source)

    def _conformed(self, table: pa.Table) -> pa.Table:
        columns: list[pa.ChunkedArray] = []
        for name, dtype in self.types.items():
            where, column, target = f"spine column {name}", table.column(name), arrow_type(dtype)
            if pa.types.is_timestamp(target):
                columns.append(conform_time(column, where, timezone=self._timezone, truncate=self._truncate))
            else:
                columns.append(conform_column(column, target, where))
        found = pa.Table.from_arrays(columns, schema=self.schema)
        if self._time and found.column(self._time).null_count:
            raise DataError("a time is null", where=f"spine column {self._time}", todo="filter such rows")
        return found


@contextmanager
def spine_of(
    frame: Frame, *, time: str, timezone: str | None, truncate: bool, folder: Path, again: bool
) -> Generator[Spine]:
    """Give a frame as a spine while the block runs.

    Args:
        frame: The rows: what `historical` takes, or a path, a dataset, a reader, whose rows need not fit memory.
        time: Its column of times, "" if it has none.
        timezone: Zone of naive times.
        truncate: Cut times to whole microseconds.
        folder: Where rows are kept meanwhile that can be read only once.
        again: Whether they are read more than once.

    Raises:
        NotFoundError: It has no such column. UnsupportedError: A column has a type that cannot be kept.
        DataError: It has no columns, or cannot be read.
    """
    batches = to_batches(frame, where=WHERE)
    source: pa.Table | IO[bytes] | pa.RecordBatchReader
    if batches is None:
        source = to_table(frame, where=WHERE)[0]
        schema, total = source.schema, source.num_rows
    else:
        source, total = batches, known_rows(frame)
        schema = to_table(batches.schema.empty_table(), where=WHERE)[0].schema
    if not len(schema):
        raise DataError("the spine has no columns", where=WHERE, todo="pass the keys and times of its rows")
    if time and time not in schema.names:
        raise NotFoundError.named("spine column", time, schema.names, where="time=")
    types = {field.name: inferred_type(field.type) for field in schema}
    if time:
        types[time] = DType("timestamp")
    if not again or isinstance(source, pa.Table):
        yield Spine(types, total, source, time, timezone, truncate)
        return
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:  # it goes with this process; forget sweeps the folder
        with pa.ipc.new_stream(file, source.schema) as writer:
            for batch in source:
                writer.write_batch(batch)
        yield Spine(types, total, file, time, timezone, truncate)
