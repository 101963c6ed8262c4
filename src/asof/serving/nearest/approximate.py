"""Faster than a look at every vector, at the price of missing some: faiss' inverted lists.

Vectors are put into lists by the nearest of some centres; a search looks only into the lists whose centres are nearest
to what is asked. Into how many is measured on the vectors themselves, so that the recall is as stated.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from asof.errors import MissingDependencyError
from asof.serving.nearest.distance import Floats, Metric, Places, Truths

TARGET = 0.95
"""Least recall@10 that is looked for."""

SAMPLE, TOP = 100, 10
"""Recall is measured with so many of the vectors as queries, and so many neighbours of each."""

TRAINED = 64
"""Vectors a list from which its centre is learned; faiss advises 39 to 256."""

LEAST = 5_000
"""Of fewer vectors no lists are made: a look at all of them is as fast."""

SPARE = 4
"""So many times k candidates are taken; the exact distances choose among them."""

SEED = 20_261
"""Of the sample: the same vectors give the same lists."""

Matrix = npt.NDArray[np.floating]


class Lists:
    """Inverted lists over some rows.

    Args:
        metric: How rows are compared.
        matrix: The rows.
        squares: The sum of squares of each.
        points: The rows that count.

    Attributes:
        recall: recall@10, measured: the share of the true ten nearest that are found, of 100 of the rows as queries,
            without themselves.
        probes: Lists that a search looks into.
        nbytes: How much memory they take: that of their copy of the vectors, and of places.

    Raises:
        MissingDependencyError: faiss is not installed.
    """

    def __init__(self, metric: Metric, matrix: Matrix, squares: Floats, points: Truths) -> None:
        """Learn the centres, and how many lists to look into."""
        self._faiss = _faiss()
        self._metric: Metric = metric
        self._places = np.flatnonzero(points)
        vectors = self._scaled(matrix[self._places], squares[self._places])
        lists = max(1, int(len(vectors) ** 0.5))
        kind = self._faiss.METRIC_L2 if metric == "l2" else self._faiss.METRIC_INNER_PRODUCT
        centres = self._faiss.IndexFlat(vectors.shape[1], kind)
        self._index = self._faiss.IndexIVFFlat(centres, vectors.shape[1], lists, kind)
        random = np.random.default_rng(SEED)
        self._index.train(vectors[random.permutation(len(vectors))[: TRAINED * lists]])
        self._index.add(vectors)
        self.nbytes = vectors.nbytes + 2 * self._places.nbytes
        self.probes, self.recall = self._tuned(vectors, random.permutation(len(vectors))[:SAMPLE], lists)

    def search(self, query: npt.NDArray[np.float32], count: int, passing: Truths) -> Places:
        """Return the places of rows that are likely to be the nearest, at most `count` of them, of those that pass."""
        bits = np.packbits(passing[self._places], bitorder="little")
        given = self._faiss.SearchParametersIVF(nprobe=self.probes, sel=self._faiss.IDSelectorBitmap(bits))
        _, found = self._index.search(query.reshape(1, -1), count, params=given)
        return self._places[found[0][found[0] >= 0]]

    def _tuned(self, vectors: npt.NDArray[np.float32], sample: Places, lists: int) -> tuple[int, float]:
        """Return the least number of lists, of the powers of two, that gives the wanted recall; and the recall."""
        asked, top = vectors[sample], min(TOP, len(vectors) - 1)
        true = self._others(sample, self._search_all(vectors, asked, top + 1), top)
        probes, recall = 1, 0.0
        while True:
            given = self._faiss.SearchParametersIVF(nprobe=probes)
            _, found = self._index.search(asked, top + 1, params=given)
            mine = self._others(sample, found, top)
            hits = [len(one & other) for one, other in zip(true, mine, strict=True)]
            recall = sum(hits) / max(1, top * len(sample))
            if recall >= TARGET or probes >= lists:
                return probes, recall
            probes = min(2 * probes, lists)

    def _search_all(self, vectors: npt.NDArray[np.float32], asked: npt.NDArray[np.float32], top: int) -> Places:
        kind = self._index.metric_type
        return self._faiss.knn(asked, vectors, top, metric=kind)[1]

    def _others(self, sample: Places, found: Places, top: int) -> list[set[int]]:
        """Return what was found for each vector of a sample, without itself."""
        return [
            set([each for each in row if each not in (own, -1)][:top])
            for own, row in zip(sample.tolist(), found.tolist(), strict=True)
        ]

    def _scaled(self, matrix: Matrix, squares: Floats) -> npt.NDArray[np.float32]:
        """Return vectors as faiss compares them: of length 1 if only the direction counts."""
        if self._metric == "cosine":
            matrix = matrix / np.sqrt(squares)[:, None]
        return np.ascontiguousarray(matrix, np.float32)


def _faiss() -> Any:  # noqa: ANN401 - it ships no types
    try:
        import faiss  # noqa: PLC0415 - of an extra: only approximate answers need it
    except ImportError as error:
        raise MissingDependencyError("faiss", extra="vectors") from error
    return faiss
