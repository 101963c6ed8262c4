"""Windows over tiles of time, as SQL text: for keys with very many events, where running sums do not do.

A window joins the states of the tiles that lie in it whole, and the events of the two that it cuts: of n events some
sqrt(n) rows. Tiles are storage, never semantics (SEMANTICS section 4): if rows arrive after they happened, a tile is
used from when all its rows are there, none of it before the first is, and its events are read in between. Rows that are
events until some time only are in no tile.
"""

from collections.abc import Mapping
from math import isqrt

from asof.engine.events import FOR_EVER, Asking
from asof.engine.literals import quoted, same_key
from asof.engine.planning import span_us
from asof.engine.point_in_time import is_late
from asof.engine.port import EVENT_COLUMN, Rows
from asof.engine.windows import NEWEST, Part, bounds_of, condition_of, filtered, is_event
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

FEW_TILES = 16
"""No window has fewer than this."""

MERGED: Mapping[str, str] = {
    "count": "sum({})::BIGINT",
    "sum": "sum({})",
    "newest": "max({})",
    "min": "min({})",
    "max": "max({})",
}
"""How the states of two sets of events are joined."""


def tile_us(rows: Rows, window: Window, events: float) -> int:
    """Return how long tiles are, for a window that holds so many events."""
    reach_us = window.reach_us or span_us(rows)
    return max(reach_us // max(FEW_TILES, isqrt(int(2 * events))), 1)


def aggregate(
    rows: Rows, parts: Mapping[int, tuple[Aggregation, Part]], *, asking: Asking, relation: str, length_us: int
) -> str:
    """Return the statement that aggregates; see `asof.engine.windows.aggregate`.

    Args:
        rows: The source.
        parts: What is wanted, all over one window, of what can be merged.
        asking: What is asked.
        relation: What `asof.engine.events` gives, in parentheses.
        length_us: How long tiles are.
    """
    window = next(each.window for each, _ in parts.values())
    late = is_late(rows, asking.known)
    names: dict[str, str] = {}
    merged: dict[str, str] = {}

    def state(part: Part, condition: str) -> str:
        name = names.setdefault(filtered(part.call, condition), f"__s{len(names)}")
        merged[name] = MERGED[part.merge].format(name)
        return merged[name]

    columns = [f"{state(part, condition_of(rows, each, part))} AS __{at}" for at, (each, part) in parts.items()]
    newest = dict.fromkeys(state(NEWEST, is_event(rows, each.where)) for each, _ in parts.values())
    columns.append(f"greatest({', '.join(newest)}) AS {EVENT_COLUMN}")
    found = _found(asking, relation, window, names, length_us=length_us, late=late)
    return f"{found} SELECT __row, {', '.join(columns)} FROM found GROUP BY __row"


def _found(
    asking: Asking, relation: str, window: Window, names: Mapping[str, str], *, length_us: int, late: bool
) -> str:
    """Return the states that are to be joined, as the relation `found` of a statement's beginning.

    Args:
        asking: What is asked.
        relation: The events.
        window: The window.
        names: The calls that make states of events, and the names of these.
        length_us: How long tiles are.
        late: Whether visibility depends on T.
    """
    after, until = bounds_of(window)
    on, same = ", ".join(map(quoted, asking.on)), same_key(asking.on, "r", "s")
    states = ", ".join(f"{call} AS {name}" for call, name in names.items())
    # A window reaches over no more tiles than a group has, so it is in two groups at most.
    group = (window.reach_us // length_us if window.reach_us else FOR_EVER >> 1) + 3
    grouped = f"(SELECT *, __first // {group} + unnest([0, 1]) AS __group FROM s)"
    inside = f"{'' if after is None else f'r.__e > {after} AND '}r.__e <= {until}"
    seen = "r.__from <= s.__t_us AND s.__t_us < r.__until"

    def tile(time: str) -> str:
        return f"greatest({time} - __begin, 0) // {length_us}"

    def single(spine: str, condition: str) -> str:
        held = f"SELECT s.__row, s.__t_us, r.* FROM {spine} s JOIN b r ON {same} AND {condition}"
        return f"SELECT __row, {states} FROM ({held}) GROUP BY __row"

    lasting = f"__until = {FOR_EVER}" if late else "true"
    times = ", min(__from) AS __since, max(__from) AS __all" if late else ""
    cut = f"r.__tile = s.__tile AND {inside}{f' AND {seen} AND r.{lasting}' if late else ''}"
    found = [f"SELECT __row, {', '.join(names.values())} FROM met{' WHERE __all <= __t_us' if late else ''}"]
    found.append(single("cut", cut))
    if late:
        found.append(single(grouped, f"r.__group = s.__group AND {inside} AND {seen} AND NOT r.{lasting}"))
    partly = f" UNION ALL SELECT {on}, __row, __t_us, __tile FROM met WHERE __all > __t_us" if late else ""
    return (
        f"WITH e AS (SELECT * FROM {relation}),"
        # No event is in the first tile, and all earlier times are.
        f" o AS (SELECT min(__e) - {length_us} AS __begin FROM e),"
        f" b AS (SELECT *, {tile('__e')} AS __tile, __tile // {group} AS __group FROM e, o),"
        f" s AS (SELECT *, {'0' if after is None else tile(after)} AS __first, {tile(f'({until} + 1)')} AS __last"
        f" FROM {asking.spine}, o),"
        f" tiles AS (SELECT {on}, __tile, __group, {states}{times} FROM b WHERE {lasting}"
        f" GROUP BY {on}, __tile, __group),"
        f" met AS (SELECT s.__row, s.__t_us, r.* FROM {grouped} s JOIN tiles r ON {same} AND r.__group = s.__group"
        f" AND r.__tile > s.__first AND r.__tile < s.__last{' AND r.__since <= s.__t_us' if late else ''}),"
        f" cut AS (SELECT {on}, __row, __t_us, unnest(CASE WHEN __first = __last THEN [__first]"
        f" ELSE [__first, __last] END) AS __tile FROM s{partly}),"
        f" found AS ({' UNION ALL '.join(found)})"
    )
