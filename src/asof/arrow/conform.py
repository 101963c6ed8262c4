"""A user's frame as the declared columns of a group, without loss, or an error that names column, row and value.

Source: SEMANTICS sections 1, 2 (NaN, nulls) and 7 (what is never skipped).
"""

from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import declared_schema
from asof.arrow.nested import DECIMAL_BYTES, NUMBER_BYTES, canonical, cast, row_bytes
from asof.arrow.types import TIMESTAMP
from asof.clock import show_us
from asof.definitions import FeatureGroup
from asof.errors import DataError, NotFoundError

MAX_KEY_BYTES = 16_000
MAX_ROW_BYTES = 1_000_000

_FIRST_DAY, _LAST_DAY = (day.toordinal() - date(1970, 1, 1).toordinal() for day in (date.min, date.max))
_DAY_US = 86_400_000_000

_ARROW_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def conform(
    table: pa.Table,
    group: FeatureGroup,
    *,
    columns: pa.Schema | None = None,
    extra: tuple[str, ...] = (),
    timezone: str | None = None,
    truncate: bool = False,
) -> pa.Table:
    """Return exactly the declared columns of a frame, in their declared types, with canonical floats.

    Args:
        table: The user's rows.
        group: What they must be.
        columns: The columns wanted, if not all that the group declares.
        extra: Further columns that may be there, and are left out of the answer.
        timezone: Zone of naive times; default: the group's.
        truncate: Cut times to whole microseconds instead of refusing finer ones.

    Raises:
        DataError: A column is missing or not declared, a value does not fit, a key or time is null, a row is too big.
    """
    where = f"group {group.name}"
    schema = columns or declared_schema(group)
    if not table.num_rows and not table.num_columns:  # an empty list of dicts knows no columns
        return schema.empty_table()
    _check_names(table, schema, extra, where)
    arrays: list[pa.ChunkedArray] = []
    for field in schema:
        column = table.column(field.name)
        spot = f"{where}, column {field.name}"
        if pa.types.is_timestamp(field.type):
            column = conform_time(column, spot, timezone=timezone or group.timezone, truncate=truncate)
        else:
            column = conform_column(column, field.type, spot)
        if not field.nullable and column.null_count:
            row = _first_true(pc.is_null(column))
            what = "key" if field.name in group.keys else "event time" if field.name == group.event_time else "value"
            raise DataError(f"null {what} in row {row}", where=spot, todo="filter or fill it", data={"row": row})
        arrays.append(column)
    conformed = pa.Table.from_arrays(arrays, schema=schema)
    check_sizes(conformed, group.keys, where)
    return conformed


def conform_column(column: pa.ChunkedArray, target: pa.DataType, where: str) -> pa.ChunkedArray:
    """Return a column in another type, if no value is lost; floats canonical (one NaN, 0.0 for -0.0).

    float64 into a float32 column is rounded: declaring float32 asks for that.

    Raises:
        DataError: A value does not fit; its row is named.
    """
    if not len(column):  # no value, so none of a wrong type: empty pandas columns are often of type object
        return pa.chunked_array([], type=target)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.type != target:
        if not _same_family(column.type, target):
            raise _misfit(column, target, where)
        try:
            converted = cast(column, target)
        except _ARROW_ERRORS as error:
            raise _misfit(column, target, where, lambda part: cast(part, target)) from error
        column = converted
    elif pa.types.is_string(target) or pa.types.is_nested(target):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise _misfit(column, target, where, lambda part: part.validate(full=True)) from error
    if pa.types.is_date32(target):
        return _in_calendar(column, where)
    return canonical(column)


