"""What in a training set may tell a model more than it will know: the leakage report. Source: docs/training-sets.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof import notebook
from asof.arrow.hashes import mixed
from asof.arrow.numbers import floats, is_number
from asof.definitions.splits import TimeSplit
from asof.definitions.training_set import SPLIT
from asof.statistics.hashes import row_numbers
from asof.training.sets.manifest import Manifest

SAMPLE_ROWS = 100_000
"""Rows of which predictive power is measured: chosen by their numbers, so always the same."""

AUC, CORRELATION, R2 = 0.97, 0.97, 0.95
"""A feature alone that reaches one of these is too good to be true more often than not."""

BINS = 20
"""Bins of about as many rows each, for R2."""

FEWEST = 30
"""Rows below which predictive power says nothing."""

Kind = Literal["self-event", "late value", "predicts alone", "keys in several parts"]


class Set(Protocol):
    """What is needed of a training set."""

    manifest: Manifest
    label: str | None
    features: tuple[str, ...]

    @property
    def ref(self) -> str:
        """Its name."""
        ...

    def late(self) -> dict[str, int]:
        """See `TrainingSet.late`."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """See `TrainingSet.batches`."""
        ...

    def __len__(self) -> int:
        """Return the number of rows."""
        ...


@dataclass(frozen=True, slots=True)
class Leak:
    """One thing that was looked at.

    Attributes:
        kind: Which of the four.
        what: The look-up, the feature, or the entity.
        count: Rows, or keys, that it is of.
        of: How many were looked at.
        measure: What was measured, "AUC 0.993"; "" for counts.
        found: Whether it is beyond its threshold.
    """

    kind: Kind
    what: str
    count: int
    of: int
    measure: str = ""
    found: bool = False


@dataclass(frozen=True, slots=True)
class Leakage:
    """The leakage report of a training set.

    Attributes:
        ref: The training set.
        leaks: All that was looked at.
        unmeasured: Features whose predictive power was not measured, with the reason.
    """

    ref: str
    leaks: tuple[Leak, ...]
    unmeasured: Mapping[str, str] = field(default_factory=dict[str, str])

    METHOD = (
        "self-event: rows whose answer is an event of their very time; found if there is one",
        "late value: values that the online store could not have answered at the row's time; found if there is one",
        f"predicts alone, for a label with two values: AUC of a feature, or of its being null; found from {AUC}",
        f"predicts alone, for a numeric label: rank correlation, from {CORRELATION}, or R2 of {BINS} bins, from {R2}",
        f"both are measured on at most {SAMPLE_ROWS:,} rows, without nulls, either way round",
        "keys in several parts: keys of an entity with rows in more than one part; found unless the parts are of time",
    )

    @property
    def found(self) -> tuple[Leak, ...]:
        """What is beyond its threshold."""
        return tuple(leak for leak in self.leaks if leak.found)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return what was looked at as texts: found or not, kind, what, count, measure."""
        return [
            ("!" if leak.found else "", leak.kind, leak.what, f"{leak.count:,} of {leak.of:,}", leak.measure)
            for leak in sorted(self.leaks, key=lambda leak: not leak.found)
        ]

    def __str__(self) -> str:
        """Return it as text: a line for each thing, what was found first."""
        head = f"leakage of {self.ref}: {len(self.found)} of {len(self.leaks)} found"
        lines = [f"{a:1} {b:<22} {c:<24} {d:>20}  {e}".rstrip() for a, b, c, d, e in self.rows()]
        rest = [f"  not measured: {name} ({why})" for name, why in self.unmeasured.items()]
        return "\n".join([head, *lines, *rest, *(f"  {line}" for line in self.METHOD)])

    def _repr_html_(self) -> str:
        head = notebook.paragraph(f"leakage of {self.ref}: {len(self.found)} of {len(self.leaks)} found", self.METHOD)
        return head + notebook.table(("", "kind", "what", "count", "measure"), self.rows())


def leakage_of(found: Set) -> Leakage:
    """Look a training set through; all its rows are answered once more, to find late values."""
    said = found.manifest
    rows = len(found)
    leaks = [Leak("self-event", name, count, said.rows, found=count > 0) for name, count in said.coincide.items()]
    leaks += [Leak("late value", name, count, rows, found=count > 0) for name, count in found.late().items()]
    sample, keys = _read(found)
    powers, unmeasured = _powers(found, sample)
    return Leakage(found.ref, (*leaks, *powers, *_overlaps(said, keys)), unmeasured)


Keys = Mapping[tuple[str, tuple[str, ...]], Mapping[str, np.ndarray]]
"""Of each entity, and the columns that hold its keys, the numbers of the keys of each part."""


