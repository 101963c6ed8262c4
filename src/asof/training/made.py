"""On-demand features of spines: made of what was looked up, and of the spine's columns that a request brings online."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.types import arrow_type
from asof.definitions.types import DType
from asof.definitions.view import HIDDEN
from asof.derived import Derived
from asof.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Made:
    """The on-demand features of a spine."""

    columns: Mapping[str, pa.Array]

    def values(self) -> dict[str, pa.ChunkedArray]:
        """Return the output columns."""
        return {name: pa.chunked_array([column]) for name, column in self.columns.items()}

    def statuses(self) -> dict[str, pa.Array]:
        """Return the status of every value, as text: PRESENT or NULL."""
        words = pa.array(["PRESENT", "NULL"])
        return {
            name: words.take(pa.array(pc.is_null(column).to_numpy(zero_copy_only=False).astype(np.int8)))
            for name, column in self.columns.items()
        }


def make(derived: Derived, looked_up: Mapping[str, pa.ChunkedArray], spine: pa.Table, where: str) -> Made:
    """Return the on-demand features of a spine.

    Args:
        derived: What makes them.
        looked_up: The columns of the look-ups, hidden ones too.
        spine: The spine.
        where: The view, for messages.

    Raises:
        NotFoundError: The spine lacks an input of the request.
        DataError: An input does not fit its type, or a function failed.
    """
    given = given_columns(spine, derived.inputs.types, where)
    return Made(shown(derived.columns(looked_up, given, spine.num_rows)))


def shown(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Return what is made without that of which only other features are made."""
    return {name: column for name, column in columns.items() if not name.startswith(HIDDEN)}


def given_columns(spine: pa.Table, types: Mapping[str, DType], where: str) -> dict[str, pa.ChunkedArray]:
    """Return the columns of a spine that a request brings online, in their declared types; NaN is null.

    Raises:
        NotFoundError: One is not there. DataError: A value does not fit.
    """
    found: dict[str, pa.ChunkedArray] = {}
    for name, dtype in types.items():
        if name not in spine.column_names:
            raise NotFoundError.named(
                "spine column", name, spine.column_names, where=f"request input {name} of {where}"
            )
        spot = f"spine column {name}, request input of {where}"
        if dtype.name == "timestamp":
            found[name] = conform_time(spine.column(name), spot)
            continue
        column = conform_column(spine.column(name), arrow_type(dtype), spot)
        if pa.types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        found[name] = column
    return found
