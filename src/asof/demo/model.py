"""A model of the demo: does a flight arrive more than 15 minutes late? And what a leak does to it."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import nan
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
ROUNDS = 60

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aucs:
    """Area under the ROC curve on the months after those of the training.

    Attributes:
        honest: Trained and tested on point-in-time values, which are those that are served.
        promised: Trained and tested on the naive join: what the notebook says.
        kept: Trained on the naive join, tested on the values that are served: what happens then.
        without: Trained and tested point in time, on fewer features; nan if none were to be left out.
    """

    honest: float
    promised: float
    kept: float
    without: float = nan


class Model:
    """A gradient boosted classifier over the view's features and the timetable."""

    def __init__(self, features: Sequence[str], carriers: Sequence[str]) -> None:
        """Keep the order of the columns, and the codes of the categories."""
        self.features = tuple(features)
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


def split(table: pa.Table, last_month: int) -> tuple[pa.Table, pa.Table]:
    """Return the rows up to the end of a month, and the rest."""
    first = pc.less_equal(table["month"], last_month)
    return table.filter(first), table.filter(pc.invert(first))


def compare(
    frame: pa.Table, naive: pa.Table, features: Sequence[str], *, last_month: int, without: Collection[str] = ()
) -> tuple[Model, Aucs]:
    """Train with and without the leak, side by side; return the honest model and what each is worth.

    Args:
        frame: The point-in-time training set.
        naive: The same rows with the leak.
        features: The columns to train on, beside the timetable.
        last_month: Of the training; the rest is for the test.
        without: Features that a further model is trained without.
    """
    carriers = pc.unique(frame["carrier"]).to_pylist()
    train, test = split(frame, last_month)
    naive_train, naive_test = split(naive, last_month)
    honest, leaky = Model(features, carriers), Model(features, carriers)
    fewer = Model([name for name in features if name not in without], carriers)
    asked = [(honest, train), (leaky, naive_train), *([(fewer, train)] if without else [])]
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(Model.fit, *zip(*asked, strict=True)))
    aucs = Aucs(
        honest=honest.auc(test),
        promised=leaky.auc(naive_test),
        kept=leaky.auc(test),
        without=fewer.auc(test) if without else nan,
    )
    return honest, aucs
