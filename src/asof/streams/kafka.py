"""Kafka, through librdkafka: `kafka://HOST:PORT,HOST:PORT/TOPIC?security.protocol=SASL_SSL`.

Options are librdkafka's own; secrets stand in variables, ASOF_KAFKA_SASL_PASSWORD for sasl.password. Kafka's groups
assign the partitions; offsets are committed for its tools to show, and never read.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from asof.errors import MissingDependencyError, PermanentError, TransientError, UsageError
from asof.streams.port import Message, Resume, Start

try:
    from confluent_kafka import (
        OFFSET_BEGINNING,
        OFFSET_END,
        TIMESTAMP_NOT_AVAILABLE,
        Consumer,
        KafkaError,
        KafkaException,
        TopicPartition,
    )
except ImportError as error:
    raise MissingDependencyError("confluent-kafka", extra="kafka") from error

VARIABLES = "ASOF_KAFKA_"
METADATA_SECONDS = 10.0

BOUNDED = {"queued.max.messages.kbytes": 16_384, "queued.min.messages": 10_000}
"""What librdkafka reads ahead, in memory."""

OURS = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # messages that are gone before they were read must be heard of
    "partition.assignment.strategy": "range",
}
"""What must not be set otherwise."""

_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - so it is named
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
    }
)
_GONE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 - so it is named


class KafkaStream:
    """The stream port over Kafka; see `asof.streams.port.Stream`."""

    def __init__(self, url: str, *, group: str, resume: Resume, start: Start = "earliest") -> None:
        """Connect, and join the group."""
        parts = urlsplit(url)
        self._topic = parts.path.strip("/")
        self._where = f"Kafka topic {self._topic}"
        if not self._topic or "/" in self._topic or not parts.netloc:
            raise UsageError(f"{parts.path!r} names no topic", todo="write kafka://HOST:PORT/TOPIC")
        options = dict(parse_qsl(parts.query))
        for name in sorted(OURS.keys() & options):
            raise UsageError(f"{name} is not yours to set", where=self._where)
        secret = {
            name.removeprefix(VARIABLES).lower().replace("_", "."): value
            for name, value in os.environ.items()
            if name.startswith(VARIABLES)
        }
        self._resume, self._start = resume, start
        self._held: dict[str, int] = {}
        self._at: dict[str, int] = {}
        self._given = 0
        self._kept: list[Any] = []
        self._refused: KafkaError | None = None
        given = {"group.id": group, **BOUNDED, **secret, **options, **OURS, "error_cb": self._heard}
        make: Any = Consumer
        try:
            self._consumer = make({"bootstrap.servers": parts.netloc, **given}, logger=_Silent())
        except (KafkaException, ValueError, TypeError) as error:
            raise UsageError(f"librdkafka refuses the options: {_said(error)}", where=self._where) from error
        try:
            self._look_for_topic()
        except BaseException:
            self._consumer.close()
            raise
        self._consumer.subscribe([self._topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._revoke)
        self._open = True

    @property
    def held(self) -> Mapping[str, int]:
        """See `Stream.held`."""
        return self._held

    def poll(self, most: int, seconds: float) -> Sequence[Message]:
        """See `Stream.poll`."""
        try:
            if not most:
                return self._only_live()
            found, self._kept = self._kept, []
            first = self._consumer.poll(0 if found else seconds)
            found += [] if first is None else [first]
            if first is not None and most > len(found):
                found += self._consumer.consume(most - len(found), 0)
        except KafkaException as error:
            raise self._translated(error.args[0]) from error
        if self._refused is not None:
            raise self._translated(self._refused)
        return [message for each in found if (message := self._message(each)) is not None]

    def report(self, positions: Mapping[str, str]) -> None:
        """See `Stream.report`."""
        offsets = [TopicPartition(self._topic, int(each), int(place) + 1) for each, place in positions.items()]
        with suppress(KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def lag(self) -> Mapping[str, int]:
        """See `Stream.lag`."""
        found: dict[str, int] = {}
        for partition in self._held:
            with suppress(KafkaException):
                known = self._consumer.get_watermark_offsets(TopicPartition(self._topic, int(partition)), cached=True)
                if known is not None and known[1] >= 0:
                    found[partition] = max(known[1] - max(self._at.get(partition, known[0]), known[0]), 0)
        return found

    def close(self) -> None:
        """See `Stream.close`."""
        if self._open:
            self._open = False
            with suppress(KafkaException):
                self._consumer.close()
        self._held = {}

    def _only_live(self) -> Sequence[Message]:
        """Say that we live, and take no message: partitions rest meanwhile, so that nothing is read ahead for ever."""
        every = self._consumer.assignment()
        self._consumer.pause(every)
        try:
            message = self._consumer.poll(0)
        finally:
            with suppress(KafkaException):  # some may have been revoked meanwhile
                self._consumer.resume(self._consumer.assignment())
        if message is not None:  # it was on its way
            self._kept.append(message)
        return []

    def _message(self, found: Any) -> Message | None:  # noqa: ANN401 - librdkafka's own
        error = found.error()
        if error is not None:
            if error.retriable() or error.code() in (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT):  # noqa: SLF001
                return None
            raise self._translated(error)
        partition = str(found.partition())
        if partition not in self._held or found.offset() < self._at.get(partition, 0):
            return None  # it was on its way when the partition was taken from us, or given anew
        self._at[partition] = found.offset() + 1
        kind, at_ms = found.timestamp()
        at_us = None if kind == TIMESTAMP_NOT_AVAILABLE else at_ms * 1000
        headers = tuple((name, value or b"") for name, value in found.headers() or ())
        return Message(partition, str(found.offset()), found.value(), found.key(), headers, at_us)

    def _assign(self, consumer: Any, partitions: Any) -> None:  # noqa: ANN401 - librdkafka's own
        names = [str(each.partition) for each in partitions]
        positions: Mapping[str, str] = self._resume(names) if names else {}
        begin = OFFSET_BEGINNING if self._start == "earliest" else OFFSET_END
        for each, name in zip(partitions, names, strict=True):
            each.offset = int(positions[name]) + 1 if positions.get(name) else begin
        consumer.assign(partitions)
        for name in names:
            self._given += 1
            self._held[name] = self._given
            self._at[name] = int(positions[name]) + 1 if positions.get(name) else 0

    def _revoke(self, _consumer: Any, partitions: Any) -> None:  # noqa: ANN401 - librdkafka's own
        for each in partitions:
            self._held.pop(str(each.partition), None)

    def _look_for_topic(self) -> None:
        try:
            found = self._consumer.list_topics(self._topic, timeout=METADATA_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise self._translated(error.args[0]) from error
        if found.error is not None:
            raise self._translated(found.error)

    def _heard(self, error: KafkaError) -> None:
        if error.code() in _REFUSED or error.fatal():
            self._refused = error

    def _translated(self, error: KafkaError) -> Exception:
        if error.code() in _GONE:
            return PermanentError(
                f"messages after a position are gone from the topic before they were read: {error.str()}",
                where=self._where,
                todo="keep messages longer; to go on behind the gap, read it under another --name with --start",
            )
        if error.code() in _REFUSED or error.fatal():
            return PermanentError(f"Kafka refuses: {error.str()}", where=self._where)
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):  # noqa: SLF001 - so it is named
            return PermanentError("there is no such topic", where=self._where, todo="make it first")
        return TransientError(
            f"the broker cannot be reached: {error.str()}", where=self._where, todo="see that Kafka runs there"
        )


class _Silent:
    """Takes librdkafka's lines, which it would write to stderr; what matters comes as an error too."""

    def log(self, *_: object) -> None:
        """Drop a line."""


def _said(error: Exception) -> str:
    first: Any = error.args[0] if error.args else ""
    return str(first.str()) if hasattr(first, "str") else str(first)
