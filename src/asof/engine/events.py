"""The events of a source as a relation, as SQL text: of several rows of one identity only one is an event.

A row may be visible for a part of time only: from its arrival on, until it is retracted. An event at T is the newest
visible row of its identity (key and event time), if that is no retirement. So each row is an event for some spans of
time, which are found before rows meet a spine: what a T asks of a row is whether T lies in one of them.

Most rows have no rival: a commit holds one row of an identity at most, and rows of one identity lie in files whose
bounds hold the same event time. Among the rest, the identities of several rows are found first, which takes two fifths
of the time that it takes to number all rows of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.literals import listed, quoted
from asof.engine.point_in_time import is_late
from asof.engine.port import Known, Rows
from asof.engine.stored import competing, confirming, filled, visible, wanted_time

FOR_EVER = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Asking:
    """What a spine asks of a source.

    Attributes:
        columns: The columns wanted, `on` among them.
        on: The source's columns that the spine has.
        spine: Name of the registered spine.
        known: Knowledge mode.
        after_us: Events up to this time are in no window; None: all may be.
        until_us: Nor are later ones than this.
    """

    columns: Sequence[str]
    on: Sequence[str]
    spine: str
    known: Known
    after_us: int | None
    until_us: int

    def in_time(self) -> list[str]:
        """Return the conditions that an event may be in a window."""
        return [*([] if self.after_us is None else [f"__e > {self.after_us}"]), f"__e <= {self.until_us}"]


def events(rows: Rows, asking: Asking, *, journal: str) -> str:
    """Return a relation of events: the keys, the columns, `__e`, `__c`.

    If visibility depends on T, it has `__from` and `__until` too: what the row is an event from and, exclusive, until.
    Then several rows may be the same event at different times.

    Args:
        rows: The source; it holds rows.
        asking: What is asked of it.
        journal: Name of the registered journal rows.
    """
    late = is_late(rows, asking.known)
    alone, contested = apart(rows)
    parts: list[str] = []
    if alone.files:
        spans = f", greatest(__e, __a) AS __from, {_hidden(rows)} AS __until" if late else ""
        stored = _stored(alone, asking, journal=journal, late=late)
        parts.append(f"SELECT {_names(rows, asking)}, __e, __c{spans} FROM ({stored}) WHERE NOT __x")
    if contested.files or contested.journal is not None:
        parts.append(_newest(contested, asking, journal=journal, late=late))
    return " UNION ALL ".join(parts)


def candidates(rows: Rows, asking: Asking, *, journal: str) -> str:
    """Return the rows among which are all events: a relation of at least the columns, to be read once."""
    return _stored(rows, asking, journal=journal, late=is_late(rows, asking.known))


def apart(rows: Rows) -> tuple[Rows, Rows]:
    """Return a history in two: the files none of whose rows has a rival, by the bounds of files, and the rest."""
    if confirming(rows):
        return replace(rows, files=(), journal=None), rows
    bounds = [(file.min_event_us, file.max_event_us, at) for at, (_, file, _) in enumerate(rows.files) if file.rows]
    if rows.journal is not None and rows.journal.num_rows and rows.event_time is not None:
        ends = pc.min_max(rows.journal.column(rows.event_time).cast(pa.int64()))
        bounds.append((ends["min"].as_py(), ends["max"].as_py(), len(rows.files)))
    contested: set[int] = set()
    for _, overlapping in groupby(_clusters(bounds), key=lambda item: item[0]):
        places = [at for _, at in overlapping]
        if len({_commit(rows, at) for at in places}) > 1 or None in {_commit(rows, at) for at in places}:
            contested.update(places)
    files = list(enumerate(rows.files))
    return (
        replace(rows, files=tuple(item for at, item in files if at not in contested), journal=None),
        replace(rows, files=tuple(item for at, item in files if at in contested)),
    )


def _clusters(bounds: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Return places with the number of the run of overlapping bounds that they are in, by run."""
    found: list[tuple[int, int]] = []
    run, end = 0, None
    for least, greatest, at in sorted(bounds):
        run += end is not None and least > end
        end = greatest if end is None else max(end, greatest)
        found.append((run, at))
    return found


