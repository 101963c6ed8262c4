"""Aggregates over windows of events, as SQL text and what is made of its answers.

A row of the source may be visible for a part of time only: from its arrival on, until it is retracted. An event at T is
the newest visible row of its identity (key and event time), if that is no retirement. Where visibility does not depend
on T, events are found first and then joined with the spine; else rows are joined, and of several rows of one identity
the newest is kept for each row of the spine.

Every window is a filter on the joined events. DuckDB counts, finds extremes, and adds up integers of 128 bits: floats
as multiples of the least unit that their values have, so that no sum is rounded on the way. What it cannot do exactly
it hands over as ordered lists of values, to the algebra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import frexp

from asof.engine.conditions import as_sql
from asof.engine.literals import listed, quoted, same_key
from asof.engine.point_in_time import is_late
from asof.engine.port import EVENT_COLUMN, NO_TIME, Known, Rows
from asof.engine.stored import competing, filled, visible, wanted_time
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
    """

    exponent: int = 0
    bits: int = 0
    count: int = 0

    @classmethod
    def of(cls, least: float | None, greatest: float | None, count: int) -> "Unit":
        """Return the unit of finite values.

        Args:
            least: The least that is not 0, without its sign; None if there is none.
            greatest: The greatest, without its sign.
            count: How many values are added up at most.
        """
        if not least or not greatest:
            return cls()
        low = max(frexp(least)[1] - 1 - MANTISSA, LOWEST)
        return cls(low, frexp(greatest)[1] - low, count)

    def fits(self, *, squares: bool = False) -> bool:
        """Return whether sums of them, or of their squares, fit; and whether floats reach to the unit."""
        bits = self.bits * (2 if squares else 1) + self.count.bit_length()
        return bits <= BITS and abs(self.exponent) < REACH


def events(rows: Rows, columns: Sequence[str], *, journal: str, known: Known, spine: str, on: Sequence[str]) -> str:
    """Return a relation of rows that may be events of some T: the keys, the columns, `__e`, `__c`, `__x`.

    Args:
        rows: The source.
        columns: The columns wanted, `on` among them.
        journal: Name of the registered journal rows.
        known: Knowledge mode.
        spine: Name of the registered spine.
        on: The source's columns that the spine has.

    If visibility depends on T, it has `__a` and `__h` too: visible from `__a` on, and before `__h`, null for ever.
    """
    features = [name for name in columns if name not in rows.keys and name != rows.event_time]
    time = wanted_time(rows, columns)
    sources = competing(rows, [*features, *time], journal=journal)
    late = is_late(rows, known)
    always = [commit for commit, since in rows.retracted.items() if since is None]
    shown = visible(rows, known) if not late else f" WHERE __c NOT IN ({listed(always)})" if always else ""
    found = filled(rows, f"(SELECT * FROM ({sources}){shown})", [*features, *time], journal=journal)
    asked = f" SEMI JOIN {spine} USING ({', '.join(map(quoted, on))})"
    # Rows of one event may differ in other columns than keys: which of them is the newest is seen among all.
    before, after = (asked, "") if set(on) <= set(rows.keys) else ("", asked)
    names = ", ".join(quoted(name) for name in dict.fromkeys([*rows.keys, *columns]))
    if late:
        return f"SELECT {names}, __e, __c, __x, __a, {_hidden(rows)} AS __h FROM {found}{before}"
    newest = f"row_number() OVER (PARTITION BY {_identity(rows)} ORDER BY __c DESC) = 1"
    deduplicated = f"SELECT {names}, __e, __c, __x FROM {found}{before} QUALIFY {newest}"
    return f"SELECT * FROM ({deduplicated}){after} WHERE NOT __x"


@dataclass(frozen=True, slots=True)
class Part:
    """An aggregate of DuckDB's over the events of a window.

    Attributes:
        call: Its call.
        of: A condition on its events beside that of the window, "" for none.
    """

    call: str
    of: str = ""


def aggregate(
    rows: Rows,
    parts: Sequence[tuple[Aggregation, Part]],
    *,
    spine: str,
    relation: str,
    on: Sequence[str],
    known: Known,
) -> str:
    """Return the statement that aggregates: `__row` of the spine, the parts as `__0`, `__1`, ..., and `__event_us`.

    Args:
        rows: The source.
        parts: What is wanted, and of which aggregation.
        spine: Name of the registered spine: the columns `on`, `__t_us`, `__row`.
        relation: What `events` gives, in parentheses.
        on: The source's columns that the spine has.
        known: Knowledge mode.
    """
    wheres = list(dict.fromkeys(each.where for each, _ in parts))
    held = _held(
        rows, list(dict.fromkeys(each.window for each, _ in parts)), spine=spine, relation=relation, on=on, known=known
    )
    held = _broken(held, [each for each, _ in parts], [is_event(rows, where) for where in wheres], wheres)
    columns = [
        f"{part.call} FILTER (WHERE {_counts(rows, of, part, wheres)}) AS __{number}"
        for number, (of, part) in enumerate(parts)
    ]
    holds = dict.fromkeys(f"({_holds(rows, each, wheres)})" for each, _ in parts)
    newest = f"max(__e) FILTER (WHERE {' OR '.join(holds)}) AS {EVENT_COLUMN}"
    return f"SELECT __row, {', '.join([*columns, newest])} FROM ({held}) GROUP BY __row"


