"""Foreign frames in, Arrow inside, the caller's kind out.

pandas and polars are the user's packages: never imported unless the user brought a frame of theirs, or asks for one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa

from asof.errors import DataError, MissingDependencyError, UsageError

Frame = Any
"""A pandas or polars frame, a pyarrow table, batch or reader, a DuckDB relation, a dict of columns, a list of dicts,
or anything with `__arrow_c_stream__`. The foreign edge: Any is honest here."""

Kind = Literal["arrow", "pandas", "polars"]

_UNREADABLE = (TypeError, ValueError, OverflowError, pa.ArrowNotImplementedError)
"""What Arrow raises for values that no column can hold: its own errors, and those of the values."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a frame was before it became Arrow.

    Attributes:
        kind: The caller's kind.
        frame: The caller's pandas or polars frame itself, whose columns go out as they came in.
    """

    kind: Kind
    frame: Any = None

    def first(self, columns: int) -> "Origin":
        """Return it with so many columns of its frame: the others are made anew."""
        if self.frame is None:
            return self
        return Origin(self.kind, self.frame.iloc[:, :columns] if self.kind == "pandas" else self.frame[:, :columns])


def to_table(frame: Frame, *, where: str = "") -> tuple[pa.Table, Origin]:
    """Return a frame as a table, and what it was. NaN in pandas means missing and becomes null; elsewhere it stays.

    Args:
        frame: Rows of any kind.
        where: What the rows are for, for messages.

    Raises:
        DataError: A column cannot be converted; it is named.
        UsageError: It is no frame.
    """
    package = type(frame).__module__.partition(".")[0]
    try:
        if package == "pandas" and hasattr(frame, "columns"):
            return _from_pandas(frame, where), Origin("pandas", frame.copy(deep=False))
        if package == "polars":
            if hasattr(frame, "collect"):  # a LazyFrame
                frame = frame.collect()
            return _plain(pa.table(frame), where), Origin("polars", frame)
        return _plain(_from_arrow_or_python(frame, where), where), Origin("arrow")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise DataError(
            f"the frame cannot be read: {_one_line(error)}",
            where=where,
            todo="give each column one type, and all columns the same length",
        ) from error


def _from_arrow_or_python(frame: Frame, where: str) -> pa.Table:
    kind = type(frame).__name__
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.RecordBatchReader):
        return frame.read_all()
    if isinstance(frame, Mapping):
        return _from_columns(cast("Mapping[str, Any]", frame), where)
    if type(frame).__module__.startswith("pyspark.sql.") and hasattr(frame, "toArrow"):
        return frame.toArrow()  # its own Arrow stream has no zone for times, and fails
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame).read_all()
    if isinstance(frame, Iterable) and not isinstance(frame, str | bytes):
        rows: list[Any] = list(cast("Iterable[Any]", frame))
        if all(isinstance(row, Mapping) for row in rows):
            return _from_rows(rows, where)
    raise UsageError(
        f"{kind} is no frame",
        todo="pass a pandas, polars or DuckDB frame, a pyarrow table, a dict of columns or a list of dicts",
    )


def _from_rows(rows: list[Mapping[str, Any]], where: str) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        _refuse_twice(str(name), columns, where)
        columns[str(name)] = _from_values(str(name), [row.get(name) for row in rows], where)
    if rows and not columns:
        raise DataError("the rows have no columns", where=where, todo="pass dicts with the columns' names and values")
    return pa.table(columns)


def _from_columns(frame: Mapping[str, Any], where: str) -> pa.Table:
    columns: dict[str, Any] = {}
    for name, values in frame.items():
        kind = cast("type[object]", type(values))
        if issubclass(kind, str | bytes | Mapping) or not hasattr(kind, "__len__"):
            raise UsageError(
                f"column {name!r} is {kind.__name__}, no list of values",
                todo="pass one record as a list with a dict: [{...}]",
            )
        _refuse_twice(str(name), columns, where)
        objects = issubclass(kind, list | tuple) or str(getattr(values, "dtype", "")) == "object"
        pandas = kind.__module__.partition(".")[0] == "pandas"
        columns[str(name)] = _from_values(str(name), list(values), where, pandas=pandas) if objects else values
    return pa.table(columns)


def _from_values(name: str, values: list[Any], where: str, *, pandas: bool = False) -> pa.Array:
    try:
        try:
            array = pa.array(values, from_pandas=pandas)
        except _UNREADABLE:
            values = _without_marks(values)
            array = pa.array(values, from_pandas=pandas)
        if pa.types.is_temporal(array.type) and any(_missing(v) for v in values):  # Arrow may take NaT for some day
            values = _without_marks(values)
            array = pa.array(values, from_pandas=pandas)
        if pa.types.is_timestamp(array.type) and any(getattr(v, "nanosecond", 0) for v in values):
            array = pa.array(values, pa.timestamp("ns", array.type.tz), from_pandas=pandas)  # else they would be cut
    except _UNREADABLE as error:
        raise _unreadable(name, values, error, where, pandas=pandas) from error
    _refuse_mixed_times(name, array, values, where)
    return array


def _unreadable(name: str, values: list[Any], error: Exception, where: str, *, pandas: bool) -> DataError:
    """Return the error that names the first value which Arrow cannot hold beside those before it."""
    readable, unreadable = 0, len(values)  # how many of the first values are
    while unreadable - readable > 1:
        middle = (readable + unreadable) // 2
        try:
            pa.array(values[:middle], from_pandas=pandas)
        except _UNREADABLE:
            unreadable = middle
        else:
            readable = middle
    row = unreadable - 1
    reason = _one_line(error)
    try:
        pa.array(values[row : row + 1], from_pandas=pandas)
    except _UNREADABLE as its_own:
        reason = _one_line(its_own)
        what = f"row {row} of column {name!r} holds {_shown(values[row])}, which cannot be stored: {reason}"
        return DataError(what, where=_spot(where, name), todo="convert the column", data={"row": row})
    return _mixed(name, row, values[row], where, reason)


def _mixed(name: str, row: int, value: object, where: str, reason: str = "") -> DataError:
    return DataError(
        f"column {name!r} mixes types: row {row} holds {_shown(value)}" + (f" ({reason})" if reason else ""),
        where=_spot(where, name),
        todo="give all its values one type",
        data={"row": row},
    )


def _refuse_mixed_times(name: str, array: pa.Array, values: Iterable[Any], where: str) -> None:
    """Refuse what Arrow would take for something else among times: numbers, naive times, and times among dates."""
    if pa.types.is_date(array.type):
        for row, value in enumerate(values):
            if isinstance(value, datetime) and not _missing(value):
                raise _mixed(name, row, value, where)
    if not pa.types.is_timestamp(array.type):
        return
    naive: list[bool | None] = []
    for row, value in enumerate(values):
        if isinstance(value, int):
            raise _mixed(name, row, value, where)
        naive.append(value.tzinfo is None if isinstance(value, datetime) and not _missing(value) else None)
    if True in naive and False in naive:
        row = naive.index(True)
        raise DataError(
            f"column {name!r} mixes naive and aware times: row {row} has no time zone",
            where=_spot(where, name),
            todo="give every time a zone",
            data={"row": row},
        )


def _without_marks(values: list[Any]) -> list[Any]:
    """Return the values with None for what marks a missing one in records out of pandas: Arrow does not know it."""
    return [None if _missing(value) and not isinstance(value, float) else value for value in values]


def _missing(value: object) -> bool:
    """Return whether a value is None, or a mark of pandas or NumPy for a missing one."""
    if isinstance(value, float):
        return value != value  # noqa: PLR0124 - NaN
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _refuse_twice(name: str, columns: Mapping[str, object], where: str) -> None:
    if name in columns:
        raise DataError(f"the frame has two columns {name!r}", where=where, todo="drop or rename one")


def _spot(where: str, name: str) -> str:
    return f"{where}, column {name}" if where else f"column {name}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line of an error


def _from_pandas(frame: Frame, where: str) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for position, label in enumerate(frame.columns):
        series = frame.iloc[:, position]
        name = str(label)
        _refuse_twice(name, columns, where)
        if series.dtype == object:
            columns[name] = _from_values(name, list(series), where, pandas=True)
            continue
        try:
            columns[name] = pa.array(series, from_pandas=True)
        except _UNREADABLE as error:
            raise _unreadable(name, list(series), error, where, pandas=True) from error
    return _plain(pa.table(columns), where)


def _plain(table: pa.Table, where: str) -> pa.Table:
    """Return the table without extension types, views and metadata: one type per kind of value."""
    if len(set(table.column_names)) != table.num_columns:
        twice = next(n for n in table.column_names if table.column_names.count(n) > 1)
        raise DataError(f"the frame has two columns {twice!r}", where=where, todo="drop or rename one")
    for at, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):  # Arrow decodes no dictionary of views, which polars makes
            kind = _plain_type(field.type)
            decoded = [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in table.column(at).chunks]
            table = table.set_column(at, field.name, pa.chunked_array(decoded, kind))
    fields = [pa.field(f.name, _plain_type(f.type)) for f in table.schema]
    schema = pa.schema(fields)
    return table.replace_schema_metadata(None) if table.schema.equals(schema) else table.cast(schema)


def _plain_type(arrow: pa.DataType) -> pa.DataType:
    types = pa.types
    if isinstance(arrow, pa.BaseExtensionType):
        return _plain_type(arrow.storage_type)
    if types.is_dictionary(arrow):
        return _plain_type(arrow.value_type)
    if types.is_large_string(arrow) or types.is_string_view(arrow):
        return pa.string()
    if types.is_large_binary(arrow) or types.is_binary_view(arrow) or types.is_fixed_size_binary(arrow):
        return pa.binary()
    if types.is_fixed_size_list(arrow):
        return pa.list_(_plain_type(arrow.value_type), arrow.list_size)
    if types.is_list(arrow) or types.is_large_list(arrow):
        return pa.list_(_plain_type(arrow.value_type))
    if types.is_struct(arrow):
        return pa.struct([(field.name, _plain_type(field.type)) for field in arrow])
    return arrow


def to_pandas(table: pa.Table, origin: Origin | None = None) -> Frame:
    """Return a table as a pandas frame: integers and booleans with missing values as nullable types, never float.

    The first columns, and the index, are those of a pandas origin.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - the user's package
    except ImportError as error:
        raise MissingDependencyError("pandas", extra="demo") from error
    nullable = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    own = origin.frame if origin is not None and origin.kind == "pandas" else None
    names = table.column_names if own is None else table.column_names[len(own.columns) :]
    columns: dict[str, Any] = {}
    for name in names:
        column = table.column(name)
        columns[name] = column.to_pandas(types_mapper=nullable.get if column.null_count else None)
    frame = pd.DataFrame(columns, columns=pd.Index(names))
    if own is None:
        return frame
    frame.index = own.index
    return pd.concat([own, frame], axis=1)


def arrays_to_pandas(columns: Mapping[str, np.ndarray]) -> Frame:
    """Return NumPy arrays as a pandas frame of their types: text too stays an object, whatever else a column holds.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - the user's package
    except ImportError as error:
        raise MissingDependencyError("pandas", extra="demo") from error
    kept = {name: pd.Series(each, dtype=object) if each.dtype == object else each for name, each in columns.items()}
    return pd.DataFrame(kept, copy=False)


def to_polars(table: pa.Table, origin: Origin | None = None) -> Frame:
    """Return a table as a polars frame; the first columns are those of a polars origin.

    Raises:
        MissingDependencyError: polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415 - the user's package
    except ImportError as error:
        raise MissingDependencyError("polars", extra="polars") from error
    if origin is None or origin.kind != "polars" or not origin.frame.width:
        return pl.from_arrow(table)
    return origin.frame.hstack(pl.from_arrow(table.select(table.column_names[origin.frame.width :])))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
