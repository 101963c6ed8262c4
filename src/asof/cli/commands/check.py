"""`asof check`."""

from pathlib import Path

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.files import FILE_IN
from asof.cli.lookup import find_group
from asof.cli.quality import REPORT_SHAPE, report_document, show_report
from asof.cli.writing import rows_for


def _unheard(done: int, total: int) -> None:
    """Hear how far it is, and say nothing."""


@asof_command("check", shape=REPORT_SHAPE)
@store_argument
@click.argument("group")
@click.argument("file", type=FILE_IN)
def command(store: str, group: str, file: Path) -> Answer:
    """Say what the checks of a group say of a file's rows, and store nothing.

    The exit code is 1 if a check is broken.
    """
    from asof.arrow.streams import whole

    with open_store(store) as opened:
        rows = whole(rows_for(find_group(opened, group), file, _unheard))
        report = opened.quality.check(group, rows)
    return Answer(report_document(report), lambda screen: show_report(screen, report), 0 if report.passed else 1)
