"""Which columns of a foreign table are its keys and its event time: a proposal that people may overrule."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.order import key_codes

EVENT_TIME_NAMES = ("event_time", "event_timestamp", "timestamp", "time", "datetime", "ts", "date")
EVENT_TIME_PARTS = re.compile(r"_(time|timestamp|at|ts|datetime|date)$|^(time|timestamp|date)_")
ID_PARTS = re.compile(r"(^|_)(id|uuid|key|code|number|nr|no|num|sku|iata|icao|symbol)$")

MOST_KEYS = 3
MOST_CANDIDATES = 12
PREFIX_ROWS = 20_000
"""Rows on which most sets of columns fail already."""

LONGEST_KEY = 64
"""Characters of a text, on average, above which it is prose and no key."""


def event_time_of(table: pa.Table) -> str | None:
    """Return the column that says when a row was true: times without nulls, the best name, then the leftmost."""
    times = [
        (_time_rank(field.name), at, field.name)
        for at, field in enumerate(table.schema)
        if (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)) and not table.column(at).null_count
    ]
    return min(times)[2] if times else None


def _time_rank(name: str) -> int:
    if name in EVENT_TIME_NAMES:
        return EVENT_TIME_NAMES.index(name)
    return len(EVENT_TIME_NAMES) + (0 if EVENT_TIME_PARTS.search(name) else 1)


def keys_of(table: pa.Table, event_time: str | None) -> tuple[list[str], str]:
    """Return the fewest columns that are unique (together with the event time), and why there are none.

    Among sets of one size, columns that look like names of things come first (`id`, `*_id`, `*_code`, ...), then texts,
    then whole numbers left of the event time; among these, those that occur again at other times; then the leftmost.
    """
    if not table.num_rows:
        return [], "there are no rows to tell the keys from"
    candidates = _candidates(table, event_time)
    if not candidates:
        return [], "no column looks like a key (an id, a text or a whole number, without nulls)"
    clock = [] if event_time is None else [event_time]
    if clock and table.num_rows > 1 and _is_unique(table, clock):
        # Any column would do: take only one that names things, or is the same in every row.
        distinct = {name: pc.count_distinct(table.column(name)).as_py() for name, _ in candidates}
        for name, rank in sorted(candidates, key=lambda c: (c[1], distinct[c[0]] == table.num_rows)):
            if rank == 0 or distinct[name] == 1:
                return [name], ""
        return [], f"each {event_time} occurs once, and no column says what the rows are about"
    for keys in _sets(table, candidates, event_time):
        if _is_unique(table.slice(0, PREFIX_ROWS), [*keys, *clock]) and _is_unique(table, [*keys, *clock]):
            return list(keys), ""
    distinct = table.group_by(table.column_names).aggregate([])
    if distinct.num_rows < table.num_rows:  # rows that are equal throughout are stored once
        return keys_of(distinct, event_time)
    names = [name for name, _ in candidates[:MOST_KEYS]]
    together = " and ".join((", ".join(names), *clock)) if clock else ", ".join(names)
    return [], f"no columns are unique (rows that repeat another's {together}: {_repeated(table, [*names, *clock]):,})"


def _candidates(table: pa.Table, event_time: str | None) -> list[tuple[str, int]]:
    border = table.num_columns if event_time is None else table.column_names.index(event_time)
    found: list[tuple[int, int, str]] = []
    for at, field in enumerate(table.schema):
        if field.name == event_time or table.column(at).null_count:
            continue
        number = pa.types.is_integer(field.type)
        text = pa.types.is_string(field.type)
        if ID_PARTS.search(field.name) and (number or text):
            found.append((0, at, field.name))
        elif text and pc.mean(pc.utf8_length(table.column(at))).as_py() <= LONGEST_KEY:
            found.append((1, at, field.name))
        elif number and at < border:
            found.append((2, at, field.name))
    return [(name, rank) for rank, _, name in sorted(found)[:MOST_CANDIDATES]]


def _sets(table: pa.Table, candidates: Sequence[tuple[str, int]], event_time: str | None) -> Iterator[tuple[str, ...]]:
    recurs = {
        name: event_time is not None and pc.count_distinct(table.column(name)).as_py() < table.num_rows
        for name, _ in candidates
    }
    for size in range(1, MOST_KEYS + 1):
        sets = combinations(candidates, size)
        for chosen in sorted(sets, key=lambda s: (max(rank for _, rank in s), not all(recurs[name] for name, _ in s))):
            yield tuple(sorted((name for name, _ in chosen), key=table.column_names.index))


def _is_unique(table: pa.Table, names: list[str]) -> bool:
    return _repeated(table, names) == 0


def _repeated(table: pa.Table, names: list[str]) -> int:
    return table.num_rows - len(np.unique(key_codes(table, names)))
