"""What a broker's adapter must do: give this member its share of a stream's messages, from positions that we keep."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from asof.errors import UsageError

Start = Literal["earliest", "latest"]

Resume = Callable[[Sequence[str]], Mapping[str, str]]
"""Told the partitions that this member was given, says the last message taken of each; a partition without one is
begun at the stream's start."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message.

    Attributes:
        partition: Its partition.
        place: Which one it is there: an offset, a sequence or an id. Given back as a position: the last one taken.
        value: Its content; None if it has none.
        key: Its key, if it has one.
        headers: Its headers.
        at_us: When the broker got it, by its own clock; None if it does not say.
    """

    partition: str
    place: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    at_us: int | None = None


class Stream(Protocol):
    """A member of a group that shares the partitions of a stream; used by one thread.

    The constructor takes the URL, `group` (the members of one group share the partitions), `resume` and `start`. Each
    partition has one member at a time, but for moments in which two believe so: positions, which move with the rows of
    a store, decide then. Within a partition the messages come in order, each once, from the position on; after a
    partition was given again, from the position of then.

    Nothing is acknowledged: what was polled and not stored is read again by whoever has the partition next.

    Raises:
        UsageError: The URL makes no sense. MissingDependencyError: The broker's package is not installed.
        TransientError: The broker cannot be reached. PermanentError: It refuses, or there is no such stream.
    """

    def poll(self, most: int, seconds: float) -> Sequence[Message]:
        """Return the next messages, as soon as there are some; none if there were none for so long.

        It must be called every few seconds: that is how a member says that it lives, and hears which partitions are
        its own. With `most` = 0 it does only that.

        Raises:
            TransientError: The broker cannot be reached: close it, and open it again. While it looks for the broker by
                itself, it returns nothing.
            PermanentError: The broker refuses; or messages after a position are gone before they were read.
        """
        ...

    @property
    def held(self) -> Mapping[str, int]:
        """The partitions of this member, each with a number that is another one each time the partition is given.

        Messages that were polled under an older number may come again.
        """
        ...

    def report(self, positions: Mapping[str, str]) -> None:
        """Tell the broker how far partitions were taken, for those who look there. It may fail: nothing needs it."""
        ...

    def lag(self) -> Mapping[str, int]:
        """Return how many messages wait after the last one polled, of the held partitions where it is known."""
        ...

    def close(self) -> None:
        """Leave the group, so that others get its partitions at once; repeating it is harmless."""
        ...


def number_in(options: dict[str, str], name: str, default: float, where: str) -> float:
    """Take a number out of a URL's options.

    Raises:
        UsageError: It is none, or not above zero.
    """
    text = options.pop(name, "")
    try:
        number = float(text) if text else default
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:  # noqa: PLR2004 - and no infinity
        raise UsageError(f"{name}={text} is no number above 0", where=where)
    return number


def refuse_options(options: Mapping[str, str], known: str, where: str) -> None:
    """Refuse what is left of a URL's options.

    Raises:
        UsageError: There is something.
    """
    if options:
        raise UsageError(f"unknown option {min(options)!r} in the URL", where=where, todo=f"known: {known}")
