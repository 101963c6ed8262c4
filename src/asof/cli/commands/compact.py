"""`asof compact`."""

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command

COLUMNS = ("group", "files before", "files after", "rows", "dropped by retention")


@asof_command(
    "compact",
    shape={"compactions": [{"group": "weather@1", "files_before": 24, "files_after": 1, "rows": 72, "dropped": 0}]},
)
@store_argument
@click.argument("group", required=False)
def command(store: str, group: str | None) -> Answer:
    """Merge small files, and drop what retention does not keep.

    Works on GROUP, or on all groups. No answer changes, but for times before a group's retention, which are refused
    from then on.
    """
    with open_store(store) as opened:
        done = opened.compact(group, progress=True)
    rows = [(c.group, c.files_before, c.files_after, c.rows, c.dropped) for c in done]
    return Answer(
        {"compactions": done}, lambda screen: screen.table(COLUMNS, rows) if rows else screen.line("no groups yet")
    )
