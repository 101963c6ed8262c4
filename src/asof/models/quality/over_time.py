"""Measure a model over time: predictions of its log beside their outcomes, by version and time.

Rows are read some buckets at a time, so many that about `RUN_ROWS` of them are in memory; a bucket is read whole.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame
from asof.clock import show_us
from asof.definitions import Label
from asof.definitions.durations import duration_us
from asof.definitions.serving_log import CLOCK, MODEL, PREDICTION, PREDICTIONS_OF, is_log
from asof.engine.port import Rows
from asof.engine.reads import StoredRead
from asof.errors import UsageError
from asof.models.quality.comparing import Compared, compared, kind_of
from asof.models.quality.outcomes import Asked, Outcomes, outcomes_of
from asof.models.quality.result import ModelQuality, QualityRow
from asof.parts import Parts, pinned_rows
from asof.training.historical import now_us
from asof.training.model import Model

RUN_ROWS = 1_000_000
"""Predictions that are compared at once: each run looks outcomes up in history again."""

MOST_BUCKETS = 100_000
"""A table with more rows says nothing to anybody."""

Given = Label | Frame | None


@dataclass(frozen=True, slots=True)
class QualityAsked:
    """What is asked.

    Attributes:
        name: The model, or a version of it.
        models: Its versions, by their refs.
        start_us: Exclusive lower bound of clocks; None: from the beginning.
        end_us: Inclusive upper bound.
        every_us: The length of a bucket.
        given: What knows outcomes.
    """

    name: str
    models: Mapping[str, Model]
    start_us: int | None
    end_us: int | None
    every_us: int
    given: Given


@dataclass(frozen=True, slots=True)
class _Cell:
    """The predictions of one version in one bucket."""

    predictions: int
    pending: int
    compared: Compared


def quality(parts: Parts, asked: QualityAsked) -> ModelQuality:
    """Return how good a model was over time; see `Models.quality`."""
    name = next(iter(asked.models.values())).name
    logs, notes = _logs(parts, name, asked)
    counts = _counted(parts, logs, asked)
    if len(counts) > MOST_BUCKETS:
        what = f"{len(counts):,} times of {asked.every_us / 1e6:g} s have predictions"
        raise UsageError(what, where="every=", todo='pass a longer one, such as every="1d"')
    until_us = now_us(parts, parts.log.heads())
    known: dict[str, Outcomes | str] = {}
    cells: dict[str, dict[int, _Cell]] = defaultdict(dict)
    for first, last in _runs(counts):
        for ref, rows in _read(parts, logs, asked, first, last):
            model = asked.models[ref]
            if ref not in known:
                keys = {field.name: field.type for field in rows.schema.field("keys").type}
                known[ref] = outcomes_of(parts, model, asked.given, keys, now_us=until_us)
            cells[ref] |= _cells(model, rows, known[ref], asked.every_us)
    said = {each if isinstance(each, str) else f"outcomes: {each.told}" for each in known.values()}
    found = [row for ref in asked.models if ref in cells for row in _rows(ref, cells[ref], asked.every_us)]
    return ModelQuality(asked.name, asked.every_us, tuple(found), (*sorted(said), *notes))


def bucket_us(every: str | timedelta) -> int:
    """Return the length of a bucket.

    Raises:
        UsageError: It is no length of time above 0.
    """
    length_us = duration_us(every, what="every")
    if not length_us:
        raise UsageError("every=0 is no length of time", todo='pass every="1d"')
    return length_us


def _logs(parts: Parts, name: str, asked: QualityAsked) -> tuple[list[Rows], list[str]]:
    """Return what is logged of a model, and what to say of it."""
    logs: list[Rows] = []
    notes: list[str] = []
    for group in parts.registry.groups():
        if is_log(group.definition) and group.definition.tags.get(PREDICTIONS_OF) == name:
            rows, snapshot = pinned_rows(parts, group)
            logs.append(rows)
            gone_us = snapshot.horizon_us
            if gone_us is not None and (asked.start_us is None or asked.start_us < gone_us):
                notes.append(f"retention dropped predictions up to {show_us(gone_us)}")
    return logs, notes if logs else ["no version logs its predictions: register one with log="]


def _counted(parts: Parts, logs: Sequence[Rows], asked: QualityAsked) -> dict[int, int]:
    """Return how many predictions each bucket has, of all versions that are asked for."""
    found: Counter[int] = Counter()
    for rows in logs:
        read = StoredRead(rows, (CLOCK, MODEL), asked.start_us, asked.end_us)
        for batch in read.answered(parts.engine):
            mine = batch.filter(pc.is_in(batch.column(MODEL), value_set=pa.array(list(asked.models), pa.string())))
            buckets, counts = np.unique(_buckets(mine.column(CLOCK), asked.every_us), return_counts=True)
            found.update(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))
    return dict(sorted(found.items()))


def _buckets(clocks: pa.Array | pa.ChunkedArray, every_us: int) -> np.ndarray:
    """Return the number of the bucket of each clock: bucket k holds (k * every, (k + 1) * every]."""
    return (clocks.cast(pa.int64()).to_numpy() - 1) // every_us


def _runs(counts: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Return the first and last bucket of each run that is compared at once."""
    first, last, rows = None, 0, 0
    for bucket, count in counts.items():
        if first is not None and rows + count > RUN_ROWS:
            yield first, last
            first, rows = None, 0
        first = bucket if first is None else first
        last, rows = bucket, rows + count
    if first is not None:
        yield first, last