def conform_time(
    column: pa.ChunkedArray, where: str, *, timezone: str | None = None, truncate: bool = False
) -> pa.ChunkedArray:
    """Return a column of times as UTC microseconds.

    Raises:
        DataError: It holds no times, naive times without a timezone, or times finer than a microsecond.
    """
    if pa.types.is_null(column.type) or not len(column):
        return pa.chunked_array([pa.nulls(len(column), TIMESTAMP)])
    if not pa.types.is_timestamp(column.type):
        value = next((v for v in column.slice(0, 1).to_pylist()), None)
        raise DataError(
            f"{column.type} is no time (row 0 holds {value!r})",
            where=where,
            todo='convert it, such as pandas.to_datetime(df["time"], utc=True)',
        )
    if column.type.tz is None:
        if timezone is None:
            raise DataError(
                f"naive times (row 0 holds {_show_time(column, 0)})",
                where=where,
                todo='give them a zone (df["time"].dt.tz_localize("UTC")) or declare timezone=',
            )
        try:
            column = pc.assume_timezone(column, timezone)
        except pa.ArrowInvalid as error:
            reason = " ".join(str(error).split())
            if "Cannot locate" in reason:
                raise DataError(
                    f"unknown time zone {timezone!r}", where=where, todo='write it as "Europe/Paris"'
                ) from error
            raise DataError(
                f"a local time does not name one moment: {reason}",
                where=where,
                todo="convert to UTC yourself",
            ) from error
    if column.type == TIMESTAMP:
        return _in_calendar(column, where)
    try:
        return _in_calendar(column.cast(TIMESTAMP, safe=not truncate), where)
    except pa.ArrowInvalid as error:
        row = _first_failure(column, lambda part: part.cast(TIMESTAMP))
        raise DataError(
            f"row {row} holds {column[row].value} {column.type.unit}, no whole microsecond that we can store",
            where=where,
            todo="round the times, or pass truncate=True",
            data={"row": row},
        ) from error


def _in_calendar(column: pa.ChunkedArray, where: str) -> pa.ChunkedArray:
    """Return times or dates, if Python can hold them all: one outside of the calendar would break every reader.

    Raises:
        DataError: A row lies outside; it is named.
    """
    dates = pa.types.is_date32(column.type)
    first, last = (_FIRST_DAY, _LAST_DAY) if dates else (_FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1)
    numbers = column.cast(pa.int32() if dates else pa.int64())
    bounds = pc.min_max(numbers)
    least, greatest = bounds["min"].as_py(), bounds["max"].as_py()
    if least is not None and (least < first or greatest > last):
        row = _first_true(pc.or_(pc.less(numbers, first), pc.greater(numbers, last)))
        raise DataError(
            f"row {row} holds {numbers[row].as_py()} ({column.type}), outside of the years 1 to 9999",
            where=where,
            todo="filter or mend it",
            data={"row": row},
        )
    return column


def check_future(times: pa.ChunkedArray, limit_us: int, where: str) -> None:
    """Refuse times after a limit.

    Raises:
        DataError: The first such row is named.
    """
    late = pc.greater(times.cast(pa.int64()), limit_us)
    if pc.any(late).as_py():
        row = _first_true(late)
        raise DataError(
            f"row {row} lies in the future: {show_us(times[row].value)}",
            where=where,
            todo=f"the store's clock and the permitted skew end at {show_us(limit_us)}",
            data={"row": row, "limit_us": limit_us},
        )


def check_sizes(table: pa.Table, keys: tuple[str, ...], where: str) -> None:
    """Refuse keys over 16 kB and rows over 1 MB.

    Raises:
        DataError: The first such row is named.
    """
    if not table.num_rows:
        return
    for limit, names, what in (
        (MAX_KEY_BYTES, keys, "key"),
        (MAX_ROW_BYTES, tuple(table.column_names), "row"),
    ):
        sizes = _bytes(table.select(list(names)), limit)
        if sizes is None:
            continue
        row = int(sizes.argmax())
        if sizes[row] > limit:
            raise DataError(
                f"the {what} in row {row} has {sizes[row]:,} bytes, {limit:,} are allowed",
                where=where,
                todo="store large objects elsewhere and their address here",
                data={"row": row},
            )


