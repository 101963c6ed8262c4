"""`asof model`: quality."""

import click

from asof.cli.commands.model_quality import quality


@click.group("model", short_help="Look after models.")
def command() -> None:
    """Look after the models of a store."""


command.add_command(quality)
