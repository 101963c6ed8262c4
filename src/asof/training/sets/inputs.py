"""What a model is given: the same for one row as for a table, when it learns and when it predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import arrays_to_pandas
from asof.arrow.numbers import floats
from asof.arrow.types import arrow_type
from asof.definitions.types import DType
from asof.errors import UnsupportedError, UsageError

Takes = Literal["pandas", "numpy", "arrow"]
"""What a model takes: a frame with names, a float64 matrix, or a table as `transform` makes it."""

Value = Any
"""A Python value of any of our types."""

_NUMBERS = frozenset({"bool", "int8", "int16", "int32", "int64", "float32", "float64", "decimal"})
_TIMES = {"timestamp": "datetime64[us]", "date": "datetime64[us]"}


def checked_takes(given: object) -> Takes:
    """Return what a model takes.

    Raises:
        UsageError: It is none of these.
    """
    for each in get_args(Takes):
        if given == each:
            return each
    raise UsageError(f"takes={given!r} is nothing that a model takes", todo=f"pass one of {', '.join(get_args(Takes))}")


@dataclass(frozen=True, slots=True)
class Inputs:
    """The columns of a model, and how they are given to it.

    Numbers and booleans are float64, a null is NaN; a vector is as many columns as it is long, `emb_0` and so on; times
    and dates are `datetime64[us]`, a null is NaT; of pandas, text and bytes are objects, a null is None.

    Attributes:
        types: The columns, in their order.
        takes: As what they are given.
    """

    types: Mapping[str, DType]
    takes: Takes

    def __post_init__(self) -> None:
        """Refuse columns that do not fit.

        Raises:
            UnsupportedError: One is neither a number nor a vector, and the model takes a matrix; or it is a struct; or
                two of them have the same name.
        """
        for name, dtype in self.types.items():
            number = dtype.name in _NUMBERS or (dtype.name == "vector" and dtype.fields[0][1].name in _NUMBERS)
            plain = number or dtype.name in {"string", "bytes", *_TIMES}
            if self.takes == "arrow" or number or (plain and self.takes == "pandas"):
                continue
            todo = "encode it by a transform of the view, or leave it out" if plain else 'pass takes="arrow"'
            raise UnsupportedError(f"{name!r} of type {dtype} is no input of a model", todo=todo)
        names = self.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UnsupportedError(f"two inputs of the model are named {twice!r}", todo="alias one of them in the view")

    @property
    def names(self) -> list[str]:
        """The columns as the model sees them."""
        if self.takes == "arrow":
            return list(self.types)
        return [name for column, dtype in self.types.items() for name in _names(column, dtype)]

    def of_table(self, table: pa.Table) -> Any:  # noqa: ANN401 - of the kind that the model takes
        """Return what the model is given for the rows of a table."""
        if self.takes == "arrow":
            return table.select(list(self.types))
        found = [array for name, dtype in self.types.items() for array in _of_column(table.column(name), dtype)]
        return self._given(found, table.num_rows)

    def row(self, given: Any, at: int) -> Any:  # noqa: ANN401 - of the kind that the model takes
        """Return one row of what the model is given for a table, as if it were the only one."""
        if self.takes == "arrow":
            return given.slice(at, 1)
        return given[at : at + 1].copy() if self.takes == "numpy" else given.iloc[at : at + 1]

    def of_row(self, row: Mapping[str, Value], times: int = 1) -> Any:  # noqa: ANN401 - of the kind that the model takes
        """Return what the model is given for a row, so many times."""
        if self.takes == "arrow":
            fields = [pa.field(name, arrow_type(dtype)) for name, dtype in self.types.items()]
            columns = [pa.array([row[each.name]] * times, each.type) for each in fields]
            return pa.Table.from_arrays(columns, schema=pa.schema(fields))
        found = [array for name, dtype in self.types.items() for array in _of_value(row[name], dtype)]
        return self._given(found if times == 1 else [array.repeat(times) for array in found], times)

    def _given(self, arrays: Sequence[np.ndarray], rows: int) -> Any:  # noqa: ANN401 - as above
        if self.takes == "numpy":
            matrix = np.empty((rows, len(arrays)))
            for at, array in enumerate(arrays):
                matrix[:, at] = array
            return matrix
        return arrays_to_pandas(dict(zip(self.names, arrays, strict=True)))


def _names(column: str, dtype: DType) -> list[str]:
    return [f"{column}_{at}" for at in range(dtype.numbers[0])] if dtype.name == "vector" else [column]


def _of_column(column: pa.ChunkedArray, dtype: DType) -> list[np.ndarray]:
    if dtype.name == "vector":
        flat = np.full((len(column), dtype.numbers[0]), np.nan)
        valid = np.asarray(column.is_valid())
        numbers = pc.list_flatten(column.drop_null()).cast(pa.float64(), safe=False).to_numpy()
        flat[valid] = numbers.reshape(-1, dtype.numbers[0])
        return list(np.ascontiguousarray(flat.T))
    if dtype.name in _TIMES:
        times = column if dtype.name == "date" else column.cast(pa.int64())
        return [times.cast(pa.timestamp("us")).to_numpy().astype(_TIMES[dtype.name])]
    if dtype.name not in _NUMBERS:
        return [np.array(column.to_pylist(), dtype=object)]
    return [floats(column)]


def _of_value(value: Value, dtype: DType) -> list[np.ndarray]:
    if dtype.name in _PLAIN:
        return [np.array([np.nan if value is None else value], dtype=np.float64)]
    if dtype.name in {"string", "bytes"}:
        return [np.array([value], dtype=object)]
    return _of_column(pa.chunked_array([pa.array([value], arrow_type(dtype))]), dtype)


_PLAIN = _NUMBERS - {"decimal"}
"""Numbers whose float64 is that of Python; decimals are made by Arrow, for a row as for a table."""
