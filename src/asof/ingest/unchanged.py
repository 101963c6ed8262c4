"""Rows that are equal to their predecessor leave a confirmation: `on_unchanged="skip"`. Source: SEMANTICS section 5.

Storing a row in full is always right: what cannot be compared in one step is stored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import confirmation_schema
from asof.arrow.order import last_of_keys
from asof.ingest.feed import current_group
from asof.ingest.prepare import Prepared
from asof.parts import Parts, confirmations_of, pinned_rows, table_of
from asof.records import COMPARED, NAMED_COMMIT_COLUMN, NAMED_EVENT_COLUMN, RETIRED_COLUMN, DataFile, Draft
from asof.registry.port import RegisteredGroup

CHUNK_ROWS = 1_000_000
"""Rows that are compared in one query, which holds them and their predecessors in memory."""


@dataclass(frozen=True, slots=True)
class Divided:
    """A commit to be, as it is stored.

    Attributes:
        rows: Rows stored in full, in the shape of a data file.
        confirmations: Confirmations of the others, in the shape of theirs; None if there are none.
        draft: The commit, without files.
    """

    rows: pa.Table
    confirmations: pa.Table | None
    draft: Draft


def whole(item: Prepared) -> Divided:
    """Return a commit that stores all rows in full."""
    return Divided(item.rows, None, item.draft)


def divided(parts: Parts, item: Prepared) -> Divided:
    """Return a commit that stores what changed, if its group says so."""
    definition = item.group.definition
    if definition.on_unchanged != "skip" or item.draft.kind not in ("write", "backfill") or not item.rows.num_rows:
        return whole(item)
    rows, snapshot = pinned_rows(parts, item.group)
    if current_group(parts, item.group).layout != item.group.layout:  # rows may have features that ours do not know
        return whole(item)
    candidates = _candidates(item)
    same = np.zeros(item.rows.num_rows, dtype=bool)
    named: list[pa.Table] = []
    counts = dict.fromkeys((COMPARED, *item.group.layout), 0)
    for start in range(0, len(candidates), CHUNK_ROWS):
        chosen = candidates[start : start + CHUNK_ROWS]
        found = parts.engine.compare(rows, _frame(item, chosen))
        for name in item.group.layout:
            counts[name] += pc.sum(found.column(name)).as_py() or 0
        counts[COMPARED] += len(found) - found.column("__same").null_count
        equal = pc.fill_null(found.column("__same"), fill_value=False).to_numpy()
        same[chosen[equal]] = True
        named.append(found.select([NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN]).filter(pa.array(equal)))
    draft = replace(item.draft, changes={**item.draft.changes, **_trimmed(counts)})
    if not same.any():
        return Divided(item.rows, None, draft)
    earlier = snapshot.drops if draft.drops is None else draft.drops
    draft = replace(draft, unchanged=int(same.sum()), drops=earlier)
    return Divided(item.rows.filter(pa.array(~same)), _confirmations(item, same, pa.concat_tables(named)), draft)


def staged(parts: Parts, group: RegisteredGroup, divided: Divided) -> Iterator[list[DataFile]]:
    """Make what a commit stores durable; each step gives the files of one kind."""
    width = len(group.layout)
    files = parts.history.stage(table_of(group), divided.rows)
    yield [replace(file, width=width) for file in files]
    if divided.confirmations is not None:
        files = parts.history.stage(confirmations_of(group), divided.confirmations)
        yield [replace(file, width=width, confirms=True) for file in files]


def _candidates(item: Prepared) -> np.ndarray:
    """Return the rows that may be equal to a stored one: no retirements, and no keys with several rows."""
    last = last_of_keys(item.rows, item.group.definition.keys)
    alone = last & np.append(True, last[:-1])
    return np.flatnonzero(alone & ~item.rows.column(RETIRED_COLUMN).to_numpy())


def _frame(item: Prepared, chosen: np.ndarray) -> pa.Table:
    definition = item.group.definition
    every = len(chosen) == item.rows.num_rows
    ordered = bool(len(chosen)) and int(chosen[-1]) - int(chosen[0]) + 1 == len(chosen)
    rows = item.rows if every else item.rows.slice(chosen[0], len(chosen)) if ordered else item.rows.take(chosen)
    frame = rows.select([*definition.keys, *item.group.layout])
    event = pa.repeat(0, len(rows)) if definition.event_time is None else rows.column(definition.event_time)
    return frame.append_column("__event", event.cast(pa.int64()))


def _confirmations(item: Prepared, same: np.ndarray, named: pa.Table) -> pa.Table:
    definition = item.group.definition
    schema = confirmation_schema(item.rows.schema, definition.keys, definition.event_time)
    ours = [name for name in schema.names if name not in named.column_names]
    rows = item.rows.select(ours).filter(pa.array(same))
    for name in named.column_names:
        rows = rows.append_column(name, named.column(name))
    return rows.select(schema.names).cast(schema)


def _trimmed(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts; nothing if nothing could be compared."""
    return dict(counts) if counts[COMPARED] else {}
