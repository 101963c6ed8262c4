"""Statistics over HTTP: what is asked in a query, and the answer as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
from msgspec import Struct

from asof.arrow.json_values import plain_number
from asof.server.history import moment
from asof.server.openapi import Query
from asof.statistics import GroupStatistics
from asof.store import Store

QUERY = (
    Query("commits", str, "A tag, or a commit such as weather:17; left out: all."),
    Query("start", datetime, "Only what was committed after this time."),
    Query("end", datetime, "Only what was committed at this time or before."),
)


class BinAnswer(Struct):
    """A part of a histogram.

    Attributes:
        low: Its least value.
        high: Its end, which belongs to the last part only; a value alone has both equal.
        count: Rows in it.
    """

    low: Any
    high: Any
    count: int


class TopAnswer(Struct):
    """A frequent value.

    Attributes:
        value: The value.
        count: Rows that have it.
        share: Their share of the rows that have a value.
    """

    value: Any
    count: int
    share: float


class ColumnAnswer(Struct):
    """Statistics of one feature.

    Attributes:
        kind: Of its values: number, bool, decimal, date, timestamp, text, bytes, vector, list, struct.
        count: Rows that have a value.
        nulls: Rows without one.
        nans: Values that are NaN.
        infinite: Values that are infinite.
        distinct: Different values; null for lists and vectors.
        measure: What the numbers below are of: value, length (of text, of a list), norm (of a vector), or none ("").
        min: The least.
        max: The greatest.
        mean: Of the finite ones.
        stddev: Of the finite ones, with ddof 0; of times in seconds, of dates in days.
        quantiles: By their shares, such as "0.5".
        histogram: One part a value if they are few, else parts of equal widths.
        top: The most frequent values.
        exact: Whether distinct, quantiles, histogram and top values are exact.
        sampled: Whether quantiles, histogram and top values are of a sample of the rows.
    """

    kind: str
    count: int
    nulls: int
    nans: int
    infinite: int
    distinct: int | None
    measure: str
    min: Any
    max: Any
    mean: Any
    stddev: float | None
    quantiles: dict[str, Any]
    histogram: list[BinAnswer]
    top: list[TopAnswer]
    exact: bool
    sampled: bool


class StatisticsAnswer(Struct):
    """Statistics of what was written to a group.

    Attributes:
        group: The group.
        rows: Rows.
        retired: Retirements, which have no values.
        distinct_keys: Different keys.
        commits: Commits that they are of.
        first_commit: The first of them.
        last_commit: The last of them.
        first_committed: When the first was committed.
        last_committed: When the last was committed.
        first_event: The least event time.
        last_event: The greatest event time.
        missing_commits: Commits that have no statistics.
        missing_rows: Rows that they wrote.
        approximate: Why the rows are not just those that were asked for.
        columns: The statistics of each feature.
    """

    group: str
    rows: int
    retired: int
    distinct_keys: int
    commits: int
    first_commit: int
    last_commit: int
    first_committed: datetime | None
    last_committed: datetime | None
    first_event: datetime | None
    last_event: datetime | None
    missing_commits: int
    missing_rows: int
    approximate: list[str]
    columns: dict[str, ColumnAnswer]


def statistics(store: Store, group: str, query: Mapping[str, str]) -> StatisticsAnswer:
    """Return the statistics of a group that a query asks for."""
    start, end = moment(query, "start"), moment(query, "end")
    return answer_of(store.quality.statistics(group, commits=query.get("commits"), start=start, end=end))


def answer_of(found: GroupStatistics) -> StatisticsAnswer:
    """Return statistics as they are sent; what JSON has no number for is text."""
    return msgspec.convert(_sent(found.to_dict()), StatisticsAnswer)


def _sent(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    if isinstance(value, dict):
        return {name: _sent(each) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_sent(each) for each in cast("list[Any]", value)]
    return plain_number(value) if isinstance(value, float) else value
