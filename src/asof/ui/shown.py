"""How numbers, times and values are written on pages."""

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

from asof.clock import from_us, show_us, to_us

LONGEST = 160
"""Characters of a value in a table."""

SECOND_US = 1_000_000

SPANS = ((365 * 86_400, "y"), (86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
"""Seconds of a unit of time."""

SIZES = ((1e9, "G"), (1e6, "M"), (1e4, "k"))
"""From 10,000 on numbers on axes are shortened; `k` stands for thousands."""


def count(number: float) -> str:
    """Return a whole number with commas."""
    return f"{number:,.0f}"


def short(number: float) -> str:
    """Return a number as it stands at an axis."""
    for size, letter in SIZES:
        if abs(number) >= size:
            scaled = number / (1e3 if letter == "k" else size)
            return f"{scaled:.3g}{letter}"
    return f"{number:.4g}"


def span(seconds: float) -> str:
    """Return a length of time by its largest unit: "3 h", "12 d", "0.4 s"."""
    for size, unit in SPANS:
        if seconds >= size:
            whole = seconds / size
            return f"{whole:.0f} {unit}" if whole >= 10 or unit == "s" else f"{whole:.1f} {unit}".replace(".0 ", " ")  # noqa: PLR2004 - two digits tell enough
    return f"{seconds * 1e3:.3g} ms" if seconds else "0 s"


def age(moment_us: int | None, now_us: int) -> str:
    """Return how long ago a time was; "never" for none."""
    if moment_us is None:
        return "never"
    away = (now_us - moment_us) / SECOND_US
    return f"in {span(-away)}" if away < -1 else f"{span(max(away, 0.0))} ago" if away >= 1 else "now"


def moment(moment_us: int) -> str:
    """Return a time as people read it: "2013-12-30 23:00:00 UTC", with what there is of seconds."""
    return show_us(moment_us).replace("T", " ").replace("Z", " UTC")


def local(at: datetime | None) -> str:
    """Return a time as the field of a form holds it: in UTC, without a zone."""
    if at is None:
        return ""
    return show_us(to_us(at)).rstrip("Z")[: len("2026-01-31T12:00:00.000")]  # browsers know milliseconds


def value(given: Any) -> str:  # noqa: ANN401 - any of our types
    """Return a value in one line."""
    match given:
        case None:
            return "null"
        case bool():
            return "true" if given else "false"
        case float():
            return repr(given) if math.isfinite(given) else str(given)
        case datetime():
            return moment(to_us(given)) if given.tzinfo else str(given)
        case bytes():
            text = f"0x{given.hex()}"
        case Decimal() | str() | _:
            text = str(given)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def day(moment_us: int) -> str:
    """Return the day of a time."""
    return from_us(moment_us).date().isoformat()
