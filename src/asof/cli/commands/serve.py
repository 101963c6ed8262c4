"""`asof serve`."""

from dataclasses import replace
from typing import Any

import click

from asof.cli.command import Answer, note, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

SHAPE: Document = {"stopped": True}


@asof_command("serve", shape=SHAPE)
@store_argument
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that answer.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help='Predict with it: "delays", "delays@3" or "delays@production"; may be repeated.',
)
@click.option("--max-body", type=click.IntRange(1), default=16, show_default=True, help="MiB of a request.")
@click.option("--max-rows", type=click.IntRange(1), default=10_000, show_default=True, help="Keys or rows of one.")
@click.option("--max-jobs", type=click.IntRange(1), default=2, show_default=True, help="Reads of history at once.")
@click.option("--timeout", type=click.FloatRange(0.001), default=30.0, show_default=True, help="Seconds for one.")
@click.option(
    "--keys",
    type=click.Choice(["auto", "required"]),
    default="auto",
    show_default=True,
    help="Ask for a key as soon as there is one, or always.",
)
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, metavar="N", help="Requests a second of a key, by process."
)
@click.option(
    "--name", "names", multiple=True, metavar="HOST", help="A name it goes by beyond this machine; may be repeated."
)
@click.option(
    "--tls-cert", default="", metavar="FILE", help="The certificate (PEM), with those that lead to a known one."
)
@click.option("--tls-key", default="", metavar="FILE", help="Its private key (PEM).")
@click.option("--behind-proxy", is_flag=True, help="A proxy ends TLS, and it alone can reach the server.")
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A proxy whose X-Forwarded-For says who asks; may be repeated.",
)
@click.option("--jwt-issuer", default="", metavar="URL", help="Take its tokens (JWT) besides keys.")
@click.option("--jwt-audience", default="", metavar="TEXT", help="For whom they must be.")
@click.option("--jwt-keys", default="", metavar="FILE_OR_URL", help="The issuer's public keys (JWKS).")
@click.option(
    "--jwt-roles-claim", default="asof", show_default=True, metavar="NAME", help="Their claim with roles by project."
)
@click.option("--flight-port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free one.")
@click.option("--no-direct", is_flag=True, help="Give no client links to files of history in object storage.")
@click.option("--no-flight", is_flag=True, help="No Arrow Flight: no remote stores, no tables.")
def command(  # noqa: PLR0913, PLR0917 - an option each
    store: str,
    host: str,
    port: int,
    workers: int,
    models: tuple[str, ...],
    max_body: int,
    max_rows: int,
    max_jobs: int,
    timeout: float,
    no_direct: bool,  # noqa: FBT001 - an option
    flight_port: int,
    no_flight: bool,  # noqa: FBT001 - an option
    **security: Any,  # noqa: ANN401 - options
) -> Answer:
    """Serve a store over HTTP and Arrow Flight.

    HTTP is for single answers and other languages, Flight for tables and remote stores. Python reaches both as
    `asof.open("asof://host:port")`, with the port of HTTP; that of Flight is found by itself.

    Until it is told to stop (ctrl-c, SIGTERM); what is under way is finished. `/` shows the
    store to people, `/docs` what programs may ask.

    Models (`asof model`) are served that are named by --model, and no others. A name without a version follows the
    registry: what is staged or registered next answers some seconds later.

    As soon as the store has a key (`asof keys add`), every request needs one. Beyond this machine the server starts
    only with keys, and with TLS or behind a proxy.
    """
    try:
        from asof.server.run import Limits, Security, Settings, serve
    except ModuleNotFoundError as error:
        from asof.errors import MissingDependencyError

        raise MissingDependencyError(str(error.name), extra="server") from error

    limits = Limits(body_bytes=max_body * 1024**2, rows=max_rows, jobs=max_jobs, seconds=timeout)
    limits = replace(limits, direct_bytes=None) if no_direct else limits
    processes = f", {workers} processes" if workers > 1 else ""
    settings = Settings(
        store, host=host, port=port, workers=workers, limits=limits, security=Security(**security),
        flight_port=None if no_flight else flight_port, models=models,
    )  # fmt: skip

    def ready(address: str, flight: int | None) -> None:
        beside = "" if flight is None else f", Flight at port {flight}"
        note(f"serving {store} at {address}{beside}{processes}; ctrl-c stops")

    serve(settings, ready=ready, note=note)
    return Answer({"stopped": True}, lambda screen: screen.line("stopped"))
