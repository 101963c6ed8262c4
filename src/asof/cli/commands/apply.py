"""`asof apply`."""

from pathlib import Path

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.commands.plan import PYTHON_FILE, show_plan
from asof.cli.documents import PLAN_SHAPE, plan_document


@asof_command("apply", shape=PLAN_SHAPE)
@store_argument
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PYTHON_FILE)
def command(store: str, files: tuple[Path, ...]) -> Answer:
    """Register the groups and views of Python files.

    FILE is Python code that defines groups and views at its top level. All are registered, or none. Applying it
    again changes nothing.
    """
    with open_store(store) as opened:
        plan = opened.apply(*files)
    return Answer(plan_document(plan), lambda screen: show_plan(screen, plan, done=True))
