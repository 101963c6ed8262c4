"""Keys that a full load lacks are retired: `absent="retire"`."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from asof.arrow.keys import encode_keys
from asof.arrow.layout import stored_rows
from asof.arrow.order import arrange
from asof.engine.port import Rows
from asof.ingest.prepare import Prepared
from asof.ingest.quarantine import rows_of
from asof.parts import Parts, pinned_rows
from asof.records import ABSENT
from asof.registry.registered import RegisteredGroup


def with_absent(parts: Parts, item: Prepared) -> Prepared:
    """Return a full load with a retirement for each key that it lacks and that is alive at its event time.

    What others write while it is stored is not retired.
    """
    if item.absent != "retire":
        return item
    definition = item.group.definition
    present = Rows(item.rows.schema, definition.keys, definition.event_time, 0, 1, journal=item.rows)
    reader, drops = absent_keys(parts, item.group, present, item.draft.max_event_us)
    gone = reader.read_all()
    if item.items is not None:
        kept = rows_of(definition, item.items).select(definition.keys)
        gone = without_keys(gone, definition.keys, set(encode_keys(kept)))
    draft = replace(item.draft, changes={ABSENT: gone.num_rows}, drops=drops)
    if not gone.num_rows:
        return replace(item, draft=draft)
    every = arrange(pa.concat_tables([item.rows, gone]), definition.keys, definition.event_time)
    return replace(item, rows=every, draft=replace(draft, rows=every.num_rows))


def without_keys(rows: pa.Table, keys: Sequence[str], kept: Collection[bytes]) -> pa.Table:
    """Return rows without those of some encoded keys: a row in quarantine is no sign that its key ended."""
    if not kept or not rows.num_rows:
        return rows
    return rows.filter(pa.array([key not in kept for key in encode_keys(rows.select(keys))]))


def absent_keys(
    parts: Parts, group: RegisteredGroup, present: Rows, moment_us: int | None
) -> tuple[pa.RecordBatchReader, int]:
    """Return retirements of the keys that are alive and absent from a load, in the order of keys.

    Args:
        parts: The store's parts.
        group: The group.
        present: The rows of the load.
        moment_us: Their event time; None in a static group.

    Returns:
        Rows in the shape of a data file; and `Snapshot.drops` when history was read: retirements come from history as
        confirmations do, so if keys of it are forgotten meanwhile, it is read again.
    """
    definition = group.definition
    rows, snapshot = pinned_rows(parts, group)
    found = parts.engine.absent(rows, present, until_us=moment_us)

    def retirements() -> Iterator[pa.RecordBatch]:
        for batch in found:
            gone = pa.Table.from_batches([batch])
            if definition.event_time is not None:
                time = rows.schema.field(definition.event_time)
                moment = pa.scalar(moment_us, pa.int64()).cast(time.type)
                gone = gone.append_column(time, pa.repeat(moment, gone.num_rows))
            yield from stored_rows(definition, gone, retired=True).to_batches()

    return pa.RecordBatchReader.from_batches(rows.schema, retirements()), snapshot.drops
