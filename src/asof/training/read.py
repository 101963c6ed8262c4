"""Read the stored rows of a group."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import pyarrow as pa

from asof.arrow.frames import Origin
from asof.definitions.serving_log import is_log
from asof.engine.reads import StoredRead
from asof.errors import NotFoundError, UsageError
from asof.parts import Parts, Pins, given_pins, pin_of, pinned_rows, seen_pins
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN
from asof.training.frame import HistoricalFrame
from asof.training.historical import check_begin, known_mode
from asof.training.streamed import ScannedFrame, Source


def read_rows(  # noqa: PLR0913 - the words of `Store.read`
    parts: Parts,
    name: str,
    *,
    start_us: int | None,
    end_us: int | None,
    columns: Sequence[str] | None,
    known: str | datetime | None,
    commits: Pins | str | None,
    latest: bool,
    clocks: bool,
    batch_rows: int | None,
    first: int | None = None,
) -> HistoricalFrame:
    """Return stored rows; see `Store.read`. `first`: of the newest rows of keys, only so many, by key.

    Raises:
        DataError: A bound, or K, lies before what retention left of a serving log.
    """
    if batch_rows is not None and batch_rows < 1:
        raise UsageError(f"batch_rows={batch_rows!r} is no number of rows", todo="pass 1 or more")
    group = parts.registry.group(name).written
    declared = group.definition.columns
    for column in columns or ():
        if column not in declared:
            raise NotFoundError.named("column", column, declared, where=f"group {group.ref}")
    pin = pin_of(given_pins(parts, commits), group)
    if known == "served":
        raise UsageError('known="served" needs a time', todo="pass a datetime: what was available then")
    if group.definition.static and (start_us is not None or end_us is not None):
        raise UsageError("a static group has no event time", where=f"group {group.ref}", todo="leave out start and end")
    rows, snapshot = pinned_rows(parts, group, pin=pin)
    mode = "event" if known is None else known_mode(known)
    if snapshot.horizon_us is not None and is_log(group.definition):  # of other groups the newest rows are left
        for bound_us in (start_us, end_us, mode):
            if isinstance(bound_us, int):
                check_begin(name, snapshot.horizon_us, bound_us)
    read = StoredRead(rows, tuple(columns or declared), start_us, end_us, mode, latest, clocks, first)
    seen = seen_pins({group.ref: rows})
    if batch_rows is None:
        return HistoricalFrame(read.answered(parts.engine).read_all(), Origin("arrow"), seen)
    names = [*(columns or declared), *((COMMIT_COLUMN, AVAILABLE_COLUMN) if clocks else ())]
    empty = pa.schema([rows.schema.field(name) for name in names]).empty_table()
    source = Source(read, parts.history) if rows.outside is None else None
    return ScannedFrame(empty, partial(read.answered, parts.engine), batch_rows, seen, source)
