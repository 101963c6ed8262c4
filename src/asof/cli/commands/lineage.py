"""`asof lineage`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command

if TYPE_CHECKING:
    from asof.catalog.catalog import Lineage
    from asof.cli.screen import Screen


@asof_command("lineage", shape={"name": "weather@1", "reads": [], "read_by": ["departure@1"]})
@store_argument
@click.argument("name")
def command(store: str, name: str) -> Answer:
    """Show what a group or view reads, and what reads it."""
    with open_store(store) as opened:
        found = opened.catalog.lineage(name)
    document = {"name": found.name, "reads": found.reads, "read_by": found.read_by}
    return Answer(document, lambda screen: _show(screen, found))


def _show(screen: "Screen", found: "Lineage") -> None:
    screen.line(found.name, style="bold")
    for what, names in (("reads", found.reads), ("is read by", found.read_by)):
        for name in names:
            screen.line(f"  {what} {name}")
    if not found.reads and not found.read_by:
        screen.line("  nothing reads it")
