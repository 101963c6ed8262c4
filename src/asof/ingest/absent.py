"""Keys that a full load lacks are retired: `absent="retire"`."""

from dataclasses import replace

import pyarrow as pa

from asof.arrow.layout import stored_rows
from asof.arrow.order import arrange
from asof.ingest.prepare import Prepared
from asof.parts import Parts, pinned_rows
from asof.records import ABSENT


def with_absent(parts: Parts, item: Prepared) -> Prepared:
    """Return a full load with a retirement for each key that it lacks and that is alive at its event time.

    What others write while it is stored is not retired.
    """
    if item.absent != "retire":
        return item
    definition = item.group.definition
    rows, snapshot = pinned_rows(parts, item.group)
    names = list(definition.keys)
    alive = parts.engine.scan(rows, columns=names, until_us=item.draft.max_event_us, latest=True).read_all()
    gone = alive.join(item.rows.select(names), keys=names, join_type="left anti").cast(alive.schema)
    # Retirements come from history as confirmations do: if keys of it are forgotten meanwhile, it is read again.
    draft = replace(item.draft, changes={ABSENT: gone.num_rows}, drops=snapshot.drops)
    if not gone.num_rows:
        return replace(item, draft=draft)
    if definition.event_time is not None:
        time = item.rows.schema.field(definition.event_time)
        moment = item.rows.column(definition.event_time)[0]
        gone = gone.append_column(time, pa.repeat(moment, gone.num_rows))
    every = pa.concat_tables([item.rows, stored_rows(definition, gone, retired=True)])
    every = arrange(every, definition.keys, definition.event_time)
    return replace(item, rows=every, draft=replace(draft, rows=every.num_rows))
