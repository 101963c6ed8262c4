"""The pinned history of a group, as an engine reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from asof.arrow.layout import confirmation_schema, declared_schema, stored_rows, stored_schema
from asof.arrow.rows import decode_blocks
from asof.arrow.types import TIMESTAMP
from asof.engine.families import FAMILIES, of_family, others, without
from asof.engine.port import Rows
from asof.external import external_rows
from asof.offline.port import Table
from asof.parts.open import Parts
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, Commit, DataFile, Family, Snapshot, Stamp
from asof.registry.registered import RegisteredGroup


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file holds: rows or confirmations, of all features or of a family; see `DataFile`."""

    confirms: bool = False
    family: Family | None = None

    @classmethod
    def of(cls, file: DataFile) -> "Kind":
        """Return the kind of a file."""
        return cls(file.confirms, file.family)


KINDS = tuple(Kind(confirms, family) for family in (None, *FAMILIES) for confirms in (False, True))


def table_of(group: RegisteredGroup) -> Table:
    """Return where the files of a group lie, and their shape: rows of all features."""
    definition = group.definition
    time = () if definition.event_time is None else (definition.event_time,)
    return Table(f"{group.ref}.{group.id}", stored_schema(definition), (*definition.keys, *time), definition.event_time)


def table_of_kind(group: RegisteredGroup, kind: Kind) -> Table:
    """Return where the files of a kind lie, and their shape."""
    table = table_of(group)
    if kind.family is not None:
        schema = without(table.schema, others(group.layout, group.cold, kind.family))
        table = replace(table, name=f"{table.name}.{kind.family}", schema=schema)
    if kind.confirms:
        schema = confirmation_schema(table.schema, group.definition.keys, table.event_time)
        table = replace(table, schema=schema)
    return table


def tables_of(group: RegisteredGroup) -> list[Table]:
    """Return the tables in which rows of a group lie, or may lie: all features, the hot ones, the cold ones."""
    return [table_of_kind(group, Kind(family=family)) for family in (None, *FAMILIES)]


def journal_schema(group: RegisteredGroup) -> pa.Schema:
    """Return the columns of a journal row: keys, event time, features in the order of the layout."""
    definition = group.definition
    declared = declared_schema(definition)
    time = () if definition.event_time is None else (definition.event_time,)
    return pa.schema([declared.field(name) for name in (*definition.keys, *time, *group.layout)])


def pinned_rows(
    parts: Parts, group: RegisteredGroup, *, pin: int | None = None, after: int = 0
) -> tuple[Rows, Snapshot]:
    """Return the history of a group, or of the group that it is made of, up to a pin.

    Args:
        parts: The store's parts.
        group: The group.
        pin: The last commit that counts; None for all.
        after: Leave out files and journal rows all of whose commits are <= this one.
    """
    group = group.stored
    if group.definition.external is not None:
        return _outside(parts, group, pin)
    snapshot = parts.log.snapshot(group, pin=pin, after=after)
    return _rows(parts, group, snapshot), snapshot


def pinned_together(parts: Parts, pins: Sequence[tuple[RegisteredGroup, int | None]]) -> list[tuple[Rows, Snapshot]]:
    """Return the histories of several groups, each up to its pin (None for all): what was written together is whole."""
    asked = [(group.stored, pin) for group, pin in pins]
    within = [(group, pin) for group, pin in asked if group.definition.external is None]
    found = iter(zip(within, parts.log.snapshots(within), strict=True))
    every: list[tuple[Rows, Snapshot]] = []
    for group, pin in asked:
        if group.definition.external is not None:
            every.append(_outside(parts, group, pin))
        else:
            (stored, _), snapshot = next(found)
            every.append((_rows(parts, stored, snapshot), snapshot))
    return every


def seen_pins(rows: Mapping[str, Rows]) -> dict[str, int]:
    """Return the pins with which histories can be read again: of some external places there is none."""
    outside = {ref: each.outside.read.pin for ref, each in rows.items() if each.outside is not None}
    pins = {ref: outside.get(ref, each.pin) for ref, each in rows.items()}
    return {ref: pin for ref, pin in pins.items() if pin is not None}


def _outside(parts: Parts, group: RegisteredGroup, pin: int | None) -> tuple[Rows, Snapshot]:
    rows = external_rows(group.definition, root=parts.root, pin=pin, now_us=parts.now_us())
    return rows, Snapshot(rows.pin, 0)


def apart(rows: Rows) -> list[tuple[Kind, Rows]]:
    """Return the rows of a history by kind, confirmations for themselves, each as rows that can be written anew."""
    found = [(kind, _only(rows, kind)) for kind in KINDS]
    return [(kind, part) for kind, part in found if part.files or part.journal is not None]


def _only(rows: Rows, kind: Kind) -> Rows:
    files = tuple(item for item in rows.files if Kind.of(item[1]) == kind)
    rows = replace(rows, files=files, journal=rows.journal if kind == Kind() else None, sources=None)
    if kind.family is not None:
        rows = of_family(rows, kind.family)
    if not kind.confirms:
        return rows
    files = tuple((place, replace(file, confirms=False), stamp) for place, file, stamp in rows.files)
    schema = confirmation_schema(rows.schema, rows.keys, rows.event_time)
    return replace(rows, schema=schema, layout=(), files=files)


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
        journal=journal_rows(group, snapshot.journal) if snapshot.journal else None,
        retracted=snapshot.retracted,
        sources=None if snapshot.sources is None else _rows(parts, group, snapshot.sources),
        cold=snapshot.cold,
    )


def journal_rows(group: RegisteredGroup, blocks: Sequence[tuple[Stamp | Commit, bytes]]) -> pa.Table:
    """Return the rows of the journal's blocks, each with its commit, in the shape of a data file."""
    rows, counts = decode_blocks([payload for _, payload in blocks], journal_schema(group))
    table = stored_rows(group.definition, rows)
    commits = np.repeat([stamp.number for stamp, _ in blocks], counts)
    times = np.repeat([stamp.committed_at_us for stamp, _ in blocks], counts)
    for name, values in (
        (COMMIT_COLUMN, pa.array(commits, pa.int64())),
        (AVAILABLE_COLUMN, pa.array(times, pa.int64()).cast(TIMESTAMP)),
    ):
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    return table
