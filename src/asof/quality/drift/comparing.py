"""One comparison: features of a view or group, on two sides, of all rows or by segment."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from asof.definitions import FeatureRef
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, Question, resolve
from asof.quality.drift.movers import moved_by
from asof.quality.drift.sides import Compared, OfCommits, Side, Wanted, side_of
from asof.statistics import Drift, Limits, Pair, compare
from asof.statistics.columns import column_statistics

SEGMENTS = 50
"""Of more segments those with the most rows are compared."""


def drift(  # noqa: PLR0913 - the words of `Quality.drift`
    parts: Parts,
    name: str,
    *,
    baseline: Compared,
    current: Compared,
    features: Sequence[str] | None = None,
    by: str | None = None,
    limits: Limits | None = None,
) -> Drift:
    """Compare two sides; see `Quality.drift`."""
    question = resolve(parts, name)
    limits = Limits() if limits is None else limits
    chosen = _chosen(question, features)
    sides = (
        side_of(parts, question, baseline, where="baseline="),
        side_of(parts, question, current, where="current="),
    )
    wanted, left_out = _on_both(chosen, sides, named=features is not None)
    pairs, told = (_whole(wanted, sides), []) if by is None else _segments(wanted, sides, by)
    found = compare(pairs, limits)
    if by is None and isinstance(sides[1], OfCommits):
        found = moved_by(parts, wanted, sides[0], sides[1], found)
    notes = (*left_out, *told, *sides[0].notes(), *sides[1].notes())
    return Drift(question.ref, sides[0].label, sides[1].label, found, limits, by or "", tuple(dict.fromkeys(notes)))


def _chosen(question: Question, features: Sequence[str] | None) -> list[Wanted]:
    if isinstance(features, str):
        raise UsageError("one text is no list of features", where="features=", todo="pass a list")
    outputs = question.view.output_names()
    every = {
        output: Wanted(output, question.groups[ref.group.name], ref.feature.name)
        for output, ref in zip(outputs, question.view.features, strict=True)
        if isinstance(ref, FeatureRef)
    }
    for name in features or ():
        if name in outputs and name not in every:
            todo = "compare frames that hold it: what store.historical gave"
            raise UsageError("it is made on demand, and has no statistics", where=f"feature {name}", todo=todo)
        if name not in every:
            raise NotFoundError.named("feature", name, outputs, where=question.ref)
    return list(every.values()) if features is None else [every[name] for name in dict.fromkeys(features)]


def _on_both(chosen: Sequence[Wanted], sides: Sequence[Side], *, named: bool) -> tuple[list[Wanted], list[str]]:
    """Return the features that both sides have, and what is said of the others.

    Raises:
        UsageError: There are none, or one that was named is not there.
    """
    lacking = {each.output: why for each in chosen for side in sides if (why := side.lacks(each))}
    found = [each for each in chosen if each.output not in lacking]
    if lacking and (named or not found):
        name, why = next(iter(lacking.items()))
        raise UsageError(why, where=f"feature {name}", todo="name other features=, or compare frames")
    by_reason = {why: [name for name, each in lacking.items() if each == why] for why in lacking.values()}
    return found, [f"left out: {', '.join(names)}: {why}" for why, names in by_reason.items()]


def _whole(wanted: Sequence[Wanted], sides: Sequence[Side]) -> list[Pair]:
    return [Pair(each.output, sides[0].column(each), sides[1].column(each)) for each in wanted]


def _segments(wanted: Sequence[Wanted], sides: Sequence[Side], by: str) -> tuple[list[Pair], list[str]]:
    """Return the features of each segment, those with the most rows first."""
    wanted = [each for each in wanted if each.output != by]
    tables = [side.rows(wanted, by) for side in sides]
    parts = [_by_value(table, by) for table in tables]
    rows: Counter[Any] = Counter()
    for each in parts:
        rows.update({value: table.num_rows for value, table in each.items()})
    names = [value for value, _ in rows.most_common()]
    pairs: list[Pair] = []
    for value in names[:SEGMENTS]:
        both = [each.get(value, table.slice(0, 0)) for each, table in zip(parts, tables, strict=True)]
        for each in wanted:
            columns = [column_statistics(table.column(each.output)) for table in both]
            pairs.append(Pair(each.output, columns[0], columns[1], "null" if value is None else str(value)))
    more = len(names) - SEGMENTS
    return pairs, [f"{more:,} segments with fewer rows are left out"] if more > 0 else []


def _by_value(table: pa.Table, by: str) -> dict[Any, pa.Table]:
    """Return the rows of each value of a column, and of null.

    Raises:
        UsageError: The column is of a type that makes no segments.
    """
    column = table.column(by)
    if pa.types.is_nested(column.type) or pa.types.is_floating(column.type):
        raise UsageError(f"column {by!r} of type {column.type} makes no segments", where="by=")
    coded = column.combine_chunks()
    coded = coded if pa.types.is_dictionary(coded.type) else pc.dictionary_encode(coded, null_encoding="encode")
    codes = coded.indices
    return {value: table.filter(pc.equal(codes, code)) for code, value in enumerate(coded.dictionary.to_pylist())}
