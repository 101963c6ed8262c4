"""Rows that break a check, on their way to the quarantine of their group, and back."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import declared_schema, stored_rows
from asof.arrow.rows import encode_block
from asof.arrow.types import TIMESTAMP
from asof.checks import Checking, refuse
from asof.definitions import FeatureGroup
from asof.definitions.quarantine import AT, ITEM, quarantine_group
from asof.errors import warn
from asof.parts import Parts, registered_as, table_of
from asof.parts.pinned import journal_schema
from asof.records import CommitKind, Draft
from asof.registry.registered import RegisteredGroup

JOURNAL_ROWS = 1_000
"""Fewer rows go to the journal: a file for each bad row would be the worst of them."""


def sorted_out(
    group: FeatureGroup, rows: pa.Table, checking: Checking, *, now_us: int, part: bool
) -> tuple[pa.Table, pa.Table | None]:
    """Ask the checks of a group about rows, and do as the group says with those that break one.

    Args:
        group: The group.
        rows: In the columns and types of the group, in the order in which they came; perhaps with arrivals.
        checking: The checks of the write.
        now_us: The time.
        part: Whether more rows of the write come.

    Returns:
        The rows that are to be stored; and those that are to be put aside, as rows of the quarantine, or None.

    Raises:
        DataError: The group is strict, and some break a check.
    """
    if not checking.asked:
        return rows, None
    found = checking.add(rows)
    if group.on_violation != "quarantine":
        if not part or found.broken.any():
            settle(group, checking, part=part)
        return rows, None
    broken, reasons = found.broken, found.reasons
    together = () if part else checking.together()
    if together:
        of_row = dict(zip(np.flatnonzero(broken).tolist(), reasons, strict=True))
        common = "; ".join(result.check for result in together)
        reasons = [f"{of_row[at]}; {common}" if at in of_row else common for at in range(rows.num_rows)]
        broken = np.ones(rows.num_rows, dtype=bool)
    if not broken.any():
        return rows, None
    places = np.flatnonzero(broken)
    items = items_of(group, rows.take(pa.array(places)), reasons, places + found.first, now_us=now_us)
    return rows.filter(pa.array(~broken)), items


def settle(group: FeatureGroup, checking: Checking, *, part: bool = False) -> None:
    """Refuse rows that break checks, or warn of them, as the group says.

    Args:
        group: The group.
        checking: The checks, which have seen the rows.
        part: Whether more rows come: then it is too early for a warning.

    Raises:
        DataError: The group is strict.
    """
    where = f"group {group.name}"
    report = checking.report()
    if group.on_violation == "strict":
        refuse(report, where)
    elif group.on_violation == "warn" and not part:
        for result in report.broken:
            warn(f"{where}: {result}")


def items_of(
    group: FeatureGroup, rows: pa.Table, reasons: Sequence[str], numbers: np.ndarray | None, *, now_us: int
) -> pa.Table:
    """Return rows of a group as rows of its quarantine.

    Args:
        group: The group.
        rows: In the columns and types of the group.
        reasons: Of each.
        numbers: Of each in the frame that came; None: nobody knows any more.
        now_us: When they are put aside.
    """
    kept = quarantine_group(group)
    schema = declared_schema(kept)
    count = rows.num_rows
    batch = secrets.token_hex(8)
    values = [name for name in (group.event_time, *(f.name for f in group.features)) if name is not None]
    columns = {
        ITEM: pa.array([f"{batch}-{number:09d}" for number in range(count)], pa.string()),
        AT: pa.repeat(pa.scalar(now_us, pa.int64()).cast(TIMESTAMP), count),
        "keys": _struct(rows, group.keys, schema.field("keys").type),
        "values": _struct(rows, values, schema.field("values").type),
        "reasons": pa.array(reasons, pa.string()),
        "row": pa.nulls(count, pa.int64()) if numbers is None else pa.array(numbers, pa.int64()),
    }
    return stored_rows(kept, pa.table([columns[name] for name in schema.names], schema=schema))


def rows_of(group: FeatureGroup, items: pa.Table) -> pa.Table:
    """Return rows of a quarantine as rows of its group, as far as the group still has their columns.

    Columns that it got since are null.
    """
    schema = declared_schema(group)
    structs = [items.column(name).combine_chunks() for name in ("keys", "values")]
    found: dict[str, pa.Array] = {}
    for struct in structs:
        parts = struct.chunk(0) if isinstance(struct, pa.ChunkedArray) else struct
        found |= {field.name: part for field, part in zip(parts.type, parts.flatten(), strict=True)}
    columns = [
        found[field.name].cast(field.type) if field.name in found else pa.nulls(items.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=pa.schema([(field.name, field.type) for field in schema]))


def quarantine_of(parts: Parts, group: RegisteredGroup) -> RegisteredGroup:
    """Return the version of a group's quarantine that has the shape of its rows.

    Raises:
        NotFoundError: There is none.
    """
    todo = f"apply the group {group.definition.name!r} again"
    return registered_as(parts, quarantine_group(group.definition), what="quarantine", todo=todo)


def aside(parts: Parts, group: RegisteredGroup, items: pa.Table, *, files: bool | None = None) -> Draft:
    """Return a commit of rows that were put aside, which are made durable as files, or go to the journal.

    Args:
        parts: The store's parts.
        group: The group.
        items: The rows, as those of its quarantine.
        files: Which of the two; None: as many as they are.

    Raises:
        NotFoundError: The group has no quarantine. BackendError: They cannot be stored.
    """
    into = quarantine_of(parts, group)
    if files is False or (files is None and items.num_rows < JOURNAL_ROWS):
        columns = journal_schema(into).names
        return replace(_draft(into, items, "push"), payload=encode_block(items.select(columns)))
    return as_files(parts, into, items, "write")


def as_files(parts: Parts, quarantine: RegisteredGroup, items: pa.Table, kind: CommitKind) -> Draft:
    """Return a commit of rows of a quarantine, or of their ends, that are durable."""
    staged = parts.history.stage(table_of(quarantine), items)
    files = tuple(replace(file, width=len(quarantine.layout)) for file in staged)
    return replace(_draft(quarantine, items, kind), files=files)


def joined(asides: Sequence[Draft]) -> Draft | None:
    """Return commits of one quarantine, which have files, as one; None if there are none."""
    if not asides:
        return None
    return replace(
        asides[0],
        rows=sum(each.rows for each in asides),
        files=tuple(file for each in asides for file in each.files),
        min_event_us=min(each.min_event_us for each in asides if each.min_event_us is not None),
        max_event_us=max(each.max_event_us for each in asides if each.max_event_us is not None),
    )


def _draft(into: RegisteredGroup, items: pa.Table, kind: CommitKind) -> Draft:
    bounds = pc.min_max(items.column(AT).cast(pa.int64()))
    first, last = bounds["min"].as_py(), bounds["max"].as_py()
    return Draft(into.id, kind, rows=items.num_rows, min_event_us=first, max_event_us=last)


def _struct(rows: pa.Table, names: Sequence[str], kind: pa.DataType) -> pa.Array:
    columns = [rows.column(name).cast(field.type).combine_chunks() for name, field in zip(names, kind, strict=True)]
    arrays = [column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks) for column in columns]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))
