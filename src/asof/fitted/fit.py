"""Fitting the transforms of a view on its training split: in passes over batches, each as often as transforms need."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from asof.arrow.arrays import Array, to_array
from asof.definitions.chain import Chain, check_takes
from asof.definitions.estimator import Estimator
from asof.definitions.transform import Transform
from asof.definitions.types import DType
from asof.errors import NotFoundError
from asof.fitted.estimators import ApplyAll, EstimatorFitter
from asof.fitted.fitted import Fitted
from asof.fitted.fitting import Fitter, begin
from asof.fitted.stages import Column, stage_applier, stage_outputs
from asof.fitted.states import Built, Columns, Stage, State

BATCH_ROWS = 65_536
"""Rows of a table that are looked at in one step."""

Batches = Callable[[], Iterable[pa.RecordBatch | pa.Table]]
"""Gives the rows of the training split from their beginning, each time it is called."""


class StageFitter(Protocol):
    """Learns a stage from columns: `take` each batch, then `end`, until it gives the stage."""

    def take(self, arrays: Sequence[Array]) -> None:
        """Learn from some rows."""
        ...

    def end(self) -> Stage | None:
        """End a pass over the data; None asks for another one."""
        ...


def fit(
    transforms: Sequence[Chain], rows: pa.Table | Batches, types: Mapping[str, DType], *, where: str = ""
) -> Fitted:
    """Fit transforms on the rows of the training split.

    What our own transforms learn depends neither on the order of rows nor on their batches, and takes memory for the
    different values of a column or some 100 MB, whatever the rows are. Transformers of scikit-learn hold their columns.

    Args:
        transforms: Those of the view: `view.transforms`.
        rows: The training split, with a column for each transformed feature at least. A callable is asked again for
            each pass, and must give the same rows: one for each step of the longest chain, few more for quantiles.
        types: The features of the view with their types, in their order.
        where: Whose they are, for messages: "view departure".

    Raises:
        DataError: The rows teach nothing: there are none, a column is null throughout, values are infinite.
        UsageError: A transform takes no values of the type that the one before gives.
        NotFoundError: A column is not there.
        MissingDependencyError: A transformer of scikit-learn, which is not installed.
    """
    batches = _batches(rows) if isinstance(rows, pa.Table) else rows
    runs = [_Run(chain, types, where) for chain in transforms]
    while waiting := [run for run in runs if run.waits]:
        for batch in batches():
            for run in waiting:
                run.take(batch)
        for run in waiting:
            run.end()
    return Fitted(types, [(run.chain.features, tuple(run.stages)) for run in runs], where=where)


class _Run:
    """The fitting of one chain.

    Attributes:
        chain: Which one.
        stages: What is fitted of it.
        waits: Whether it needs a pass over the data.
    """

    def __init__(self, chain: Chain, types: Mapping[str, DType], where: str) -> None:
        self.chain = chain
        self.stages: list[Stage] = []
        self.waits = False
        self._where = f"{where}, transforms of {', '.join(chain.features)}".lstrip(", ")
        self._types = {name: types[name] for name in chain.features}
        self._columns: list[Column] = list(self._types.items())
        self._appliers: list[ApplyAll] = []
        self._fitter: StageFitter | None = None
        self._next()

    def take(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Learn from some rows."""
        arrays: list[Array] = []
        for name, dtype in self._types.items():
            if name not in batch.schema.names:
                raise NotFoundError.named("column", name, batch.schema.names, where=self._where)
            arrays.append(to_array(batch.column(name), dtype, where=f"{self._where}, feature {name}"))
        with np.errstate(all="ignore"):  # as when they are applied
            for apply in self._appliers:
                arrays = apply(arrays)
        if self._fitter is not None:
            self._fitter.take(arrays)

    def end(self) -> None:
        """End a pass over the data."""
        stage = None if self._fitter is None else self._fitter.end()
        if stage is not None:
            self._add(stage)
            self._next()

    def _next(self) -> None:
        """Begin with the next step that needs data."""
        self._fitter = None
        for step in self.chain.steps[len(self.stages) :]:
            found = self._begin(step)
            if not isinstance(found, State):
                self._fitter = found
                break
            self._add(found)
        self.waits = self._fitter is not None

    def _begin(self, step: Transform) -> StageFitter | Stage:
        where = f"{self._where}, {step}"
        for name, dtype in self._columns:
            check_takes(step, dtype, where=f"{where}, column {name}")
        if isinstance(step, Estimator):
            return EstimatorFitter(step, self._columns, where=where)
        parts = [begin(step, dtype, where=f"{where}, column {name}") for name, dtype in self._columns]
        states = [part for part in parts if isinstance(part, State)]
        if len(states) == len(parts):
            return Columns(str(step), tuple(states))
        return _ColumnsFitter(str(step), [part for part in parts if not isinstance(part, State)])

    def _add(self, stage: Stage) -> None:
        self.stages.append(stage)
        self._columns = stage_outputs(stage, self._columns)
        self._appliers.append(stage_applier(stage, where=self._where))


class _ColumnsFitter:
    """Fits one of our transforms on each column; one may need more passes than another."""

    def __init__(self, step: str, fitters: Sequence[Fitter]) -> None:
        self._step = step
        self._fitters = fitters
        self._states: list[Built | None] = [None] * len(fitters)

    def take(self, arrays: Sequence[Array]) -> None:
        for fitter, state, values in zip(self._fitters, self._states, arrays, strict=True):
            if state is None:
                fitter.take(values)

    def end(self) -> Columns | None:
        self._states = [
            fitter.end() if state is None else state for fitter, state in zip(self._fitters, self._states, strict=True)
        ]
        found = [state for state in self._states if state is not None]
        return Columns(self._step, tuple(found)) if len(found) == len(self._fitters) else None


def _batches(table: pa.Table) -> Batches:
    def batches() -> Iterator[pa.RecordBatch]:
        return iter(table.to_batches(max_chunksize=BATCH_ROWS))

    return batches
