"""The quality of a model over time, as rows and tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from asof import notebook
from asof.arrow.frames import Frame, to_pandas, to_polars
from asof.arrow.types import TIMESTAMP
from asof.clock import from_us, show_us
from asof.definitions.durations import show_duration
from asof.models.quality.comparing import Kind
from asof.models.quality.measures import MEASURES


@dataclass(frozen=True, slots=True)
class QualityRow:
    """What one version of a model predicted online within some time, and how good that was.

    Attributes:
        model: The version, "delays@3".
        start_us: Exclusive lower bound of the clocks of its predictions, in microseconds.
        end_us: Inclusive upper bound.
        predictions: Predictions that are logged.
        outcomes: Those of which the outcome is known; measures are of them alone.
        pending: Those whose outcome cannot be known yet.
        missing: The others: nothing came, or nothing that could be compared.
        kind: What was compared: "numbers", "scores" or "classes"; None if nothing was.
        measures: What was measured; without what is not defined of these predictions.
    """

    model: str
    start_us: int
    end_us: int
    predictions: int
    outcomes: int
    pending: int
    missing: int
    kind: Kind | None = None
    measures: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def start(self) -> datetime:
        """Exclusive lower bound of the clocks of its predictions."""
        return from_us(self.start_us)

    @property
    def end(self) -> datetime:
        """Inclusive upper bound."""
        return from_us(self.end_us)


@dataclass(frozen=True, slots=True)
class ModelQuality:
    """How good a model was over time.

    Attributes:
        name: The model, or the version, that was asked for.
        every_us: The length of time of a row, in microseconds, since the UTC epoch.
        rows: A row for each version and time in which it predicted, by version and time.
        notes: Where outcomes come from, and what is missing.
    """

    name: str
    every_us: int
    rows: Sequence[QualityRow]
    notes: Sequence[str] = ()

    @property
    def measures(self) -> tuple[str, ...]:
        """What was measured in some row, in the order to show."""
        return tuple(name for name in MEASURES if any(name in row.measures for row in self.rows))

    def to_arrow(self) -> pa.Table:
        """Return the rows as a table: a column for each measure, null where it is not defined."""
        rows = self.rows
        columns: dict[str, pa.Array] = {
            "model": pa.array([row.model for row in rows], pa.string()),
            "start": pa.array([row.start_us for row in rows], pa.int64()).cast(TIMESTAMP),
            "end": pa.array([row.end_us for row in rows], pa.int64()).cast(TIMESTAMP),
        }
        for name in ("predictions", "outcomes", "pending", "missing"):
            columns[name] = pa.array([getattr(row, name) for row in rows], pa.int64())
        columns["kind"] = pa.array([row.kind for row in rows], pa.string())
        for name in self.measures:
            columns[name] = pa.array([row.measures.get(name) for row in rows], pa.float64())
        return pa.table(columns)

    def to_pandas(self) -> Frame:
        """Return the rows as a pandas frame."""
        return to_pandas(self.to_arrow())

    def to_polars(self) -> Frame:
        """Return the rows as a polars frame."""
        return to_polars(self.to_arrow())

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __repr__(self) -> str:
        """Return a line for each row."""
        heads, rows = self.cells()
        right = [False, False, *[True] * (len(heads) - 2)]
        lines = notebook.aligned([heads, *rows], right=right) if rows else ["no prediction is logged"]
        return "\n".join([self._title(), *(f"  {line}" for line in (*lines, *self.notes))])

    def _repr_html_(self) -> str:
        return notebook.paragraph(self._title(), self.notes) + notebook.table(*self.cells())

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return heads and rows as text."""
        heads = ["model", "after", "predictions", "outcomes", "pending", "missing", *self.measures]
        rows = [
            [
                row.model,
                show_us(row.start_us),
                *(f"{count:,}" for count in (row.predictions, row.outcomes, row.pending, row.missing)),
                *(f"{row.measures[name]:.4g}" if name in row.measures else "" for name in self.measures),
            ]
            for row in self.rows
        ]
        return heads, rows

    def _title(self) -> str:
        return f"<quality of {self.name}, every {show_duration(self.every_us)}>"
