"""`asof restore`."""

import click

from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.commands.copy import SHAPE, answer_of


@asof_command("restore", shape=SHAPE)
@click.argument("folder")
@click.argument("target")
@click.option("--tag", default="", help="Which backup; default: the newest.")
def command(folder: str, target: str, tag: str) -> Answer:
    """Bring a backup from FOLDER to the store in folder TARGET.

    The parts of TARGET may be others than those of the store that was backed up; see `asof copy`. What it holds
    already must be in the backup too. The exit code is 1 if something is wrong with TARGET afterwards.
    """
    from asof.moving import restore

    return answer_of(restore(folder, target, tag=tag, progress=True))
