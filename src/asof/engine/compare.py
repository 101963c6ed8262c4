"""The comparison of new rows with the newest row of their keys, and of the keys of both, as SQL text."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.literals import quoted, same_key, text
from asof.engine.point_in_time import Packing
from asof.engine.port import Rows
from asof.engine.stored import base, competing, confirming, payloads, visible


def compare(rows: Rows, *, frame: str, journal: str, columns: Sequence[str], between: str) -> str:
    """Return the statement that compares rows with their predecessors; see `Engine.compare`.

    Args:
        rows: The history.
        frame: Name of the registered rows: keys, the columns, `__event` (us) and `__row`.
        journal: Name of the registered journal rows.
        columns: The features.
        between: The condition of `key_range`, or "".

    The statement gives `__row`, whether the row is the same, the event time and commit of the row that it would name,
    and for each feature whether it changed; only for rows that have a predecessor, in no order.
    """
    keys = ", ".join(quoted(key) for key in rows.keys)
    packing = Packing.of(rows)
    inside = f" WHERE {between}" if between else ""
    # A confirmation names a row that is no retirement, so the named row says whether the newest is one.
    named = f", {packing.version('__pe', '__pc')} AS __pv" if confirming(rows) else ""
    best = "max(__v) AS __v, " + ("max_by(__pv, __v) AS __pv" if named else "max(__v) AS __pv")
    newest = (
        f"SELECT {keys}, {best} FROM (SELECT {keys}, {packing.version()} AS __v{named}"
        f" FROM (SELECT * FROM ({competing(rows, [], journal=journal)}){visible(rows, 'event')}){inside})"
        f" GROUP BY {keys}"
    )
    payload = f"SELECT * FROM ({payloads(rows, columns, journal=journal)}){inside}"
    own = f"SELECT *, {packing.version()} AS __pv FROM ({payload})"
    tests = [f"p.{quoted(name)} IS DISTINCT FROM f.{quoted(name)}" for name in columns]
    flags = "".join(f", {test} AS __c{place}" for place, test in enumerate(tests))
    found = "".join(f", __c{place}" for place in range(len(columns)))
    same = " AND ".join(f"NOT __c{place}" for place in range(len(columns)))
    return (
        f"SELECT __row, ({same}) AS __same, __pe, __pc{found} FROM"
        f" (SELECT f.__row, p.__e AS __pe, p.__c AS __pc{flags} FROM {frame} f JOIN ({newest}) r"
        f" ON {same_key(rows.keys, 'f', 'r')}"
        f" JOIN ({own}) p ON {same_key(rows.keys, 'f', 'p')} AND p.__pv = r.__pv"
        f" WHERE NOT p.__x AND r.__v <= {packing.bound('f.__event')})"
    )


def absent(rows: Rows, present: Rows, *, journal: str, present_journal: str, until_us: int | None) -> str:
    """Return the statement that finds the keys that are alive and absent from other rows; see `Engine.absent`.

    Keys are compared before rows: few are absent, so that few rows are ordered.
    """
    keys = ", ".join(quoted(key) for key in rows.keys)
    others = base(present, [], journal=present_journal)
    lacking = f" ANTI JOIN (SELECT {keys} FROM ({others})) USING ({keys})" if others else ""
    until = "" if until_us is None else f" WHERE __e <= {until_us}"
    seen = f"SELECT * FROM (SELECT * FROM ({competing(rows, [], journal=journal)}){visible(rows, 'event')}){until}"
    return (
        f"SELECT {keys} FROM ({seen}){lacking}"
        f" GROUP BY {keys} HAVING NOT max_by(__x, {Packing.of(rows).version()}) ORDER BY {keys}"
    )


def key_range(rows: Rows, keys: pa.Table | None) -> str:
    """Return the condition that the first key of rows lies in the range of some keys; else "".

    By it, parts of files are left out.
    """
    if keys is None or not keys.num_rows:
        return ""
    ends = pc.min_max(keys.column(rows.keys[0]))
    values = [ends[end].as_py() for end in ("min", "max")]
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            return ""
    least, greatest = (text(end) if isinstance(end, str) else str(end) for end in values)
    return f"{quoted(rows.keys[0])} BETWEEN {least} AND {greatest}"
