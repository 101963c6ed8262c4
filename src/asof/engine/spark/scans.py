"""Reads of stored rows that are no look-ups, as Spark's SQL text."""

from asof.engine.port import EVENT_COLUMN, Rows
from asof.engine.spark.literals import names, quoted, same_key
from asof.engine.spark.stored import Views, competing, confirming, payloads, shown
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN


def newest(rows: Rows, made: Views, *, keys_view: str | None) -> str:
    """Return the statement that finds the newest row of each key; see `Engine.newest`.

    The greatest version of a key is the greatest of those of its parts, so one with very many rows is no burden.
    """
    features = features_of(rows)
    named = confirming(rows)
    only = f" LEFT SEMI JOIN {keys_view} USING ({names(rows.keys)})" if keys_view else ""
    stored = f"SELECT * FROM ({competing(rows, features, made)}){only}{shown(rows, 'event', late=False)}"
    best = f"SELECT {names(rows.keys)}, max(struct(__e, __c)) AS __best FROM b GROUP BY {names(rows.keys)}"
    own = payloads(rows, features, made) if named else ""
    rest = f" LEFT JOIN ({own}) p ON {same_key(rows.keys, 's', 'p')} AND p.__e = r.__pe AND p.__c = r.__pc" * bool(own)
    of = "r" if not named else "p" if own else ""
    wanted = [
        *(f"s.{quoted(key)}" for key in rows.keys),
        f"{'r.__e' if rows.event_time is not None else 'CAST(0 AS BIGINT)'} AS {EVENT_COLUMN}",
        f"r.__c AS {quoted(COMMIT_COLUMN)}",
        f"r.__x AS {quoted(RETIRED_COLUMN)}",
        *(f"{of}.{quoted(name)}" if of else f"NULL AS {quoted(name)}" for name in features),
    ]
    order = names(rows.keys, "s")
    return (
        f"WITH b AS ({stored}), best AS ({best}) SELECT {', '.join(wanted)} FROM best s JOIN b r"
        f" ON {same_key(rows.keys, 's', 'r')} AND r.__e = s.__best.__e AND r.__c = s.__best.__c{rest} ORDER BY {order}"
    )


def features_of(rows: Rows) -> list[str]:
    """Return the columns of a history that are features."""
    ours = {*rows.keys, rows.event_time, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN}
    return [name for name in rows.schema.names if name not in ours]