def _bytes(table: pa.Table, limit: int) -> np.ndarray | None:
    """Return the size of each row; None if no row can exceed the limit, as with numbers alone."""
    varying = [c for c in table.columns if pa.types.is_nested(c.type) or _family(c.type) == "text"]
    if not varying and table.num_columns * DECIMAL_BYTES <= limit:
        return None
    total = np.full(table.num_rows, (table.num_columns - len(varying)) * NUMBER_BYTES, np.int64)
    for column in varying:
        total += np.concatenate([row_bytes(chunk) for chunk in column.chunks])
    return total


def _check_names(table: pa.Table, schema: pa.Schema, extra: tuple[str, ...], where: str) -> None:
    present = set(table.column_names)
    for name in schema.names:
        if name not in present:
            closest = NotFoundError.named("column", name, present).todo
            raise DataError(f"column {name!r} is missing", where=where, todo=closest, data={"column": name})
    for name in table.column_names:
        if name not in schema.names and name not in extra:
            raise DataError(
                f"column {name!r} is not declared",
                where=where,
                todo="drop it, or add it to the group's features",
                data={"column": name},
            )


def _family(arrow: pa.DataType) -> str:
    types = pa.types
    if types.is_boolean(arrow):
        return "bool"
    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_decimal(arrow):
        return "number"
    if types.is_string(arrow) or types.is_binary(arrow):
        return "text"
    if types.is_date(arrow):
        return "date"
    if types.is_timestamp(arrow):
        return "timestamp"
    if types.is_list(arrow) or types.is_fixed_size_list(arrow):
        return "list"
    return "struct" if types.is_struct(arrow) else str(arrow)


def _same_family(source: pa.DataType, target: pa.DataType) -> bool:
    if pa.types.is_null(source):
        return True
    family = _family(source)
    if family != _family(target):
        return False
    if family == "list":
        return _same_family(source.value_type, target.value_type)
    if family == "struct":
        given = {field.name: field.type for field in source}
        return given.keys() == {field.name for field in target} and all(
            _same_family(given[field.name], field.type) for field in target
        )
    if family == "timestamp":  # inside a list or struct; nobody could declare a zone for it
        return source.tz is not None or target.tz is None
    if family == "number":  # a float is an accident away from a decimal, and a decimal from a float
        return not (pa.types.is_floating(source) and pa.types.is_decimal(target)) and not (
            pa.types.is_decimal(source) and not pa.types.is_decimal(target)
        )
    return True


def _misfit(
    column: pa.ChunkedArray,
    target: pa.DataType,
    where: str,
    operation: Callable[[pa.ChunkedArray], object] | None = None,
) -> DataError:
    if operation is None:
        row = _first_true(pc.is_valid(column)) if column.null_count < len(column) else 0
    else:
        row = _first_failure(column, operation)
    value = _show(column, row)
    return DataError(
        f"row {row} holds {value} ({column.type}), which is no {target}",
        where=where,
        todo="convert the column, or declare another type",
        data={"row": row, "value": value},
    )


def _show(column: pa.ChunkedArray, row: int) -> str:
    if not len(column):
        return "nothing"
    try:
        text = repr(column[row].as_py())
    except UnicodeDecodeError:
        if pa.types.is_nested(column.type):
            return "text that is not UTF-8"
        text = repr(column.slice(row, 1).cast(pa.binary())[0].as_py())
    except OverflowError:
        return "a time outside of the years 1 to 9999"
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line of an error


def _show_time(column: pa.ChunkedArray, row: int) -> str:
    try:
        return str(column[row].as_py())
    except (OverflowError, ValueError):  # outside of the years of Python
        return f"{column[row].value} {column.type.unit}"


def _first_failure(column: pa.ChunkedArray, operation: Callable[[pa.ChunkedArray], object]) -> int:
    low, high = 0, len(column)  # the failing row lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        # A copy, since checks of a slice may look at the whole of what it is sliced from.
        part = pa.chunked_array([pa.concat_arrays(column.slice(low, middle - low).chunks)])
        try:
            operation(part)
        except (*_ARROW_ERRORS, DataError):
            high = middle
        else:
            low = middle
    return low


def _first_true(flags: pa.ChunkedArray) -> int:
    return int(pc.index(flags, True).as_py())
