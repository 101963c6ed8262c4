"""How aggregates are asked of DuckDB: by which statements, chosen by the size of history and a sample of the spine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from asof.engine import answers, planning, running, windows
from asof.engine.answers import Way
from asof.engine.events import Asking, candidates, events
from asof.engine.planning import SAMPLE_ROWS, bucket, count, has, pairs_in
from asof.engine.point_in_time import is_late
from asof.engine.port import Rows
from asof.engine.windows import Part
from asof.windows.aggregation import Aggregation

Ask = Callable[[str], pa.Table]

Parts = Mapping[int, tuple[Aggregation, Part]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a source.

    Attributes:
        rows: The source, within reach; it holds rows.
        asking: What is asked of it; its spine has the columns `on`, `__t_us` and `__row`.
        aggregations: What is wanted.
        journal: Name of the registered journal rows.
        sample: Name of some registered rows of the spine.
        spine_rows: Rows of the spine.
    """

    rows: Rows
    asking: Asking
    aggregations: Sequence[Aggregation]
    journal: str
    sample: str
    spine_rows: int


def found(question: Question, ask: Ask) -> tuple[list[pa.Table], list[Way]]:
    """Return what statements gave, and how each aggregation was asked; see `asof.engine.answers.arranged`."""
    rows, asking, aggregations = question.rows, question.asking, question.aggregations
    relation = f"({events(rows, asking, journal=question.journal)})"
    every = f"({candidates(rows, asking, journal=question.journal)})"
    ways = answers.ways(aggregations, rows, partial(_values, ask, every))
    asked = [(each, way.parts) for each, way in zip(aggregations, ways, strict=True)]
    sums, others = _apart(asked, deep=_is_deep(question, asked, ask))
    statements: list[str] = []
    if sums:
        statements.append(running.aggregate(rows, sums, asking=asking, relation=relation))
    if others:
        bucket_us = bucket(rows, [each for each, _ in others.values()], asking.after_us, asking.until_us)
        statements.append(windows.aggregate(rows, others, asking=asking, relation=relation, bucket_us=bucket_us))
    return [ask(statement) for statement in statements], ways


def _values(ask: Ask, relation: str, asked: str) -> list[Any]:
    """Return what expressions over a relation come to."""
    return [column[0].as_py() for column in ask(f"SELECT {asked} FROM {relation}").columns]


def _apart(asked: Sequence[tuple[Aggregation, Sequence[Part]]], *, deep: bool) -> tuple[Parts, Parts]:
    """Return the parts that running sums answer, and the others, each by its number."""
    sums: dict[int, tuple[Aggregation, Part]] = {}
    others: dict[int, tuple[Aggregation, Part]] = {}
    for each, parts in asked:
        kind = sums if deep and running.adds_up(each, parts) else others
        for part in parts:
            kind[len(sums) + len(others)] = (each, part)
    return sums, others


def _is_deep(question: Question, asked: Sequence[tuple[Aggregation, Sequence[Part]]], ask: Ask) -> bool:
    """Return whether windows hold so many events that running sums pay, as far as a sample of the spine tells."""
    rows, asking, spine_rows = question.rows, question.asking, question.spine_rows
    adding = [each for each, parts in asked if running.adds_up(each, parts)]
    if not adding or is_late(rows, asking.known):
        return False
    ends = 2 * len({each.window for each in adding})
    most = planning.RUNNING_PAIRS * (count(rows) + ends * spine_rows)
    if spine_rows * count(rows) <= most:
        return False
    held = [item for item in rows.files if has(rows, item[1], asking.on)]
    place, file, _ = max(held, key=lambda item: item[1].rows, default=(None, None, None))
    if place is None or file is None or not file.rows:
        return False
    met = ask(running.met(asking.on, place, sample=question.sample)).column(0)[0].as_py()
    pairs = met * count(rows) / file.rows * spine_rows / min(spine_rows, SAMPLE_ROWS)
    return pairs_in(rows, adding, asking.after_us, pairs) > most
