"""The comparison of new rows with the newest row of their keys, as SQL text."""

from collections.abc import Sequence

from asof.engine.point_in_time import Packing, competing, confirming, payloads, quoted, visible
from asof.engine.port import Rows


def compare(rows: Rows, *, frame: str, journal: str, columns: Sequence[str]) -> str:
    """Return the statement that compares rows with their predecessors; see `Engine.compare`.

    Args:
        rows: The history.
        frame: Name of the registered rows: keys, the columns, `__event` (us) and `__row`.
        journal: Name of the registered journal rows.
        columns: The features.

    The statement gives `__row`, whether the row is the same, the version of the row that it would name, and for each
    feature whether it changed; only for rows that have a predecessor, in no order.
    """
    keys = ", ".join(quoted(key) for key in rows.keys)
    named = "__pe, __pc" if confirming(rows) else "__e AS __pe, __c AS __pc"
    newest = (
        f"SELECT {keys}, max_by({{e: __e, x: __x, pe: __pe, pc: __pc}}, __v) AS __n"
        f" FROM (SELECT {keys}, __e, __x, {named}, {Packing.of(rows).version()} AS __v"
        f" FROM ({competing(rows, [], journal=journal)}) SEMI JOIN {frame} USING ({keys}){visible(rows, 'event')})"
        f" GROUP BY {keys}"
    )
    own = f"SELECT * FROM ({payloads(rows, columns, journal=journal)}) SEMI JOIN {frame} USING ({keys})"
    same_key = " AND ".join(f"f.{quoted(key)} = {{0}}.{quoted(key)}" for key in rows.keys)
    changed = [f"p.{quoted(name)} IS DISTINCT FROM f.{quoted(name)}" for name in columns]
    flags = ", ".join(f"{test} AS __c{place}" for place, test in enumerate(changed))
    same = " AND ".join(f"NOT __c{place}" for place in range(len(columns)))
    found = ", ".join(f"__c{place}" for place in range(len(columns)))
    return (
        f"SELECT __row, ({same}) AS __same, __pe, __pc, {found} FROM"
        f" (SELECT f.__row, r.__n.pe AS __pe, r.__n.pc AS __pc, {flags} FROM {frame} f JOIN ({newest}) r"
        f" ON {same_key.format('r')} JOIN ({own}) p"
        f" ON {same_key.format('p')} AND p.__e = r.__n.pe AND p.__c = r.__n.pc"
        " WHERE NOT r.__n.x AND r.__n.e <= f.__event)"
    )
