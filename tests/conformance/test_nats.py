"""NATS JetStream passes the suite that asof ships."""

from urllib.parse import urlsplit

import pytest
from tests.brokers import make_nats, send_nats

from asof.testing.servers import NatsServer
from asof.testing.streams import PARTITIONS, StreamSuite


class TestNats(StreamSuite):
    adapter = "nats"

    @pytest.fixture(autouse=True)
    def served(self, nats_server: NatsServer) -> None:
        self.server = nats_server

    def make(self, name: str) -> str:
        make_nats(self.server.url, name)
        return f"{self.server.url}/{name}?partitions={PARTITIONS}&lease=1"

    def send(self, url: str, partition: int, values: list[bytes]) -> None:
        send_nats(self.server.url, f"{urlsplit(url).path.strip('/')}.{partition}", values)
