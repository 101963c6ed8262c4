"""Statistics of rows: of a group's commits, or of a table at hand. Parts merge to those of the whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.frames import Frame, to_table
from asof.clock import from_us
from asof.errors import NotFoundError, UsageError
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN
from asof.statistics.column import ColumnStatistics
from asof.statistics.columns import columns_statistics
from asof.statistics.distribution import Distribution, Tally, count_distinct, merged, numbers_spread
from asof.statistics.hashes import row_numbers
from asof.statistics.reading import read
from asof.statistics.shown import as_html, as_text, bars, shown

NO_KEYS = Tally(np.empty(0, np.uint64), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """Statistics of the rows of some commits of a group, or of a table.

    Attributes:
        rows: Rows that were written, unchanged ones too; retirements have no values, and are counted apart.
        columns: The statistics of each feature, by its name.
        retired: Retirements.
        keys: Of the rows' keys, retirements among them.
        group: The group, "weather@1"; "" for a table.
        commits: How many commits they are of.
        first_commit: The first of them; 0 for a table.
        last_commit: The last of them.
        first_committed_us: When the first was committed, in microseconds; None for a table.
        last_committed_us: When the last was committed.
        first_event_us: Least event time; None in a static group, or if no column was said to be one.
        last_event_us: Greatest event time.
        missing_commits: Commits that were asked for and have no statistics: `rebuild=True` makes them.
        missing_rows: How many rows they wrote.
        approximate: Why the rows are not just those that were asked for; empty if they are.
    """

    rows: int = 0
    columns: Mapping[str, ColumnStatistics] = field(default_factory=dict[str, ColumnStatistics])
    retired: int = 0
    keys: Distribution = NO_KEYS
    group: str = ""
    commits: int = 0
    first_commit: int = 0
    last_commit: int = 0
    first_committed_us: int | None = None
    last_committed_us: int | None = None
    first_event_us: int | None = None
    last_event_us: int | None = None
    missing_commits: int = 0
    missing_rows: int = 0
    approximate: tuple[str, ...] = ()

    HEADS: ClassVar[tuple[str, ...]] = (
        "column", "count", "nulls", "distinct", "min", "mean", "max", "stddev", "median", "histogram", "top",
    )  # fmt: skip

    @property
    def distinct_keys(self) -> int:
        """How many different keys there are: exactly up to 1,024, else within the bound of `distinct`."""
        return count_distinct(self.keys) or 0

    @property
    def first_event(self) -> datetime | None:
        """Least event time."""
        return None if self.first_event_us is None else from_us(self.first_event_us)

    @property
    def last_event(self) -> datetime | None:
        """Greatest event time."""
        return None if self.last_event_us is None else from_us(self.last_event_us)

    @property
    def first_committed(self) -> datetime | None:
        """When the first of the commits was committed."""
        return None if self.first_committed_us is None else from_us(self.first_committed_us)

    @property
    def last_committed(self) -> datetime | None:
        """When the last of the commits was committed."""
        return None if self.last_committed_us is None else from_us(self.last_committed_us)

    def merge(self, other: "GroupStatistics") -> "GroupStatistics":
        """Return the statistics of the rows of both; a column that one of them lacks is null there.

        Raises:
            UsageError: A column is of another kind in the other.
        """
        return replace(
            self,
            rows=self.rows + other.rows,
            columns={name: _of_both(self, other, name) for name in dict.fromkeys((*self.columns, *other.columns))},
            retired=self.retired + other.retired,
            keys=merged(self.keys, other.keys),
            group=self.group or other.group,
            commits=self.commits + other.commits,
            first_commit=min(filter(None, (self.first_commit, other.first_commit)), default=0),
            last_commit=max(self.last_commit, other.last_commit),
            first_committed_us=_least(self.first_committed_us, other.first_committed_us),
            last_committed_us=_greatest(self.last_committed_us, other.last_committed_us),
            first_event_us=_least(self.first_event_us, other.first_event_us),
            last_event_us=_greatest(self.last_event_us, other.last_event_us),
            missing_commits=self.missing_commits + other.missing_commits,
            missing_rows=self.missing_rows + other.missing_rows,
            approximate=tuple(dict.fromkeys((*self.approximate, *other.approximate))),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values: numbers, texts, times, lists and dicts."""
        return {
            "group": self.group,
            "rows": self.rows,
            "retired": self.retired,
            "distinct_keys": self.distinct_keys,
            "commits": self.commits,
            "first_commit": self.first_commit,
            "last_commit": self.last_commit,
            "first_committed": self.first_committed,
            "last_committed": self.last_committed,
            "first_event": self.first_event,
            "last_event": self.last_event,
            "missing_commits": self.missing_commits,
            "missing_rows": self.missing_rows,
            "approximate": list(self.approximate),
            "columns": {name: column.to_dict() for name, column in self.columns.items()},
        }

    def title(self) -> str:
        """Return what the statistics are of, as a sentence."""
        rows = f"{self.rows:,} row" + ("" if self.rows == 1 else "s")
        parts = [f"{self.group}: {rows}" if self.group else rows]
        if self.commits == 1:
            parts.append(f"of commit {self.first_commit}")
        elif self.commits:
            parts.append(f"of {self.commits:,} commits, {self.first_commit} to {self.last_commit}")
        return " ".join(parts)

    def facts(self) -> list[tuple[str, Any]]:
        """Return what there is to say beside the columns, by name."""
        every = [
            ("keys", f"{self.distinct_keys:,} different" if self.distinct_keys else None),
            ("retired", f"{self.retired:,}" if self.retired else None),
            ("event times", _span(self.first_event, self.last_event)),
            ("committed", _span(self.first_committed, self.last_committed)),
        ]
        return [(name, said) for name, said in every if said is not None]

    def cells(self) -> list[list[str]]:
        """Return the cells of each column, as `HEADS` names them."""
        return [_cells(name, column) for name, column in self.columns.items()]

    def remarks(self) -> list[str]:
        """Return what the reader must know about them."""
        said = [f"approximate: {why}" for why in self.approximate]
        if self.missing_commits:
            said.append(
                f"{self.missing_rows:,} rows of {self.missing_commits:,} commits have no statistics: rebuild makes them"
            )
        if any(not column.exact for column in self.columns.values()):
            said.append("~ within the bounds of sketches")
        if any(column.sampled for column in self.columns.values()):
            said.append("quantiles, histograms and top values are of a sample where many rows came at once")
        return said

    def __str__(self) -> str:
        """Return them as text, a line a column."""
        table = [self.HEADS, *self.cells()] if self.columns else []
        return as_text(self.title(), table, facts=self.facts(), remarks=self.remarks())

    def _repr_html_(self) -> str:
        return as_html(self.title(), [self.HEADS, *self.cells()], facts=self.facts(), remarks=self.remarks())


