"""`asof reports`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.quality import REPORT_SHAPE, report_document

if TYPE_CHECKING:
    from asof.cli.screen import Screen


@asof_command("reports", shape={"reports": [REPORT_SHAPE]})
@store_argument
@click.argument("group")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest.")
@click.option("--broken", is_flag=True, help="Only those in which a check was broken.")
def command(store: str, group: str, limit: int, broken: bool) -> Answer:  # noqa: FBT001 - click's flag
    """List what checks said of the writes to a group, refused ones among them."""
    with open_store(store) as opened:
        found = opened.quality.reports(group, limit=None if broken else limit)
    shown = [report for report in found if not (broken and report.passed)][-limit:]

    def show(screen: "Screen") -> None:
        for report in shown:
            screen.line(str(report), style="green" if report.passed else "red")
        if not shown:
            screen.line("no write was checked")

    return Answer({"reports": [report_document(report) for report in shown]}, show)
