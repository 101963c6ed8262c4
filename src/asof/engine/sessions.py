"""Sessions over numbered events, as SQL text: each row of a spine meets the events of its session, and no others.

The events of a key are numbered in order, each with the number at which its session begins: it is that of the one
before, unless the gap between them is too wide. The session of a T is that of the last event up to it, which an as-of
join finds.

If visibility depends on T, an event may join two sessions from its arrival on. All rows that ever are events make the
longest sessions, of which what is visible at T is a part: those are joined, and where the run of visible ones begins
among them is found for each T.
"""

from collections.abc import Mapping

from asof.engine.events import Asking
from asof.engine.literals import quoted, same_key
from asof.engine.point_in_time import is_late
from asof.engine.port import EVENT_COLUMN, Rows
from asof.engine.windows import Part, broken, condition_of, filtered, in_order, is_event
from asof.windows.aggregation import Aggregation


def aggregate(rows: Rows, parts: Mapping[int, tuple[Aggregation, Part]], *, asking: Asking, relation: str) -> str:
    """Return the statement that aggregates; see `asof.engine.windows.aggregate`.

    Args:
        rows: The source.
        parts: What is wanted, all of sessions of one gap, and of events of one condition.
        asking: What is asked.
        relation: What `asof.engine.events` gives, in parentheses.
    """
    of = next(each for each, _ in parts.values())
    held, inside = _held(rows, of, asking=asking, relation=relation), ""
    if is_late(rows, asking.known):
        held, inside = broken(held, [of], ["true"], [of.where]), f" WHERE __e > __b0_{of.window.length_us}"
    columns = [f"{filtered(part.call, condition_of(rows, each, part))} AS __{at}" for at, (each, part) in parts.items()]
    return f"SELECT __row, {', '.join(columns)}, max(__e) AS {EVENT_COLUMN} FROM ({held}){inside} GROUP BY __row"


def _held(rows: Rows, of: Aggregation, *, asking: Asking, relation: str) -> str:
    """Return the events of the session of each row of the spine, if all of them were visible; the visible ones."""
    on, gap_us = ", ".join(map(quoted, asking.on)), of.window.length_us
    asked = f"SEMI JOIN {asking.spine} USING ({on}) WHERE {is_event(rows, of.where) or 'true'}"
    by_key = f"PARTITION BY {on} ORDER BY"
    numbered = (
        f"SELECT *, row_number() OVER w AS __n, count(*) OVER t AS __last,"
        f" coalesce(__e - lag(__e) OVER w >= {gap_us}, true) AS __first"
        f" FROM {relation} {asked} WINDOW w AS ({by_key} {in_order(rows)}), t AS ({by_key} __e)"
    )
    begun = f"SELECT *, max(CASE WHEN __first THEN __n END) OVER ({by_key} __e) AS __begin FROM ({numbered})"
    same = same_key(asking.on, "r", "s")
    # Of events of one time each has the same beginning and the same last number: whichever is joined.
    found = (
        f"SELECT s.*, r.__e AS __last_us, unnest(range(r.__begin, r.__last + 1)) AS __n"
        f" FROM {asking.spine} s ASOF JOIN e r ON {same} AND s.__t_us >= r.__e"
    )
    visible = " AND r.__from <= s.__t_us AND s.__t_us < r.__until" if is_late(rows, asking.known) else ""
    return (
        f"WITH e AS MATERIALIZED ({begun}) SELECT s.__row, s.__t_us, r.* FROM ({found}) s JOIN e r"
        f" ON {same} AND r.__n = s.__n WHERE s.__t_us - s.__last_us < {gap_us}{visible}"
    )
