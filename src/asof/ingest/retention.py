"""What retention drops: what was superseded, and of a serving log, whose rows nothing supersedes, what is old.

Source: SEMANTICS section 2, decision 4.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions.serving_log import CLOCK, is_log
from asof.errors import ConflictError
from asof.parts import Parts
from asof.records import Snapshot
from asof.registry.registered import RegisteredGroup


def horizon_of(parts: Parts, group: RegisteredGroup, snapshot: Snapshot, *, now_us: int) -> int | None:
    """Return the time up to which history is dropped by now; None: nothing of it is.

    Raises:
        NotFoundError: The group was removed.
    """
    definition = group.definition
    log = is_log(definition)
    if log:  # an older version of a log is kept as long as the view says now
        definition = parts.registry.group(definition.name).definition
    if definition.retention_us is None:
        return None
    horizon_us = max(now_us - definition.retention_us, snapshot.horizon_us or -(2**62))
    young = not snapshot.journal and all(file.min_event_us > horizon_us for file, _ in snapshot.files)
    return None if log and young else horizon_us


def refuse_taking_back(parts: Parts, group: RegisteredGroup) -> None:
    """Refuse to make rows anew in place of others, of which some are gone.

    Raises:
        ConflictError: Retention dropped some.
    """
    if parts.log.snapshot(group).horizon_us is not None:
        raise ConflictError(
            f"retention dropped rows of {group.ref}, so what was made cannot be taken back",
            todo="apply the group as a new version, and materialize that",
        )


def aged(group: RegisteredGroup, snapshot: Snapshot, horizon_us: int) -> list[str]:
    """Return the files of a serving log that hold nothing but answers to be dropped."""
    log = is_log(group.definition)
    return [file.path for file, _ in snapshot.files if log and file.max_event_us <= horizon_us]


def younger(rows: pa.RecordBatchReader, horizon_us: int) -> pa.RecordBatchReader:
    """Return the rows of a serving log without the answers to be dropped."""

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            yield batch.filter(pc.greater(batch.column(CLOCK).cast(pa.int64()), horizon_us))

    return pa.RecordBatchReader.from_batches(rows.schema, batches())
