"""`asof serve`."""

import click

from asof.cli.command import Answer, note, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {"stopped": True}


@asof_command("serve", shape=SHAPE)
@store_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at: of this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer.")
@click.option("--max-body", type=click.IntRange(1), default=16, show_default=True, help="MiB of a request.")
@click.option("--max-rows", type=click.IntRange(1), default=10_000, show_default=True, help="Keys or records of one.")
@click.option("--timeout", type=click.FloatRange(0.001), default=30.0, show_default=True, help="Seconds for one.")
def command(  # noqa: PLR0913, PLR0917 - an option each
    store: str, host: str, port: int, workers: int, max_body: int, max_rows: int, timeout: float
) -> Answer:
    """Serve a store over HTTP: online reads, pushes, replay and the catalogue.

    Until it is told to stop (ctrl-c, SIGTERM); requests under way are finished. `/` is a page that says what there is.
    """
    try:
        from asof.server.run import Limits, Settings, serve
    except ModuleNotFoundError as error:
        from asof.errors import MissingDependencyError

        raise MissingDependencyError(str(error.name), extra="server") from error

    limits = Limits(body_bytes=max_body * 1024**2, rows=max_rows, seconds=timeout)
    processes = f", {workers} processes" if workers > 1 else ""
    serve(
        Settings(store, host=host, port=port, workers=workers, limits=limits),
        ready=lambda address: note(f"serving {store} at {address}{processes}; ctrl-c stops"),
    )
    return Answer({"stopped": True}, lambda screen: screen.line("stopped"))