def counting(
    rows: Rows, aggregation: Aggregation, *, spine: str, relation: str, on: Sequence[str], known: Known
) -> tuple[str, str, str | None]:
    """Return the events that a window may hold, the condition of those that count, and what a session ends before.

    Args:
        rows: The source.
        aggregation: What is wanted.
        spine: Name of the registered spine, as in `aggregate`.
        relation: What `events` gives, in parentheses.
        on: The source's columns that the spine has.
        known: Knowledge mode.
    """
    wheres, window = [aggregation.where], aggregation.window
    held = _held(rows, [window], spine=spine, relation=relation, on=on, known=known)
    held = _broken(held, [aggregation], [is_event(rows, aggregation.where)], wheres)
    begins = f"__b0_{window.length_us}" if window.kind == "session" else None
    return held, _counts(rows, aggregation, Part(""), wheres), begins


def _held(rows: Rows, windows: Sequence[Window], *, spine: str, relation: str, on: Sequence[str], known: Known) -> str:
    """Return the events that any of the windows may hold, for each row of the spine."""
    afters = [bounds_of(window)[0] for window in windows]
    reach = "" if None in afters else f" AND {{0}}.__e > least({', '.join(filter(None, afters))})"
    in_time = f"{{0}}.__e <= s.__t_us{reach}"
    held = f"{spine} s JOIN {relation} r ON {same_key(on, 'r', 's')} AND {in_time.format('r')}"
    if not is_late(rows, known):
        held = f"SELECT s.__row, s.__t_us, r.* FROM {held}"
    else:
        seen = "r.__a <= s.__t_us AND (r.__h IS NULL OR s.__t_us < r.__h)"
        newest = f"row_number() OVER (PARTITION BY __row, {_identity(rows)} ORDER BY __c DESC) = 1"
        if set(on) <= set(rows.keys):
            held = f"SELECT s.__row, s.__t_us, r.* FROM {held} AND {seen}"
            same = ""
        else:  # all rows of the events that any row has under these columns
            names = ", ".join(quoted(name) for name in dict.fromkeys([*rows.keys, *on]))
            rivals = (
                f"(SELECT s.__row, s.__t_us, e.* FROM {spine} s"
                f" JOIN (SELECT DISTINCT {names}, __e FROM {relation}) e"
                f" ON {same_key(on, 'e', 's')} AND {in_time.format('e')})"
            )
            asked = ", ".join(f"s.{quoted(name)} AS __on{number}" for number, name in enumerate(on))
            same = "".join(f" AND {quoted(name)} = __on{number}" for number, name in enumerate(on))
            held = (
                f"SELECT s.__row, s.__t_us, {asked}, r.* FROM {rivals} s JOIN {relation} r"
                f" ON {same_key(rows.keys, 'r', 's')} AND r.__e = s.__e AND {seen}"
            )
        held = f"SELECT * FROM (SELECT * FROM ({held}) QUALIFY {newest}) WHERE NOT __x{same}"
    return held


def _broken(
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
    """Return whether an event satisfies a condition."""
    return "true" if where is None else f"coalesce({as_sql(where, rows.schema)}, false)"


def _counts(rows: Rows, aggregation: Aggregation, part: Part, wheres: Sequence[Condition | None]) -> str:
    """Return the condition that an event counts."""
    is_value = "" if aggregation.column is None else f"{quoted(aggregation.column)} IS NOT NULL"
    return " AND ".join(filter(None, (_holds(rows, aggregation, wheres), is_value, part.of)))


def _holds(rows: Rows, aggregation: Aggregation, wheres: Sequence[Condition | None]) -> str:
    """Return the condition that an event is one of an aggregation's window."""
    window = aggregation.window
    after, until = bounds_of(window)
    conditions = [is_event(rows, aggregation.where)]
    if after is not None:
        conditions.append(f"__e > {after}")
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


def _identity(rows: Rows) -> str:
    """Return what events are told apart by."""
    return ", ".join([*(quoted(key) for key in rows.keys), "__e"])


def _floor(time: str, hop: int) -> str:
    return f"({time} - (({time} % {hop}) + {hop}) % {hop})"


def _hidden(rows: Rows) -> str:
    cases = " ".join(f"WHEN {commit} THEN {since}" for commit, since in rows.retracted.items() if since is not None)
    return f"CASE __c {cases} END" if cases else "NULL::BIGINT"