def _read(
    parts: Parts, logs: Sequence[Rows], asked: QualityAsked, first: int, last: int
) -> Iterator[tuple[str, pa.Table]]:
    """Return the predictions of each version in some buckets, which may lie in several versions of the log."""
    after_us, until_us = first * asked.every_us, (last + 1) * asked.every_us
    after_us = after_us if asked.start_us is None else max(after_us, asked.start_us)
    until_us = until_us if asked.end_us is None else min(until_us, asked.end_us)
    found: dict[str, list[pa.Table]] = defaultdict(list)
    for rows in logs:
        read = StoredRead(rows, (CLOCK, MODEL, "keys", "request", PREDICTION), after_us, until_us)
        table = read.answered(parts.engine).read_all()
        for ref in pc.unique(table.column(MODEL)).to_pylist():
            if ref in asked.models:
                found[ref].append(table.filter(pc.equal(table.column(MODEL), ref)))
    for ref, tables in found.items():
        yield ref, pa.concat_tables(tables)


def _cells(model: Model, rows: pa.Table, known: Outcomes | str, every_us: int) -> dict[int, _Cell]:
    """Compare the predictions of a version, bucket by bucket."""
    buckets = _buckets(rows.column(CLOCK), every_us)
    order = np.argsort(buckets, kind="stable")
    rows, buckets = rows.take(pa.array(order)), buckets[order]
    keys = _fields(rows.column("keys"))
    values = mature = None
    if not isinstance(known, str):
        values, mature = known.of(Asked(pa.table(keys), rows.column("request"), rows.column(CLOCK)))
    predicted = dict(zip(model.outputs, _fields(rows.column(PREDICTION)).values(), strict=True))
    edges = [*np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1)).tolist(), len(buckets)]
    found: dict[int, _Cell] = {}
    for at, end in pairwise(edges):
        size = end - at
        if values is None or mature is None:
            found[int(buckets[at])] = _Cell(size, size, Compared())
            continue
        mine = {name: column.slice(at, size) for name, column in predicted.items()}
        pending = size - int(mature[at:end].sum())
        found[int(buckets[at])] = _Cell(size, pending, compared(model, values.slice(at, size), mine))
    return found


def _fields(column: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    """Return the fields of a column of structs."""
    return {field.name: pc.struct_field(column, [at]) for at, field in enumerate(column.type)}


def _rows(ref: str, cells: Mapping[int, _Cell], every_us: int) -> Iterator[QualityRow]:
    kind = kind_of([each.compared for each in cells.values() if each.compared.count])
    for bucket, cell in sorted(cells.items()):
        count = cell.compared.count
        start_us = bucket * every_us
        row = QualityRow(
            ref, start_us, start_us + every_us, cell.predictions, count, cell.pending,
            cell.predictions - count - cell.pending,
        )  # fmt: skip
        if kind is not None and count:
            row = replace(row, kind=kind, measures=dict(cell.compared.measured.get(kind, {})))
        yield row
