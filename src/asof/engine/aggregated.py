"""How aggregates are asked of DuckDB: by which statements, chosen by the size of history and a sample of the spine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from asof.engine import answers, planning, running, tiled, windows
from asof.engine.answers import Way
from asof.engine.events import Asking, candidates, events
from asof.engine.planning import SAMPLE_ROWS, bucket, count, has, pairs_in
from asof.engine.point_in_time import is_late
from asof.engine.port import Rows
from asof.engine.windows import Part
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

Ask = Callable[[str], pa.Table]

Parts = dict[int, tuple[Aggregation, Part]]


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
    return [ask(statement) for statement in _statements(question, asked, relation, ask)], ways


def _statements(
    question: Question, asked: Sequence[tuple[Aggregation, Sequence[Part]]], relation: str, ask: Ask
) -> list[str]:
    """Return what is to be asked: which parts together, and how."""
    rows, asking = question.rows, question.asking
    merged = [(each.window, parts) for each, parts in asked if running.merges(each, parts)]
    deep = _deep(question, [window for window, _ in merged], ask)
    late = is_late(rows, asking.known)
    # Where tiles are made for others, sums of the same window are read from them, too.
    tiled_too = {window for window, parts in merged if late or not running.adds_up(parts)}
    sums: Parts = {}
    tiles: dict[Window, Parts] = {}
    others: Parts = {}
    number = 0
    for each, parts in asked:
        kind = others
        if each.window in deep and running.merges(each, parts):
            kind = tiles.setdefault(each.window, {}) if each.window in tiled_too else sums
        for part in parts:
            kind[number] = (each, part)
            number += 1
    statements = [running.aggregate(rows, sums, asking=asking, relation=relation)] if sums else []
    for window, parts in tiles.items():
        length_us = tiled.tile_us(rows, window, deep[window])
        statements.append(tiled.aggregate(rows, parts, asking=asking, relation=relation, length_us=length_us))
    if others:
        bucket_us = bucket(rows, [each for each, _ in others.values()], asking.after_us, asking.until_us)
        statements.append(windows.aggregate(rows, others, asking=asking, relation=relation, bucket_us=bucket_us))
    return statements


def _deep(question: Question, asked: Sequence[Window], ask: Ask) -> dict[Window, float]:
    """Return the windows that hold so many events that no row of the spine should meet each of them, and how many.

    As far as a sample of the spine, and the keys of the largest file tell.
    """
    rows, spine_rows = question.rows, question.spine_rows
    most = planning.DEEP_PAIRS * (count(rows) + spine_rows)
    held = [item for item in rows.files if has(rows, item[1], question.asking.on)]
    place, file, _ = max(held, key=lambda item: item[1].rows, default=(None, None, None))
    if place is None or file is None or not file.rows or not asked or spine_rows * count(rows) <= most:
        return {}
    met = ask(running.met(question.asking.on, place, sample=question.sample)).column(0)[0].as_py()
    pairs = met * count(rows) / file.rows * spine_rows / min(spine_rows, SAMPLE_ROWS)
    found = {window: pairs_in(rows, window, pairs) for window in asked}
    return {window: held / spine_rows for window, held in found.items() if held > most}


def _values(ask: Ask, relation: str, asked: str) -> list[Any]:
    """Return what expressions over a relation come to."""
    return [column[0].as_py() for column in ask(f"SELECT {asked} FROM {relation}").columns]
