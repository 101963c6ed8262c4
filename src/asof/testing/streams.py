"""The conformance suite of the stream port.

class TestRedisStreams(StreamSuite):
    adapter = "redis"

    def make(self, name): ...               # a stream of that name with PARTITIONS partitions; its URL
    def send(self, url, partition, values): ...     # around the port
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pytest

from asof.errors import PermanentError, TransientError, UsageError
from asof.streams.port import Message, Start, Stream

PARTITIONS = 4
PATIENCE_SECONDS = 60.0

Opened = Callable[..., Stream]


class StreamSuite:
    """What every stream must do; see `asof.streams.port.Stream`.

    Attributes:
        adapter: Name of the entry point.
        makes: Whether who reads a stream that is not there makes it; else it is refused.
    """

    adapter: ClassVar[str]
    makes: ClassVar[bool] = False

    def make(self, name: str) -> str:
        """Make a stream of `PARTITIONS` partitions; return its URL, with leases as short as they may be."""
        raise NotImplementedError

    def send(self, url: str, partition: int, values: Sequence[bytes]) -> None:
        """Put messages into a partition, in order."""
        raise NotImplementedError

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> str:
        """Give a stream of the test's own."""
        name = "".join(letter for letter in request.node.name if letter.isalnum())
        return self.make(f"s{name[-40:]}{time.monotonic_ns()}")

    @pytest.fixture
    def opened(self, url: str) -> Iterator[Opened]:
        """Give a function that opens the stream as a member of a group, from positions."""
        every: list[Stream] = []
        (point,) = entry_points(group="asof.stream", name=self.adapter)

        def opened(
            positions: Mapping[str, str] | None = None, *, group: str = "g", start: Start = "earliest", at: str = url
        ) -> Stream:
            def resume(_: Sequence[str]) -> Mapping[str, str]:
                return positions or {}

            adapter: Any = point.load()
            every.append(adapter(at, group=group, resume=resume, start=start))
            return every[-1]

        yield opened
        for stream in every:
            stream.close()

    def test_messages_come_in_order_each_once_with_what_the_broker_says(self, url: str, opened: Opened) -> None:
        for partition in range(PARTITIONS):
            self.send(url, partition, [f"{partition}:{number}".encode() for number in range(50)])
        stream = opened()
        found = _read(stream, 50 * PARTITIONS)
        assert sorted(found) == sorted(stream.held)
        for messages in found.values():
            partition = (messages[0].value or b"").decode().partition(":")[0]
            assert [each.value for each in messages] == [f"{partition}:{number}".encode() for number in range(50)]
            assert len({each.place for each in messages}) == 50
        first = found[min(found)][0]
        assert first.at_us is not None
        assert abs(first.at_us / 1e6 - time.time()) < PATIENCE_SECONDS  # noqa: TID251 - the broker's clock
        assert stream.poll(100, 0.05) == []

    def test_it_goes_on_after_the_positions(self, url: str, opened: Opened) -> None:
        for partition in range(PARTITIONS):
            self.send(url, partition, [b"%d" % number for number in range(20)])
        first = opened()
        found = _read(first, 20 * PARTITIONS)
        first.close()
        names = sorted(found)
        again = opened({names[0]: found[names[0]][4].place, names[1]: found[names[1]][19].place})
        rest = _read(again, 15 + 20 * (PARTITIONS - 2))
        assert {name: [each.place for each in messages] for name, messages in rest.items()} == {
            name: [each.place for each in found[name]][5 if name == names[0] else 0 :]
            for name in names
            if name != names[1]
        }
        assert again.poll(100, 0.05) == []

    def test_what_was_polled_is_read_again_by_who_comes_next(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"a", b"b"])
        first = opened()
        found = _read(first, 2)
        first.report({name: messages[-1].place for name, messages in found.items()})  # a report is no position
        first.close()
        first.close()
        assert _read(opened(), 2) == found

    def test_latest_begins_with_what_comes_later(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"old"])
        stream = opened(start="latest")
        end = time.monotonic() + PATIENCE_SECONDS
        while len(stream.held) < PARTITIONS and time.monotonic() < end:
            assert stream.poll(10, 0.1) == []
        for _ in range(5):
            assert stream.poll(10, 0.1) == []
        self.send(url, 0, [b"new"])
        ((message,),) = _read(stream, 1).values()
        assert message.value == b"new"

    def test_a_message_is_given_when_it_comes_and_not_when_the_waiting_is_over(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"first"])
        stream = opened()
        _read(stream, 1)
        self.send(url, 0, [b"second"])
        begun = time.monotonic()
        while not stream.poll(1000, 2.0):
            pass
        assert time.monotonic() - begun < 1.5

    def test_a_poll_of_nothing_only_says_that_we_live(self, url: str, opened: Opened) -> None:
        for partition in range(PARTITIONS):
            self.send(url, partition, [b"%d" % number for number in range(30)])
        stream = opened()
        found = _read(stream, 40, most=10)
        for _ in range(20):
            assert stream.poll(0, 0.0) == []
        rest = _read(stream, 30 * PARTITIONS - _count(found))
        for name in stream.held:
            got = [each.value for each in (*found.get(name, ()), *rest.get(name, ()))]
            assert got == [b"%d" % number for number in range(30)], name

    def test_no_more_are_given_than_were_asked_for(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"%d" % number for number in range(100)])
        stream = opened()
        counts: list[int] = []
        while sum(counts) < 100:
            counts.append(len(stream.poll(7, 0.5)))
        assert max(counts) <= 7 + PARTITIONS

    def test_any_bytes_are_a_message(self, url: str, opened: Opened) -> None:
        values = [b"\x00\xff\r\n", b"ends", "ü".encode(), b"x" * 300_000]
        self.send(url, 0, values)
        ((messages),) = _read(opened(), len(values)).values()
        assert [each.value for each in messages] == values

    def test_members_share_the_partitions_and_inherit_them(self, url: str, opened: Opened) -> None:
        members = [opened(), opened()]
        _settle(members, [2, 2])
        held = [set(each.held) for each in members]
        assert len(held[0] | held[1]) == PARTITIONS
        for partition in range(PARTITIONS):
            self.send(url, partition, [b"%d" % number for number in range(10)])
        found = [_read(each, 20) for each in members]
        assert [set(each) for each in found] == held
        before = dict(members[0].held)
        members[1].close()
        again = _settle(members[:1], [PARTITIONS])
        end = time.monotonic() + PATIENCE_SECONDS
        while any(again.get(name, 0) < 10 for name in held[1]) and time.monotonic() < end:
            again.update(message.partition for message in members[0].poll(100, 0.1))
        assert {again[name] for name in held[1]} == {10}, "they begin at the positions, and here there are none"
        given = members[0].held
        assert all(given[name] not in before.values() for name in held[1])

    def test_groups_do_not_disturb_each_other(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"a", b"b"])
        for group in ("one", "arrivals@1 two"):
            assert _count(_read(opened(group=group), 2)) == 2

    def test_the_lag_is_what_was_not_polled(self, url: str, opened: Opened) -> None:
        self.send(url, 0, [b"%d" % number for number in range(30)])
        stream = opened()
        found = _read(stream, 30)
        stream.report({name: messages[-1].place for name, messages in found.items()})
        end = time.monotonic() + PATIENCE_SECONDS
        while sum(stream.lag().values()) and time.monotonic() < end:
            stream.poll(0, 0.05)
        assert set(stream.lag().values()) <= {0}
        assert set(stream.lag()) <= set(stream.held)

    def test_a_url_that_names_no_stream_is_refused(self, url: str, opened: Opened) -> None:
        place = url.partition("?")[0].rpartition("/")[0]
        with pytest.raises(UsageError):
            opened(at=place)
        with pytest.raises(UsageError):
            opened(at=f"{url}{'&' if '?' in url else '?'}no.such.option=1")

    def test_a_stream_that_is_not_there_is_refused(self, url: str, opened: Opened) -> None:
        if self.makes:
            assert opened(at=url.replace("/s", "/nothing")).poll(1, 0.05) == []
        else:
            with pytest.raises(PermanentError, match="no such"):
                opened(at=url.replace("/s", "/nothing"))

    def test_a_broker_that_is_not_there_may_come(self, url: str, opened: Opened) -> None:
        scheme, _, rest = url.partition("://")
        _, _, path = rest.partition("/")
        with pytest.raises(TransientError, match="cannot be reached"):
            opened(at=f"{scheme}://127.0.0.1:1/{path}")


def _read(stream: Stream, count: int, *, most: int = 1000) -> dict[str, list[Message]]:
    """Poll so many messages."""
    found: dict[str, list[Message]] = {}
    end = time.monotonic() + PATIENCE_SECONDS
    while _count(found) < count:
        assert time.monotonic() < end, f"only {_count(found)} of {count} messages came"
        for message in stream.poll(most, 0.2):
            found.setdefault(message.partition, []).append(message)
    return found


def _count(found: Mapping[str, Sequence[Message]]) -> int:
    return sum(map(len, found.values()))


def _settle(members: Sequence[Stream], shares: Sequence[int]) -> Counter[str]:
    """Poll until each member has its share; return how many messages came meanwhile, by partition."""
    end = time.monotonic() + PATIENCE_SECONDS
    came: Counter[str] = Counter()
    while [len(each.held) for each in members] != list(shares):
        assert time.monotonic() < end, [dict(each.held) for each in members]
        for each in members:
            came.update(message.partition for message in each.poll(10, 0.05))
    return came
