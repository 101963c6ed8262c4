"""How aggregates are asked of DuckDB: by which statements, chosen by the size of history and a sample of the spine."""

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from asof.engine import answers, planning, ranges, running, sessions, tiled, windows
from asof.engine.answers import Answering
from asof.engine.events import Asking, candidates, events
from asof.engine.planning import SAMPLE_ROWS, bucket, count, has, pairs_in
from asof.engine.point_in_time import is_late
from asof.engine.port import Profile, Rows
from asof.engine.ranges import Ready
from asof.engine.windows import Part
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import Condition
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
        always: Whether all windows are asked by the plans for many events.
    """

    rows: Rows
    asking: Asking
    aggregations: Sequence[Aggregation]
    journal: str
    sample: str
    spine_rows: int
    always: bool = False

    def many(self, pairs: float, *, ranged: bool) -> bool:
        """Return whether pairs of a spine row and an event are so many that a plan for many takes less time."""
        if self.always:
            return pairs > 0
        read = count(self.rows)
        if ranged:
            return pairs > planning.RANGED_PAIRS * (read * ranges.parts(self.rows) + self.spine_rows)
        return pairs > planning.DEEP_PAIRS * (read + self.spine_rows)


@dataclass(slots=True)
class Plans:
    """Which parts are asked together, by the plan.

    Attributes:
        sums: By running sums.
        tiles: By tiles, of each window.
        ranges: By ranges.
        sessions: Those of sessions, by gaps and conditions.
        others: By a join.
    """

    sums: Parts = field(default_factory=dict[int, tuple[Aggregation, Part]])
    tiles: dict[Window, Parts] = field(default_factory=dict[Window, Parts])
    ranges: dict[int, Aggregation] = field(default_factory=dict[int, Aggregation])
    sessions: dict[tuple[int, Condition | None], Parts] = field(
        default_factory=dict[tuple[int, "Condition | None"], Parts]
    )
    others: Parts = field(default_factory=dict[int, tuple[Aggregation, Part]])

    def __str__(self) -> str:
        """Return their names."""
        named: Mapping[str, Sized] = {
            "running sums": self.sums,
            "tiles": self.tiles,
            "ranges": self.ranges,
            "sessions": self.sessions,
            "join": self.others,
        }
        return " + ".join(name for name, parts in named.items() if parts)


def found(question: Question, ask: Ask, profile: Profile) -> tuple[list[pa.Table], list[Answering]]:
    """Return what statements gave, and how each aggregation was asked; see `asof.engine.answers.arranged`."""
    rows, asking, aggregations = question.rows, question.asking, question.aggregations
    relation = f"({events(rows, asking, journal=question.journal)})"
    every = f"({candidates(rows, asking, journal=question.journal)})"
    with profile.step("choose"):
        held = _held(question, list(dict.fromkeys(each.window for each in aggregations)), ask)
        ranged = {each for each in aggregations if ranges.takes(each) and _is_deep(question, each, held)}
        made = iter(
            answers.ways([each for each in aggregations if each not in ranged], rows, partial(_values, ask, every))
        )
        ways: list[Answering] = [Ready() if each in ranged else next(made) for each in aggregations]
        plans = _plans(question, ways, held)
    profile.plan, profile.why = str(plans), _why(question, held)
    with profile.step("query"):
        tables = [ask(statement) for statement in _statements(question, plans, relation, held)]
        if plans.ranges:
            tables.append(ranges.aggregate(rows, plans.ranges, asking=asking, relation=relation, ask=ask))
    return tables, ways


def _plans(question: Question, ways: Sequence[Answering], held: Mapping[Window, float]) -> Plans:
    """Return which parts are asked together, and how."""
    asked = list(zip(question.aggregations, ways, strict=True))
    merged = [(each, way.parts) for each, way in asked if running.merges(each, way.parts)]
    late = is_late(question.rows, question.asking.known)
    deep = {each.window for each, _ in merged if _is_deep(question, each, held)}
    # Where tiles are made for others, sums of the same window are read from them, too.
    tiled_too = {each.window for each, parts in merged if late or not running.adds_up(parts)}
    plans, number = Plans(), 0
    for each, way in asked:
        if isinstance(way, Ready):
            plans.ranges[number] = each
            number += 1
            continue
        kind = plans.others
        if each.window.kind == "session":
            kind = plans.sessions.setdefault((each.window.length_us, each.where), {})
        elif each.window in deep and running.merges(each, way.parts):
            kind = plans.tiles.setdefault(each.window, {}) if each.window in tiled_too else plans.sums
        for part in way.parts:
            kind[number] = (each, part)
            number += 1
    return plans


def _statements(question: Question, plans: Plans, relation: str, held: Mapping[Window, float]) -> list[str]:
    """Return what is to be asked."""
    rows, asking, sums, others = question.rows, question.asking, plans.sums, plans.others
    statements = [running.aggregate(rows, sums, asking=asking, relation=relation)] if sums else []
    for window, parts in plans.tiles.items():
        length_us = tiled.tile_us(rows, window, held[window] / question.spine_rows)
        statements.append(tiled.aggregate(rows, parts, asking=asking, relation=relation, length_us=length_us))
    statements += [
        sessions.aggregate(rows, parts, asking=asking, relation=relation) for parts in plans.sessions.values()
    ]
    if others:
        bucket_us = bucket(rows, [each for each, _ in others.values()], asking.after_us, asking.until_us)
        statements.append(windows.aggregate(rows, others, asking=asking, relation=relation, bucket_us=bucket_us))
    return statements


def _is_deep(question: Question, each: Aggregation, held: Mapping[Window, float]) -> bool:
    """Return whether a window holds so many events that no row of the spine should meet each of them."""
    return question.many(held.get(each.window, 0), ranged=ranges.takes(each))


def _held(question: Question, asked: Sequence[Window], ask: Ask) -> dict[Window, float]:
    """Return how many pairs of a row of the spine and an event each window holds; nothing if they are few.

    As far as a sample of the spine, and the keys of the largest file tell.
    """
    rows, spine_rows = question.rows, question.spine_rows
    files = [item for item in rows.files if has(rows, item[1], question.asking.on)]
    place, file, _ = max(files, key=lambda item: item[1].rows, default=(None, None, None))
    most = spine_rows * count(rows)
    if place is None or file is None or not file.rows or not question.many(most, ranged=True):
        return {}
    met = ask(running.met(question.asking.on, place, sample=question.sample)).column(0)[0].as_py()
    pairs = met * count(rows) / file.rows * spine_rows / min(spine_rows, SAMPLE_ROWS)
    return {window: pairs_in(rows, window, pairs) for window in asked}


def _why(question: Question, held: Mapping[Window, float]) -> str:
    """Return the statistics that led to the plans."""
    if not held:
        return f"{question.spine_rows:,} spine rows, {count(question.rows):,} rows: few events a window"
    return f"{max(held.values()) / question.spine_rows:,.0f} events in the widest window of a spine row"


def _values(ask: Ask, relation: str, asked: str) -> list[Any]:
    """Return what expressions over a relation come to."""
    return [column[0].as_py() for column in ask(f"SELECT {asked} FROM {relation}").columns]
