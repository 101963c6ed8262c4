"""Aggregates over windows of events, as SQL text.

Events meet the rows of a spine in one join, by key, by the reach of the widest window, and if a row is an event for
some spans of time only, by those (`asof.engine.events`). Where the reach is a small part of the time that is asked
about, the join is by buckets of time as long as it, too: else each row of the spine would meet all events of its key.

Every window is a filter on the joined events. DuckDB counts, finds extremes, and adds up integers of 128 bits: floats
as multiples of the least unit that their values have, so that no sum is rounded on the way. What it cannot do exactly
it hands over as ordered lists of values, to the algebra.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import frexp
from typing import Literal

from asof.engine.conditions import as_sql
from asof.engine.events import Asking
from asof.engine.literals import quoted, same_key
from asof.engine.point_in_time import is_late
from asof.engine.port import EVENT_COLUMN, NO_TIME, Rows
from asof.windows.aggregation import Aggregation
from asof.windows.conditions import Condition
from asof.windows.kinds import Window

BITS = 125
"""Of a sum that fits 128 bits, and the 38 digits in which DuckDB hands it over."""

MANTISSA = 52

LOWEST = -1074

REACH = 1000
"""Units beyond 2**-1000 and 2**1000 cannot be divided by in one step."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit in which floats of a column are added up.

    Attributes:
        exponent: It is 2**exponent, and all values are multiples of it.
        bits: So many has the greatest value in this unit.
        count: So many are added up at most.
        odd: Whether some are NaN or infinite: they have no part in sums of units.
    """

    exponent: int = 0
    bits: int = 0
    count: int = 0
    odd: bool = False

    @classmethod
    def of(cls, least: float | None, greatest: float | None, count: int, *, odd: bool) -> "Unit":
        """Return the unit of values.

        Args:
            least: The least that is not 0, without its sign; None if there is none.
            greatest: The greatest that is finite, without its sign.
            count: How many values are added up at most.
            odd: Whether some are not finite.
        """
        if not least or not greatest:
            return cls(odd=odd)
        low = max(frexp(least)[1] - 1 - MANTISSA, LOWEST)
        return cls(low, frexp(greatest)[1] - low, count, odd)

    def fits(self, *, squares: bool = False) -> bool:
        """Return whether sums of them, or of their squares, fit; and whether floats reach to the unit."""
        bits = self.bits * (2 if squares else 1) + self.count.bit_length()
        return bits <= BITS and abs(self.exponent) < REACH


@dataclass(frozen=True, slots=True)
class Part:
    """An aggregate of DuckDB's over the events of a window.

    Attributes:
        call: Its call.
        of: A condition on its events beside that of the window, "" for none.
        skips_nulls: Whether it takes no null for a value by itself.
        merge: How it is made of those of two sets of events that share none: "newest" is the time of the last event;
            "" for what is not.
    """

    call: str
    of: str = ""
    skips_nulls: bool = False
    merge: Literal["count", "sum", "newest", "min", "max", ""] = ""


NEWEST = Part("max(__e)", merge="newest")


def aggregate(
    rows: Rows,
    parts: Mapping[int, tuple[Aggregation, Part]],
    *,
    asking: Asking,
    relation: str,
    bucket_us: int | None,
) -> str:
    """Return the statement that aggregates: `__row` of the spine, the parts as `__0`, `__1`, ..., and `__event_us`.

    Args:
        rows: The source.
        parts: What is wanted, and of which aggregation, by number; not of sessions.
        asking: What is asked; its spine has the columns `on`, `__t_us`, `__row`.
        relation: What `asof.engine.events` gives, in parentheses.
        bucket_us: No window reaches back further, and events are joined by buckets of this length; None: they are not.
    """
    aggregations = list(dict.fromkeys(each for each, _ in parts.values()))
    wheres = list(dict.fromkeys(each.where for each in aggregations))
    windows = list(dict.fromkeys(each.window for each in aggregations))
    held = _held(rows, windows, asking=asking, relation=relation, bucket_us=bucket_us)
    joined = _reach(windows)
    columns = [
        f"{filtered(part.call, _inside(of, wheres, joined), condition_of(rows, of, part))} AS __{number}"
        for number, (of, part) in parts.items()
    ]
    holds = [
        " AND ".join(filter(None, [_inside(each, wheres, joined), is_event(rows, each.where)])) for each in aggregations
    ]
    every = "" if "" in holds else " OR ".join(f"({each})" for each in dict.fromkeys(holds))
    newest = f"{filtered('max(__e)', every)} AS {EVENT_COLUMN}"
    return f"SELECT __row, {', '.join([*columns, newest])} FROM ({held}) GROUP BY __row"


def counting(rows: Rows, aggregation: Aggregation, *, asking: Asking, relation: str) -> tuple[str, str, str | None]:
    """Return the events that a window may hold, the condition of those that count, and what a session ends before.

    Args:
        rows: The source.
        aggregation: What is wanted.
        asking: What is asked; its spine has the columns `on`, `__t_us`, `__row`.
        relation: What `asof.engine.events` gives, in parentheses.
    """
    wheres, window = [aggregation.where], aggregation.window
    held = _held(rows, [window], asking=asking, relation=relation, bucket_us=None)
    held = broken(held, [aggregation], [is_event(rows, aggregation.where) or "true"], wheres)
    inside, counts = _inside(aggregation, wheres, _reach([window])), condition_of(rows, aggregation, Part(""))
    begins = f"__b0_{window.length_us}" if window.kind == "session" else None
    return held, " AND ".join(filter(None, (inside, counts))) or "true", begins


def filtered(call: str, *conditions: str) -> str:
    """Return a call over the events that satisfy all conditions, of which "" is none."""
    given = " AND ".join(filter(None, conditions))
    return f"{call} FILTER (WHERE {given})" if given else call


def _reach(windows: Sequence[Window]) -> str | None:
    """Return after which time any of the windows holds events, in terms of `__t_us`; None: from the first one on."""
    afters = list(dict.fromkeys(bounds_of(window)[0] for window in windows))
    if None in afters:
        return None
    return afters[0] if len(afters) == 1 else f"least({', '.join(filter(None, afters))})"


def _held(rows: Rows, windows: Sequence[Window], *, asking: Asking, relation: str, bucket_us: int | None) -> str:
    """Return the events that any of the windows may hold, for each row of the spine."""
    spine, on = asking.spine, same_key(asking.on, "r", "s")
    if bucket_us is not None:
        number = f"({{}} - ({asking.after_us})) // {bucket_us}"
        spine = f"(SELECT *, {number.format('__t_us')} - unnest([0, 1]) AS __bucket FROM {spine})"
        relation = f"(SELECT *, {number.format('__e')} AS __bucket FROM {relation})"
        on += " AND r.__bucket = s.__bucket"
    reach = _reach(windows)
    conditions = [on, "r.__e <= s.__t_us", *([] if reach is None else [f"r.__e > {reach}"])]
    if is_late(rows, asking.known):
        conditions += ["r.__from <= s.__t_us", "s.__t_us < r.__until"]
    return f"SELECT s.__row, s.__t_us, r.* FROM {spine} s JOIN {relation} r ON {' AND '.join(conditions)}"


def broken(
    held: str, aggregations: Sequence[Aggregation], are_events: Sequence[str], wheres: Sequence[Condition | None]
) -> str:
    """Return events with what sessions end before: `__b{of which events}_{gap}`."""
    sessions = [each for each in aggregations if each.window.kind == "session"]
    gaps = sorted({(wheres.index(each.where), each.window.length_us) for each in sessions})
    if not gaps:
        return held
    # An event breaks a session if what comes next, an event or T, comes too late. The last such one is not in it.
    steps = ", ".join(
        f"coalesce(lead(__e) OVER (PARTITION BY __row, {are_events[of]} ORDER BY __e), __t_us) - __e AS __gap{of}"
        for of in sorted({of for of, _ in gaps})
    )
    breaks = ", ".join(
        f"coalesce(max(CASE WHEN {are_events[of]} AND __gap{of} >= {length} THEN __e END) OVER (PARTITION BY __row),"
        f" ({NO_TIME})) AS __b{of}_{length}"
        for of, length in gaps
    )
    return f"SELECT *, {breaks} FROM (SELECT *, {steps} FROM ({held}))"


def is_event(rows: Rows, where: Condition | None) -> str:
    """Return whether an event satisfies a condition, "" if there is none."""
    return "" if where is None else f"coalesce({as_sql(where, rows.schema)}, false)"


def condition_of(rows: Rows, aggregation: Aggregation, part: Part) -> str:
    """Return the condition that an event of a window counts, "" if all do."""
    column = None if part.skips_nulls else aggregation.column
    is_value = f"{quoted(column)} IS NOT NULL" if column else ""
    return " AND ".join(filter(None, (is_event(rows, aggregation.where), is_value, part.of)))


def _inside(aggregation: Aggregation, wheres: Sequence[Condition | None], joined: str | None) -> str:
    """Return the condition that an event that was joined lies in an aggregation's window, "" if all do.

    Args:
        aggregation: The aggregation.
        wheres: The conditions of all aggregations.
        joined: After which time events were joined; None: from the first one on.
    """
    window = aggregation.window
    after, until = bounds_of(window)
    conditions = [] if after in (None, joined) else [f"__e > {after}"]
    if until != "__t_us":
        conditions.append(f"__e <= {until}")
    if window.kind == "session":
        conditions.append(f"__e > __b{wheres.index(aggregation.where)}_{window.length_us}")
    return " AND ".join(conditions)


def bounds_of(window: Window) -> tuple[str | None, str]:
    """Return after which time, and until which, a window holds events, in terms of `__t_us`."""
    length, hop = window.length_us, window.hop_us
    match window.kind:
        case "exact":
            return f"(__t_us - {length})", "__t_us"
        case "hop":
            end = _floor("__t_us", hop)
            return f"({end} - {length})", end
        case "sawtooth":
            return _floor(f"(__t_us - {length})", hop), "__t_us"
        case _:
            return None, "__t_us"


def in_order(rows: Rows) -> str:
    """Return the order of events."""
    return ", ".join(["__e", *(quoted(key) for key in rows.keys)])


def _floor(time: str, hop: int) -> str:
    return f"({time} - (({time} % {hop}) + {hop}) % {hop})"
