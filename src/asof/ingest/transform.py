"""Run a group's transformation over a batch of its source's rows, and hold it to its contract: one row of each row."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform
from asof.arrow.frames import Frame, to_pandas, to_polars, to_table
from asof.arrow.layout import declared_schema
from asof.arrow.order import arrange
from asof.arrow.types import arrow_type
from asof.definitions import Call, FeatureGroup, FeatureView, Files
from asof.definitions.code import unchanged
from asof.definitions.outside import NAME
from asof.definitions.outside import WHAT as SOURCE
from asof.definitions.transformation import Transformation, frame_of, function_of
from asof.errors import AsofError, DataError
from asof.parts import Parts
from asof.records import AVAILABLE_COLUMN
from asof.registry.registered import RegisteredGroup


def check_code(parts: Parts, definitions: Sequence[FeatureGroup | FeatureView]) -> None:
    """Refuse what could not run here: code that cannot be imported, SQL that fails without rows.

    Raises:
        UsageError: It cannot. ConflictError: The code is not that of the definition. DataError: It gives other columns.
    """
    for group in definitions:
        if not isinstance(group, FeatureGroup):
            for made in group.on_demand:
                replace(made, function=None).found()  # as who reads the definition will look for it
            continue
        where = f"group {group.name}"
        if isinstance(group.taken_from, Call):
            unchanged(group.taken_from.code, group.taken_from.digest, what=SOURCE, where=where)
        if group.transform is None:
            continue
        run, given = _runnable(parts, group, group.transform, where), _given(group)
        if group.transform.language == "sql" and given is not None:
            made, _ = to_table(run(given.empty_table()), where=f"{where}, transformation")
            conform(made, group, extra=() if group.available_at is None else (group.available_at,))


class Transform:
    """The transformation of a registered group, ready to run.

    Raises:
        UsageError: It cannot be imported. ConflictError: Its source is not what it was.
    """

    def __init__(self, parts: Parts, group: RegisteredGroup, transform: Transformation) -> None:
        """Find the code."""
        self._group = group.definition
        self._where = f"group {group.ref}"
        self._name = str(transform)
        self._run = _runnable(parts, group.definition, transform, self._where)

    def rows(self, given: pa.Table) -> pa.Table:
        """Return what is made of rows of the source, ordered; both have `__available_at`, the same for each.

        Raises:
            DataError: It failed, or did not give one row of each row, or the rows do not fit the group.
        """
        keys, time = self._group.keys, self._group.event_time
        assert time is not None  # noqa: S101 - the definition was checked
        made = self.made(given.drop_columns([AVAILABLE_COLUMN]))
        rows = arrange(conform(made, self._group), keys, time, where=self._where, numbered=False)
        known = arrange(given.select([*keys, time, AVAILABLE_COLUMN]), keys, time)
        self._check(rows, known, [*keys, time])
        return rows.append_column(AVAILABLE_COLUMN, known.column(AVAILABLE_COLUMN))

    def made(self, given: pa.Table) -> pa.Table:
        """Return what is made of rows, as it comes.

        Raises:
            DataError: It failed, or gave no frame.
        """
        try:
            made = self._run(given)
        except AsofError:
            raise
        except Exception as error:  # the user's own code may fail in any way
            reason = f"{type(error).__name__}: {error}"
            what = f"the transformation {self._name} failed on {given.num_rows:,} rows: {reason}"
            raise DataError(what, where=self._where, todo="nothing of this batch was stored") from error
        return to_table(made, where=f"{self._where}, transformation")[0]

    def _check(self, rows: pa.Table, known: pa.Table, identity: Sequence[str]) -> None:
        """Refuse rows that are not one of each known row."""
        todo = "give one row of each row, with its keys and time; leave out rows where you read them"
        if rows.num_rows != known.num_rows:
            what = f"the transformation {self._name} made {rows.num_rows:,} rows of {known.num_rows:,}"
            raise DataError(what, where=self._where, todo=f"{todo}; windows are aggregates")
        other = np.zeros(rows.num_rows, dtype=bool)
        for name in identity:
            same = pc.equal(rows.column(name), known.column(name).cast(rows.schema.field(name).type))
            other |= ~same.to_numpy()
        if other.any():
            row = rows.select(list(identity)).slice(int(other.argmax()), 1).to_pylist()[0]
            shown = ", ".join(f"{name}={value}" for name, value in row.items())
            what = f"the transformation {self._name} made a row of no row of the source: {shown}"
            raise DataError(what, where=self._where, todo=todo)


def _given(group: FeatureGroup) -> pa.Schema | None:
    """Return the columns that a transformation is given; None: nobody knows before it runs."""
    if group.origin is not None:
        return declared_schema(group.origin)
    if isinstance(group.taken_from, Files) and group.taken_from.columns is not None:
        return pa.schema([(name, arrow_type(dtype)) for name, dtype in group.taken_from.columns.items()])
    return None


def _runnable(parts: Parts, group: FeatureGroup, transform: Transformation, where: str) -> Callable[[pa.Table], Frame]:
    if transform.language == "python":
        function = function_of(transform, where=where)
        frame = frame_of(function)
        if frame == "arrow":
            return function
        given = to_polars if frame == "polars" else to_pandas
        return lambda table: function(given(table))
    source = NAME if group.origin is None else group.origin.name
    return lambda table: parts.engine.transform(transform.code, {source: table}, where=where)
