"""`asof ui`."""

import click

from asof.cli.command import Answer, note, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {"stopped": True}


@asof_command("ui", shape=SHAPE)
@store_argument
@click.option("--port", type=click.IntRange(0, 65535), default=8766, show_default=True, help="0 takes a free one.")
def command(store: str, port: int) -> Answer:
    """Show a store's pages in a browser.

    On this machine only, and read-only: what is defined, what was written, how fresh it is; search, values of a key and
    why they are so, lineage. Until it is told to stop (ctrl-c). `asof serve` shows the same pages beside its API.
    """
    try:
        from asof.ui.serve import serve
    except ModuleNotFoundError as error:
        from asof.errors import MissingDependencyError

        raise MissingDependencyError(str(error.name), extra="ui") from error

    serve(store, port=port, ready=lambda address: note(f"{store} is at {address}; ctrl-c stops"))
    return Answer({"stopped": True}, lambda screen: screen.line("stopped"))
