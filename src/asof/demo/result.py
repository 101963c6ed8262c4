"""The figures of a demo run."""

from collections.abc import Mapping
from dataclasses import dataclass

from asof.records import Status


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What a run has shown.

    Attributes:
        folder: The store, left there to be looked at.
        seconds: The whole run.
        loaded_rows: Rows of history loaded.
        load_rows_per_second: How fast.
        training_rows: Rows of the training set.
        training_seconds: Time to build it.
        statuses: Answers per group and status.
        leaked: Values per group that the naive join gave before they were known.
        pandas_differs: Training rows where pandas.merge_asof, joined on the time from which a row was known, differs
            from the point-in-time answer.
        auc_honest: ROC AUC, October to December, trained point in time.
        auc_promised: Trained and tested on the naive join.
        auc_kept: Trained on the naive join, tested on what can be served.
        p50_us: Median of an online read.
        p99_us: 99th percentile of it.
        compared: Values that verify compared.
        differences: Differences that it found.
    """

    folder: str
    seconds: float
    loaded_rows: int
    load_rows_per_second: float
    training_rows: int
    training_seconds: float
    statuses: Mapping[str, Mapping[Status, int]]
    leaked: Mapping[str, int]
    pandas_differs: int
    auc_honest: float
    auc_promised: float
    auc_kept: float
    p50_us: float
    p99_us: float
    compared: int
    differences: int
