"""Distances between vectors, and which rows can be the nearest.

A distance is computed in float64, its sums rounded once (`math.fsum`): the same bits on every machine, in every order,
for one row and among a million. That is slow, so it is done for few rows: NumPy's fast sums come with a bound of their
error, and only rows that the bound cannot rule out are computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from operator import mul
from typing import Literal

import numpy as np
import numpy.typing as npt

Metric = Literal["cosine", "l2", "dot"]
METRICS: tuple[Metric, ...] = ("cosine", "l2", "dot")

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

LARGEST = 1e100
"""A vector with a number beyond it cannot be compared: squares must not overflow."""

TAME = (1e-15, 1e15)
"""Lengths of vectors for which sums in float32 neither overflow nor lose digits at the small end."""

SMALLEST = 1e-280
"""A sum of squares below it has lost digits."""

LOST = 1e-300
"""What sums in float64 may lose where products are too small."""

ROUNDED = 1e-12
"""What the few roundings of a distance may add, as a part of the squares that it is made of; they take 1e-15."""

WIDENED = 65_536
"""Rows that are made float64 at a time."""


def distance(metric: Metric, row: Sequence[float], query: Sequence[float]) -> float:
    """Return a distance: smaller is nearer.

    cosine  1 - a.b / (|a| |b|), from 0 to 2, of vectors that have a length
    l2      |a - b|
    dot     -a.b
    """
    match metric:
        case "dot":
            return 0.0 - fsum(map(mul, row, query))  # no negative zero
        case "l2":
            return sqrt(fsum((a - b) * (a - b) for a, b in zip(row, query, strict=True)))
        case "cosine":
            cosine = fsum(map(mul, row, query)) / (length(row) * length(query))
            return min(2.0, max(0.0, 1.0 - cosine))  # equal directions are 0 apart, not -2e-16


def length(vector: Sequence[float]) -> float:
    """Return the length of a vector, sums rounded once."""
    return sqrt(fsum(map(mul, vector, vector)))


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A vector that others are compared with.

    Attributes:
        metric: How.
        vector: Its numbers, none beyond `LARGEST`.
    """

    metric: Metric
    vector: tuple[float, ...]

    def float32(self) -> npt.NDArray[np.float32]:
        """Return the vector in float32; if only its direction counts, one of that direction that float32 holds."""
        query = np.array(self.vector)
        scale = float(np.abs(query).max()) if self.metric == "cosine" else 1.0
        return (query / scale).astype(np.float32)

    def distances(self, matrix: npt.NDArray[np.floating]) -> list[float]:
        """Return the distance of each row; equal rows are computed once."""
        known: dict[bytes, float] = {}
        found: list[float] = []
        for row in matrix:
            raw = row.tobytes()
            if raw not in known:
                known[raw] = distance(self.metric, row.astype(np.float64).tolist(), self.vector)
            found.append(known[raw])
        return found

    def bounds(self, matrix: npt.NDArray[np.floating], squares: Floats, *, wide: bool) -> tuple[Floats, Floats]:
        """Return scores that order rows as their distances do, and how far off each may be.

        Args:
            matrix: The rows.
            squares: The sum of squares of each, in float64.
            wide: Whether to compute in float64.
        """
        query = np.array(self.vector)
        scale = float(np.abs(query).max(initial=0.0)) or 1.0
        scaled = query / scale
        products, unit = (_wide(matrix, scaled), 2.0**-53) if wide else (_narrow(matrix, scaled), 2.0**-24)
        lengths = np.sqrt(squares)
        off = len(query) + 4  # roundings on the way to a sum, and those of the query
        slack = 1.01 * off * unit / (1 - 2 * off * unit) * float(np.linalg.norm(scaled)) * lengths
        match self.metric:
            case "dot":
                return -scale * products, scale * slack + ROUNDED * scale * lengths + LOST
            case "l2":
                own = float((query * query).sum())
                return squares - 2 * scale * products, 2 * scale * slack + ROUNDED * (squares + own) + LOST
            case "cosine":
                whole = float(np.linalg.norm(scaled)) * np.maximum(lengths, LOST)
                spread = slack / whole + ROUNDED
                spread[squares < SMALLEST] = np.inf
                if (scale * float(np.linalg.norm(scaled))) ** 2 < SMALLEST:
                    spread[:] = np.inf
                return -products / whole, spread

    def comparable(self, squares: Floats, points: Truths) -> Truths:
        """Return which rows have a distance: with cosine, those that have a length."""
        return points & (squares > 0) if self.metric == "cosine" else points


def is_tame(squares: Floats) -> bool:
    """Return whether float32 does for rows with these sums of squares."""
    known = squares[squares > 0]
    low, high = TAME
    return bool(((known >= low * low) & (known <= high * high)).all())


def possible(scores: Floats, spread: Floats, k: int) -> Places:
    """Return the places of rows that may be among the k with the least true scores, ties included."""
    if len(scores) <= k:
        return np.arange(len(scores))
    reach = np.partition(scores + spread, k - 1)[k - 1]
    return np.flatnonzero(scores - spread <= reach)


def _narrow(matrix: npt.NDArray[np.floating], query: Floats) -> Floats:
    return (matrix @ query.astype(matrix.dtype)).astype(np.float64)


def _wide(matrix: npt.NDArray[np.floating], query: Floats) -> Floats:
    """Return products in float64; not the whole matrix becomes float64 at once."""
    parts = [matrix[at : at + WIDENED].astype(np.float64) @ query for at in range(0, len(matrix), WIDENED)]
    return np.concatenate(parts) if parts else np.zeros(0)
