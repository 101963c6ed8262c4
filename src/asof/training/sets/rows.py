"""Rows of a training set, as its group keeps them and as callers see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from asof.arrow.layout import declared_schema
from asof.arrow.types import arrow_type
from asof.definitions import FeatureGroup
from asof.definitions.training_set import ANSWERS, DERIVED, LABEL, ROW, SPINE, SPLIT, Kept
from asof.definitions.types import DType, parse_type
from asof.training.sets.manifest import Column, Manifest


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a training set.

    Attributes:
        spine: The caller's.
        answers: The features.
        derived: Keys that came from answers: kept, and not shown.
        label: The name and type of a label that is looked up; None if there is none.
        parts: The names of the parts of the split; none without a split.
    """

    spine: tuple[Kept, ...]
    answers: tuple[Kept, ...]
    derived: tuple[Kept, ...]
    label: tuple[str, DType] | None
    parts: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> "Shape":
        """Return the shape of a training set that was made."""

        def kept(columns: Sequence[Column]) -> tuple[Kept, ...]:
            return tuple(column.kept for column in columns)

        said, split = manifest.label, manifest.parted
        label = None if said is None or not said.group else (said.column, parse_type(said.dtype))
        parts = () if split is None else split.names
        return cls(kept(manifest.spine), kept(manifest.answers), kept(manifest.derived), label, parts)

    @property
    def types(self) -> dict[str, DType]:
        """The columns that callers see, but for the part of the split."""
        label = {} if self.label is None else dict([self.label])
        return {each.name: each.dtype for each in (*self.spine, *self.answers)} | label

    @property
    def schema(self) -> pa.Schema:
        """The columns that callers see; with a split the last says the part."""
        fields = [pa.field(name, arrow_type(dtype)) for name, dtype in self.types.items()]
        return pa.schema([*fields, *([pa.field(SPLIT, pa.string())] if self.parts else [])])

    def shown(
        self, spine: pa.Table, answers: pa.Table, label: pa.ChunkedArray | None, parts: np.ndarray | None
    ) -> pa.Table:
        """Return rows as callers see them."""
        columns = [*spine.columns, *answers.columns]
        if self.label is not None and label is not None:
            columns.append(label)
        if self.parts and parts is not None:
            names = pa.array(self.parts, pa.string())
            columns.append(pa.chunked_array([names.take(pa.array(parts))]))
        typed = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(typed, schema=self.schema)

    def kept(self, group: FeatureGroup, shown: pa.Table, derived: pa.Table, first: int) -> pa.Table:
        """Return rows as the group keeps them.

        Args:
            group: The group.
            shown: The rows as callers see them.
            derived: Keys that came from answers, by their names.
            first: The number of the first row.
        """
        schema = declared_schema(group)
        numbers = pa.array(np.arange(first, first + shown.num_rows, dtype=np.int64))
        columns: dict[str, pa.Array] = {
            ROW: numbers,
            SPINE: _struct(shown, self.spine, schema.field(SPINE).type),
            ANSWERS: _struct(shown, self.answers, schema.field(ANSWERS).type),
        }
        if self.derived:
            columns[DERIVED] = _struct(derived, self.derived, schema.field(DERIVED).type)
        if self.label is not None:
            columns[LABEL] = _whole(shown.column(self.label[0]), schema.field(LABEL).type)
        if self.parts:
            columns[SPLIT] = _whole(shown.column(SPLIT), pa.string())
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)

    def seen(self, batch: pa.RecordBatch) -> pa.Table:
        """Return kept rows as callers see them."""
        table = pa.Table.from_batches([batch])
        spine, answers = (_fields(table, *each) for each in ((SPINE, self.spine), (ANSWERS, self.answers)))
        columns = [*spine.columns, *answers.columns]
        if self.label is not None:
            columns.append(table.column(LABEL))
        if self.parts:
            columns.append(table.column(SPLIT))
        typed = [column.cast(field.type) for column, field in zip(columns, self.schema, strict=True)]
        return pa.Table.from_arrays(typed, schema=self.schema)

    def asked(self, shown: pa.Table) -> pa.Table:
        """Return the spine of rows as callers see them."""
        return shown.select([column.name for column in self.spine])

    def fields(self, ways: Mapping[str, set[tuple[str, ...]]]) -> list[tuple[str, tuple[str, ...]]]:
        """Return entities with the fields that hold their keys, of entities with the columns that do."""
        found = {each.name: each.field for each in (*self.spine, *self.derived)}
        return [(entity, tuple(found[name] for name in way)) for entity, several in ways.items() for way in several]


def _struct(table: pa.Table, columns: Sequence[Kept], kind: pa.DataType) -> pa.Array:
    arrays = [_whole(table.column(each.name), field.type) for each, field in zip(columns, kind, strict=True)]
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def _whole(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    combined = column.cast(kind).combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _fields(table: pa.Table, name: str, columns: Sequence[Kept]) -> pa.Table:
    whole = table.column(name).combine_chunks()
    struct = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    return pa.table(struct.flatten(), names=[each.name for each in columns])
