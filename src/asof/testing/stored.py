"""Rows of every type as an engine reads them: in a file, in the journal, or in both."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asof.arrow.layout import stored_rows, stored_schema
from asof.clock import from_us
from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.port import Rows
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN, DataFile, Stamp
from asof.testing.played import times

AT_US = 1_704_067_200_000_000


def every_type() -> FeatureGroup:
    """Return a group with a feature of every type."""
    features = {
        "number": "int8",
        "ratio": "float32",
        "truth": "bool",
        "text": "string",
        "raw": "bytes",
        "day": "date",
        "when": "timestamp",
        "money": "decimal(38, 9)",
        "numbers": "list<int64>",
        "texts": "list<list<string>>",
        "vector": "vector<float32, 3>",
        "thing": "struct<a: int64, b: list<timestamp>, c: struct<d: decimal(5, 2)>>",
    }
    return FeatureGroup(
        "g",
        entity=Entity("e", keys={"k": "string"}),
        features=[Feature(name, dtype) for name, dtype in features.items()],
        event_time="at",
    )


def every_value() -> pa.Table:
    """Return a row with a value of every type, and one of nulls."""
    group = every_type()
    full = {
        "k": "full",
        "at": from_us(AT_US),
        "number": 7,
        "ratio": 0.1,
        "truth": True,
        "text": "a\0é",
        "raw": b"\0\xff",
        "day": date(1969, 12, 31),
        "when": from_us(-1),
        "money": Decimal("12345678901234567890123456789.123456789"),
        "numbers": [1, None, 2**62],
        "texts": [["a", None], [], None],
        "vector": [1.0, 2.0, 3.0],
        "thing": {"a": None, "b": [from_us(1), None], "c": {"d": Decimal("-1.50")}},
    }
    schema = stored_schema(group)
    declared = pa.schema([schema.field(name) for name in full])
    return pa.Table.from_pylist([full, {"k": "none", "at": from_us(AT_US)}], schema=declared)


def rows_of(group: FeatureGroup) -> Rows:
    """Return the history of a group that has no rows yet."""
    layout = tuple(feature.name for feature in group.features)
    return Rows(stored_schema(group), group.keys, group.event_time, group.delay_us, 1, layout)


def stored_as(group: FeatureGroup, table: pa.Table, folder: Path, where: str, *, at_us: int = AT_US + 10) -> Rows:
    """Store rows as commit 1: in a file, in the journal, or one row in a file and the others in the journal."""
    rows = rows_of(group)
    stored = stored_rows(group, table)
    split = {"file": table.num_rows, "journal": 0, "both": table.num_rows // 2}[where]
    if split:
        place = str(folder / f"{id(stored)}-{split}.parquet")
        pq.write_table(stored.slice(0, split), place)
        events = [0] if group.event_time is None else stored.column(group.event_time).cast(pa.int64()).to_pylist()
        file = DataFile(place, split, 1, min(events), max(events), first_commit=1, last_commit=1)
        rows = replace(rows, files=((place, file, Stamp(1, at_us, "commit")),))
    if split < table.num_rows:
        part = stored.slice(split)
        part = part.set_column(part.schema.get_field_index(COMMIT_COLUMN), COMMIT_COLUMN, pa.array([1] * part.num_rows))
        part = part.set_column(
            part.schema.get_field_index(AVAILABLE_COLUMN), AVAILABLE_COLUMN, times([at_us] * part.num_rows)
        )
        rows = replace(rows, journal=part)
    assert rows.schema.names[-3:] == [RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN]
    return rows
