"""A model of the demo: does a flight arrive more than 15 minutes late? And what a leak does to it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

CATEGORIES = ("carrier", "origin")
TIMETABLE = ("weekday", "hour", "distance")
LAST_TRAINING_MONTH = 9
ROUNDS = 60

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aucs:
    """Area under the ROC curve on October to December.

    Attributes:
        honest: Trained and tested on point-in-time values, which are those that are served.
        promised: Trained and tested on the naive join: what the notebook says.
        kept: Trained on the naive join, tested on the values that are served: what happens then.
    """

    honest: float
    promised: float
    kept: float


class Model:
    """A gradient boosted classifier over the view's features and the timetable."""

    def __init__(self, features: Sequence[str], carriers: Sequence[str]) -> None:
        """Keep the order of the columns, and the codes of the categories."""
        self._columns = (*features, *TIMETABLE)
        self._codes = {"carrier": pa.array(sorted(carriers)), "origin": pa.array(["EWR", "JFK", "LGA"])}
        mask = [False] * len(self._columns) + [True] * len(CATEGORIES)
        # scikit-learn ships no types: Any for the estimator.
        self._estimator: Any = HistGradientBoostingClassifier(
            max_iter=ROUNDS, early_stopping=False, categorical_features=mask, random_state=0
        )

    def fit(self, table: pa.Table) -> None:
        """Train on rows with a `late` column, in one thread.

        With several, OpenMP's threads wait for each other at every step: measured 4 s on two free cores, but
        30 s where something else was running (one thread: 6 s in both cases).
        """
        with threadpool_limits(1, user_api="openmp"):
            self._estimator.fit(self._matrix(table), labels(table))

    def predict(self, table: pa.Table) -> Matrix:
        """Return the probability of being late."""
        return self._estimator.predict_proba(self._matrix(table))[:, 1]

    def auc(self, table: pa.Table) -> float:
        """Return the area under the ROC curve."""
        return float(roc_auc_score(labels(table), self.predict(table)))

    def _matrix(self, table: pa.Table) -> Matrix:
        numbers = [table[name].cast(pa.float64()) for name in self._columns]
        codes = [pc.index_in(table[name], codes).cast(pa.float64()) for name, codes in self._codes.items()]
        return np.column_stack([column.to_numpy() for column in (*numbers, *codes)])


def labels(table: pa.Table) -> NDArray[np.int8]:
    """Return `late` as 0 and 1."""
    return table["late"].cast(pa.int8()).to_numpy()


def split(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the first nine months and the rest."""
    first = pc.less_equal(table["month"], LAST_TRAINING_MONTH)
    return table.filter(first), table.filter(pc.invert(first))


def compare(frame: pa.Table, naive: pa.Table, features: Sequence[str]) -> tuple[Model, Aucs]:
    """Train with and without the leak, side by side; return the honest model and what each is worth."""
    carriers = pc.unique(frame["carrier"]).to_pylist()
    train, test = split(frame)
    naive_train, naive_test = split(naive)
    honest, leaky = Model(features, carriers), Model(features, carriers)
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(Model.fit, (honest, leaky), (train, naive_train)))
    return honest, Aucs(honest=honest.auc(test), promised=leaky.auc(naive_test), kept=leaky.auc(test))