def _read(found: Set) -> tuple[pa.Table, Keys]:
    """Return a sample of the rows, and the keys of each part; the rows are read once."""
    said, every = found.manifest, max(len(found), 1)
    names = [*found.features, *([found.label] if found.label is not None else [])]
    ways = [(entity, tuple(way)) for entity, several in said.ways.items() for way in several]
    keys: dict[tuple[str, tuple[str, ...]], dict[str, np.ndarray]] = {way: {} for way in ways}
    sampled: list[pa.RecordBatch] = []
    first = 0
    for batch in found.batches():
        chosen = mixed(np.arange(first, first + batch.num_rows, dtype=np.uint64)) >> np.uint64(11)
        first += batch.num_rows
        share = min(SAMPLE_ROWS / every, 1.0) * float(1 << 53)
        sampled.append(batch.select(names).filter(pa.array(chosen < share)))
        for part in said.parts:
            inside = batch.filter(pc.equal(batch.column(SPLIT), part))
            for way in ways:
                columns = [inside.column(name) for name in way[1]]
                numbers = row_numbers(columns, inside.num_rows)[np.asarray(_whole(columns, inside.num_rows))]
                keys[way][part] = np.union1d(keys[way].get(part, np.empty(0, np.uint64)), numbers)
    schema = None if sampled else pa.schema([(name, pa.null()) for name in names])
    return pa.Table.from_batches(sampled, schema), keys


def _whole(columns: Sequence[pa.Array], rows: int) -> np.ndarray:
    """Return which keys have no null."""
    valid = np.ones(rows, dtype=bool)
    for column in columns:
        valid &= np.asarray(pc.is_valid(column))
    return valid


def _overlaps(said: Manifest, keys: Keys) -> list[Leak]:
    found: list[Leak] = []
    for (entity, way), parts in keys.items():
        if not parts:
            continue
        numbers, counts = np.unique(np.concatenate(list(parts.values())), return_counts=True)
        shared = int((counts > 1).sum())
        what = f"{entity} ({', '.join(way)})"
        leaks = shared > 0 and not isinstance(said.parted, TimeSplit)
        found.append(Leak("keys in several parts", what, shared, len(numbers), found=leaks))
    return found


def _powers(found: Set, sample: pa.Table) -> tuple[list[Leak], dict[str, str]]:
    """Measure how well each feature alone predicts the label."""
    if found.label is None:
        return [], dict.fromkeys(found.features, "there is no label")
    label = sample.column(found.label)
    sample = sample.filter(pc.is_valid(label))
    label = sample.column(found.label)
    values = pc.unique(label.drop_null())
    binary = len(values) == 2  # noqa: PLR2004 - two values
    if sample.num_rows < FEWEST or len(values) < 2 or not (binary or is_number(label.type)):  # noqa: PLR2004 - the same
        why = f"the label has {len(values):,} values of type {label.type} in {sample.num_rows:,} rows"
        return [], dict.fromkeys(found.features, why)
    target = np.asarray(pc.equal(label, values[1])).astype(np.float64) if binary else _floats(label)
    leaks: list[Leak] = []
    unmeasured: dict[str, str] = {}
    for name in found.features:
        column = sample.column(name)
        if not is_number(column.type):
            unmeasured[name] = f"type {column.type}"
            continue
        measured = _power(_floats(column), target, binary=binary)
        if measured is None:
            unmeasured[name] = f"it has fewer than {FEWEST} values, or one alone"
            continue
        rows, text, beyond = measured
        leaks.append(Leak("predicts alone", name, rows, sample.num_rows, text, beyond))
    return leaks, unmeasured


def _power(values: np.ndarray, target: np.ndarray, *, binary: bool) -> tuple[int, str, bool] | None:
    """Return of how many rows the power of a feature is, what it is, and whether it is beyond the threshold."""
    known = ~np.isnan(values) & ~np.isnan(target)
    rows = int(known.sum())
    missing = auc_of((~known).astype(np.float64), target) if binary else None
    if rows < FEWEST or len(np.unique(values[known])) < 2 or len(np.unique(target[known])) < 2:  # noqa: PLR2004 - one value tells nothing
        return None if missing is None or missing < AUC else (rows, f"AUC {missing:.3f} of its being null", True)
    if binary:
        auc = auc_of(values[known], target[known])
        best = auc if missing is None else max(auc, missing)
        return rows, f"AUC {auc:.3f}" + ("" if missing is None else f", of its being null {missing:.3f}"), best >= AUC
    correlation = abs(float(np.corrcoef(ranks(values[known]), ranks(target[known]))[0, 1]))
    explained = r2_of(values[known], target[known])
    text = f"rank correlation {correlation:.3f}, R2 {explained:.3f}"
    return rows, text, correlation >= CORRELATION or explained >= R2


def auc_of(values: np.ndarray, target: np.ndarray) -> float:
    """Return the area under the ROC curve of values for a target of zeros and ones, from 0.5; ties count half."""
    positive = target == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    if not ones or not zeros:
        return 0.5
    area = (float(ranks(values)[positive].sum()) - ones * (ones + 1) / 2) / (ones * zeros)
    return max(area, 1 - area)


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, from 1; equal values have the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[inverse]


def r2_of(values: np.ndarray, target: np.ndarray) -> float:
    """Return which share of the variance of a target the means of bins of values explain."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    counts = np.bincount(bins)
    means = np.bincount(bins, target) / np.maximum(counts, 1)
    whole = float(((target - target.mean()) ** 2).sum())
    return 0.0 if not whole else float((counts * (means - target.mean()) ** 2).sum()) / whole


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    found = np.array(floats(column))
    found[np.isinf(found)] = np.nan
    return found