def _cells(name: str, found: ColumnStatistics) -> list[str]:
    """Return the cells of a column, as `GroupStatistics.HEADS` names them."""
    about = "" if found.exact else "~"
    of = f" ({found.measure})" if found.measure in ("length", "norm") else ""
    different = "" if found.distinct is None else f"{about}{found.distinct:,}"
    tops = ", ".join(f"{shown(each.value)} {each.share:.0%}" for each in found.top(2))
    median = found.quantile(0.5)
    return [
        name + of,
        f"{found.count:,}",
        f"{found.nulls:,}" + (f" + {found.nans:,} NaN" if found.nans else ""),
        different,
        shown(found.min),
        shown(found.mean),
        shown(found.max),
        shown(found.stddev),
        about + shown(median) if median is not None else "",
        bars([each.count for each in found.histogram()]),
        tops,
    ]


def _span(first: datetime | None, last: datetime | None) -> str | None:
    return None if first is None or last is None else f"{_moment(first)} to {_moment(last)}"


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def of(
    frame: Frame,
    *,
    columns: Sequence[str] | None = None,
    keys: Sequence[str] = (),
    event_time: str | None = None,
) -> GroupStatistics:
    """Return the statistics of a table at hand, such as a training set.

    Args:
        frame: The rows: pandas, polars, pyarrow, DuckDB, a dict of columns, a list of dicts, an answer of `historical`.
        columns: Which columns; default: all but keys and event time.
        keys: Columns of which different values are counted together.
        event_time: Column of which the least and the greatest value are told.

    Raises:
        UsageError: It is no frame, or event_time is no column of times. NotFoundError: A column is not there.
    """
    table, _ = to_table(frame)
    for name in (*(columns or ()), *keys, *([event_time] if event_time is not None else [])):
        if name not in table.column_names:
            raise NotFoundError.named("column", name, table.column_names)
    if event_time is not None and not pa.types.is_timestamp(table.schema.field(event_time).type):
        raise UsageError(f"column {event_time!r} is no column of times", where="event_time=")
    ours = {*keys, event_time, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN}
    chosen = [name for name in table.column_names if name not in ours] if columns is None else list(columns)
    return of_rows(table, features=chosen, keys=keys, event_time=event_time)


def of_rows(
    table: pa.Table, *, features: Sequence[str], keys: Sequence[str], event_time: str | None
) -> GroupStatistics:
    """Return the statistics of rows; those whose column `__retired` is true count as retirements."""
    bounds = _bounds_us(_whole(table.column(event_time))) if event_time is not None else (None, None)
    parts = [_whole(table.column(name)) for name in keys]
    spread = numbers_spread(row_numbers(parts, table.num_rows)) if keys else NO_KEYS
    every = table.num_rows
    if RETIRED_COLUMN in table.column_names:
        retired = table.column(RETIRED_COLUMN)
        if pc.any(retired).as_py():
            table = table.filter(pc.invert(retired))
    return GroupStatistics(
        rows=table.num_rows,
        columns=dict(zip(features, columns_statistics([table.column(name) for name in features]), strict=True)),
        retired=every - table.num_rows,
        keys=spread,
        first_event_us=bounds[0],
        last_event_us=bounds[1],
    )


def merged_all(parts: Iterable[GroupStatistics]) -> GroupStatistics:
    """Return the statistics of the rows of all parts."""
    return reduce(GroupStatistics.merge, parts, GroupStatistics())


def _of_both(one: GroupStatistics, other: GroupStatistics, name: str) -> ColumnStatistics:
    mine, others = one.columns.get(name), other.columns.get(name)
    if mine is None or others is None:
        found, lacking = (mine, other) if mine is not None else (others, one)
        assert found is not None  # noqa: S101 - one of them has it
        return found.with_nulls(lacking.rows)
    try:
        return mine.merge(others)
    except UsageError as error:
        raise UsageError(error.what, where=f"column {name}") from error


def _bounds_us(times: pa.Array) -> tuple[int | None, int | None]:
    """Return the least and the greatest of times in microseconds; None of none."""
    found = read(times).numbers
    return (int(np.minimum.reduce(found)), int(np.maximum.reduce(found))) if len(found) else (None, None)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays(column.chunks)
        if column.num_chunks
        else (pa.array([], column.type))
    )


def _least(*given: int | None) -> int | None:
    return min((each for each in given if each is not None), default=None)


def _greatest(*given: int | None) -> int | None:
    return max((each for each in given if each is not None), default=None)
