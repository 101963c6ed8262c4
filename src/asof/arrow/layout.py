"""The columns of stored rows.

A stored row has the group's keys, its event time, its features (in the order declared), and three columns of ours:
whether the row is a retirement, and, in stamped files only (else null), its commit and its arrival.

A confirmation has the event time and commit of the row that it names in the place of features (SEMANTICS section 5).
"""

from collections.abc import Sequence

import pyarrow as pa

from asof.arrow.types import TIMESTAMP, arrow_type
from asof.definitions import FeatureGroup
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
)


def declared_schema(group: FeatureGroup) -> pa.Schema:
    """Return the columns that a user's frame must have: keys, event time, features."""
    fields = [pa.field(key, arrow_type(dtype), nullable=False) for key, dtype in group.entity.keys.items()]
    if group.event_time is not None:
        fields.append(pa.field(group.event_time, TIMESTAMP, nullable=False))
    fields += [pa.field(f.name, arrow_type(f.dtype), nullable=f.nullable) for f in group.features]
    return pa.schema(fields)


def stored_schema(group: FeatureGroup) -> pa.Schema:
    """Return the columns of a data file. Features are nullable in files: a retirement has none."""
    declared = [field.with_nullable(field.name not in group.keys and field.name != group.event_time)
                for field in declared_schema(group)]  # fmt: skip
    return pa.schema(
        [
            *declared,
            pa.field(RETIRED_COLUMN, pa.bool_()),
            pa.field(COMMIT_COLUMN, pa.int64()),
            pa.field(AVAILABLE_COLUMN, TIMESTAMP),
        ]
    )


def confirmation_schema(schema: pa.Schema, keys: Sequence[str], event_time: str | None) -> pa.Schema:
    """Return the columns of confirmations: those of stored rows, with the version of the named row as features.

    `__named_event` is in microseconds, 0 in a static group.
    """
    ours = (COMMIT_COLUMN, AVAILABLE_COLUMN, RETIRED_COLUMN)
    named = [pa.field(name, pa.int64(), nullable=False) for name in (NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN)]
    kept = [field for field in schema if field.name in keys or field.name == event_time]
    return pa.schema([*kept, *named, *(field for field in schema if field.name in ours)])


def stored_rows(
    group: FeatureGroup, table: pa.Table, *, retired: bool = False, arrivals: pa.ChunkedArray | None = None
) -> pa.Table:
    """Return rows with the columns of a data file.

    Args:
        group: Their group.
        table: Keys, event time and features; features may lack for retirements.
        retired: Whether the rows are retirements.
        arrivals: Recorded arrivals, if they have any.
    """
    schema = stored_schema(group)
    count = table.num_rows
    columns: list[pa.ChunkedArray | pa.Array] = []
    for field in schema:
        if field.name == RETIRED_COLUMN:
            columns.append(pa.repeat(pa.scalar(retired), count))
        elif field.name == AVAILABLE_COLUMN and arrivals is not None:
            columns.append(arrivals)
        elif field.name in table.column_names:
            columns.append(table.column(field.name))
        else:
            columns.append(pa.nulls(count, field.type))
    return pa.Table.from_arrays(columns, schema=schema)
