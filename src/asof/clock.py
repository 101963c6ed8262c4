"""The one module that reads a clock; everything else is told the time.

Times are integers: microseconds since 1970-01-01T00:00:00Z. Source: SEMANTICS section 1.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from asof.errors import UsageError

Clock = Callable[[], datetime]
"""A callable that returns an aware datetime."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def system_clock() -> datetime:
    """Return the system's time in UTC."""
    return datetime.now(UTC)


def system_us() -> int:
    """Return the system's time as microseconds since the epoch."""
    return time.time_ns() // 1000


def to_us(moment: datetime, *, what: str = "time") -> int:
    """Return an aware datetime as microseconds since the epoch.

    Raises:
        UsageError: The datetime is naive, or none.
    """
    if not isinstance(moment, datetime):  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"{what} {moment!r} is no datetime", todo="pass an aware datetime")
    if moment.tzinfo is None:
        raise UsageError(
            f"{what} {moment.isoformat()} has no time zone",
            todo="pass an aware datetime, such as datetime(..., tzinfo=timezone.utc)",
        )
    return (moment - EPOCH) // MICROSECOND


def bounds_us(start: datetime | None, end: datetime | None) -> tuple[int | None, int | None]:
    """Return the bounds of a time range as microseconds since the epoch; None where there is none.

    Raises:
        UsageError: One of them is naive, or no datetime.
    """
    start_us = None if start is None else to_us(start, what="start")
    return start_us, None if end is None else to_us(end, what="end")


def from_us(moment_us: int) -> datetime:
    """Return microseconds since the epoch as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=moment_us)


def show_us(moment_us: int) -> str:
    """Return microseconds since the epoch as RFC 3339 text."""
    try:
        return from_us(moment_us).isoformat().replace("+00:00", "Z")
    except OverflowError:  # beyond year 9999: still worth a message
        return f"{moment_us} us"


def parse_time(text: str, *, what: str = "time") -> datetime:
    """Return RFC 3339 text as an aware datetime.

    Raises:
        UsageError: The text is no time, or has no zone.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{what} {text!r} is no time", todo="write it as 2013-12-30T23:00:00Z") from error
    to_us(moment, what=what)
    return moment
