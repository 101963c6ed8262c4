"""Foreign frames in, Arrow inside, the caller's kind out.

pandas and polars are the user's packages: never imported unless the user brought a frame of theirs, or asks for one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import pyarrow as pa

from asof.errors import DataError, MissingDependencyError, UsageError

Frame = Any
"""A pandas or polars frame, a pyarrow table, batch or reader, a DuckDB relation, a dict of columns, a list of dicts,
or anything with `__arrow_c_stream__`. The foreign edge: Any is honest here."""

Kind = Literal["arrow", "pandas", "polars"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a frame was before it became Arrow.

    Attributes:
        kind: The caller's kind.
        frame: The caller's pandas or polars frame itself, whose columns go out as they came in.
    """

    kind: Kind
    frame: Any = None


def to_table(frame: Frame) -> tuple[pa.Table, Origin]:
    """Return a frame as a table, and what it was. NaN in pandas means missing and becomes null; elsewhere it stays.

    Raises:
        DataError: A column cannot be converted; it is named.
        UsageError: It is no frame.
    """
    package = type(frame).__module__.partition(".")[0]
    try:
        if package == "pandas" and hasattr(frame, "columns"):
            return _from_pandas(frame), Origin("pandas", frame.copy(deep=False))
        if package == "polars":
            if hasattr(frame, "collect"):  # a LazyFrame
                frame = frame.collect()
            return _plain(pa.table(frame)), Origin("polars", frame)
        return _plain(_from_arrow_or_python(frame)), Origin("arrow")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise DataError(f"the frame cannot be read: {_one_line(error)}", todo="give each column one type") from error


def _from_arrow_or_python(frame: Frame) -> pa.Table:
    kind = type(frame).__name__
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.RecordBatchReader):
        return frame.read_all()
    if isinstance(frame, Mapping):
        return _from_columns(cast("Mapping[str, Any]", frame))
    if hasattr(frame, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(frame).read_all()
    if isinstance(frame, Iterable) and not isinstance(frame, str | bytes):
        rows: list[Any] = list(cast("Iterable[Any]", frame))
        if all(isinstance(row, Mapping) for row in rows):
            return _from_rows(rows)
    raise UsageError(
        f"{kind} is no frame",
        todo="pass a pandas, polars or DuckDB frame, a pyarrow table, a dict of columns or a list of dicts",
    )


def _from_rows(rows: list[Mapping[str, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, pa.Array] = {}
    for name in names:
        columns[name] = _from_values(name, [row.get(name) for row in rows])
    return pa.table(columns)


def _from_columns(frame: Mapping[str, Any]) -> pa.Table:
    columns: dict[str, Any] = {}
    for name, values in frame.items():
        kind = cast("type[object]", type(values))
        if issubclass(kind, str | bytes | Mapping) or not hasattr(kind, "__len__"):
            raise UsageError(
                f"column {name!r} is {kind.__name__}, no list of values",
                todo="pass one record as a list with a dict: [{...}]",
            )
        columns[name] = _from_values(name, list(values)) if issubclass(kind, list | tuple) else values
    return pa.table(columns)


def _from_values(name: str, values: list[Any]) -> pa.Array:
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        row = _first_odd_row(values)
        raise DataError(
            f"column {name!r} mixes types" + (f": row {row} holds {values[row]!r}" if row is not None else ""),
            todo=_one_line(error),
        ) from error
    _refuse_mixed_zones(name, array, values)
    return array


def _refuse_mixed_zones(name: str, array: pa.Array, values: Iterable[Any]) -> None:
    """Refuse naive times among aware ones: Arrow would take them for UTC."""
    if not pa.types.is_timestamp(array.type):
        return
    naive = [v.tzinfo is None if isinstance(v, datetime) and v == v else None for v in values]  # noqa: PLR0124 - NaT
    if True in naive and False in naive:
        row = naive.index(True)
        raise DataError(
            f"column {name!r} mixes naive and aware times: row {row} has no time zone",
            todo="give every time a zone",
            data={"row": row},
        )


def _from_pandas(frame: Frame) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for position, name in enumerate(frame.columns):
        series = frame.iloc[:, position]
        if str(name) in columns:
            raise DataError(f"the frame has two columns {str(name)!r}")
        try:
            columns[str(name)] = pa.array(series, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            row = _first_odd_row(series)
            raise DataError(
                f"column {str(name)!r} mixes types"
                + (f": row {row} holds {series.iloc[row]!r}" if row is not None else ""),
                todo=_one_line(error),
            ) from error
        if series.dtype == object:
            _refuse_mixed_zones(str(name), columns[str(name)], series)
    return _plain(pa.table(columns))


def _first_odd_row(series: Any) -> int | None:  # noqa: ANN401 - a pandas Series
    kind: type | None = None
    for row, value in enumerate(series):
        if value is None or value != value:  # noqa: PLR0124 - NaN
            continue
        kind = kind or type(value)
        if type(value) is not kind:
            return row
    return None


def _plain(table: pa.Table) -> pa.Table:
    """Return the table without extension types, views and metadata: one type per kind of value."""
    if len(set(table.column_names)) != table.num_columns:
        twice = next(n for n in table.column_names if table.column_names.count(n) > 1)
        raise DataError(f"the frame has two columns {twice!r}")
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


def to_polars(table: pa.Table, origin: Origin | None = None) -> Frame:
    """Return a table as a polars frame; the first columns are those of a polars origin.

    Raises:
        MissingDependencyError: polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415 - the user's package
    except ImportError as error:
        raise MissingDependencyError("polars", extra="polars") from error
    if origin is None or origin.kind != "polars":
        return pl.from_arrow(table)
    return origin.frame.hstack(pl.from_arrow(table.select(table.column_names[origin.frame.width :])))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
