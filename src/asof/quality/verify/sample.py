"""Times and keys at which a verification looks."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from asof.clock import from_us
from asof.definitions import FeatureView
from asof.definitions.types import DType
from asof.engine.port import NO_TIME
from asof.quality.verify.feed import Feed

NULLS = 0.1
"""Share of made-up inputs that are null."""

DAY_US = 86_400_000_000

POOL_ROWS = 2000
"""Rows from which keys are sampled; the keys of smaller histories are all among them."""

Pool = list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]
"""For the spine columns that one look-up uses together, key sets that its group has."""


def instants_of(feeds: Iterable[Feed], random: np.random.Generator, count: int, now_us: int) -> list[int]:
    """Return times at which to stand: spread over history, on the edges of rows and of their ttl, and now."""
    chosen = {now_us}
    for feed in feeds:
        rows = len(feed.visible)
        if not rows:
            continue
        picked = np.unique(
            np.concatenate([random.integers(0, rows, count), np.linspace(0, rows - 1, count).astype(int)])
        )
        for at in picked:
            edge = int(feed.visible[at])
            if edge <= NO_TIME:
                continue
            chosen |= {edge, edge - 1}
            ttl = feed.group.definition.ttl_us
            if ttl is not None:
                chosen |= {int(feed.events[at]) + ttl, int(feed.events[at]) + ttl - 1}
    times = sorted(t for t in chosen if t <= now_us)
    if len(times) > count:
        kept = set(random.choice(len(times) - 1, count - 1, replace=False).tolist()) | {len(times) - 1}
        times = [times[at] for at in sorted(kept)]
    return times


def key_pool(view: FeatureView, feeds: Mapping[str, Feed], random: np.random.Generator) -> Pool:
    """Return, for the spine columns that one look-up uses together, key sets that its group has."""
    pool: Pool = []
    for lookup in view.lookups():
        pairs = [(k, s) for k, s in zip(lookup.group.keys, lookup.sources, strict=True) if isinstance(s, str)]
        if not pairs:
            continue
        table = feeds[lookup.group.name].keys.select([key for key, _ in pairs])
        if table.num_rows > POOL_ROWS:
            table = table.take(random.integers(0, table.num_rows, POOL_ROWS))
        rows = list(dict.fromkeys(zip(*(column.to_pylist() for column in table.columns), strict=True)))
        pool.append((tuple(source for _, source in pairs), rows))
    return pool


def sample(pool: Pool, random: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Return key sets: each look-up's keys are those of one row of its group; no more than there are if it is one."""
    if len(pool) == 1:
        ((columns, rows),) = pool
        if rows and count >= len(rows):
            return [dict(zip(columns, row, strict=True)) for row in rows]
    sampled: list[dict[str, Any]] = []
    for _ in range(count):
        keys: dict[str, Any] = {}
        for place in random.permutation(len(pool)).tolist():
            columns, rows = pool[int(place)]
            row = rows[int(random.integers(len(rows)))] if rows else (None,) * len(columns)
            for column, value in zip(columns, row, strict=True):
                keys.setdefault(column, value)
        sampled.append(keys)
    return sampled


def sample_requests(types: Mapping[str, DType], random: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Return made-up inputs of requests: some null, the others of the declared types."""
    return [
        {name: None if random.random() < NULLS else _made_up(dtype, random) for name, dtype in types.items()}
        for _ in range(count)
    ]


def _made_up(dtype: DType, random: np.random.Generator) -> Any:  # noqa: ANN401 - a value of any of our types
    number = int(random.integers(0, 100))
    match dtype.name:
        case "bool":
            return number % 2 == 0
        case "int8" | "int16" | "int32" | "int64":
            return number
        case "float32" | "float64":
            return number / 4
        case "string":
            return str(number)
        case "bytes":
            return str(number).encode()
        case "date":
            return from_us(number * DAY_US).date()
        case "timestamp":
            return from_us(number * DAY_US)
        case "decimal":
            return Decimal(number % 10).scaleb(-dtype.numbers[1])
        case "struct":
            return {name: _made_up(field, random) for name, field in dtype.fields}
        case _:
            length = dtype.numbers[0] if dtype.numbers else number % 4
            return [_made_up(dtype.fields[0][1], random) for _ in range(length)]
