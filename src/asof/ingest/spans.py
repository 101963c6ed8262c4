"""Parts of the time of a history that hold no more rows than fit memory, as far as its files tell."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.port import Rows


def spans(rows: Rows, after_us: int, *, most: int) -> Iterator[tuple[int, int]]:
    """Give spans of time, (after, until], that follow each other and hold all rows later than a time, if there are any.

    Args:
        rows: The history, of events.
        after_us: The time.
        most: How many rows a span may hold, unless they are of one microsecond.
    """
    last_us = max((last for _, last, _ in _held(rows)), default=after_us)
    while after_us < last_us:
        yield (span := first_span(rows, after_us, last_us, most=most))
        after_us = span[1]


def count_after(rows: Rows, after_us: int) -> int:
    """Return how many rows are later than a time: no fewer than this, as far as files tell."""
    return sum(many for _, last, many in _held(rows) if last > after_us)


def first_span(rows: Rows, after_us: int, until_us: int, *, most: int) -> tuple[int, int]:
    """Return the first part of a time that holds rows, and no more than so many."""
    held = [each for each in _held(rows) if each[1] > after_us and each[0] < until_us]
    after_us = max(after_us, min((before for before, _, _ in held), default=until_us - 1))

    def too_many(end_us: int) -> bool:
        counts = (
            (max(min(end_us, last) - max(after_us, first), 0) / (last - first)) * many for first, last, many in held
        )
        return sum(counts) > most

    least, greatest = after_us + 1, until_us
    while least < greatest:
        middle = (least + greatest + 1) // 2
        least, greatest = (least, middle - 1) if too_many(middle) else (middle, greatest)
    return after_us, least


def _held(rows: Rows) -> list[tuple[int, int, int]]:
    """Return the times that each file holds, as (after, until], with its rows, and those of the journal."""
    found = [(file.min_event_us - 1, file.max_event_us, file.rows) for _, file, _ in rows.files]
    if rows.journal is not None and rows.journal.num_rows:
        ends = pc.min_max(rows.journal.column(rows.event_time or "").cast(pa.int64()))
        found.append((ends["min"].as_py() - 1, ends["max"].as_py(), rows.journal.num_rows))
    return found
