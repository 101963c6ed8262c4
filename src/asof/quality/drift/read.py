"""What is served: online, in history now, and as the serving log tells it, as tables of features."""

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.clock import from_us
from asof.definitions.serving_log import is_log, log_name
from asof.errors import UsageError
from asof.parts import Parts, Question, pinned_rows
from asof.quality.verify.feed import Feed, feed_of
from asof.quality.verify.sample import key_pool, sample
from asof.serving.online import OnlineReader
from asof.training.historical import HistoricalReader

KEYS = 10_000
"""Keys that are looked up, at most."""

ANSWERS = 100_000
"""The newest answers of a serving log that are compared, about."""

SEED = 0
"""Both sides of "online" against "offline" look at the same keys."""


def online(parts: Parts, question: Question) -> tuple[pa.Table, list[str]]:
    """Return what is served now of a sample of keys, and what to say of it."""
    keys = _keys(parts, question)
    table = OnlineReader(parts).read_many(question.ref, keys).to_arrow()
    return _with_keys(table, keys), [f"online: {len(keys):,} key sets"]


def offline(parts: Parts, question: Question) -> tuple[pa.Table, list[str]]:
    """Return what history says now of the same keys."""
    keys = _keys(parts, question)
    now: datetime = from_us(parts.now_us())
    table = HistoricalReader(parts).read(question.ref, pa.Table.from_pylist(keys), time=now).to_arrow()
    return table, [f"offline: {len(keys):,} key sets, at {now.isoformat(timespec='seconds')}"]


def served(parts: Parts, question: Question) -> tuple[pa.Table, list[str]]:
    """Return the newest answers of a view's serving log, of all of its versions.

    Raises:
        UsageError: There is no such log.
    """
    name = log_name(question.view.name)
    logs = [each for each in parts.registry.groups() if each.definition.name == name and is_log(each.definition)]
    if not logs:
        raise UsageError(
            f"{question.ref} has no serving log", todo="declare the view with log=, such as log=0.1, and apply it"
        )
    tables: list[pa.Table] = []
    for group in reversed(logs):
        left = ANSWERS - sum(table.num_rows for table in tables)
        commits, after = parts.log.commits(group), 0
        for commit in reversed(commits):
            left -= commit.rows
            if left < 0:
                after = commit.number - 1
                break
        rows, _ = pinned_rows(parts, group, after=after)
        found = parts.engine.scan(rows, columns=["keys", "values"]).read_all()
        tables.append(_flat(found))
        if left < 0:
            break
    table = pa.concat_tables(tables, promote_options="permissive")
    return table, [f"served: {table.num_rows:,} answers of the serving log"]


def _flat(logged: pa.Table) -> pa.Table:
    """Return the fields of two columns of structs as columns; the values, where a key has the same name."""
    columns: dict[str, Any] = {}
    for name in ("keys", "values"):
        column = logged.column(name)
        for at, part in enumerate(column.type):
            columns[part.name] = pc.struct_field(column, [at])
    return pa.table(columns)


def _keys(parts: Parts, question: Question) -> list[dict[str, Any]]:
    feeds: dict[str, Feed] = {
        name: feed_of(parts, group, pinned_rows(parts, group)[0]) for name, group in question.groups.items()
    }
    random = np.random.default_rng(SEED)
    found = sample(key_pool(question.view, feeds, random), random, KEYS)
    if not found:
        raise UsageError(f"{question.ref} has no keys yet", todo="write to its groups first")
    return found


def _with_keys(table: pa.Table, keys: list[dict[str, Any]]) -> pa.Table:
    for name, column in zip(*_columns(keys), strict=True):
        if name not in table.column_names:
            table = table.append_column(name, column)
    return table


def _columns(keys: list[dict[str, Any]]) -> tuple[list[str], list[Any]]:
    found = pa.Table.from_pylist(keys)
    return found.column_names, found.columns
