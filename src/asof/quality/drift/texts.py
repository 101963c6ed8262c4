"""Sides of a comparison as people type them."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from asof.clock import parse_time
from asof.definitions.durations import duration_us
from asof.errors import UsageError

if TYPE_CHECKING:
    from asof.quality.drift.sides import Window


RELATIVE = re.compile(r"(last|previous) (\S+)")
WRITTEN = (
    'a tag, a commit such as "weather:17", commits "4..7", times "2026-01-01T00:00:00Z..2026-02-01T00:00:00Z" (one may'
    ' be left out), "last 7d", "previous 7d", "online", "offline" or "served"'
)


def side_from(text: str, now: datetime) -> "str | tuple[int, int] | Window":
    """Return what a text names, as `Quality.drift` takes it.

    Args:
        text: See `WRITTEN`. "last 7d" are the 7 days up to now by commit time, "previous 7d" the 7 days before those.
        now: The time now.

    Raises:
        UsageError: It is no such text.
    """
    found = RELATIVE.fullmatch(text)
    if found is not None:
        length = timedelta(microseconds=duration_us(found[2], what=found[1]))
        end = now if found[1] == "last" else now - length
        return end - length, end
    first, dots, last = text.partition("..")
    if not dots:
        return text
    if first.isdecimal() and last.isdecimal():
        return int(first), int(last)
    if not first and not last:
        raise UsageError(f"{text!r} has no bounds", todo=f"write {WRITTEN}")
    return parse_time(first) if first else None, parse_time(last) if last else None
