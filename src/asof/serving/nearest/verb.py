"""`store.nearest`."""

from collections.abc import Sequence

from asof.serving.nearest.answer import Neighbours
from asof.serving.nearest.distance import Metric
from asof.serving.nearest.reader import NearestReader
from asof.serving.nearest.where import Conditions


class NearestOf:
    """The verb of a store."""

    _nearest: NearestReader

    def nearest(  # noqa: PLR0913 - the words of a search
        self,
        group: str,
        feature: str,
        vector: object,
        k: int = 10,
        *,
        metric: Metric = "cosine",
        where: Conditions | Sequence[Conditions] | None = None,
        columns: Sequence[str] | None = None,
        exact: bool = True,
    ) -> Neighbours:
        """Return the keys whose newest vector is nearest to a vector, among what `online` would answer now.

        Rows that are expired, retired or null do not count, nor those whose vector holds null, NaN, infinity or numbers
        beyond 1e100; with "cosine", nor do vectors of zeros.

        Args:
            group: Name of a group that is online, and has rows of its own.
            feature: A feature of type vector<T, n>, T a float or an integer.
            vector: n finite numbers: a list, a NumPy array, an Arrow array.
            k: At most so many neighbours, from 1 to 10,000; fewer if fewer rows can answer.
            metric: "cosine": 1 - cos of the angle; "l2": Euclidean; "dot": minus the inner product.
            where: Values, or lists of values, by key or feature: only rows that are equal to them, or to one of each
                list. A list of such dicts: rows for which one of them holds. They are chosen before the nearest are.
            columns: The features of the answer; default: all but the vector.
            exact: False: inverted lists of faiss answer, if there are many rows and no filter; the first such question
                makes them. `answer.recall` says what was measured.

        Returns:
            A row for each neighbour, the nearest first, equal distances by key: the key columns, `distance` (float64,
            sums rounded once), and the features.

        Raises:
            NotFoundError: Unknown group, feature or column.
            UsageError: The vector, or another argument, makes no sense for the feature.
            UnsupportedError: The group is not online, or made of windows.
            MissingDependencyError: exact=False without the extra `vectors`.
            TransientError: Others kept changing the group.

        Source: SEMANTICS section 3, decision 26.
        """
        return self._nearest.read(group, feature, vector, k, metric=metric, where=where, columns=columns, exact=exact)
