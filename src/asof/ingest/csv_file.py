"""CSV files as tables: with declared types, or with types found in the text.

An empty field is null; a quoted empty field (`""`) is an empty text. Times are ISO 8601 with `Z` or an offset, naive
ones only where a zone is declared. Lists, vectors and structs are JSON text. Source: SEMANTICS section 1.
"""

import csv as text_csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from asof.errors import DataError

FOREIGN_NULLS = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-")
"""What other programs write for a missing number or time. In a text column only an empty field is null."""

DELIMITERS = ";\t|"
"""Tried in this order where the first line has no comma."""

SNIFFED_BYTES = 65_536

_MOMENT = pa.timestamp("us", tz="UTC")
_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def read_header(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file.

    Raises:
        DataError: It is empty, no UTF-8, or names a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            names = next(text_csv.reader(file, delimiter=_delimiter(path)), list[str]())
    except text_csv.Error as error:
        raise DataError(f"the header cannot be read: {error}", where=str(path)) from error
    if not names:
        raise DataError("the file is empty", where=str(path))
    for name in names:
        if "\ufffd" in name:
            raise DataError(f"the header is no UTF-8 text: {name!r}", where=str(path), todo="convert the file to UTF-8")
        if names.count(name) > 1:
            raise DataError(f"the header names {name!r} twice", where=str(path))
    return names


def read_csv(
    path: Path,
    types: Mapping[str, pa.DataType],
    *,
    timezone: str | None = None,
    foreign: bool = False,
) -> pa.Table:
    """Return a CSV file as a table.

    Args:
        path: The file, UTF-8 with a header line.
        types: Type of columns by their name in the file; the others are inferred.
        timezone: A zone is declared for naive times: they are accepted, and stay naive.
        foreign: Take the null texts of other programs as nulls, in all but text columns.

    Raises:
        DataError: It is no CSV, or a value does not fit its type; column, row and value are named.
    """
    nested = {name: t for name, t in types.items() if _is_nested(t)}
    fast = {name: pa.string() if name in nested else t for name, t in types.items()}
    nulls = FOREIGN_NULLS if foreign else ("",)
    try:
        table = _read(path, fast, nulls, text_nulls=not foreign)
    except pa.ArrowInvalid:
        # Slower, column by column: for naive times, and for an error that says where.
        fast = dict.fromkeys(types, pa.string())
        nested = dict(types)
        try:
            table = _read(path, fast, nulls, text_nulls=not foreign)
        except pa.ArrowInvalid as error:
            raise _unreadable(path, fast, nulls, error) from error
    for at, name in enumerate(table.column_names):
        column = table.column(at)
        if foreign and pa.types.is_string(column.type):
            column = _without_nulls(column, nulls if _keeps_no_text(types.get(name)) else ("",))
        if name in nested:
            column = from_text(column, nested[name], f"{path.name}, column {name}", timezone=timezone)
        if column is not table.column(at):
            table = table.set_column(at, name, column)
    return table


def from_text(column: pa.ChunkedArray, target: pa.DataType, where: str, *, timezone: str | None = None) -> Any:  # noqa: ANN401 - a ChunkedArray of the target type
    """Return a column of texts in another type; naive times stay naive if a timezone is declared.

    Raises:
        DataError: A text does not fit; its row is named.
    """
    if pa.types.is_string(target):
        return column
    if pa.types.is_binary(target):
        return column.cast(target)
    if _is_nested(target):
        return _parsed(column, target, where)
    column = pc.utf8_trim_whitespace(column)
    if not pa.types.is_timestamp(target):
        return _cast(column, target, where, f"which is no {target}", "correct it, or declare another type")
    try:
        return column.cast(_MOMENT)
    except _ERRORS:
        naive = _castable(column, pa.timestamp("us"))
    if naive and timezone is not None:
        return column.cast(pa.timestamp("us"))
    if naive:
        row = int(pc.index(pc.is_valid(column), True).as_py())
        raise DataError(
            f"naive times (row {row} holds {column[row].as_py()!r})",
            where=where,
            todo="write them with Z or an offset (2013-12-30T23:00:00Z), or declare timezone=",
            data={"row": row},
        )
    return _cast(column, _MOMENT, where, "which is no time", "write ISO 8601 with a zone: 2013-12-30T23:00:00Z")


def _read(path: Path, types: Mapping[str, pa.DataType], nulls: Sequence[str], *, text_nulls: bool) -> pa.Table:
    return csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict(types),
            null_values=list(nulls),
            strings_can_be_null=text_nulls,
            quoted_strings_can_be_null=False,
        ),
    )


def _delimiter(path: Path) -> str:
    with path.open("rb") as file:
        first = file.readline(SNIFFED_BYTES).decode(errors="replace")
    return "," if "," in first else next((mark for mark in DELIMITERS if mark in first), ",")


def _unreadable(
    path: Path, types: Mapping[str, pa.DataType], nulls: Sequence[str], error: pa.ArrowInvalid
) -> DataError:
    """Return the error with the row: the reader names it only where it reads with one thread."""
    try:
        csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=dict(types), null_values=list(nulls)),
        )
    except pa.ArrowInvalid as again:
        error = again
    reason = " ".join(str(error).split())
    return DataError(f"the file cannot be read as CSV: {reason}", where=str(path))


def _without_nulls(column: pa.ChunkedArray, nulls: Sequence[str]) -> pa.ChunkedArray:
    missing = pc.is_in(column, value_set=pa.array(nulls))
    return pc.if_else(missing, pa.scalar(None, pa.string()), column)


def _keeps_no_text(target: pa.DataType | None) -> bool:
    return target is not None and not pa.types.is_string(target) and not pa.types.is_binary(target)


def _is_nested(arrow: pa.DataType) -> bool:
    return pa.types.is_list(arrow) or pa.types.is_fixed_size_list(arrow) or pa.types.is_struct(arrow)


def _parsed(column: pa.ChunkedArray, target: pa.DataType, where: str) -> pa.ChunkedArray:
    values: list[object] = []
    for row, text in enumerate(column.to_pylist()):
        try:
            values.append(None if text is None else json.loads(text))
        except ValueError as error:
            raise _misfit(column, row, where, "which is no JSON", "write [1, 2]") from error
    try:
        return pa.chunked_array([pa.array(values, type=target)])
    except (*_ERRORS, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"the JSON values are no {target}: {reason}", where=where) from error


def _cast(column: pa.ChunkedArray, target: pa.DataType, where: str, what: str, todo: str) -> pa.ChunkedArray:
    try:
        return column.cast(target)
    except _ERRORS as error:
        low, high = 0, len(column)  # the first misfit lies in [low, high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _castable(column.slice(low, middle - low), target) else (low, middle)
        raise _misfit(column, low, where, what, todo) from error


def _castable(column: pa.ChunkedArray, target: pa.DataType) -> bool:
    try:
        column.cast(target)
    except _ERRORS:
        return False
    return True


def _misfit(column: pa.ChunkedArray, row: int, where: str, what: str, todo: str) -> DataError:
    value = repr(column[row].as_py())
    value = value if len(value) <= 80 else value[:77] + "..."  # noqa: PLR2004 - a line of an error
    return DataError(f"row {row} holds {value}, {what}", where=where, todo=todo, data={"row": row, "value": value})
