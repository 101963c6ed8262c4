"""Filters of `nearest`: equal to a value, or to one of a list, by column; all of them, or one set of several."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.conform import conform_column, conform_time
from asof.arrow.types import arrow_type
from asof.definitions import FeatureGroup
from asof.errors import DataError, NotFoundError, UsageError
from asof.serving.nearest.distance import Truths

Conditions = Mapping[str, Any]
"""A value, or a list of values, by key or feature: a row passes if each column is equal to its value, or to one."""

MOST_SETS = 1_000
"""Sets of conditions of one question: each is a look at the rows."""


class Filter:
    """Which rows pass.

    Attributes:
        columns: The columns that it looks at.
        passes_all: Whether every row passes.
    """

    def __init__(self, given: Conditions | Sequence[Conditions] | None, group: FeatureGroup) -> None:
        """Convert the values to the types of their columns.

        Args:
            given: Conditions; of a list of them one must hold.
            group: The group.

        Raises:
            NotFoundError: An unknown column. UsageError: A value that does not fit it, or null.
        """
        every: Sequence[Conditions] = [{}]
        if given is not None:
            every = [given] if isinstance(given, Mapping) else given
        if not isinstance(every, list | tuple) or not all(isinstance(each, Mapping) for each in every):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
            todo = 'pass {"origin": "JFK"}, with a value or a list of values by column; or a list of such dicts'
            raise UsageError(f"where={given!r} is no filter", where=f"group {group.name}", todo=todo)
        if len(every) > MOST_SETS:
            raise UsageError(f"{len(every):,} sets of conditions are more than the {MOST_SETS:,} of one question")
        self._sets = [{name: _values(group, name, value) for name, value in each.items()} for each in every]
        self.passes_all = {} in self._sets
        self.columns = frozenset(name for each in self._sets for name in each)

    def passing(self, table: pa.Table) -> Truths:
        """Return which rows of a table pass; null is equal to nothing."""
        passing = np.zeros(table.num_rows, bool)
        for conditions in self._sets:
            holds = np.ones(table.num_rows, bool)
            for name, values in conditions.items():
                holds &= pc.is_in(table.column(name), value_set=values).to_numpy()
            passing |= holds
        return passing


def sendable(given: Conditions | Sequence[Conditions] | None) -> Any:  # noqa: ANN401 - whatever a caller passed
    """Return conditions with lists in the place of sets, which no message holds."""
    if isinstance(given, list | tuple):
        return [sendable(each) for each in given]
    if not isinstance(given, Mapping):
        return given
    sets = {name: list(cast("Collection[Any]", value)) for name, value in given.items() if isinstance(value, set)}
    return {**given, **sets}


def _values(group: FeatureGroup, name: object, value: object) -> pa.Array:
    """Return the values that a column may have, in its type."""
    where = f"where of group {group.name}, column {name}"
    types = {**group.entity.keys, **group.types}
    known = [each for each in types if each != group.event_time]
    if name not in known:
        raise NotFoundError.named("key or feature", str(name), known, where=f"group {group.name}")
    target = arrow_type(types[str(name)])
    if pa.types.is_nested(target):
        raise UsageError(f"{name} of type {types[str(name)]} cannot be compared", where=where, todo="filter by another")
    several = isinstance(value, list | tuple | set)
    values: list[Any] = list(cast("Sequence[Any]", value)) if several else [value]
    if None in values:
        raise UsageError("null is equal to nothing", where=where, todo="leave it out")
    try:
        column = pa.chunked_array([_array(values)])
        timed = pa.types.is_timestamp(target)
        found = conform_time(column, where) if timed else conform_column(column, target, where)
    except (DataError, pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        reason = error.what if isinstance(error, DataError) else str(error)
        todo = f"pass values of type {types[str(name)]}"
        raise UsageError(f"{_shown(value)} does not fit: {reason}", where=where, todo=todo) from error
    return found.combine_chunks()


def _array(values: list[Any]) -> pa.Array:
    if any(isinstance(value, bool) for value in values) and not all(isinstance(value, bool) for value in values):
        raise TypeError("true and false are no numbers")
    if any(isinstance(value, datetime) and value.tzinfo is None for value in values):
        raise ValueError("a time without a zone")
    return pa.array(values)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line of an error
