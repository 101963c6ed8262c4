"""Statistics for people: lines of text, cells of a table, a page of HTML."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asof import notebook
from asof.statistics.column import ColumnStatistics

if TYPE_CHECKING:
    from asof.statistics.group import GroupStatistics

BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 24
"""Characters of a value in a cell."""

HEADS = ("column", "count", "nulls", "distinct", "min", "mean", "max", "stddev", "median", "histogram", "top")


def title(found: "GroupStatistics") -> str:
    """Return what the statistics are of, as a sentence."""
    rows = f"{found.rows:,} row" + ("" if found.rows == 1 else "s")
    parts = [f"{found.group}: {rows}" if found.group else rows]
    if found.commits == 1:
        parts.append(f"of commit {found.first_commit}")
    elif found.commits:
        parts.append(f"of {found.commits:,} commits, {found.first_commit} to {found.last_commit}")
    return " ".join(parts)


def facts(found: "GroupStatistics") -> list[tuple[str, Any]]:
    """Return what there is to say beside the columns, by name."""
    every = [
        ("keys", f"{found.distinct_keys:,} different" if found.distinct_keys else None),
        ("retired", f"{found.retired:,}" if found.retired else None),
        ("event times", _span(found.first_event, found.last_event)),
        ("committed", _span(found.first_committed, found.last_committed)),
    ]
    return [(name, said) for name, said in every if said is not None]


def notes(found: "GroupStatistics") -> list[str]:
    """Return what the reader must know about them."""
    said = [f"approximate: {why}" for why in found.approximate]
    if found.missing_commits:
        said.append(
            f"{found.missing_rows:,} rows of {found.missing_commits:,} commits have no statistics: rebuild makes them"
        )
    if any(not column.exact for column in found.columns.values()):
        said.append("~ within the bounds of sketches")
    if any(column.sampled for column in found.columns.values()):
        said.append("quantiles, histograms and top values are of a sample where many rows came at once")
    return said


def cells(name: str, found: ColumnStatistics) -> list[str]:
    """Return the cells of a column, as `HEADS` names them."""
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


def bars(counts: Sequence[int]) -> str:
    """Return counts as a row of blocks, the greatest of them the highest."""
    most = max(counts, default=0)
    return "".join(" " if not each else BLOCKS[min(each * len(BLOCKS) // most, len(BLOCKS) - 1)] for each in counts)


def shown(value: Any) -> str:  # noqa: ANN401 - a value of any column
    """Return a value, short enough for a cell; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    said = value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
    said = "".join(letter if letter.isprintable() else "." for letter in said)
    return said if len(said) <= WIDEST else said[: WIDEST - 3] + "..."


def text(found: "GroupStatistics") -> str:
    """Return statistics as text, a line a column."""
    rows = [list(HEADS), *(cells(name, column) for name, column in found.columns.items())]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    said = [f"{name}: {value}" for name, value in facts(found)]
    return "\n".join([title(found), *said, *(lines if found.columns else []), *notes(found)])


def html(found: "GroupStatistics") -> str:
    """Return statistics as HTML."""
    rows = [cells(name, column) for name, column in found.columns.items()]
    said = [f"{name}: {value}" for name, value in facts(found)]
    told = "".join(notebook.paragraph(note) for note in notes(found))
    return notebook.paragraph(title(found), said) + notebook.table(HEADS, rows) + told


def _span(first: datetime | None, last: datetime | None) -> str | None:
    return None if first is None or last is None else f"{_moment(first)} to {_moment(last)}"


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
