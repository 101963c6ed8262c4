"""One search of a state: what passes, what may be near, and what is."""

from dataclasses import dataclass

import numpy as np

from asof.serving.nearest.approximate import LEAST, SPARE, Lists
from asof.serving.nearest.asking import Question
from asof.serving.nearest.distance import Floats, Places, Truths, possible
from asof.serving.nearest.index import Segment, State

GATHERED = 8
"""If no more than one in so many rows passes, those are copied and compared, and not the whole segment."""


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A row that is near: how far it is, and where it lies."""

    distance: float
    key: bytes
    segment: Segment
    place: int

    @property
    def version(self) -> tuple[int, int]:
        """Its event time and commit."""
        return int(self.segment.events_us[self.place]), int(self.segment.commits[self.place])


def prepare(state: State, asked: Question) -> None:
    """Make the lists that a question wants and a state has not: seconds, so before a snapshot is opened.

    Raises:
        MissingDependencyError: faiss is not installed.
    """
    metric = asked.query.metric
    for segment in state.segments:
        if metric in segment.lists or not _by_lists(segment, asked):
            continue
        with segment.making:  # the others who ask wait, instead of making the same
            if metric not in segment.lists:
                points = asked.query.comparable(segment.squares, segment.points)
                segment.lists[metric] = Lists(metric, segment.matrix, segment.squares, points)


def _by_lists(segment: Segment, asked: Question) -> bool:
    """Return whether likely rows are good enough: not with a filter: of few lists, too little may pass."""
    return not asked.exact and asked.where.passes_all and segment.tame and int(segment.points.sum()) >= LEAST


class Search:
    """A search of a state.

    Args:
        state: The rows.
        asked: What is asked.
        oldest_us: Rows with this event time or an earlier one are expired; None: none is.

    Attributes:
        compared: Rows that pass.
        exact: Whether all of them were compared.
        recall: 1.0 if so; else the least recall that was measured of the lists that were used.
    """

    def __init__(self, state: State, asked: Question, oldest_us: int | None) -> None:
        """Look which rows pass."""
        self._asked = asked
        self._parts = [
            (segment, self._passing(segment, alive, oldest_us))
            for segment, alive in zip(state.segments, state.alive, strict=True)
        ]
        self.compared = sum(int(passing.sum()) for _, passing in self._parts)
        self.exact = True
        self.recall = 1.0

    def hits(self) -> list[Hit]:
        """Return the nearest rows, the nearest first; of equal distances the least key first."""
        asked = self._asked
        found = self._nearer([(segment, self._candidates(segment, passing)) for segment, passing in self._parts])
        found = self._nearer(found, wide=True)
        hits = [
            Hit(distance, segment.keys[place].as_py(), segment, place)
            for segment, places in found
            for distance, place in zip(asked.query.distances(segment.matrix[places]), places.tolist(), strict=True)
        ]
        return sorted(hits, key=lambda hit: (hit.distance, hit.key))[: asked.k]

    def _passing(self, segment: Segment, alive: Truths, oldest_us: int | None) -> Truths:
        passing = alive & self._asked.query.comparable(segment.squares, segment.points)
        if oldest_us is not None:
            passing &= segment.events_us > oldest_us
        where = self._asked.where
        return passing if where.passes_all else passing & where.passing(segment.table)

    def _candidates(self, segment: Segment, passing: Truths) -> Places:
        """Return the places of rows that are to be compared: all that pass, unless likely ones are good enough.

        Without lists all are: they are not made here, see `prepare`.
        """
        asked = self._asked
        lists = segment.lists.get(asked.query.metric)
        if lists is None or not _by_lists(segment, asked):
            return np.flatnonzero(passing)
        self.exact = False
        self.recall = min(self.recall, lists.recall)
        return lists.search(asked.query.float32(), SPARE * asked.k, passing)

    def _nearer(self, parts: list[tuple[Segment, Places]], *, wide: bool = False) -> list[tuple[Segment, Places]]:
        """Return the rows that may be among the k nearest, by what float32, or float64, can tell."""
        bounds = [self._bounds(segment, places, wide=wide or not segment.tame) for segment, places in parts]
        scores = np.concatenate([each for each, _ in bounds])
        kept = np.zeros(len(scores), bool)
        kept[possible(scores, np.concatenate([each for _, each in bounds]), self._asked.k)] = True
        ends = np.cumsum([len(places) for _, places in parts])[:-1]
        return [(segment, places[own]) for (segment, places), own in zip(parts, np.split(kept, ends), strict=True)]

    def _bounds(self, segment: Segment, places: Places, *, wide: bool) -> tuple[Floats, Floats]:
        query = self._asked.query
        if len(places) * GATHERED <= len(segment):
            return query.bounds(segment.matrix[places], segment.squares[places], wide=wide)
        scores, spread = query.bounds(segment.matrix, segment.squares, wide=wide)
        return (scores, spread) if len(places) == len(segment) else (scores[places], spread[places])
