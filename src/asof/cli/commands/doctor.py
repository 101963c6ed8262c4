"""`asof doctor`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.screen import progress

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.quality.doctor import Diagnosis

SHAPE: Document = {
    "healthy": False,
    "files": 24,
    "keys": 3,
    "models": 1,
    "findings": [
        {
            "where": "debris",
            "what": "1 files that no commit names",
            "repaired": False,
            "todo": "run `asof doctor --repair`",
        }
    ],
}


@asof_command("doctor", shape=SHAPE)
@store_argument
@click.option("--repair", is_flag=True, help="Rebuild the online store where it is wrong, and delete debris.")
def command(store: str, repair: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Examine every file and row of a store, and the files of its models.

    Says what is wrong; the exit code is 1 if something is.
    """
    with open_store(store, repair=repair) as opened, progress("examining", unit="rows") as advance:
        found = opened.quality.doctor(repair=repair, progress=advance)
    document = {
        "healthy": found.healthy,
        "files": found.files,
        "keys": found.keys,
        "models": found.models,
        "findings": found.findings,
    }
    return Answer(document, lambda screen: _show(screen, found), 0 if found.healthy else 1)


def _show(screen: "Screen", found: "Diagnosis") -> None:
    head, *rest, last = str(found).split("\n")
    screen.line(head)
    for line in rest:
        screen.line(line, style="yellow" if line.endswith("(repaired)") else "red")
    screen.line(last, style="green" if found.healthy else "red")
