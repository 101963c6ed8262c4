"""Put messages into brokers around the port."""

import asyncio
import itertools
from collections.abc import Sequence

STREAM_PARTITIONS = 4
_turns = itertools.count()


def make_kafka(bootstrap: str, topic: str) -> None:
    from confluent_kafka import Producer

    Producer({"bootstrap.servers": bootstrap}, logger=_Silent()).list_topics(topic, timeout=30)


def send_kafka(bootstrap: str, topic: str, partition: int, values: Sequence[bytes]) -> None:
    from confluent_kafka import Producer

    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0}, logger=_Silent())
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=lambda error, _: failed.append(error))
        producer.poll(0)
    assert not producer.flush(30)
    assert not any(failed)


def send_redis(url: str, key: str, values: Sequence[bytes]) -> None:
    import redis

    with redis.Redis.from_url(url) as client:
        pipe = client.pipeline(transaction=False)
        for value in values:
            pipe.xadd(key, {"value": value})
        pipe.execute()


def make_nats(url: str, name: str, partitions: int = STREAM_PARTITIONS) -> None:
    async def made():
        import nats

        server = await nats.connect(url)
        subjects = [f"{name}.{n}" for n in range(partitions)] if partitions > 1 else [name]
        await server.jetstream().add_stream(name=name, subjects=subjects)
        await server.close()

    asyncio.run(made())


def send_nats(url: str, subject: str, values: Sequence[bytes]) -> None:
    async def sent():
        import nats

        server = await nats.connect(url)
        js = server.jetstream(publish_async_max_pending=4000)
        for start in range(0, len(values), 500):
            await asyncio.gather(*[await js.publish_async(subject, each) for each in values[start : start + 500]])
        await server.close()

    asyncio.run(sent())


class _Silent:
    def log(self, *_: object) -> None:
        pass
