"""Statistics of what was written to a group: by all commits, by one, or up to a tag; and their course over commits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from asof.errors import AsofError
from asof.records import Commit
from asof.registry.registered import RegisteredGroup
from asof.statistics import ColumnStatistics, GroupStatistics
from asof.ui.charts import Bar, Point, bars, line, sparkline
from asof.ui.links import with_query
from asof.ui.page import Section, Subject
from asof.ui.shown import age, short, value
from asof.ui.tables import Cell, Column, number, table_of

BINS = 24

RECENT = 40
"""Commits that can be chosen, and that courses are drawn over."""

SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)
"""Quantiles that are shown."""

SMALL = 0.0005
"""A share that would be shown as 0.0%."""

MEASURED = {"length": "long", "norm": "in norm"}
"""Of values that are no numbers, what the figures are of."""

Item = tuple[str, ColumnStatistics]


def _made(subject: Subject[RegisteredGroup]) -> Mapping[str, Any]:
    asked, group = subject.asked, subject.registered
    commits = [each for each in asked.sight.commits(group, limit=RECENT) if each.rows]
    of = asked.query.get("of", "")
    form = {"url": subject.url, "of": of, "choices": _choices(subject, commits), "problem": "", "table": None}
    try:
        found = asked.sight.statistics(group, of or None)
    except AsofError as error:
        return {**form, "problem": str(error)}
    table = table_of(
        list(found.columns.items()), _columns(subject, of), id_="columns", caption="Features", query=asked.query
    )
    name = asked.query.get("feature", next(iter(found.columns), ""))
    column = found.columns.get(name)
    return {
        **form,
        "rows": found.rows,
        "keys": found.distinct_keys,
        "exact": all(each.exact for each in found.columns.values()),
        "sampled": any(each.sampled for each in found.columns.values()),
        "missing": found.missing_rows,
        "approximate": found.approximate,
        "table": table,
        "feature": name if column is not None else "",
        "chart": None if column is None else _histogram(_with_unit(group, name), column),
        "facts": [] if column is None else _facts(column),
        "top": [] if column is None else [(value(each.value), each.count, each.share) for each in column.top(8)],
        "courses": _courses(subject, commits, name) if asked.query.get("over") == "commits" else [],
        "over": with_query(f"{subject.url}/statistics", {"feature": name, "of": of, "over": "commits"}),
        "many": len(commits),
    }


def _choices(subject: Subject[RegisteredGroup], commits: Sequence[Commit]) -> list[tuple[str, str]]:
    now_us = subject.asked.sight.now_us
    tags = [(each.name, f"up to tag {each.name}") for each in subject.asked.sight.tags()]
    return [
        ("", "all commits"),
        *tags,
        *((each.id, f"{each.id}, {age(each.committed_at_us, now_us)}") for each in reversed(commits)),
    ]


def _columns(subject: Subject[RegisteredGroup], of: str) -> list[Column[Item]]:
    def name(each: Item) -> Cell:
        return Cell(
            each[0], each[0], with_query(f"{subject.url}/statistics", {"feature": each[0], "of": of}) + "#feature"
        )

    def of_value(take: Callable[[ColumnStatistics], Any]) -> Callable[[Item], Cell]:
        def cell(each: Item) -> Cell:
            found, measure = take(each[1]), each[1].measure
            text = "" if found is None else _text(found)
            return Cell(f"{text} {MEASURED[measure]}".strip() if measure in MEASURED and text else text, _key(found))

        return cell

    return [
        Column("name", "feature", name),
        Column("count", "values", lambda each: number(each[1].count), numeric=True),
        Column("nulls", "null", _nulls, numeric=True),
        Column("distinct", "distinct", _distinct, numeric=True),
        Column("min", "least", of_value(lambda each: each.min), numeric=True),
        Column("mean", "mean", of_value(lambda each: each.mean), numeric=True),
        Column("max", "greatest", of_value(lambda each: each.max), numeric=True),
        Column("shape", "histogram", lambda each: Cell("", picture=_shape(*each))),
    ]


def _nulls(each: Item) -> Cell:
    share, nulls = each[1].null_share, each[1].nulls
    return Cell("<0.1%" if 0 < share < SMALL else f"{share:.1%}", share, title=f"{nulls:,} rows")


def _distinct(each: Item) -> Cell:
    return Cell("") if each[1].distinct is None else number(each[1].distinct)


def _with_unit(group: RegisteredGroup, name: str) -> str:
    unit = next((each.unit for each in group.definition.features if each.name == name), "")
    return f"{name} ({unit})" if unit else name


def _shape(name: str, column: ColumnStatistics) -> Any:  # noqa: ANN401 - markup
    counts = [each.count for each in column.histogram(BINS)]
    return sparkline(counts, about=f"histogram of {name}") if len(counts) > 1 else None


def _histogram(name: str, column: ColumnStatistics) -> Any:  # noqa: ANN401 - markup
    found = column.histogram(BINS)
    each = [Bar(_text(bin_.low), bin_.count, f"{_between(bin_.low, bin_.high)}: {bin_.count:,} rows") for bin_ in found]
    if len(each) > 1:
        each[-1] = replace(each[-1], label=_text(found[-1].high))
    of = f"{column.measure} of {name}" if column.measure in ("length", "norm") else name
    return bars(each, unit=f"rows by {of}", about=f"Histogram of {of}") if each else None


def _between(low: Any, high: Any) -> str:  # noqa: ANN401 - any of our types
    return _text(low) if low == high else f"{_text(low)} to {_text(high)}"


def _facts(column: ColumnStatistics) -> list[tuple[str, str]]:
    said = [("NaN", f"{column.nans:,}" if column.nans else ""), ("standard deviation", _optional(column.stddev))]
    said += [(f"{share:.0%} are at most", _optional(column.quantile(share))) for share in SHARES]
    return [(name, text) for name, text in said if text]


def _courses(subject: Subject[RegisteredGroup], commits: Sequence[Commit], name: str) -> list[Any]:
    """Return how the mean and the nulls of a feature went from commit to commit."""
    found = [(each, _of_commit(subject, each)) for each in commits]
    known = [(each.committed_at_us, of.columns[name]) for each, of in found if of is not None and name in of.columns]
    if len(known) < 2:  # noqa: PLR2004 - a line has two points
        return []
    means = [Point(at_us, each.mean) for at_us, each in known if isinstance(each.mean, int | float)]
    nulls = [Point(at_us, 100 * each.null_share) for at_us, each in known]
    charts: list[Any] = []
    if len(means) > 1:
        charts.append(line(means, unit=f"mean {name} of each commit", about=f"Mean of {name}"))
    if any(each.value for each in nulls):
        charts.append(line(nulls, unit="% null in each commit", about=f"Share of nulls of {name}"))
    return charts


def _of_commit(subject: Subject[RegisteredGroup], commit: Commit) -> GroupStatistics | None:
    """Return the statistics of a commit; None where they are merged with those of others."""
    found = subject.asked.sight.statistics(subject.registered, commit)
    return found if found.rows and not found.approximate else None


def _text(given: Any) -> str:  # noqa: ANN401 - any of our types
    return short(float(given)) if isinstance(given, int | float | Decimal) else value(given)


def _optional(given: Any) -> str:  # noqa: ANN401 - any of our types
    return "" if given is None else _text(given)


def _key(given: Any) -> str | float | int | None:  # noqa: ANN401 - any of our types
    if isinstance(given, Decimal):
        return float(given)
    if isinstance(given, datetime | date):
        return given.isoformat()
    return given if isinstance(given, str | int | float) else None


def _has_rows(subject: Subject[RegisteredGroup]) -> bool:
    return subject.registered.source is None and subject.registered.definition.external is None


OF_GROUP: Section[RegisteredGroup] = Section(
    "Statistics", "sections/statistics.html", _made, tab="statistics", applies=_has_rows
)
