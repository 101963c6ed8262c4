"""The figures of a demo run."""

from collections.abc import Mapping, Sequence
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
        windows_unknown: Per group, events in windows over the timetable that nobody had heard of.
        windows_differ: Rows whose windows by hand, over what was known, differ from the store's.
        windows_auc_honest: ROC AUC in December, trained point in time on October and November with windows.
        windows_auc_promised: Trained and tested on windows over the timetable.
        windows_auc_kept: Trained on windows over the timetable, tested on what can be served.
        windows_auc_without: Trained without windows.
        p50_us: Median of an online read.
        p99_us: 99th percentile of it.
        windows_p50_us: Median of an online read with windows.
        windows_p99_us: 99th percentile of it.
        live_messages: Messages of the day that was sent as a stream.
        live_p50_ms: Median time from sent to counted by the windows that are served.
        live_worst_ms: The longest.
        live_counts: What the window of its carrier held before and after the late message, and when it came again.
        live_wrong: Carriers whose windows were otherwise than the file makes them, at the end of the day.
        compared: Values that verify compared.
        differences: Differences that it found.
        pipelines: What the three pipelines printed, by their file.
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
    windows_unknown: Mapping[str, int]
    windows_differ: int
    windows_auc_honest: float
    windows_auc_promised: float
    windows_auc_kept: float
    windows_auc_without: float
    p50_us: float
    p99_us: float
    windows_p50_us: float
    windows_p99_us: float
    live_messages: int
    live_p50_ms: float
    live_worst_ms: float
    live_counts: Sequence[tuple[int, int]]
    live_wrong: int
    compared: int
    differences: int
    pipelines: Mapping[str, str]
