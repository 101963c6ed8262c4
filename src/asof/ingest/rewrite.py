"""Write stored rows anew, each with its commit and arrival: what merging, compaction and erasure have in common."""

from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions.serving_log import is_log
from asof.engine.port import Rows
from asof.ingest.feed import current_group
from asof.ingest.retention import younger
from asof.parts import Kind, Parts, pinned_rows, table_of_kind
from asof.records import AVAILABLE_COLUMN, DataFile, Snapshot
from asof.registry.registered import RegisteredGroup


def current_rows(parts: Parts, group: RegisteredGroup) -> tuple[RegisteredGroup, Rows, Snapshot]:
    """Return the history of a group, for writing it anew, under a definition that has all features in it.

    Another process may have added features since we were told of the group: rows rewritten without them would lose them
    for good.

    Raises:
        ConflictError: The group was removed.
    """
    while True:
        rows, snapshot = pinned_rows(parts, group)
        current = current_group(parts, group)
        if current.layout == group.layout:
            return current, rows, snapshot
        group = current


def rewritten(
    parts: Parts,
    group: RegisteredGroup,
    kind: Kind,
    rows: Rows,
    *,
    horizon_us: int | None = None,
    without: pa.Table | None = None,
) -> list[DataFile]:
    """Write rows of a kind anew, each with commit and arrival; see `Engine.stamped`. The files lack their commits."""
    table = table_of_kind(group, kind)
    late = LateRows(group.definition.event_time)
    if horizon_us is not None and is_log(group.definition):
        stamped = younger(parts.engine.stamped(rows, without=without), horizon_us)
    else:
        stamped = parts.engine.stamped(rows, horizon_us=horizon_us, without=without)
    reader = late.watch(stamped)
    return [
        replace(
            file,
            width=len(group.layout),
            confirms=kind.confirms,
            family=kind.family,
            stamped=True,
            late=late.found,
        )
        for file in parts.history.stage(table, reader)
    ]


def rows_in(files: Iterable[DataFile]) -> int:
    """Return how many rows some files of one history have; one that lies in both families counts once."""
    return sum(file.rows for file in files if file.family != "cold")


class LateRows:
    """Watches a stream of stamped rows for rows that became available after their event time."""

    def __init__(self, event_time: str | None) -> None:
        self.event_time = event_time
        self.found = event_time is None

    def watch(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return the stream; `found` is right when it has been read."""

        def batches() -> Iterable[pa.RecordBatch]:
            for batch in reader:
                if not self.found and self.event_time is not None and batch.num_rows:
                    arrivals = batch.column(batch.schema.get_field_index(AVAILABLE_COLUMN))
                    events = batch.column(batch.schema.get_field_index(self.event_time))
                    self.found = bool(pc.any(pc.greater(arrivals, events)).as_py())
                yield batch

        return pa.RecordBatchReader.from_batches(reader.schema, batches())
