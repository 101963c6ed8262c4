"""Kafka passes the suite that asof ships, with the broker that librdkafka has for tests."""

from urllib.parse import urlsplit

import pytest
from tests.brokers import make_kafka, send_kafka

from asof.testing.servers import KafkaServer
from asof.testing.streams import StreamSuite


class TestKafka(StreamSuite):
    adapter = "kafka"

    @pytest.fixture(autouse=True)
    def served(self, kafka_server: KafkaServer) -> None:
        self.server = kafka_server

    def make(self, name: str) -> str:
        make_kafka(self.server.bootstrap, name)
        return f"{self.server.url}/{name}?fetch.wait.max.ms=20&session.timeout.ms=6000&heartbeat.interval.ms=200"

    def send(self, url: str, partition: int, values: list[bytes]) -> None:
        send_kafka(self.server.bootstrap, urlsplit(url).path.strip("/"), partition, values)
