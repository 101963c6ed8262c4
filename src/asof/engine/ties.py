"""Rows of one version: equal ones are one row, others have no order, and no answer. Source: docs/decisions/0021."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.nested import canonical
from asof.clock import show_us
from asof.engine.port import Rows
from asof.errors import DataError


def settled(found: pa.Table, by: Sequence[str]) -> tuple[pa.Table, int | None]:
    """Return rows without those that are equal to the one before, and the place of the first that ties with it.

    Args:
        found: Rows, those that agree in `by` one after the other.
        by: What tells rows apart.
    """
    if found.num_rows < 2:  # noqa: PLR2004 - one row ties with none
        return found, None
    found = found.combine_chunks()
    rest = [name for name in found.column_names if name not in by]
    same = _equal_to_last(found.select(list(by)))
    equal = same & _equal_to_last(found.select(rest))
    tied = np.flatnonzero(same & ~equal)
    if len(tied):
        return found, int(tied[0]) + 1
    return (found.filter(pa.array(np.append(True, ~same))) if same.any() else found), None


def settled_stream(reader: pa.RecordBatchReader, rows: Rows, schema: pa.Schema) -> pa.RecordBatchReader:
    """Return rows that are ordered by key with one row for each, in some of their columns.

    Raises:
        DataError: Rows of one key differ.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        last = reader.schema.empty_table()
        for batch in reader:
            table, tie = settled(pa.concat_tables([last, pa.Table.from_batches([batch])]), rows.keys)
            if tie is not None:
                raise tied(rows, table.slice(tie, 1))
            yield from table.slice(0, max(table.num_rows - 1, 0)).select(schema.names).to_batches()
            last = table.slice(max(table.num_rows - 1, 0))
        yield from last.select(schema.names).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def with_keys(rows: Rows, columns: Sequence[str]) -> list[str]:
    """Return columns with the keys, by which rows that tie are found."""
    return [*columns, *(name for name in rows.keys if name not in columns)]


def tied(rows: Rows, row: pa.Table, event_us: int | None = None) -> DataError:
    """Return what is said of a key with rows that tie."""
    key = {name: row.column(name)[0].as_py() for name in rows.keys if name in row.column_names}
    at = "" if event_us is None else f" at {show_us(event_us)}"
    outside = rows.outside
    ordered = outside is not None and outside.available_at is not None
    todo = (
        "of rows known at the same time none is the newest: mend them at their place"
        if ordered
        else "declare available_at=, the column that says which is newer, or mend them at their place"
    )
    where = "" if outside is None else outside.read.place
    return DataError(f"several rows of the key {key}{at} differ", where=where, todo=todo, data={"key": key})


def _equal_to_last(table: pa.Table) -> np.ndarray:
    """Return for each row but the first whether it is equal to the one before; null equals null, NaN equals NaN."""
    same = np.ones(table.num_rows - 1, dtype=bool)
    for name in table.column_names:
        column = canonical(table.column(name)).combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        one, other = column[1:], column[:-1]
        if pa.types.is_nested(column.type):
            same &= np.array(
                [repr(a) == repr(b) for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], bool
            )
            continue
        equal = pc.fill_null(pc.equal(one, other), fill_value=False)
        equal = pc.or_(equal, pc.and_(pc.is_null(one), pc.is_null(other)))
        if pa.types.is_floating(column.type):
            nan = [pc.fill_null(pc.is_nan(each), fill_value=False) for each in (one, other)]
            equal = pc.or_(equal, pc.and_(*nan))
        same &= equal.to_numpy(zero_copy_only=False)
    return same
