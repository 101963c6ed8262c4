"""`asof statistics`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.statistics import GroupStatistics

SHAPE: Document = {
    "group": "weather@1",
    "rows": 48,
    "retired": 0,
    "distinct_keys": 2,
    "commits": 1,
    "first_commit": 1,
    "last_commit": 1,
    "first_committed": "2026-01-01T12:00:00Z",
    "last_committed": "2026-01-01T12:00:00Z",
    "first_event": "2026-01-01T00:00:00Z",
    "last_event": "2026-01-01T11:00:00Z",
    "missing_commits": 0,
    "missing_rows": 0,
    "approximate": [""],
    "columns": {
        "temp": {
            "kind": "number",
            "count": 48,
            "nulls": 0,
            "nans": 0,
            "infinite": 0,
            "distinct": 24,
            "measure": "value",
            "min": 0.0,
            "max": 23.0,
            "mean": 11.5,
            "stddev": 6.9,
            "quantiles": {"0.5": 11.0},
            "histogram": [{"low": 0.0, "high": 1.15, "count": 4}],
            "top": [{"value": 0.0, "count": 2, "share": 0.04}],
            "exact": True,
            "sampled": False,
        }
    },
}


@asof_command("statistics", shape=SHAPE)
@store_argument
@click.argument("group")
@click.option("--commits", metavar="WHICH", help="A tag, or a commit such as weather:17; default: all.")
@click.option("--first", type=click.IntRange(min=1), metavar="N", help="From this commit on.")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Up to this commit.")
@click.option("--start", metavar="TIME", help="Only what was committed after it, such as 2026-01-01T12:00:00Z.")
@click.option("--end", metavar="TIME", help="Only what was committed at it or before.")
@click.option("--rebuild", is_flag=True, help="Make what is missing first, from history.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    group: str,
    commits: str | None,
    first: int | None,
    last: int | None,
    start: str | None,
    end: str | None,
    rebuild: bool,  # noqa: FBT001 - click's interface
) -> Answer:
    """Show statistics of what was written to a group: they are kept with each commit, and no row is read.

    Of texts, minimum to histogram are of the lengths; of vectors, of the norms. What is not exact is marked with ~.
    """
    from asof.clock import parse_time
    from asof.errors import UsageError

    if commits is not None and (first is not None or last is not None):
        raise UsageError("--commits says which; --first and --last do, too", todo="leave one of them out")
    chosen = commits if first is None and last is None else (first or 0, 2**62 if last is None else last)
    since = None if start is None else parse_time(start, what="--start")
    until = None if end is None else parse_time(end, what="--end")
    with open_store(store) as opened:
        found = opened.quality.statistics(group, commits=chosen, start=since, end=until, rebuild=rebuild)
    return Answer(found.to_dict(), lambda screen: _show(screen, found))


def _show(screen: "Screen", found: "GroupStatistics") -> None:
    screen.line(found.title(), style="bold")
    screen.facts(found.facts())
    right = [name in ("count", "distinct", "min", "mean", "max", "stddev", "median") for name in found.HEADS]
    screen.table(found.HEADS, found.cells(), right=right)
    for remark in found.remarks():
        screen.line(remark, style="dim")
