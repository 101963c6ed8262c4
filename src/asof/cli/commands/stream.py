"""`asof stream`: run, positions, quarantine."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from asof.records import Letter
    from asof.streams import Figures

RUN_SHAPE: Document = {
    "messages": 120_000,
    "rows": 119_998,
    "quarantined": 2,
    "batches": 240,
    "retries": 0,
    "lag": 0,
    "seconds": 12.5,
}
POSITION_SHAPE: Document = {"stream": "arrivals", "partition": "0", "reached": "119999"}
LETTER_SHAPE: Document = {
    "stream": "arrivals",
    "partition": "0",
    "place": "4711",
    "row": None,
    "reason": "DecodeError: JSON is malformed",
    "body": '{"flight',
    "commit": "arrivals@1:17",
    "at": "2026-01-01T12:00:00Z",
}
LINE_SECONDS = 10.0


@click.group("stream", short_help="Read a stream of messages into a group.")
def command() -> None:
    """Read a stream of messages into a group: Kafka, Redis Streams or NATS JetStream."""


@asof_command("run", shape=RUN_SHAPE)
@store_argument
@click.argument("group")
@click.option(
    "--from",
    "url",
    envvar="ASOF_STREAM",
    required=True,
    metavar="URL",
    help="kafka://HOST:PORT/TOPIC, redis://HOST:PORT/DATABASE/KEY or nats://HOST:PORT/STREAM; or ASOF_STREAM.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["json", "avro", "confluent-avro", "protobuf", "arrow"]),
    default="json",
    show_default=True,
    help="What the messages are.",
)
@click.option("--schema", type=click.Path(path_type=Path), help="The schema of Avro, the descriptor set of Protobuf.")
@click.option("--message", metavar="NAME", help="Which message of the descriptor set.")
@click.option("--time-unit", type=click.Choice(["s", "ms", "us", "ns"]), help="If times come as integers.")
@click.option("--ignore-extra", is_flag=True, help="Leave out fields that the group does not declare.")
@click.option("--name", metavar="NAME", help="By what name positions are remembered; default: the stream's own.")
@click.option(
    "--start",
    type=click.Choice(["earliest", "latest"]),
    default="earliest",
    show_default=True,
    help="Where to begin with what was never read.",
)
@click.option(
    "--batch-rows", type=click.IntRange(1, 100_000), default=5000, show_default=True, help="Most of a commit."
)
@click.option(
    "--batch-ms", type=click.FloatRange(0, 60_000), default=10.0, show_default=True, help="How long to wait for more."
)
@click.option("--until-idle", type=click.FloatRange(0), metavar="SECONDS", help="Stop when nothing came for so long.")
@click.option(
    "--most-quarantined",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Stop when so many messages in a row cannot be stored.",
)
@click.option("--metrics", metavar="HOST:PORT", help="Where Prometheus reads the figures, such as 127.0.0.1:9464.")
def run(  # noqa: PLR0913, PLR0917 - an option each
    store: str,
    group: str,
    url: str,
    format_: str,
    schema: Path | None,
    message: str | None,
    time_unit: str | None,
    ignore_extra: bool,  # noqa: FBT001 - click's flag
    name: str | None,
    start: Literal["earliest", "latest"],
    batch_rows: int,
    batch_ms: float,
    until_idle: float | None,
    most_quarantined: int,
    metrics: str | None,
) -> Answer:
    """Read a stream until it is stopped (Ctrl-C, SIGTERM): each message once.

    The store remembers how far it read, together with the rows: the same command goes on from there.
    Run it on several machines and they share the partitions. Messages that cannot be stored are kept with the reason,
    see `asof stream quarantine`.
    """
    from asof import streams

    with open_store(store) as opened, _stopping() as stop, _progress(group) as told:
        figures = streams.run(
            opened,
            group,
            url,
            format=format_,
            schema=schema,
            message=message,
            time_unit=time_unit,
            ignore_extra=ignore_extra,
            name=name,
            start=start,
            batch_rows=batch_rows,
            batch_ms=batch_ms,
            until_idle=until_idle,
            most_quarantined=most_quarantined,
            stop=stop,
            progress=told,
            metrics=metrics,
        )
    document = {each: getattr(figures, each) for each in RUN_SHAPE}
    return Answer(document, lambda screen: screen.line(str(figures)))


@asof_command("positions", shape={"positions": [POSITION_SHAPE]})
@store_argument
@click.argument("group")
def positions(store: str, group: str) -> Answer:
    """Say how far streams were read into a group: the last message taken of each partition."""
    from asof import streams

    with open_store(store) as opened:
        found = streams.positions(opened, group)
    rows = [(stream, partition, reached) for (stream, partition), reached in sorted(found.items())]
    every = [dict(zip(POSITION_SHAPE, row, strict=True)) for row in rows]
    empty = f"no stream was read into {group} yet"
    return Answer(
        {"positions": every},
        lambda screen: screen.table(tuple(POSITION_SHAPE), rows) if rows else screen.line(empty),
    )


@asof_command("quarantine", shape={"quarantine": [LETTER_SHAPE]})
@store_argument
@click.argument("group")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many, the newest.")
def quarantine(store: str, group: str, limit: int) -> Answer:
    """List the messages that could not be stored, with the reasons."""
    from asof import streams

    with open_store(store) as opened:
        found = streams.letters(opened, group, limit=limit)
        ref = opened.catalog.find(group).ref
    every = [_document(each, ref) for each in found]
    columns = ("stream", "partition", "place", "row", "reason", "commit")
    rows = [tuple(str(each[column]) if each[column] is not None else None for column in columns) for each in every]
    empty = "nothing: all messages were stored"
    return Answer({"quarantine": every}, lambda screen: screen.table(columns, rows) if rows else screen.line(empty))


command.add_command(run)
command.add_command(positions)
command.add_command(quarantine)


def _document(letter: "Letter", ref: str) -> dict[str, Any]:
    from asof.clock import show_us

    return {
        "stream": letter.stream,
        "partition": letter.partition,
        "place": letter.place,
        "row": letter.row,
        "reason": letter.reason,
        "body": letter.body.decode(errors="replace"),
        "commit": f"{ref}:{letter.commit}",
        "at": show_us(letter.at_us),
    }


def _stopping() -> "AbstractContextManager[threading.Event]":
    """Have the first Ctrl-C or SIGTERM end the run after the batch at hand; the second one ends it at once."""
    import signal
    import threading
    from contextlib import contextmanager

    @contextmanager
    def stopping() -> "Generator[threading.Event]":
        event = threading.Event()

        def heard(number: int, _: object) -> None:
            event.set()
            signal.signal(number, before[signal.Signals(number)])

        before = {each: signal.signal(each, heard) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield event
        finally:
            for number, usual in before.items():
                signal.signal(number, usual)

    return stopping()


def _progress(group: str) -> "AbstractContextManager[Callable[[Figures], None]]":
    """Show a line that is written over on a terminal; elsewhere a line now and then."""
    import sys
    import time
    from contextlib import contextmanager

    @contextmanager
    def lines() -> "Generator[Callable[[Figures], None]]":
        last = -LINE_SECONDS

        def told(figures: "Figures") -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_SECONDS:
                last = time.monotonic()
                click.echo(f"{group}: {figures}", err=True)

        yield told

    @contextmanager
    def live() -> "Generator[Callable[[Figures], None]]":
        from rich.console import Console

        console = Console(stderr=True)
        with console.status(f"{group}: waiting for messages", spinner="dots") as status:

            def told(figures: "Figures") -> None:
                from rich.text import Text

                status.update(Text(f"{group}: {figures}"))

            yield told

    return live() if sys.stderr.isatty() else lines()
