"""Call a model with the number of rows by which one row and many give the same bits, and never with another.

Matrix products and sums of other sizes may differ in their last bits. So a model is tried on rows of its training set
when it is kept: if large blocks give the same bits as their rows one after the other, it is called with one row or with
a large block; else, if small blocks give the same bits wherever in them a row is, with small blocks only, also for one
row; else row by row. Blocks that are not full are filled up with their first row.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from asof.arrow.types import arrow_type, inferred_type
from asof.definitions.types import DType
from asof.errors import DataError, UsageError
from asof.training.sets.inputs import Inputs

BLOCK = 4096
"""Rows of a large block."""

SMALL = 64
"""Rows of a small block: for linear models and nets it takes little longer than one row."""

Sizes = tuple[int, int]
"""With how many rows a model is called: for one row, and for many."""

SIZES: tuple[Sizes, ...] = ((1, BLOCK), (SMALL, SMALL))
"""What is tried, in this order."""

ROW_BY_ROW: Sizes = (1, 1)

TRIED = 256
"""Rows that are predicted one by one to see whether blocks give the same."""

FEW = 16
"""So many rows are predicted one by one in any case: a block would take longer."""

PREDICTION = "prediction"

Value = Any
"""A Python value of any of our types."""


class Caller:
    """A model that was loaded, and how it is called.

    Args:
        model: The model.
        method: What of it is called; "" if it is a function.
        inputs: What it is given.
        outputs: What it gives; None if that is not known yet.
        sizes: With how many rows it is called.
        where: Whose it is, for messages.

    Raises:
        UsageError: It has no such method.
    """

    def __init__(
        self,
        model: object,
        method: str,
        inputs: Inputs,
        *,
        outputs: Mapping[str, DType] | None = None,
        sizes: Sizes = ROW_BY_ROW,
        where: str,
    ) -> None:
        """Find the method."""
        call = model if method == "" else getattr(model, method, None)
        if not callable(call):
            what = f"the model has no method {method!r}" if method else "the model is no function"
            raise UsageError(what, where=where, todo='pass method="predict", or what yours is called')
        self._call: Callable[[Any], Any] = call
        self._inputs = inputs
        self._where = where
        self._classes = getattr(model, "classes_", None) if method in {"predict_proba", "predict_log_proba"} else None
        self._one, self._many = sizes
        self._schema = None if outputs is None else _schema(outputs)

    def one(self, row: Mapping[str, Value]) -> dict[str, Value]:
        """Return what the model gives for one row of inputs."""
        batch = self._batch(self._inputs.of_row(row, self._one), self._one)
        return {name: column[0].as_py() for name, column in zip(batch.schema.names, batch.columns, strict=True)}

    def table(self, rows: pa.Table, told: Callable[[int], None] = lambda _: None) -> pa.Table:
        """Return what the model gives for rows of inputs; `told` hears how many are done."""
        size = self._one if rows.num_rows <= FEW else self._many
        return self._one_by_one(rows, told) if size == 1 else self._by_blocks(rows, size, told)

    def tried(self, rows: pa.Table) -> tuple[dict[str, DType], Sizes]:
        """Return what the model gives for some rows, and with how many rows it must be called.

        Raises:
            DataError: It gives nothing that a column can hold, or not one for each row.
        """
        if not rows.num_rows:
            raise DataError("the training set has no row to try the model on", where=self._where)
        some = rows.slice(0, TRIED)
        first = self._block(some, BLOCK)
        outputs = {field.name: inferred_type(field.type) for field in first.schema}
        self._schema = _schema(outputs)
        return outputs, next((sizes for sizes in SIZES if self._fits(some, sizes)), ROW_BY_ROW)

    def _fits(self, rows: pa.Table, sizes: Sizes) -> bool:
        """Return whether rows one by one have the bits that they have among others, twice."""
        one, many = sizes
        alone = pa.Table.from_batches([self._block(rows.slice(at, 1), one) for at in range(rows.num_rows)])
        return all(_same(self._by_blocks(rows, many), alone) for _ in range(2))

    def _by_blocks(self, rows: pa.Table, size: int, told: Callable[[int], None] = lambda _: None) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        for at in range(0, rows.num_rows, size):
            batches.append(self._block(rows.slice(at, size), size))
            told(min(at + size, rows.num_rows))
        return pa.Table.from_batches(batches, self._schema)

    def _block(self, rows: pa.Table, size: int) -> pa.RecordBatch:
        """Return what the model gives for some rows, which are filled up to a block."""
        return self._batch(self._inputs.of_table(_filled(rows, size)), size).slice(0, rows.num_rows)

    def _one_by_one(self, rows: pa.Table, told: Callable[[int], None] = lambda _: None) -> pa.Table:
        batches: list[pa.RecordBatch] = []
        given = self._inputs.of_table(rows)
        for at in range(rows.num_rows):
            batches.append(self._batch(self._inputs.row(given, at), 1))
            if not at % FEW:
                told(at)
        return pa.Table.from_batches(batches, self._schema).combine_chunks()

    def _batch(self, given: object, rows: int) -> pa.RecordBatch:
        """Call the model, and return its columns.

        Raises:
            DataError: It failed, or gave what does not fit.
        """
        try:
            found = self._call(given)
        except Exception as error:  # a model may raise anything
            what = f"the model failed: {type(error).__name__}: {error}"
            raise DataError(what, where=self._where, todo="look at its inputs") from error
        try:
            columns = _columns(found, self._classes)
        except Exception as error:  # of a foreign kind
            raise DataError(f"the model gave what no column holds: {error}", where=self._where) from error
        if not columns:
            raise DataError("the model gave nothing", where=self._where, todo="let it give a value for each row")
        for name, column in columns.items():
            if len(column) != rows:
                what = f"the model gave {len(column):,} values of {name!r} for a block of {rows:,} rows"
                raise DataError(what, where=self._where, todo="let it give one for each row")
        try:
            arrays = [pa.array(column, from_pandas=False) for column in columns.values()]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(columns))
            return batch if self._schema is None else batch.cast(self._schema)
        except (pa.ArrowException, ValueError, KeyError, OverflowError) as error:
            raise DataError(f"the model gave what no column holds: {error}", where=self._where) from error


def _columns(found: Any, classes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a model gives
    """Return what a model gave as columns: `prediction`, or one for each class, key or column."""
    if isinstance(found, Mapping):
        return {str(name): np.atleast_1d(np.asarray(column)) for name, column in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - foreign
    if hasattr(found, "columns"):  # a frame
        return {str(name): np.atleast_1d(np.asarray(found[name])) for name in found.columns}
    array = np.asarray(found)
    if array.ndim == 2 and array.shape[1] == 1 and classes is None:  # noqa: PLR2004 - a column
        array = array[:, 0]
    if array.ndim <= 1:
        return {PREDICTION: np.atleast_1d(array)}
    names = range(array.shape[1]) if classes is None else classes
    return {f"{PREDICTION}_{name}": np.ascontiguousarray(array[:, at]) for at, name in enumerate(names)}


def _filled(rows: pa.Table, size: int) -> pa.Table:
    """Return rows made as many as a block, by their first."""
    missing = size - rows.num_rows
    return rows if not missing else pa.concat_tables([rows, rows.take(pa.repeat(0, missing))])


def _same(one: pa.Table, other: pa.Table) -> bool:
    """Return whether two tables have the same bits."""
    for name in one.schema.names:
        a, b = (np.asarray(each.column(name).to_numpy()) for each in (one, other))
        if a.dtype != b.dtype or (a.tobytes() != b.tobytes() if a.dtype != object else a.tolist() != b.tolist()):
            return False
    return True


def _schema(outputs: Mapping[str, DType]) -> pa.Schema:
    return pa.schema([pa.field(name, arrow_type(dtype)) for name, dtype in outputs.items()])


def single(outputs: Sequence[str]) -> bool:
    """Return whether a model gives one value a row."""
    return list(outputs) == [PREDICTION]
