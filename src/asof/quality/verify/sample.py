"""Times and keys at which a verification looks."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from asof.definitions import FeatureView
from asof.engine.port import NO_TIME
from asof.quality.verify.feed import Feed

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
