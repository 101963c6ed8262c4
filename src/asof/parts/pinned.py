"""The pinned history of a group, as an engine reads it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from asof.arrow.layout import confirmation_schema, declared_schema, stored_rows, stored_schema
from asof.arrow.rows import decode_blocks
from asof.arrow.types import TIMESTAMP
from asof.engine.port import Rows
from asof.offline.port import Table
from asof.parts.open import Parts
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, Snapshot
from asof.registry.port import RegisteredGroup


def table_of(group: RegisteredGroup) -> Table:
    """Return where the files of a group lie, and their shape."""
    definition = group.definition
    time = () if definition.event_time is None else (definition.event_time,)
    return Table(f"{group.ref}.{group.id}", stored_schema(definition), (*definition.keys, *time), definition.event_time)


def confirmations_of(group: RegisteredGroup) -> Table:
    """Return where the confirmations of a group lie, and their shape."""
    table = table_of(group)
    return replace(table, schema=confirmation_schema(table.schema, group.definition.keys, table.event_time))


def journal_schema(group: RegisteredGroup) -> pa.Schema:
    """Return the columns of a journal row: keys, event time, features in the order of the layout."""
    definition = group.definition
    declared = declared_schema(definition)
    time = () if definition.event_time is None else (definition.event_time,)
    return pa.schema([declared.field(name) for name in (*definition.keys, *time, *group.layout)])


def pinned_rows(
    parts: Parts, group: RegisteredGroup, *, pin: int | None = None, after: int = 0
) -> tuple[Rows, Snapshot]:
    """Return the history of a group up to a pin.

    Args:
        parts: The store's parts.
        group: The group.
        pin: The last commit that counts; None for all.
        after: Leave out files and journal rows all of whose commits are <= this one.
    """
    snapshot = parts.log.snapshot(group, pin=pin, after=after)
    return _rows(parts, group, snapshot), snapshot


def pinned_together(parts: Parts, pins: Sequence[tuple[RegisteredGroup, int | None]]) -> list[tuple[Rows, Snapshot]]:
    """Return the histories of several groups, each up to its pin (None for all): what was written together is whole."""
    snapshots = parts.log.snapshots(pins)
    return [(_rows(parts, group, snapshot), snapshot) for (group, _), snapshot in zip(pins, snapshots, strict=True)]


def apart(group: RegisteredGroup, rows: Rows) -> list[tuple[Table, Rows]]:
    """Return the stored rows of a history and its confirmations, each as rows that can be written anew as they are."""
    plain = tuple(item for item in rows.files if not item[1].confirms)
    named = tuple((place, replace(file, confirms=False), stamp) for place, file, stamp in rows.files if file.confirms)
    table = confirmations_of(group)
    found = [(table_of(group), replace(rows, files=plain, sources=None))]
    if named:
        found.append((table, replace(rows, schema=table.schema, layout=(), files=named, journal=None, sources=None)))
    return [(table, part) for table, part in found if part.files or part.journal is not None]


def _rows(parts: Parts, group: RegisteredGroup, snapshot: Snapshot) -> Rows:
    definition = group.definition
    return Rows(
        schema=stored_schema(definition),
        keys=definition.keys,
        event_time=definition.event_time,
        delay_us=definition.delay_us,
        pin=snapshot.pin,
        layout=group.layout,
        files=tuple((parts.history.location(file.path), file, stamp) for file, stamp in snapshot.files),
        journal=_journal(group, snapshot),
        retracted=snapshot.retracted,
        sources=None if snapshot.sources is None else _rows(parts, group, snapshot.sources),
    )


def _journal(group: RegisteredGroup, snapshot: Snapshot) -> pa.Table | None:
    if not snapshot.journal:
        return None
    rows, counts = decode_blocks([payload for _, payload in snapshot.journal], journal_schema(group))
    table = stored_rows(group.definition, rows)
    commits = np.repeat([stamp.number for stamp, _ in snapshot.journal], counts)
    times = np.repeat([stamp.committed_at_us for stamp, _ in snapshot.journal], counts)
    for name, values in (
        (COMMIT_COLUMN, pa.array(commits, pa.int64())),
        (AVAILABLE_COLUMN, pa.array(times, pa.int64()).cast(TIMESTAMP)),
    ):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    return table
