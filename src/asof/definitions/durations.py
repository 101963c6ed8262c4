"""Lengths of time as people write them ("6h", "90s", "1h30m"), held as whole microseconds."""

import re
from datetime import timedelta

from asof.clock import MICROSECOND
from asof.errors import UsageError

UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
PART = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")


def duration_us(value: str | timedelta, *, what: str) -> int:
    """Return a length of time in microseconds.

    Args:
        value: Text such as "6h" or "1h30m" (units us, ms, s, m, h, d, w), or a timedelta.
        what: What it is the length of, for the message.

    Raises:
        UsageError: It is neither, or negative.
    """
    if isinstance(value, timedelta):
        length = value // MICROSECOND
    else:
        parts = PART.findall(value)
        if not parts or "".join(n + u for n, u in parts) != value:
            raise UsageError(f"{what} {value!r} is no length of time", todo='write "6h", "90s" or "1h30m"')
        length = sum(int(n) * UNITS_US[u] for n, u in parts)
    if length < 0:
        raise UsageError(f"{what} {value!r} is negative")
    return length


def show_duration(length_us: int) -> str:
    """Return microseconds as the shortest text that `duration_us` reads back."""
    if length_us == 0:
        return "0s"
    text = ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, length_us = divmod(length_us, UNITS_US[unit])
        if count:
            text += f"{count}{unit}"
    return text
