"""The nearest vectors in plain Python: the oracle of `store.nearest`. Each question looks at every key."""

from collections.abc import Mapping, Sequence
from math import fsum, isfinite, sqrt
from typing import cast

from asof.testing.reference import Answer, Key

LARGEST = 1e100


def nearest(
    answers: Mapping[Key, Mapping[str, Answer]],
    feature: str,
    vector: Sequence[float],
    k: int,
    *,
    metric: str,
    where: Sequence[Mapping[str, Sequence[object]]] = ({},),
) -> list[tuple[float, Key]]:
    """Return distance and key of the k nearest, the nearest first, equal distances by key.

    Args:
        answers: What the online store answers, by key.
        feature: The feature that holds the vectors.
        vector: What they are compared with.
        k: How many are wanted.
        metric: "cosine", "l2" or "dot".
        where: Sets of conditions, the values allowed by feature, one of which must hold.
    """
    found = [
        (distance(metric, value, vector), key)
        for key, each in answers.items()
        for value in vectors(metric, each[feature].value)
        if any(
            all(each[name].value is not None and each[name].value in values for name, values in conditions.items())
            for conditions in where
        )
    ]
    return sorted(found)[:k]


def vectors(metric: str, value: object) -> list[list[float]]:
    """Return a value if it is a vector that has a distance, in a list; else an empty list."""
    if not isinstance(value, list):
        return []
    given = cast("list[object]", value)
    numbers = [float(x) for x in given if isinstance(x, int | float) and isfinite(x) and abs(x) <= LARGEST]
    if len(numbers) < len(given) or (metric == "cosine" and not fsum(x * x for x in numbers)):
        return []
    return [numbers]


def distance(metric: str, a: Sequence[float], b: Sequence[float]) -> float:
    """Return the distance of two vectors."""
    dot = fsum(x * y for x, y in zip(a, b, strict=True))
    if metric == "dot":
        return 0.0 - dot
    if metric == "l2":
        return sqrt(fsum((x - y) * (x - y) for x, y in zip(a, b, strict=True)))
    cosine = dot / (sqrt(fsum(x * x for x in a)) * sqrt(fsum(y * y for y in b)))
    return min(2.0, max(0.0, 1.0 - cosine))
