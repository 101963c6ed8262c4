"""The library's calls for streams."""

import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from asof.definitions.quarantine import is_quarantine
from asof.definitions.serving_log import is_log
from asof.errors import UnsupportedError, UsageError
from asof.ingest.around import StoreAround
from asof.records import Letter
from asof.streams.figures import Figures
from asof.streams.formats import decoder_of
from asof.streams.formats.port import Decoding
from asof.streams.intake import Intake
from asof.streams.open import open_stream
from asof.streams.port import Start, Stream
from asof.streams.reading import Reading, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from asof.ingest.write import Writer
    from asof.parts import Parts
    from asof.store import Store

BATCH_ROWS = 5000
BATCH_MS = 10
MOST_BATCH_ROWS = 100_000
MOST_QUARANTINED = 1000

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")


def run(  # noqa: PLR0913 - one for each thing that may be said
    store: "Store",
    group: str,
    url: str | None = None,
    *,
    format: str = "json",  # noqa: A002 - the word of the field
    schema: "str | Path | None" = None,
    message: str | None = None,
    time_unit: str | None = None,
    ignore_extra: bool = False,
    name: str | None = None,
    start: Start = "earliest",
    batch_rows: int = BATCH_ROWS,
    batch_ms: float = BATCH_MS,
    until_idle: float | None = None,
    most_quarantined: int = MOST_QUARANTINED,
    stop: threading.Event | None = None,
    progress: Callable[[Figures], None] | None = None,
    metrics: str | None = None,
) -> Figures:
    """Read a stream into a group until it is stopped: each message once, whatever fails, however many do it together.

    The store remembers how far it read each partition, in the transactions that store the rows: the same call goes on
    from there. Run it on several machines, on one store, and they share the partitions.

    Args:
        store: A store of this process, not a server's.
        group: Name of the group; of its newest version, unless one is named ("arrivals@1").
        url: Where the messages are, such as "kafka://host:9092/topic"; default: the variable ASOF_STREAM.
        format: "json", "avro", "confluent-avro", "protobuf" or "arrow".
        schema: The schema's file: of Avro, or a compiled set of descriptors of Protobuf.
        message: The name of the message in it, for Protobuf.
        time_unit: "s", "ms", "us" or "ns", if times come as integers.
        ignore_extra: Leave out fields that the group does not declare; else such a message goes to quarantine.
        name: By what name the store remembers its positions; default: the stream's own, such as the topic.
        start: Where to begin with a partition that was never read: "earliest" or "latest".
        batch_rows: How many messages become one commit, at most.
        batch_ms: How long to wait for more once there is one.
        until_idle: Stop when nothing came for so many seconds; None: go on.
        most_quarantined: Stop with an error when so many messages in a row cannot be stored.
        stop: An event that ends it after the batch at hand.
        progress: Told how far it is, twice a second.
        metrics: HOST:PORT at which Prometheus reads the figures while it runs.

    Returns:
        What was done.

    Raises:
        NotFoundError: No such group, format or broker. UsageError: Something does not fit together.
        UnsupportedError: The store is a server's. MissingDependencyError: A package is not installed.
        DataError: Too many messages in a row cannot be stored.
        PermanentError: The broker or the store refuses; or messages are gone that were not read yet.
        TransientError: It was stopped while a part was away; what was not stored is read again.
    """
    parts, writer = _parts_of(store)
    registered = parts.registry.group(group).writable
    if is_log(registered.definition) or is_quarantine(registered.definition):
        by = "serving" if is_log(registered.definition) else "asof"
        raise UsageError(f"a group of this kind is written by {by} alone", where=f"group {group}")
    place = url or os.environ.get("ASOF_STREAM", "")
    if not place:
        raise UsageError("where are the messages?", todo="pass a URL, or set ASOF_STREAM")
    _check(batch_rows=(batch_rows, 1, MOST_BATCH_ROWS), batch_ms=(batch_ms, 0, 60_000), start=start)
    named = _named(name, place)
    decode = decoder_of(Decoding(registered.definition, format, schema=schema, message=message, time_unit=time_unit))
    members = f"asof-{registered.ref}-{registered.created_at_us:x}-{named}"

    def opened(resume: Callable[[Sequence[str]], Mapping[str, str]]) -> Stream:
        return open_stream(place, group=members, resume=resume, start=start)

    settings = Settings(
        named, batch_rows, batch_ms / 1000, until_idle, most_quarantined, progress, stop or threading.Event()
    )
    intake = Intake(named, decode, ignore_extra=ignore_extra, around=partial(StoreAround, parts))
    if metrics is None:
        return Reading(parts, writer, registered, opened=opened, intake=intake, settings=settings).run()
    from asof.streams.metrics import Metrics  # noqa: PLC0415 - its package is that of an extra

    shown = Metrics(registered.ref, named, now_us=parts.now_us)
    settings = replace(settings, stored=shown.stored)
    reading = Reading(parts, writer, registered, opened=opened, intake=intake, settings=settings)
    with shown.served(metrics, lambda: reading.figures):
        return reading.run()


def positions(store: "Store", group: str) -> dict[tuple[str, str], str]:
    """Return the last message taken of each partition, by (stream's name, partition)."""
    parts, _ = _parts_of(store)
    return parts.streams.positions(parts.registry.group(group))


def letters(store: "Store", group: str, *, limit: int | None = None) -> list[Letter]:
    """Return the messages that could not be stored, with the reasons, the oldest first; with a limit, the newest."""
    parts, _ = _parts_of(store)
    return parts.streams.letters(parts.registry.group(group), limit=limit)


def _parts_of(store: "Store") -> "tuple[Parts, Writer]":
    from asof.store import Store  # noqa: PLC0415 - who calls has it

    if not isinstance(store, Store):  # pyright: ignore[reportUnnecessaryIsInstance] - a server's looks the same
        raise UnsupportedError("a server's store reads no streams", todo="run it where the store is")
    return store._parts, store._writer  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - no word of users


def _named(name: str | None, url: str) -> str:
    found = name or url.partition("?")[0].rstrip("/").rpartition("/")[2]
    if not NAME.fullmatch(found):
        raise UsageError(f"{found!r} is no name of a stream", todo="pass name=, or --name: letters, digits, . _ -")
    return found


def _check(*, batch_rows: tuple[int, int, int], batch_ms: tuple[float, int, int], start: str) -> None:
    for name, (value, least, most) in (("batch_rows", batch_rows), ("batch_ms", batch_ms)):
        if not least <= value <= most:
            raise UsageError(f"{name}={value} is not between {least} and {most:,}")
    if start not in {"earliest", "latest"}:
        raise UsageError(f"start={start!r} is not known", todo='use "earliest" or "latest"')
