"""Transforms of a training set: learned from its training part, applied to whatever has the view's features."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame, to_table
from asof.definitions import FeatureView
from asof.definitions.training_set import SPLIT
from asof.fitted import Fitted, fit
from asof.training.frame import HistoricalFrame


def fitted_on(view: FeatureView, rows: Callable[[], Iterable[pa.Table]], part: str | None) -> Fitted:
    """Return what the transforms of a view learn.

    Args:
        view: The view.
        rows: Gives the rows of the training set from their beginning, each time it is called.
        part: The training part of the split, which is its first; None without a split: all rows.

    Raises:
        DataError: The rows teach nothing.
    """

    def training() -> Iterable[pa.Table]:
        for table in rows():
            yield table if part is None else table.filter(pc.equal(table.column(SPLIT), part))

    return fit(view.transforms, training, view.types, where=f"view {view.name}")


def transformed(fitted: Fitted, given: Frame | Mapping[str, Any], *, raw: bool) -> Frame | dict[str, Any]:
    """Return what is made of rows, in their kind; or of the values of one row, as a dict."""
    if isinstance(given, Mapping):
        return fitted.values(cast("Mapping[str, Any]", given), raw=raw)
    kind: type[object] = type(given)  # pyright: ignore[reportUnknownVariableType] - a frame of any kind
    if hasattr(kind, "statuses"):  # an online answer; `values` of a pandas frame would copy all of it
        return fitted.values(given.values, raw=raw)
    table, origin = to_table(given, where="rows")
    made = fitted.table(table, raw=raw)
    before = min(table.column_names.index(name) for name in fitted.inputs)  # columns that stay as they came in
    return HistoricalFrame(made, origin.first(before), {}).to_native()
