"""Redis Streams pass the suite that asof ships."""

from urllib.parse import urlsplit

import pytest
from tests.brokers import send_redis

from asof.testing.servers import RedisServer
from asof.testing.streams import PARTITIONS, StreamSuite


class TestRedisStreams(StreamSuite):
    adapter = "redis"
    makes = True

    @pytest.fixture(autouse=True)
    def served(self, redis_server: RedisServer) -> None:
        self.server = redis_server

    def make(self, name: str) -> str:
        return f"{self.server.url}/{name}?partitions={PARTITIONS}&lease=1"

    def send(self, url: str, partition: int, values: list[bytes]) -> None:
        send_redis(self.server.url, f"{urlsplit(url).path.split('/')[-1]}:{partition}", values)
