"""`asof plan`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import PLAN_SHAPE, plan_document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.registry.plan import Plan

STYLES = {"create": "green", "amend": "yellow", "new version": "bold yellow", "unchanged": "dim"}

PYTHON_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@asof_command("plan", shape=PLAN_SHAPE)
@store_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PYTHON_FILE)
def command(store: str, files: tuple[Path, ...]) -> Answer:
    """Show what `apply` would change, and change nothing.

    FILE is Python code that defines groups and views at its top level.
    """
    with open_store(store) as opened:
        plan = opened.plan(*files)
    return Answer(plan_document(plan), lambda screen: show_plan(screen, plan, done=False))


def show_plan(screen: "Screen", plan: "Plan", *, done: bool) -> None:
    """Print the steps of a plan, those that change something in colour."""
    for change in plan:
        screen.line(str(change), style=STYLES[change.action])
    if not plan:
        screen.line("nothing to change")
    elif not done:
        screen.line("nothing was changed: `asof apply` does it", style="dim")
