"""Rows that are equal to their predecessor leave a confirmation: `on_unchanged="skip"`. Source: SEMANTICS section 5.

Storing a row in full is always right: what cannot be compared in one step is stored. In a split group each family is
compared by itself, and a row that changed in one of them only leaves a confirmation in the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import confirmation_schema
from asof.arrow.order import last_of_keys
from asof.engine.families import FAMILIES, of_family, others
from asof.engine.port import Rows
from asof.ingest.feed import current_group
from asof.ingest.prepare import Prepared
from asof.parts import Kind, Parts, pinned_rows, table_of_kind
from asof.records import COMPARED, NAMED_COMMIT_COLUMN, NAMED_EVENT_COLUMN, RETIRED_COLUMN, DataFile, Draft, Family
from asof.registry.registered import RegisteredGroup

CHUNK_ROWS = 1_000_000
"""Rows that are compared in one query, which holds them and their predecessors in memory."""


@dataclass(frozen=True, slots=True)
class Divided:
    """A commit to be, as it is stored.

    Attributes:
        stored: Rows of each kind, in the shape of its files.
        draft: The commit, without files.
        cold: Features of the cold family, if there are families.
    """

    stored: Mapping[Kind, pa.Table]
    draft: Draft
    cold: tuple[str, ...] = ()


def whole(item: Prepared) -> Divided:
    """Return a commit that stores all rows in full."""
    return Divided({Kind(): item.rows}, item.draft)


def divided(parts: Parts, item: Prepared) -> Divided:
    """Return a commit that stores what changed, if its group says so."""
    definition = item.group.definition
    if definition.on_unchanged != "skip" or item.draft.kind not in ("write", "backfill") or not item.rows.num_rows:
        return whole(item)
    rows, snapshot = pinned_rows(parts, item.group)
    if current_group(parts, item.group).layout != item.group.layout:  # rows may have features that ours do not know
        return whole(item)
    candidates = _candidates(item)
    families: tuple[Family | None, ...] = FAMILIES if snapshot.cold else (None,)
    compared = {family: _compared(parts, item, rows, candidates, family) for family in families}
    changes = {name: count for found in compared.values() for name, count in found.counts.items()}
    draft = replace(item.draft, changes={**item.draft.changes, **(changes if changes[COMPARED] else {})})
    if not any(found.same.any() for found in compared.values()):
        return Divided({Kind(): item.rows}, draft)
    unchanged = np.logical_and.reduce([found.same for found in compared.values()])
    earlier = snapshot.drops if draft.drops is None else draft.drops
    draft = replace(draft, unchanged=int(unchanged.sum()), drops=earlier)
    group = replace(item.group, cold=snapshot.cold)
    stored: dict[Kind, pa.Table] = {}
    for family in families:
        found, kind = compared[family], Kind(family=family)
        stored[kind] = item.rows.filter(pa.array(~found.same)).select(table_of_kind(group, kind).schema.names)
        if found.same.any():
            stored[replace(kind, confirms=True)] = _confirmations(item, found)
    return Divided(stored, draft, snapshot.cold)


def compared_with_history(parts: Parts, group: RegisteredGroup, stored: pa.Table) -> tuple[int, int]:
    """Return of how many rows that are to be stored the key has a row in history, and how many differ from it."""
    item = Prepared(group, stored, Draft(group.id, "write"))
    rows, snapshot = pinned_rows(parts, group)
    if not stored.num_rows or current_group(parts, group).layout != group.layout:
        return 0, 0
    families: tuple[Family | None, ...] = FAMILIES if snapshot.cold else (None,)
    found = [_compared(parts, item, rows, _candidates(item), family) for family in families]
    same = np.logical_and.reduce([each.same for each in found])
    compared = found[0].counts[COMPARED]
    return compared, compared - int(same.sum())


def staged(parts: Parts, group: RegisteredGroup, divided: Divided) -> Iterator[list[DataFile]]:
    """Make what a commit stores durable; each step gives the files of one kind."""
    width = len(group.layout)
    group = replace(group, cold=divided.cold)
    for kind, rows in divided.stored.items():
        files = parts.history.stage(table_of_kind(group, kind), rows)
        yield [replace(file, width=width, confirms=kind.confirms, family=kind.family) for file in files]


@dataclass(frozen=True, slots=True)
class _Compared:
    """What the comparison of rows with history found, for the features of a family or for all of them.

    Attributes:
        same: Of each row, whether it is equal to its predecessor.
        named: The versions that the rows that are equal would name.
        counts: See `Commit.changes`.
    """

    same: np.ndarray
    named: pa.Table
    counts: Mapping[str, int]


def _compared(parts: Parts, item: Prepared, rows: Rows, candidates: np.ndarray, family: Family | None) -> _Compared:
    names = list(item.group.layout)
    if family is not None:
        left_out = others(names, rows.cold, family)
        names = [name for name in names if name not in left_out]
        rows = of_family(rows, family)
    same = np.zeros(item.rows.num_rows, dtype=bool)
    named = [pa.table({NAMED_EVENT_COLUMN: pa.array([], pa.int64()), NAMED_COMMIT_COLUMN: pa.array([], pa.int64())})]
    counts = dict.fromkeys((COMPARED, *names), 0)
    for start in range(0, len(candidates), CHUNK_ROWS):
        chosen = candidates[start : start + CHUNK_ROWS]
        found = parts.engine.compare(rows, _frame(item, chosen, names))
        for name in names:
            counts[name] += pc.sum(found.column(name)).as_py() or 0
        counts[COMPARED] += len(found) - found.column("__same").null_count
        equal = pc.fill_null(found.column("__same"), fill_value=False).to_numpy()
        same[chosen[equal]] = True
        named.append(found.select([NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN]).filter(pa.array(equal)))
    return _Compared(same, pa.concat_tables(named), counts)


def _candidates(item: Prepared) -> np.ndarray:
    """Return the rows that may be equal to a stored one: no retirements, and no keys with several rows."""
    last = last_of_keys(item.rows, item.group.definition.keys)
    alone = last & np.append(True, last[:-1])
    return np.flatnonzero(alone & ~item.rows.column(RETIRED_COLUMN).to_numpy())


def _frame(item: Prepared, chosen: np.ndarray, names: Sequence[str]) -> pa.Table:
    definition = item.group.definition
    every = len(chosen) == item.rows.num_rows
    ordered = bool(len(chosen)) and int(chosen[-1]) - int(chosen[0]) + 1 == len(chosen)
    rows = item.rows if every else item.rows.slice(chosen[0], len(chosen)) if ordered else item.rows.take(chosen)
    frame = rows.select([*definition.keys, *names])
    event = pa.repeat(0, len(rows)) if definition.event_time is None else rows.column(definition.event_time)
    return frame.append_column("__event", event.cast(pa.int64()))


def _confirmations(item: Prepared, found: _Compared) -> pa.Table:
    definition = item.group.definition
    schema = confirmation_schema(item.rows.schema, definition.keys, definition.event_time)
    ours = [name for name in schema.names if name not in found.named.column_names]
    rows = item.rows.select(ours).filter(pa.array(found.same))
    for name in found.named.column_names:
        rows = rows.append_column(name, found.named.column(name))
    return rows.select(schema.names).cast(schema)
