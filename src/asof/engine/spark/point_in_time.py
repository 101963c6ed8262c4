"""Point-in-time look-ups as Spark's SQL text: the union plan.

The versions of stored rows and the rows of a spine are one relation, ordered by time within each key, rows before
the spine at equal times. The greatest version so far is what a row of the spine asks for: a running maximum, of as many
steps as there are rows, however many of them a key has. The rest of the winner's row is joined by key and version.

    event, K   rows stand at their event times, those that are not visible are left out
    served     rows stand at __s = max(event_time, available_at), from which on they are visible
    retracted  rows that are hidden later have a running maximum of their own for each time from which on they are

A version is a struct of event time and commit: structs are ordered by their fields.
"""

from collections.abc import Mapping, Sequence

from asof.engine.point_in_time import hidden_later, is_late
from asof.engine.port import EVENT_COLUMN, EXPIRED, FOUND, MISSING, RETIRED, STATUS_COLUMN, Known, Rows
from asof.engine.spark.literals import greatest, names, quoted, same_key
from asof.engine.spark.stored import Views, competing, confirming, payloads, shown
from asof.records import COMMIT_COLUMN

SALTS = 64
"""So many parts the rows of a spine with null keys are spread over: they answer nothing, and would be one part."""


def look_up(  # noqa: PLR0913 - the parts of one statement
    rows: Rows,
    made: Views,
    *,
    spine: str,
    carried: Sequence[str],
    columns: Sequence[str],
    known: Known,
    ttl_us: int | None,
) -> str:
    """Return the statement that answers a spine; see `Engine.look_up`.

    Args:
        rows: The history; it holds rows.
        made: Takes the views.
        spine: Name of the view of the spine: keys, `__t_us` (int64), and what is carried.
        carried: Columns of the spine that come out with the answers.
        columns: The features wanted.
        known: Knowledge mode.
        ttl_us: Time to live.

    The statement gives what is carried, the columns, `__status`, `__event_us` and `__commit`, in no order.
    """
    named = confirming(rows)
    late = is_late(rows, known)
    payload = "__pe, __pc" if named else names(columns)
    stored = f"SELECT {', '.join(filter(None, [names(rows.keys), '__e, __c, __a, __x', payload]))}"
    stored += f" FROM ({competing(rows, columns, made)}){shown(rows, known, late=late)}"
    own = payloads(rows, columns, made) if named else ""
    rest = f" LEFT JOIN ({own}) p ON {same_key(rows.keys, 's', 'p')} AND p.__e = r.__pe AND p.__c = r.__pc" * bool(own)
    of = "r" if not named else "p" if own else ""
    return (
        f"WITH b AS ({stored}), best AS ({_best(rows, spine, carried, known)})"
        f" SELECT {_answer(carried, columns, ttl_us, of=of)} FROM best s LEFT JOIN b r"
        f" ON {same_key(rows.keys, 's', 'r')} AND r.__e = s.__best.__e AND r.__c = s.__best.__c{rest}"
    )


def _best(rows: Rows, spine: str, carried: Sequence[str], known: Known) -> str:
    """Return the relation of the spine's rows with the version that answers each of them, `__best`."""
    later = hidden_later(rows, known)
    keys, others = names(rows.keys), names(carried)
    nulls = "".join(f", NULL AS {quoted(name)}" for name in carried)
    at = "greatest(__e, __a)" if is_late(rows, known) else "__e"
    null_key = " OR ".join(f"{quoted(key)} IS NULL" for key in rows.keys)
    salt = f"CASE WHEN {null_key} THEN pmod(__t_us, {SALTS}) ELSE 0 END"
    asked = ", ".join(filter(None, [keys, f"{salt} AS __salt, __t_us AS __at, 1 AS __asks, NULL AS __v", others]))
    both = (
        f"SELECT {keys}, 0 AS __salt, {at} AS __at, 0 AS __asks, struct(__e, __c) AS __v{nulls} FROM b"
        f" UNION ALL SELECT {asked} FROM {spine}"
    )
    wanted = ", ".join(filter(None, [keys, "__asks, __at AS __t_us", others]))
    return (
        f"SELECT * FROM (SELECT {wanted}, {_running(later)} AS __best FROM ({both})"
        f" WINDOW w AS (PARTITION BY {keys}, __salt ORDER BY __at, __asks"
        f" ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) WHERE __asks = 1"
    )


def _running(later: Mapping[int, int]) -> str:
    """Return the greatest version so far, of those that are not hidden yet."""
    if not later:
        return "max(__v) OVER w"
    by_time: dict[int, list[int]] = {}
    for commit, since in later.items():
        by_time.setdefault(since, []).append(commit)
    every = [f"max(CASE WHEN __v.__c NOT IN ({', '.join(map(str, later))}) THEN __v END) OVER w"]
    for since, commits in by_time.items():
        own = f"max(CASE WHEN __v.__c IN ({', '.join(map(str, commits))}) THEN __v END) OVER w"
        every.append(f"CASE WHEN __at < {since} THEN {own} END")
    return greatest(every)


def _answer(carried: Sequence[str], columns: Sequence[str], ttl_us: int | None, *, of: str) -> str:
    expired = "false" if ttl_us is None else f"coalesce(r.__e <= s.__t_us - {ttl_us}, false)"
    status = (
        f"CAST(CASE WHEN r.__c IS NULL THEN {MISSING} WHEN r.__x THEN {RETIRED} WHEN {expired} THEN {EXPIRED}"
        f" ELSE {FOUND} END AS TINYINT) AS {STATUS_COLUMN}"
    )

    value = f"CASE WHEN NOT {expired} THEN {of}.{{0}} END AS {{0}}" if of else "NULL AS {0}"
    return ", ".join(
        [
            *(f"s.{quoted(name)}" for name in carried),
            *(value.format(quoted(name)) for name in columns),
            status,
            f"r.__e AS {EVENT_COLUMN}",
            f"r.__c AS {quoted(COMMIT_COLUMN)}",
        ]
    )
