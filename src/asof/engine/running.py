"""Sums over windows as differences of running sums, as SQL text: for keys with very many events.

What is added up over a window is what was added up until its end, less what was up to its beginning. Both are exact, so
that is the sum, however large the window is: the events of each key are added up once, and the ends of the windows are
looked up as of their times. Only of events that each count from when they happen, and of what can be taken away again:
counts, sums, and the newest event.
"""

from collections.abc import Mapping, Sequence

from asof.engine.events import Asking
from asof.engine.literals import files, listed, quoted, same_key
from asof.engine.port import EVENT_COLUMN, Rows
from asof.engine.windows import NEWEST, Part, bounds_of, condition_of, filtered, is_event
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

ADDED = ("count", "sum", "newest")
"""What is known of a window by what it is at both ends."""


def aggregate(rows: Rows, parts: Mapping[int, tuple[Aggregation, Part]], *, asking: Asking, relation: str) -> str:
    """Return the statement that aggregates; see `asof.engine.windows.aggregate`.

    Args:
        rows: The source.
        parts: What is wanted, of aggregations that add up, see `adds_up`.
        asking: What is asked.
        relation: What `asof.engine.events` gives, in parentheses; visibility does not depend on T.
    """
    windows = list(dict.fromkeys(each.window for each, _ in parts.values()))
    ends = list(dict.fromkeys(end for window in windows for end in bounds_of(window) if end is not None))
    calls: dict[str, str] = {}

    def running(call: str, condition: str) -> str:
        return calls.setdefault(filtered(call, condition), f"__s{len(calls)}")

    columns = [
        f"{_between(running(part.call, condition_of(rows, each, part)), part, each.window, ends)} AS __{number}"
        for number, (each, part) in parts.items()
    ]
    newest = [
        _between(running("max(__e)", is_event(rows, each.where)), NEWEST, each.window, ends)
        for each, _ in parts.values()
    ]
    columns.append(f"greatest({', '.join(dict.fromkeys(newest))}) AS {EVENT_COLUMN}")
    on = ", ".join(map(quoted, asking.on))
    over = ", ".join(f"{call} OVER until AS {name}" for call, name in calls.items())
    sums = f"SELECT {on}, __e, {over} FROM {relation} WINDOW until AS (PARTITION BY {on} ORDER BY __e)"
    asked = f"SELECT *, unnest([{', '.join(ends)}]) AS __at, unnest([{listed(range(len(ends)))}]) AS __end"
    same = same_key(asking.on, "r", "s")
    return (
        f"SELECT __row, {', '.join(columns)} FROM ({asked} FROM {asking.spine}) s"
        f" ASOF JOIN ({sums}) r ON {same} AND s.__at >= r.__e GROUP BY __row"
    )


def merges(aggregation: Aggregation, parts: Sequence[Part]) -> bool:
    """Return whether an aggregation of many events is made of those of some. A session begins where its events say."""
    return aggregation.window.kind != "session" and all(part.merge for part in parts)


def adds_up(parts: Sequence[Part]) -> bool:
    """Return whether it is made of what can be taken away again."""
    return all(part.merge in ADDED for part in parts)


def _between(name: str, part: Part, window: Window, ends: Sequence[str]) -> str:
    """Return what a running sum comes to between the ends of a window."""
    after, until = bounds_of(window)
    if part.merge == "newest":
        inside = "" if after is None else f" AND {name} > {after}"
        return f"max(CASE WHEN __end = {ends.index(until)}{inside} THEN {name} END)"
    less = "" if after is None else f" WHEN __end = {ends.index(after)} THEN -{name}"
    total = f"sum(CASE WHEN __end = {ends.index(until)} THEN {name}{less} END)"
    return f"{total}::BIGINT" if part.merge == "count" else total


def met(on: Sequence[str], place: str, *, sample: str) -> str:
    """Return the statement that counts the rows of one file that have a key of the sample, for each row of it."""
    keys = ", ".join(map(quoted, on))
    counted = f"SELECT {keys}, count(*) AS __n FROM {{}} GROUP BY {keys}"
    held = counted.format(f"{files([place])} SEMI JOIN {sample} USING ({keys})")
    return (
        f"SELECT coalesce(sum(s.__n * r.__n), 0)::BIGINT FROM ({counted.format(sample)}) s"
        f" JOIN ({held}) r USING ({keys})"
    )
