"""The rows of an external group as a relation, as SQL text. Source: docs/decisions/0021."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

from asof.clock import to_us
from asof.engine.literals import files, quoted, text
from asof.engine.port import NO_TIME, Cast, Outside, Rows
from asof.errors import UnsupportedError

FILE_NUMBER = "file_index"
"""The place of a row's file in the list of files, as DuckDB calls it."""

ARRIVAL_OFFSET = 1 << 62
"""Makes arrivals positive, so that they stand in the place of a commit in a packed version."""

ARRIVAL_PIN = (1 << 63) - 1
"""The pin of rows whose arrival stands in the place of the commit: none is greater."""

_CASTS: Mapping[Cast, str] = {
    "utc": "CAST({} AS TIMESTAMP WITH TIME ZONE)",
    "naive": "timezone('UTC', CAST({} AS TIMESTAMP))",
}


def outside_rows(rows: Rows, outside: Outside, columns: Sequence[str]) -> str:
    """Return external rows as the relation of `asof.engine.stored.base`; `__c` orders rows of one event time."""
    forms: dict[tuple[object, ...], list[str]] = {}
    apart = FILE_NUMBER in (*rows.schema.names, *rows.layout)  # by a column of that name, which hides DuckDB's
    for number, (place, _, _) in enumerate(rows.files):
        own = number if apart and outside.constants.get(place) else None
        forms.setdefault((outside.casts.get(place, ()), own), []).append(place)
    return " UNION ALL ".join(_part(rows, outside, columns, places) for places in forms.values())


def _part(rows: Rows, outside: Outside, columns: Sequence[str], places: Sequence[str]) -> str:
    casts = dict(outside.casts.get(places[0], ()))
    fixed = outside.constants.get(places[0], {})

    def value(name: str) -> str:
        if name in fixed:
            return _by_file([_literal(outside.constants[place][name]) for place in places])
        return _CASTS[casts[name]].format(quoted(name)) if name in casts else quoted(name)

    event = f"({NO_TIME})" if rows.event_time is None else f"epoch_us({value(rows.event_time)})"
    number, arrived = "1::BIGINT", event if rows.event_time is None else f"({event} + {rows.delay_us})"
    if outside.available_at is not None:
        arrived = f"epoch_us({value(outside.available_at)})"
        number = f"({arrived} + {ARRIVAL_OFFSET})"
    wanted = [f"{value(name)} AS {quoted(name)}" for name in (*rows.keys, *columns)]
    wanted += [f"{event} AS __e", f"{number} AS __c", f"{arrived} AS __a", "false AS __x"]
    return f"SELECT {', '.join(wanted)} FROM {files(places)}{_bounds(rows, outside, casts, fixed)}"


def _bounds(rows: Rows, outside: Outside, casts: Mapping[str, Cast], fixed: Mapping[str, object]) -> str:
    """Return the filter on the column of event times itself: by it row groups are skipped."""
    if rows.event_time is None or rows.event_time in casts or rows.event_time in fixed:
        return ""
    column = quoted(rows.event_time)
    bounds = ((">", outside.after_us), ("<=", outside.until_us))
    found = [f"{column} {sign} make_timestamptz({bound})" for sign, bound in bounds if bound is not None]
    return f" WHERE {' AND '.join(found)}" if found else ""


def _by_file(values: Sequence[str]) -> str:
    if all(value == values[0] for value in values):
        return values[0]
    cases = " ".join(f"WHEN {number} THEN {value}" for number, value in enumerate(values))
    return f"CASE {FILE_NUMBER} {cases} END"


def _literal(value: object) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return f"{text(repr(value))}::DOUBLE"
        case str():
            return text(value)
        case Decimal():
            _, digits, exponent = value.as_tuple()
            scale = max(-int(exponent), 0)
            return f"{text(str(value))}::DECIMAL({max(len(digits), scale + 1)}, {scale})"
        case dt.datetime():
            return f"make_timestamptz({to_us(value, what='a partition')})"
        case dt.date():
            return f"DATE {text(value.isoformat())}"
        case _:
            raise UnsupportedError(f"partitions by {type(value).__name__} are not read in place")
