"""The stored rows of a history as relations, as SQL text: the rows that may answer, and those that have features."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asof.engine.literals import files, listed, quoted, same_key, sources_of, text
from asof.engine.outside import FILE_NUMBER, outside_rows
from asof.engine.port import NO_TIME, Known, Rows
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
    Stamp,
)

FEW_STAMPS = 64
"""So many are told apart by conditions; more of them take longer to prepare than the join with a table of them."""


def base(rows: Rows, columns: Sequence[str], *, journal: str) -> str:
    """Return the stored rows of a history as a relation.

    Args:
        rows: The history.
        columns: Columns wanted beside the keys.
        journal: Name of the registered table of journal rows.

    The relation has the keys, the columns, and
        __e  event time, us        __c  commit        __a  arrival, us        __x  whether it is a retirement
    """
    if rows.outside is not None:
        return outside_rows(rows, rows.outside, columns)
    parts: list[str] = []
    plain: dict[int, dict[Stamp, list[str]]] = {}
    stamped: dict[int, list[str]] = {}
    for place, file, stamp in rows.files:
        width = len(rows.layout) if file.width is None else file.width
        if stamp is None:
            stamped.setdefault(width, []).append(place)
        else:
            plain.setdefault(width, {}).setdefault(stamp, []).append(place)
    for width, by_stamp in plain.items():
        parts.append(_plain_part(rows, by_stamp, _wanted(rows, columns, width)))
    for width, places in stamped.items():
        pinned = f"WHERE {quoted(COMMIT_COLUMN)} <= {rows.pin}"
        parts.append(f"SELECT {_wanted(rows, columns, width)}, {_stored(rows)} FROM {files(places)} {pinned}")
    if rows.journal is not None:
        parts.append(f"SELECT {_wanted(rows, columns, len(rows.layout))}, {_stored(rows)} FROM {journal}")
    return " UNION ALL ".join(parts)


def confirming(rows: Rows) -> bool:
    """Return whether there are confirmations in a history."""
    return any(file.confirms for _, file, _ in rows.files)


def competing(rows: Rows, columns: Sequence[str], *, journal: str) -> str:
    """Return the rows that may answer as a relation: that of `base` if there are no confirmations.

    If there are, it has no features, and two columns more: `__pe` and `__pc`, the version of the row that has them.
    """
    if not confirming(rows):
        return base(rows, columns, journal=journal)
    time = wanted_time(rows, columns)
    event = quoted(NAMED_EVENT_COLUMN) if rows.event_time is not None else f"({NO_TIME})"
    row = ", ".join([*(quoted(name) for name in (*rows.keys, *time)), "__e, __c, __a, __x"])
    named = replace(_only(rows, confirms=True), journal=None, layout=())
    confirmations = base(named, [*time, NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN], journal=journal)
    parts = [f"SELECT {row}, {event} AS __pe, {quoted(NAMED_COMMIT_COLUMN)} AS __pc FROM ({confirmations})"]
    own = base(_only(rows, confirms=False), time, journal=journal)
    if own:
        parts.append(f"SELECT {row}, __e AS __pe, __c AS __pc FROM ({own})")
    return " UNION ALL ".join(parts)


def payloads(rows: Rows, columns: Sequence[str], *, journal: str) -> str:
    """Return the rows that confirmations may name as a relation, that of `base`."""
    whole = rows if rows.sources is None else rows.sources
    features = [name for name in columns if name != rows.event_time]
    return base(_only(whole, confirms=False), features, journal=journal if whole is rows else sources_of(journal))


def filled(rows: Rows, relation: str, columns: Sequence[str], *, journal: str, between: str = "") -> str:
    """Return a part of `competing`, in parentheses, with its features.

    Args:
        rows: The history.
        relation: The part.
        columns: The features.
        journal: Name of the registered table of journal rows.
        between: A condition that the keys of the part meet, by which parts of files are left out; or "".
    """
    if not confirming(rows):
        return relation
    features = "".join(f", p.{quoted(name)}" for name in columns if name != rows.event_time)
    payload = payloads(rows, columns, journal=journal)
    payload = f"SELECT * FROM ({payload}) WHERE {between}" if between else payload
    return (
        f"(SELECT r.*{features} FROM {relation} r LEFT JOIN ({payload}) p"
        f" ON {same_key(rows.keys, 'p', 'r')} AND p.__e = r.__pe AND p.__c = r.__pc)"
    )


def _only(rows: Rows, *, confirms: bool) -> Rows:
    return replace(rows, files=tuple(item for item in rows.files if item[1].confirms is confirms))


def _wanted(rows: Rows, columns: Sequence[str], width: int) -> str:
    """Return the wanted columns of files of a width: features that were added later are null in them."""
    later = set(rows.layout[width:])
    return ", ".join(f"NULL AS {quoted(n)}" if n in later else quoted(n) for n in (*rows.keys, *columns))


def _event(rows: Rows) -> str:
    return f"({NO_TIME})" if rows.event_time is None else f"epoch_us({quoted(rows.event_time)})"


def _stored(rows: Rows) -> str:
    """Return the clocks of rows that are stamped themselves."""
    own = f"coalesce(epoch_us({quoted(AVAILABLE_COLUMN)}), ({NO_TIME}))"
    return f"{_event(rows)} AS __e, {quoted(COMMIT_COLUMN)} AS __c, {own} AS __a, {quoted(RETIRED_COLUMN)} AS __x"


def _plain_part(rows: Rows, by_stamp: Mapping[Stamp, Sequence[str]], wanted: str) -> str:
    """Return files without stamps: which of them a row is from tells its commit."""
    hidden = FILE_NUMBER in (*rows.schema.names, *rows.layout)  # by a column of that name, of either family
    if hidden and len(by_stamp) > 1:
        parts = [_plain_part(rows, {stamp: places}, wanted) for stamp, places in by_stamp.items()]
        return " UNION ALL ".join(parts)
    event = _event(rows)
    arrival = {
        "commit": "({})",
        "delay": f"({NO_TIME})" if rows.event_time is None else f"least({event} + {rows.delay_us}, {{}})",
        "column": f"epoch_us({quoted(AVAILABLE_COLUMN)})",
    }
    source = files([place for places in by_stamp.values() for place in places])
    stamps = [stamp for stamp, places in by_stamp.items() for _ in places]
    if len(by_stamp) <= FEW_STAMPS:
        number = _by_file([f"{stamp.number}::BIGINT" for stamp in stamps])
        arrived = _by_file([arrival[stamp.availability].format(stamp.committed_at_us) for stamp in stamps])
    else:
        values = ", ".join(
            f"({index}, {stamp.number}, {stamp.committed_at_us}, {text(stamp.availability)})"
            for index, stamp in enumerate(stamps)
        )
        source = (
            f"(SELECT *, {FILE_NUMBER} AS __file FROM {source})"
            f" JOIN (VALUES {values}) AS __stamps(__index, __number, __at, __how) ON __file = __index"
        )
        used = sorted({stamp.availability for stamp in stamps})
        cases = " ".join(f"WHEN {text(how)} THEN {arrival[how].format('__at')}" for how in used)
        number, arrived = "__number", f"CASE __how {cases} END"
    clocks = f"{event} AS __e, {number} AS __c, {arrived} AS __a, {quoted(RETIRED_COLUMN)} AS __x"
    return f"SELECT {wanted}, {clocks} FROM {source}"


def _by_file(values: Sequence[str]) -> str:
    """Return what has one of the values in the rows of each file.

    DuckDB tests a condition on the number of the file once for 2,048 rows, all of which have the same.
    """

    def of(begin: int, end: int) -> str:
        if values[begin:end] == [values[begin]] * (end - begin):
            return values[begin]
        middle = (begin + end) // 2
        return f"CASE WHEN {FILE_NUMBER} < {middle} THEN {of(begin, middle)} ELSE {of(middle, end)} END"

    return of(0, len(values))


def visible(rows: Rows, known: Known) -> str:
    """Return the filter of the modes in which visibility does not depend on T."""
    conditions = [f"__a <= {known}"] if isinstance(known, int) else []
    hidden = hidden_at(rows, known)
    if hidden:
        conditions.append(f"__c NOT IN ({listed(hidden)})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def hidden_at(rows: Rows, known: Known) -> list[int]:
    """Return the commits that are retracted, in the modes in which that does not depend on T."""
    if isinstance(known, int):
        return [commit for commit, since in rows.retracted.items() if since is None or since <= known]
    return list(rows.retracted)


def wanted_time(rows: Rows, wanted: Sequence[str]) -> list[str]:
    """Return the event time column if it is wanted, else nothing."""
    return [rows.event_time] if rows.event_time is not None and rows.event_time in wanted else []
