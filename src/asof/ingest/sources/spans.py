"""Rows that are asked for by event time: what is new is what lies after the end of the last time asked."""

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from asof.clock import show_us
from asof.errors import UsageError
from asof.ingest.sources.port import Asked, Bounds, Piece
from asof.progress import Progress

PARTITION = "event_time"

Ask = Callable[[Bounds], Iterator[pa.Table]]
"""Gives the rows with event times in a span."""


class SpanSource:
    """A source that is asked for spans of event time, each once.

    Rows that appear later with an event time of a span that was asked for are not seen: ask for it again, by bounds.
    """

    unit = "rows"
    apart = False

    def __init__(self, name: str, ask: Ask, *, where: str, delay_us: int = 0, every_us: int | None = None) -> None:
        """Ask nothing yet.

        Args:
            name: By what name its position is remembered.
            ask: Gives the rows.
            where: Whose they are, for messages.
            delay_us: How long after its event a row may come: later times are not asked for yet.
            every_us: The longest span of one piece; None: no limit.
        """
        self.name = name
        self._ask = ask
        self._where = where
        self._delay_us = delay_us
        self._every_us = every_us

    def pieces(self, taken: Mapping[str, str], asked: Asked, advance: Progress) -> Iterator[Piece]:
        """See `Source.pieces`; a run whose bounds begin within what was taken, and end after it, goes on from there."""
        reached = int(taken[PARTITION]) if PARTITION in taken and not asked.full else None
        last = asked.now_us - self._delay_us if asked.end_us is None else min(asked.end_us, asked.now_us)
        first = reached if asked.start_us is None else asked.start_us
        if first is not None and last <= first:
            if asked.bounded:
                what = f"there is nothing to take in ({show_us(first)}, {show_us(last)}]"
                raise UsageError(what, where=self._where, todo="pass start= to take times again")
            return
        new = reached is None or (first is not None and first <= reached < last)
        read = 0

        def counted(bounds: Bounds) -> Iterator[pa.Table]:
            nonlocal read
            for table in self._ask(bounds):
                yield table
                read += table.num_rows
                advance(read, read)

        for bounds in self._cut(first, last):
            begin = "the beginning" if bounds[0] is None else show_us(bounds[0])
            yield Piece(
                f"({begin}, {show_us(bounds[1])}]",
                lambda bounds=bounds: counted(bounds),
                moves={PARTITION: str(bounds[1])} if new else {},
                within=bounds,
            )

    def _cut(self, first: int | None, last: int) -> Iterator[Bounds]:
        if self._every_us is None:
            yield first, last
            return
        if first is None:
            todo = "pass start=, the time from when on there are rows"
            raise UsageError("every= cuts times from which one on?", where=self._where, todo=todo)
        while first < last:
            end = min(first + self._every_us, last)
            yield first, end
            first = end
