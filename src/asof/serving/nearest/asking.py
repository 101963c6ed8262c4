"""A question for `nearest`, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np
import pyarrow as pa

from asof.definitions import FeatureGroup
from asof.errors import NotFoundError, UsageError
from asof.serving.nearest.answer import DISTANCE
from asof.serving.nearest.distance import LARGEST, METRICS, Query, length
from asof.serving.nearest.where import Conditions, Filter

NUMBERS = frozenset({"float32", "float64", "int8", "int16", "int32", "int64"})
"""Elements of vectors that can be compared."""

MOST = 10_000
"""Neighbours of one answer."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a group.

    Attributes:
        feature: The feature whose vectors are compared.
        query: The vector, and the metric.
        k: How many neighbours.
        where: Which rows may answer.
        columns: The features of the answer.
        exact: Whether the nearest of all are wanted.
    """

    feature: str
    query: Query
    k: int
    where: Filter
    columns: tuple[str, ...]
    exact: bool


def checked(  # noqa: PLR0913 - the words of `Store.nearest`
    group: FeatureGroup,
    feature: str,
    vector: object,
    k: int,
    *,
    metric: str,
    where: Conditions | Sequence[Conditions] | None,
    columns: Sequence[str] | None,
    exact: bool,
) -> Question:
    """Return a question to a group.

    Raises:
        NotFoundError: The group has no such feature or column. UsageError: What is asked makes no sense.
    """
    place = f"group {group.name}"
    types = {each.name: each.dtype for each in group.features}
    if feature not in types:
        raise NotFoundError.named("feature", str(feature), types, where=place)
    dtype = types[feature]
    if dtype.name != "vector" or dtype.fields[0][1].name not in NUMBERS:
        known = [name for name, each in types.items() if each.name == "vector"]
        todo = f"name one of {', '.join(known)}" if known else 'declare one, as "vector<float32, 128>"'
        raise UsageError(f"feature {feature!r} of type {dtype} is no vector of numbers", where=place, todo=todo)
    if metric not in METRICS:
        raise UsageError(f"metric={metric!r} is not known", where=place, todo=f"use {' or '.join(METRICS)}")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"k={k!r} is no number of neighbours", where=place, todo=f"pass a number from 1 to {MOST:,}")
    if not isinstance(exact, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"exact={exact!r} is neither True nor False", where=place)
    query = Query(metric, numbers(vector, dtype.numbers[0], where=f"vector for {group.name}.{feature}"))
    if metric == "cosine" and not length(query.vector):
        what = "a vector of zeros, or of numbers whose squares are none, has no direction to compare"
        raise UsageError(what, where=f"vector for {group.name}.{feature}", todo='use metric="l2" or "dot"')
    return Question(feature, query, k, Filter(where, group), _columns(group, feature, columns), exact)


def numbers(vector: object, count: int, *, where: str) -> tuple[float, ...]:
    """Return the numbers of a vector: a list, a NumPy array, an Arrow array or list scalar.

    Raises:
        UsageError: It is no sequence of so many finite numbers.
    """
    given = _listed(vector)
    if given is None:
        todo = f"pass {count} numbers: a list, or a NumPy array of one dimension"
        raise UsageError(f"{type(vector).__name__} is no vector", where=where, todo=todo)
    if len(given) != count:
        raise UsageError(f"the vector has {len(given):,} numbers, not {count:,}", where=where)
    found: list[float] = []
    for at, value in enumerate(given):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise UsageError(f"element {at} is {value!r}, no number", where=where)
        try:
            found.append(float(value))
        except OverflowError:
            found.append(float("inf"))
        if not abs(found[-1]) <= LARGEST:
            what = f"element {at} is {value!r}, which cannot be compared"
            raise UsageError(what, where=where, todo=f"pass finite numbers up to {LARGEST:g}")
    return tuple(found)


def listed(vector: object) -> Any:  # noqa: ANN401 - whatever a caller passed
    """Return a vector as a list; what is none as it is, for who says what is wrong with it."""
    found = _listed(vector)
    return vector if found is None else found


def _listed(vector: object) -> Sequence[Any] | None:
    if isinstance(vector, np.ndarray):
        return None if vector.ndim != 1 else cast("list[Any]", vector.tolist())
    if isinstance(vector, pa.Array | pa.ChunkedArray):
        return vector.to_pylist()
    if isinstance(vector, pa.Scalar):
        vector = vector.as_py()
    if isinstance(vector, list | tuple):
        return [each.item() if isinstance(each, np.generic) else each for each in cast("Sequence[Any]", vector)]
    if isinstance(vector, str | bytes | Mapping) or not hasattr(vector, "tolist"):
        return None
    listed = cast("Any", vector).tolist()  # of a pandas or polars series, or a tensor
    return cast("list[Any]", listed) if isinstance(listed, list) else None


def _columns(group: FeatureGroup, feature: str, wanted: Sequence[str] | None) -> tuple[str, ...]:
    names = [each.name for each in group.features]
    if isinstance(wanted, str):
        raise UsageError(f"columns={wanted!r} is a text", where=f"group {group.name}", todo=f"pass [{wanted!r}]")
    for name in wanted or ():
        if name not in names:
            raise NotFoundError.named("feature", str(name), names, where=f"group {group.name}")
    found = [name for name in names if name != feature] if wanted is None else list(dict.fromkeys(wanted))
    if DISTANCE in (*group.keys, *found):
        what = f"the answer would have two columns {DISTANCE!r}"
        raise UsageError(what, where=f"group {group.name}", todo="leave that feature out: columns=[...]")
    return tuple(found)
