"""Checks that users wrote: SQL in a database of its own, functions and Pandera schemas by their names."""

import math
import re
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pyarrow as pa

from asof.arrow.frames import to_pandas, to_polars, to_table
from asof.checks.around import Around
from asof.definitions import Check
from asof.definitions.code import TODO, named
from asof.definitions.transformation import frame_of
from asof.errors import AsofError, DataError, UsageError

_STATEMENT = re.compile(r"(select|with)\b", re.IGNORECASE)

BATCH = "batch"
"""What SQL calls the rows."""


def sql_verdict(rows: pa.Table, check: Check, around: Around, where: str) -> pa.Array:
    """Return the only column of what an expression makes of rows.

    Raises:
        UsageError: It cannot be run, or gives several columns.
    """
    spot = f"{where}, check '{check}'"
    code = check.code.strip().rstrip(";")
    statement = code if _STATEMENT.match(code) else f"SELECT ({code}) FROM {BATCH}"  # noqa: S608 - it is the user's own SQL, in a sandbox
    found = around.sql(statement, {BATCH: rows}, where=spot)
    if found.num_columns != 1:
        raise UsageError(f"the check gives {found.num_columns} columns", where=spot, todo="give one, of booleans")
    return _one(found.column(0))


def user_verdict(rows: pa.Table, check: Check, where: str) -> pa.Array:
    """Return what a function of a user says of rows: a boolean for each, or one.

    Raises:
        UsageError: It cannot be imported. DataError: It failed, or gives something else.
    """
    spot = f"{where}, check '{check}'"
    found = rule_of(check, spot)
    try:
        if hasattr(found, "validate"):
            return pa.array(_of_schema(found, rows))
        said = found(_given(found, rows))
    except AsofError:
        raise
    except Exception as error:  # the user's own code may fail in any way
        what = f"the check {check.code} failed on {rows.num_rows:,} rows: {type(error).__name__}: {error}"
        raise DataError(what, where=spot, todo="mend it; nothing was stored") from error
    return _as_array(said, spot)


def rule_of(check: Check, where: str) -> Any:  # noqa: ANN401 - whatever the user wrote
    """Return the function or the schema that a check names.

    Raises:
        UsageError: It cannot be imported, or is neither.
    """
    found = named(check.code, what="check", where=where)
    if not callable(found) and not hasattr(found, "validate"):
        raise UsageError(f"the check {check.code} is no function, and no schema that validates", where=where, todo=TODO)
    return found


def _given(function: Callable[[Any], Any], rows: pa.Table) -> Any:  # noqa: ANN401 - a frame
    kind = frame_of(function)
    return rows if kind == "arrow" else to_polars(rows) if kind == "polars" else to_pandas(rows)


def _of_schema(schema: Any, rows: pa.Table) -> np.ndarray:  # noqa: ANN401 - Pandera's
    """Return for each row whether a Pandera schema takes it.

    What it says of no row, of a column's type for example, is said of all rows.
    """
    kinds: tuple[type, ...] = (schema if isinstance(schema, type) else type(schema)).__mro__
    polars = any("polars" in kind.__module__.split(".") for kind in kinds)
    frame = to_polars(rows) if polars else to_pandas(rows)
    good = np.ones(rows.num_rows, dtype=bool)
    try:
        cast("Any", schema).validate(frame, lazy=True)
    except Exception as error:
        failed: Any = getattr(error, "failure_cases", None)
        if failed is None:
            raise
        places = failed["index"].to_list() if polars else failed["index"].tolist()
        known = [int(place) for place in places if place is not None and not math.isnan(place)]
        good[known if known and len(known) == len(places) else slice(None)] = False
    return good


def _as_array(said: Any, where: str) -> pa.Array:  # noqa: ANN401 - whatever it gave
    if isinstance(said, bool) or type(said).__name__ == "bool":  # NumPy's own
        return pa.array([bool(said)])
    if isinstance(said, pa.Array | pa.ChunkedArray):
        return _one(said)
    if type(said).__module__.partition(".")[0] in ("pandas", "polars"):
        return _one(to_table({"said": said}, where=where)[0].column(0))
    try:
        return pa.array(np.asarray(said))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
        what = f"the check gives a {type(said).__name__}, no booleans"
        raise DataError(what, where=where, todo="give a boolean for each row, or one for all of them") from error


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    joined = column.combine_chunks()
    return joined if not isinstance(joined, pa.ChunkedArray) else pa.concat_arrays(joined.chunks)
