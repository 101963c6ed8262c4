"""Make on-demand features: of one answer, or of a table, by the same functions on the same arrays."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from asof.arrow.arrays import from_array, from_values, one_maker, one_taker, to_array, value_taker
from asof.arrow.nested import same
from asof.arrow.types import arrow_type
from asof.definitions import FeatureRef, FeatureView
from asof.definitions.code import Function
from asof.definitions.types import DType
from asof.definitions.view import Derivation
from asof.derived.inputs import Given, Inputs
from asof.errors import AsofError, DataError

Value = Any
Column = pa.Array | pa.ChunkedArray


@dataclass(frozen=True, slots=True)
class _Step:
    """One feature that is made."""

    name: str
    inputs: tuple[str, ...]
    types: tuple[DType, ...]
    dtype: DType
    function: Function
    by_row: bool
    where: str
    makers: tuple[Callable[[Value], Any], ...]
    taker: Callable[[Value], Value]

    def one(self, values: Mapping[str, Value]) -> Value:
        """Return the value of one answer."""
        given = [values[name] for name in self.inputs]
        try:
            if self.by_row:
                return self.taker(self.function(*given))
            return self.taker(self.function(*[make(value) for make, value in zip(self.makers, given, strict=True)]))
        except AsofError:
            raise
        except Exception as error:  # the user's own code may fail in any way
            raise self._failed(1, error) from error

    def column(self, columns: Mapping[str, Column], rows: int) -> pa.Array:
        """Return the values of many."""
        if not rows:  # a function is never called without rows
            return pa.array([], arrow_type(self.dtype))
        given = [columns[name] for name in self.inputs]
        try:
            if self.by_row:
                lists = [column.to_pylist() for column in given]
                values = [self.function(*row) for row in zip(*lists, strict=True)]
                return from_values(values, self.dtype, where=self.where)
            arrays = [to_array(c, t, where=self.where) for c, t in zip(given, self.types, strict=True)]
            made = from_array(self.function(*arrays), self.dtype, rows, where=self.where)
        except AsofError:
            raise
        except Exception as error:  # the user's own code may fail in any way
            raise self._failed(rows, error) from error
        self._probe(given, made)
        return made

    def _probe(self, given: Sequence[Column], made: pa.Array) -> None:
        """Refuse a function whose values depend on the rows beside: the first, middle and last row are made again.

        Raises:
            DataError: One row by itself gives another value.
        """
        rows = len(made)
        if rows == 1:
            return
        for at in {0, rows // 2, rows - 1}:
            alone = self.one({name: c[at].as_py() for name, c in zip(self.inputs, given, strict=True)})
            if not same(alone, made[at].as_py()):
                raise DataError(
                    f"row {at} of {rows:,} gives {made[at].as_py()!r}, and {alone!r} by itself",
                    where=self.where,
                    todo="make each value of its own row alone: online there is no other",
                    data={"row": at},
                )

    def _failed(self, rows: int, error: Exception) -> DataError:
        what = f"the function failed on {rows:,} row{'s' if rows != 1 else ''}: {type(error).__name__}: {error}"
        return DataError(what, where=self.where, todo="mend it, and try it on arrays of your own: it can be called")


class Derived:
    """The on-demand features of a view, ready to be made.

    Attributes:
        inputs: What a request must bring.
    """

    def __init__(self, view: FeatureView, ref: str, *, full_names: bool = False) -> None:
        """Find the functions.

        Raises:
            UsageError: One cannot be imported. ConflictError: Its source is not what it was.
        """
        where = f"view {ref}"
        self.inputs = Inputs(view.requests, tuple(view.spine_keys), where=where)
        self._steps = [_step(each, where) for each in view.derivations(full_names=full_names)]

    def one(self, values: MutableMapping[str, Value], given: Given) -> dict[str, Value]:
        """Return what is made of one answer.

        Args:
            values: Those that are read, by their columns; what is made is added, and so are the inputs.
            given: The inputs of the request.

        Raises:
            DataError: A function failed, or gave what does not fit.
        """
        values.update(given)  # no input has the name of a feature
        made: dict[str, Value] = {}
        for step in self._steps:
            values[step.name] = made[step.name] = step.one(values)
        return made

    def columns(
        self,
        columns: Mapping[str, Column],
        given: Mapping[str, Column],
        rows: int,
        *,
        tolerant: bool = False,
        breathe: Callable[[], None] = lambda: None,
    ) -> dict[str, pa.Array]:
        """Return what is made of many answers, by column.

        Args:
            columns: What is stored.
            given: The inputs of the requests.
            rows: How many answers.
            tolerant: Give null for an answer of which a function fails: it failed for the caller, too.
            breathe: Called between functions.

        Raises:
            DataError: A function failed, gave what does not fit, or looks at other rows.
        """
        every: dict[str, Column] = {**given, **columns}
        found: dict[str, pa.Array] = {}
        for step in self._steps:
            every[step.name] = found[step.name] = (
                _tolerated(step, every, rows) if tolerant else step.column(every, rows)
            )
            breathe()
        return found


def derived_of(view: FeatureView, ref: str, *, full_names: bool = False) -> Derived | None:
    """Return what makes the on-demand features of a view; None if it has none."""
    return Derived(view, ref, full_names=full_names) if view.on_demand else None


def _step(made: Derivation, where: str) -> _Step:
    feature = made.feature
    spot = f"{where}, on-demand feature {feature.name}"
    types = tuple(each.feature.dtype if isinstance(each, FeatureRef) else each.dtype for each in feature.inputs)
    return _Step(
        name=made.name,
        inputs=made.inputs,
        types=types,
        dtype=feature.dtype,
        function=feature.found(),
        by_row=feature.mode == "row",
        where=spot,
        makers=tuple(one_maker(dtype, where=spot) for dtype in types),
        taker=(value_taker if feature.mode == "row" else one_taker)(feature.dtype, where=spot),
    )


def _tolerated(step: _Step, columns: Mapping[str, Column], rows: int) -> pa.Array:
    with suppress(DataError):
        return step.column(columns, rows)
    values: list[Value] = []
    for at in range(rows):
        value = None
        with suppress(DataError):
            value = step.one({name: columns[name][at].as_py() for name in step.inputs})
        values.append(value)
    return pa.array(values, arrow_type(step.dtype))
