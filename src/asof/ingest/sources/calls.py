"""Functions of users that give rows: by a cursor of theirs, or by event time."""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import pyarrow as pa

from asof.arrow.frames import Frame, to_table
from asof.arrow.streams import to_batches
from asof.clock import from_us
from asof.definitions.code import Function, unchanged
from asof.definitions.outside import WHAT, Call
from asof.errors import AsofError, DataError, UsageError
from asof.ingest.sources.port import Asked, Bounds, Piece
from asof.ingest.sources.spans import SpanSource
from asof.progress import Progress

PARTITION = "cursor"

MOST_CURSOR = 16_384
"""Characters of a cursor as JSON: it is kept with each commit."""

SHOWN = 60

_END = object()


def call_source(call: Call, *, where: str, delay_us: int) -> "CursorSource | SpanSource":
    """Return the source that a function is.

    Raises:
        UsageError: It cannot be imported. ConflictError: Its source is not what it was.
    """
    function = unchanged(call.code, call.digest, what=WHAT, where=where)
    if call.asks == "cursor":
        return CursorSource(function, call.code, where)

    def ask(bounds: Bounds) -> Iterator[pa.Table]:
        start, end = None if bounds[0] is None else from_us(bounds[0]), from_us(bounds[1])
        with _told(call.code, where):
            given: object = function(start, end)
        for frame in _each(given, call.code, where):
            yield from _tables(frame, call.code, where)

    return SpanSource("call", ask, where=where, delay_us=delay_us, every_us=call.every_us)


class CursorSource:
    """A function that is given its last cursor, and gives pairs of rows and the cursor behind them.

    The position is the hash of the cursor, which may be long; the cursor itself is in the note.
    """

    name = "call"
    unit = "rows"
    apart = False

    def __init__(self, function: Function, code: str, where: str) -> None:
        """Call nothing yet."""
        self._function = function
        self._code = code
        self._where = where

    def pieces(self, taken: Mapping[str, str], asked: Asked, advance: Progress) -> Iterator[Piece]:
        """See `Source.pieces`."""
        if asked.bounded:
            todo = "leave start and end out; or let the function take (start, end)"
            raise UsageError(f"{self._code} goes by a cursor, and not by times", where=self._where, todo=todo)
        before = None if asked.full else taken.get(PARTITION)
        cursor: Any = None if before is None else asked.note()["cursor"]
        with _told(self._code, self._where):
            given: object = self._function(cursor)
        pairs = _each(given, self._code, self._where)
        read = 0

        def counted(frame: Frame, *, moved: bool) -> Iterator[pa.Table]:
            nonlocal read
            for table in _tables(frame, self._code, self._where):
                if not moved:
                    todo = "give another cursor with each piece: rows after the same one would be taken twice"
                    raise DataError(f"{self._code} gave rows and the cursor of before", where=self._where, todo=todo)
                yield table
                read += table.num_rows
                advance(read, read)

        for pair in pairs:
            frame, cursor, text = self._pair(pair)
            reached = hashlib.sha256(text.encode()).hexdigest()[:40]
            moved, before = reached != before, reached
            rows: Callable[[], Iterator[pa.Table]] = lambda frame=frame, moved=moved: counted(frame, moved=moved)  # noqa: E731 - bound to this pair
            yield Piece(f"cursor {text[:SHOWN]}", rows, moves={PARTITION: reached}, note={"cursor": cursor})

    def _pair(self, pair: object) -> tuple[Frame, Any, str]:
        """Return rows, cursor, and the cursor as JSON."""
        todo = "yield (rows, cursor), the cursor a text, a number, or a list or dict of them"
        given = cast("tuple[Any, ...]", pair) if isinstance(pair, tuple) else ()
        if len(given) != 2:  # noqa: PLR2004 - a pair
            what = f"{self._code} gave {_kind(pair)}, not (rows, cursor)"
            raise DataError(what, where=self._where, todo=todo)
        frame, cursor = given
        try:
            text = json.dumps(cursor, allow_nan=False, sort_keys=True)
            same = json.loads(text) == cursor
        except (TypeError, ValueError, RecursionError):
            text, same = "", False
        if cursor is None or not same or len(text) > MOST_CURSOR:
            shown = repr(cursor)[:SHOWN]
            what = f"{self._code} gave the cursor {shown}, which is no JSON of up to {MOST_CURSOR:,} characters"
            raise DataError(what, where=self._where, todo=todo)
        return frame, cursor, text


def _each(given: object, code: str, where: str) -> Iterator[Any]:
    """Return what a function yields; or else what it returned."""
    if not isinstance(given, Iterator):
        yield given
        return
    more = cast("Iterator[object]", given)
    while True:
        with _told(code, where):
            one = next(more, _END)
        if one is _END:
            return
        yield one


def _tables(frame: Frame, code: str, where: str) -> Iterator[pa.Table]:
    """Return a frame as tables; one without rows may have any columns, or none.

    Raises:
        DataError: It is none.
    """
    try:
        batches = None if isinstance(frame, str) else to_batches(frame, where=where)
        if batches is None:
            table, _ = to_table(frame, where=where)
            yield from [table] if table.num_rows else []
            return
    except UsageError as error:
        what = f"{code} gave {_kind(frame)}, which is no frame"
        raise DataError(what, where=where, todo=error.todo) from error
    for batch in _each(batches, code, where):
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _kind(given: Any) -> str:  # noqa: ANN401 - whatever a user gives
    return "nothing" if given is None else type(given).__name__


@contextmanager
def _told(code: str, where: str) -> Generator[None]:
    """Tell what the user's own code raises in our words."""
    try:
        yield
    except AsofError:
        raise
    except Exception as error:  # it may fail in any way
        reason = f"{type(error).__name__}: {error}"
        todo = "what was taken before is stored; materialize again to go on"
        raise DataError(f"the source {code} failed: {reason}", where=where, todo=todo) from error
