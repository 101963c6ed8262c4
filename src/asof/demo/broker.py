"""A Kafka on loopback: the one that librdkafka carries, with its messages in memory."""

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from asof.errors import TransientError

OPTIONS = "fetch.wait.max.ms=5"
"""This Kafka answers who waits for messages when the waiting is over, not when one comes."""

PATIENCE_SECONDS = 30.0

Place = tuple[str, int]
"""A partition, and a message's number in it."""


class Broker:
    """Serves a topic, and sends to it."""

    def __init__(self, topic: str) -> None:
        """Start it, on a free port, with an empty topic; it ends with this process."""
        # librdkafka's options are no keywords: Any for its clients.
        make: Any = Producer
        self._producer: Any = make({"test.mock.num.brokers": 1, "linger.ms": 0}, logger=_Silent())
        self._topic = topic
        known = self._producer.list_topics(topic, timeout=PATIENCE_SECONDS).brokers.values()
        places = ",".join(f"{each.host}:{each.port}" for each in known)
        self.url = f"kafka://{places}/{topic}?{OPTIONS}"

    def send(self, messages: Sequence[tuple[str, bytes]]) -> list[Place]:
        """Send messages, each with its key; return where they are when the broker has them.

        Messages of one key are in one partition, in the order in which they were sent.

        Raises:
            TransientError: The broker did not take one.
        """
        places: list[Place] = []
        failed: list[str] = []

        def told(error: Any, message: Any) -> None:  # noqa: ANN401 - librdkafka's own
            if error is None:
                places.append((str(message.partition()), message.offset()))
            else:
                failed.append(str(error))

        for key, value in messages:
            self._producer.produce(self._topic, value, key=key, on_delivery=told)
        self._producer.flush(PATIENCE_SECONDS)
        if failed or len(places) < len(messages):
            raise TransientError(f"the broker took {len(places)} of {len(messages)} messages", where=self.url)
        return places


class _Silent:
    """Takes librdkafka's lines: it says in each that it serves tests."""

    def log(self, *_: object) -> None:
        """Drop a line."""