def _commit(rows: Rows, at: int) -> int | None:
    """Return the commit of all rows of a file; None if there are several, and of the journal."""
    if at == len(rows.files):
        return None
    _, file, stamp = rows.files[at]
    if stamp is not None:
        return stamp.number
    return file.first_commit if file.first_commit == file.last_commit and file.first_commit else None


def _stored(rows: Rows, asking: Asking, *, journal: str, late: bool) -> str:
    """Return the rows that may be events of some T."""
    features = [name for name in asking.columns if name not in rows.keys and name != rows.event_time]
    wanted = [*features, *wanted_time(rows, asking.columns)]
    always = [commit for commit, since in rows.retracted.items() if since is None]
    shown = f"__c NOT IN ({listed(always)})" if late and always else ""
    shown = shown if late else visible(rows, asking.known).removeprefix(" WHERE ")
    where = " AND ".join(filter(None, [shown, *asking.in_time()]))
    relation = f"(SELECT * FROM ({competing(rows, wanted, journal=journal)}) WHERE {where})"
    return f"SELECT * FROM {filled(rows, relation, wanted, journal=journal)}"


def _newest(rows: Rows, asking: Asking, *, journal: str, late: bool) -> str:
    """Return the events among rows that may have rivals."""
    names, identity = _names(rows, asking), _identity(rows)
    # Rows of one event may differ in other columns than keys: which of them is the newest is seen among all.
    asked = f" SEMI JOIN {asking.spine} USING ({', '.join(map(quoted, asking.on))})"
    asked = asked if set(asking.on) <= set(rows.keys) else ""
    stored = f"SELECT * FROM ({_stored(rows, asking, journal=journal, late=late)}){asked}"
    several = f"b SEMI JOIN several USING ({identity})"
    spans = f", greatest(__e, __a) AS __from, {_hidden(rows)} AS __until" if late else ""
    if late:
        newest = _by_time(rows, several, names=names)
    else:
        first = f"row_number() OVER (PARTITION BY {identity} ORDER BY __c DESC) = 1"
        newest = f"SELECT {names}, __e, __c FROM (SELECT * FROM {several} QUALIFY {first}) WHERE NOT __x"
    return (
        f"(WITH b AS NOT MATERIALIZED ({stored}),"
        f" several AS (SELECT {identity} FROM b GROUP BY {identity} HAVING count(*) > 1)"
        f" SELECT {names}, __e, __c{spans} FROM b ANTI JOIN several USING ({identity}) WHERE NOT __x"
        f" UNION ALL {newest})"
    )


def _by_time(rows: Rows, several: str, *, names: str) -> str:
    """Return which of the rows of each identity is the event in which span of time."""
    identity = _identity(rows)
    same = " AND ".join(f"r.{name} = s.{name}" for name in (*map(quoted, rows.keys), "__e"))
    hidden = _hidden(rows)
    steps = (
        f"SELECT {identity}, __p, coalesce(lead(__p) OVER (PARTITION BY {identity} ORDER BY __p), {FOR_EVER}) AS __q"
        f" FROM (SELECT {identity}, __a AS __p FROM {several} UNION SELECT {identity}, {hidden} FROM {several})"
    )
    seen = f"r.__a <= s.__p AND s.__p < {hidden}"
    newest = f"row_number() OVER (PARTITION BY {identity}, __p ORDER BY __c DESC) = 1"
    joined = f"SELECT r.*, s.__p, s.__q FROM ({steps}) s JOIN (SELECT * FROM {several}) r ON {same} AND {seen}"
    return (
        f"SELECT {names}, __e, __c, greatest(__e, __p) AS __from, __q AS __until"
        f" FROM (SELECT * FROM ({joined}) QUALIFY {newest}) WHERE NOT __x"
    )


def _names(rows: Rows, asking: Asking) -> str:
    return ", ".join(quoted(name) for name in dict.fromkeys([*rows.keys, *asking.columns]))


def _identity(rows: Rows) -> str:
    """Return what events are told apart by."""
    return ", ".join([*(quoted(key) for key in rows.keys), "__e"])


def _hidden(rows: Rows) -> str:
    """Return from when on a row is hidden."""
    cases = " ".join(f"WHEN {commit} THEN {since}" for commit, since in rows.retracted.items() if since is not None)
    return f"CASE __c {cases} ELSE {FOR_EVER} END" if cases else f"{FOR_EVER}::BIGINT"
