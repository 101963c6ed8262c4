"""Point-in-time plans as SQL text.

Every stored row gets a packed version `__v` of event time and commit: a total order of the rows of a key (SEMANTICS
section 1), which an as-of join compares in one step. Integers are microseconds. Internal columns begin with `__`.

A look-up first finds the version that answers each row of the spine, then fetches the rest of its row by key and
version; or, in the plan "whole", where few values are to be sorted, it joins whole rows at once. It finds the version
in one of three ways:

    event, K   as-of join on the packed version, after the rows that are not visible are filtered out
    served     a row is visible from __s = max(event_time, available_at) on. Ordered by __s, only the rows that raise
               the running maximum of the version ever answer: as-of join on __s over those
    hash       join on the key with the visibility predicate, then the greatest version: for shallow histories, where
               it is faster than the sorting of as-of joins; and for keys with rows that were visible for a while and
               then retracted

Confirmations of unchanged rows (SEMANTICS section 5) compete like any row. The winner's features are then fetched from
the row that it names, which is the winner itself if it is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.literals import quoted, same_key, sources_of, text
from asof.engine.port import EVENT_COLUMN, EXPIRED, FOUND, MISSING, NO_TIME, RETIRED, STATUS_COLUMN, Known, Rows
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
    Stamp,
)

COMMIT_SPAN = 1 << 40
"""Commits of a group stay below this; the packed version then fits 128 bits for every int64 time."""

SMALL = 1 << 62
"""Packed versions below this fit 64 bits, which sort and join in four fifths of the time of 128."""

Plan = Literal["as-of", "whole", "hash"]


@dataclass(frozen=True, slots=True)
class Packing:
    """How event times and commits become packed versions: `(event - least) * span + commit`.

    In 64 bits where the versions of all rows fit, by the bounds of their files; else in 128.

    Attributes:
        least: Least event time.
        greatest: Greatest event time.
        span: Greater than every commit.
    """

    least: int
    greatest: int
    span: int

    @classmethod
    def of(cls, rows: Rows) -> "Packing":
        """Return the packing that fits a history."""
        bounds = [(NO_TIME, NO_TIME)]
        if rows.event_time is not None:
            bounds = [(file.min_event_us, file.max_event_us) for _, file, _ in rows.files if file.rows]
            if rows.journal is not None and rows.journal.num_rows:
                ends = pc.min_max(rows.journal.column(rows.event_time).cast(pa.int64()))
                bounds.append((ends["min"].as_py(), ends["max"].as_py()))
        least = min((bound for bound, _ in bounds), default=0)
        return cls(least, max((bound for _, bound in bounds), default=least), rows.pin + 1)

    @property
    def is_small(self) -> bool:
        """Whether 64 bits suffice."""
        return (self.greatest - self.least + 1) * self.span < SMALL

    def version(self, event: str = "__e", commit: str = "__c") -> str:
        """Return the packed version of a row."""
        if self.is_small:
            return f"(({event} - ({self.least})) * {self.span} + {commit})"
        return f"({event}::HUGEINT * {COMMIT_SPAN} + {commit})"

    def bound(self, time: str) -> str:
        """Return what the versions of all rows up to a time are not greater than."""
        if self.is_small:  # no row lies outside the bounds, so times outside them are as good as the bounds
            inside = f"greatest(least({time}, ({self.greatest})), ({self.least - 1}))"
            return f"(({inside} - ({self.least})) * {self.span} + {self.span - 1})"
        return f"({time}::HUGEINT * {COMMIT_SPAN} + {COMMIT_SPAN - 1})"


def is_late(rows: Rows, known: Known) -> bool:
    """Return whether a row may become visible after its event time, or be hidden again: then arrivals count."""
    if known != "served":
        return False
    return (
        rows.event_time is None
        or rows.journal is not None
        or bool(rows.retracted)
        or any(
            file.late if stamp is None else bool(rows.delay_us) or stamp.availability != "delay"
            for _, file, stamp in rows.files
        )
    )


def base(rows: Rows, columns: Sequence[str], *, journal: str) -> str:
    """Return the stored rows of a history as a relation.

    Args:
        rows: The history.
        columns: Columns wanted beside the keys.
        journal: Name of the registered table of journal rows.

    The relation has the keys, the columns, and
        __e  event time, us        __c  commit        __a  arrival, us        __x  whether it is a retirement
    """
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
        parts.append(f"SELECT {_wanted(rows, columns, width)}, {_stored(rows)} FROM {_files(places)} {pinned}")
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
    time = _time(rows, columns)
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


def _filled(rows: Rows, relation: str, columns: Sequence[str], *, journal: str) -> str:
    """Return a part of `competing`, in parentheses, with its features."""
    if not confirming(rows):
        return relation
    features = "".join(f", p.{quoted(name)}" for name in columns if name != rows.event_time)
    return (
        f"(SELECT r.*{features} FROM {relation} r LEFT JOIN ({payloads(rows, columns, journal=journal)}) p"
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
    """Return files without stamps: their commits come from a small table, joined by the number of the file."""
    event = _event(rows)
    arrival = {
        "commit": "__at",
        "delay": f"({NO_TIME})" if rows.event_time is None else f"least({event} + {rows.delay_us}, __at)",
        "column": f"epoch_us({quoted(AVAILABLE_COLUMN)})",
    }
    places = [place for part in by_stamp.values() for place in part]
    retired = f"{quoted(RETIRED_COLUMN)} AS __x"
    if len(by_stamp) == 1:
        (stamp,) = by_stamp
        own = arrival[stamp.availability].replace("__at", str(stamp.committed_at_us))
        clocks = f"{event} AS __e, {stamp.number}::BIGINT AS __c, {own} AS __a"
        return f"SELECT {wanted}, {clocks}, {retired} FROM {_files(places)}"
    stamps = [stamp for stamp, part in by_stamp.items() for _ in part]
    values = ", ".join(
        f"({index}, {stamp.number}, {stamp.committed_at_us}, {text(stamp.availability)})"
        for index, stamp in enumerate(stamps)
    )
    used = sorted({stamp.availability for stamp in stamps})
    cases = " ".join(f"WHEN {text(how)} THEN {arrival[how]}" for how in used)
    own = arrival[used[0]] if len(used) == 1 else f"CASE __how {cases} END"
    return (
        f"SELECT {wanted}, {event} AS __e, __number AS __c, {own} AS __a, {retired}"
        f" FROM (SELECT *, file_index AS __file FROM {_files(places)})"
        f" JOIN (VALUES {values}) AS __stamps(__index, __number, __at, __how) ON __file = __index"
    )


def _files(places: Sequence[str]) -> str:
    return f"read_parquet([{', '.join(text(place) for place in places)}])"


def look_up(  # noqa: PLR0913 - the parts of one statement
    rows: Rows,
    *,
    spine: str,
    journal: str,
    columns: Sequence[str],
    known: Known,
    ttl_us: int | None,
    plan: Plan,
    narrow: bool = False,
    last_us: int | None = None,
) -> str:
    """Return the statement that answers a spine; see `Engine.look_up`.

    Args:
        rows: The history; it holds rows.
        spine: Name of the registered spine: keys, `__t_us` (int64), `__row` (int64).
        journal: Name of the registered journal rows.
        columns: The features wanted.
        known: Knowledge mode.
        ttl_us: Time to live.
        plan: How.
        narrow: Whether the spine has few of the keys: other rows are left out first.
        last_us: The last time of the spine, if there are later rows to leave out first.

    The statement gives the columns, `__status`, `__event_us`, `__commit` and `__row`, in no order.
    """
    sources = competing(rows, columns, journal=journal)
    keys = ", ".join(quoted(key) for key in rows.keys)
    late = is_late(rows, known)
    only = f" SEMI JOIN {spine} USING ({keys})" if narrow else ""
    named = confirming(rows)
    payload = ", ".join(["__e", "__c", "__x", *(("__pe", "__pc") if named else map(quoted, columns))])
    stored = (
        f"SELECT {keys}, {'greatest(__e, __a)' if late else '__e'} AS __s,"
        f" {Packing.of(rows).version()} AS __v, {payload}"
        f" FROM ({sources}){only}"
        f"{_where(_shown(rows) if late else visible(rows, known), last_us)}"
    )
    answer = _answer(columns, ttl_us, of="p" if named else "r")
    rest = _named(rows, columns, journal, only) if named else ""
    if plan == "whole" and not _hidden_later(rows, late=late):
        found = _as_of(rows, spine, "ASOF LEFT JOIN", "*", late=late)
        return f"WITH b AS ({stored}) SELECT {answer} FROM {found}{rest}"
    # Else as-of joins sort keys and versions only, and read the history again for the rest.
    once = "MATERIALIZED" if plan == "hash" else "NOT MATERIALIZED"
    same = same_key(rows.keys, "s", "r")
    return (
        f"WITH b AS {once} ({stored}), best AS ({_best(rows, spine, plan, late=late)})"
        f" SELECT {answer} FROM (SELECT s.*, __best FROM {spine} s LEFT JOIN best USING (__row)) s"
        f" LEFT JOIN b r ON {same} AND r.__v = s.__best{rest}"
    )


def _named(rows: Rows, columns: Sequence[str], journal: str, only: str) -> str:
    """Return the join of the rows `s` of a spine and their winners `r` with the rows `p` that have the features."""
    own = f"(SELECT * FROM ({payloads(rows, columns, journal=journal)}){only})"
    return f" LEFT JOIN {own} p ON {same_key(rows.keys, 's', 'p')} AND p.__e = r.__pe AND p.__c = r.__pc"


def _hidden_later(rows: Rows, *, late: bool) -> dict[int, int]:
    """Return the commits whose rows were visible until some time: they break "once visible, always visible"."""
    return {commit: since for commit, since in rows.retracted.items() if since is not None} if late else {}


def _best(rows: Rows, spine: str, plan: Plan, *, late: bool) -> str:
    """Return the statement that finds the version that answers each row of the spine: `__row`, `__best`."""
    keys = ", ".join(quoted(key) for key in rows.keys)
    same = same_key(rows.keys, "s", "r")
    later = _hidden_later(rows, late=late)
    if plan == "hash":
        return _greatest(spine, same, later)
    wanted = f"{keys}, {'__s, ' if late else ''}__v"
    found = "SELECT s.__row, r.__v AS __best FROM"
    if not later:
        return f"{found} {_as_of(rows, spine, 'ASOF JOIN', wanted, late=late)}"
    # The keys with rows that were visible and then hidden go the other way.
    odd = f"(SELECT DISTINCT {keys} FROM b WHERE __c IN ({_list(later)}))"
    is_odd = f"EXISTS (SELECT 1 FROM {odd} r WHERE {same})"
    even = f"(SELECT * FROM {spine} s WHERE NOT {is_odd})"
    as_of = _as_of(rows, even, "ASOF JOIN", wanted, late=late)
    return f"{found} {as_of} UNION ALL {_greatest(spine, same, later, only=is_odd)}"


def _as_of(rows: Rows, spine: str, join: str, wanted: str, *, late: bool) -> str:
    """Return the relation of the rows `s` of the spine, each with the row `r` of `b` that answers it."""
    keys = ", ".join(quoted(key) for key in rows.keys)
    same = same_key(rows.keys, "s", "r")
    if not late:
        bound = Packing.of(rows).bound("s.__t_us")
        return (
            f"(SELECT *, {bound} AS __bound FROM {spine} s) s"
            f" {join} (SELECT {wanted} FROM b) r ON {same} AND s.__bound >= r.__v"
        )
    winners = (
        f"SELECT {wanted} FROM (SELECT {wanted} FROM b) QUALIFY __v = max(__v) OVER (PARTITION BY {keys} ORDER BY __s)"
    )
    return f"{spine} s {join} ({winners}) r ON {same} AND s.__t_us >= r.__s"


def _greatest(spine: str, same: str, later: Mapping[int, int], *, only: str = "true") -> str:
    rows, still = "b", ""
    if later:
        hidden = ", ".join(f"({commit}, {since})" for commit, since in later.items())
        rows = f"(SELECT b.*, __until FROM b LEFT JOIN (VALUES {hidden}) AS x(__commit, __until) ON __c = x.__commit)"
        still = " AND (r.__until IS NULL OR s.__t_us < r.__until)"
    return (
        f"SELECT s.__row, max(r.__v) AS __best FROM {spine} s JOIN {rows} r ON {same} AND s.__t_us >= r.__s{still}"
        f" WHERE {only} GROUP BY s.__row"
    )


def matches(rows: Rows, place: str, *, sample: str) -> str:
    """Return the statement that counts the rows of one file that have a key of the sample, for each row of it."""
    same = same_key(rows.keys, "s", "r")
    return f"SELECT count(*) FROM {sample} s JOIN {_files([place])} r ON {same}"


def _list(commits: Iterable[int]) -> str:
    return ", ".join(map(str, commits))


def _where(visible: str, last_us: int | None) -> str:
    later = "" if last_us is None else f"__e <= {last_us}"
    return f"{visible} AND {later}" if visible and later else visible or (later and f" WHERE {later}")


def _shown(rows: Rows) -> str:
    """Return the filter of rows that are hidden at every T."""
    never = [commit for commit, since in rows.retracted.items() if since is None]
    return f" WHERE __c NOT IN ({_list(never)})" if never else ""


def visible(rows: Rows, known: Known) -> str:
    """Return the filter of the modes in which visibility does not depend on T."""
    conditions: list[str] = []
    if isinstance(known, int):
        conditions.append(f"__a <= {known}")
        hidden = [c for c, since in rows.retracted.items() if since is None or since <= known]
    else:
        hidden = list(rows.retracted)
    if hidden:
        conditions.append(f"__c NOT IN ({_list(hidden)})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _answer(columns: Sequence[str], ttl_us: int | None, *, of: str) -> str:
    expired = "false" if ttl_us is None else f"(r.__e <= s.__t_us - {ttl_us})"
    status = (
        f"(CASE WHEN r.__e IS NULL THEN {MISSING} WHEN r.__x THEN {RETIRED} WHEN {expired} THEN {EXPIRED}"
        f" ELSE {FOUND} END)::TINYINT AS {STATUS_COLUMN}"
    )
    value = f"{of}.{{0}}" if ttl_us is None else f"CASE WHEN NOT {expired} THEN {of}.{{0}} END AS {{0}}"
    return ", ".join(
        [
            *(value.format(quoted(name)) for name in columns),
            status,
            f"r.__e AS {EVENT_COLUMN}",
            f"r.__c AS {quoted(COMMIT_COLUMN)}",
            "s.__row",
        ]
    )


def scan(  # noqa: PLR0913 - the parts of one statement
    rows: Rows,
    *,
    journal: str,
    columns: Sequence[str],
    after_us: int | None,
    until_us: int | None,
    known: Known,
    latest: bool,
    clocks: bool,
) -> str:
    """Return the statement that reads stored rows; see `Engine.scan`."""
    features = [name for name in columns if name not in rows.keys]
    stored = [name for name in features if name != rows.event_time] + _time(rows, features)
    sources = competing(rows, stored, journal=journal)
    conditions = [condition for condition in (visible(rows, known).removeprefix(" WHERE "),) if condition]
    if after_us is not None:
        conditions.append(f"__e > {after_us}")
    if until_us is not None:
        conditions.append(f"__e <= {until_us}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    keys = ", ".join(quoted(key) for key in rows.keys)
    newest = f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY __e DESC, __c DESC) = 1" if latest else ""
    wanted = [quoted(name) for name in columns]
    if clocks:
        wanted += [
            f"__c AS {quoted(COMMIT_COLUMN)}",
            f"CASE WHEN __a > ({NO_TIME}) THEN make_timestamptz(__a) END AS {quoted(AVAILABLE_COLUMN)}",
        ]
    shown = _filled(rows, f"(SELECT * FROM ({sources}){where}{newest})", stored, journal=journal)
    return f"SELECT {', '.join(wanted)} FROM {shown} WHERE NOT __x ORDER BY {keys}, __e, __c"


def newest(rows: Rows, *, journal: str, keys_table: str | None) -> str:
    """Return the statement that finds the newest row of each key; see `Engine.newest`."""
    features = _features(rows)
    sources = competing(rows, features, journal=journal)
    keys = ", ".join(quoted(key) for key in rows.keys)
    wanted = [
        keys,
        f"__e AS {EVENT_COLUMN}" if rows.event_time is not None else f"0::BIGINT AS {EVENT_COLUMN}",
        f"__c AS {quoted(COMMIT_COLUMN)}",
        f"__x AS {quoted(RETIRED_COLUMN)}",
        *(quoted(name) for name in features),
    ]
    shown = visible(rows, "event")
    only = f" SEMI JOIN {keys_table} USING ({keys})" if keys_table else ""
    best = (
        f"FROM (SELECT * FROM ({sources}){shown}){only}"
        f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY __e DESC, __c DESC) = 1"
    )
    if confirming(rows):
        best = f"FROM {_filled(rows, f'(SELECT * {best})', features, journal=journal)}"
    return f"SELECT {', '.join(wanted)} {best} ORDER BY {keys}"


def stamped(
    rows: Rows,
    *,
    journal: str,
    horizon_us: int | None,
    keys_table: str | None = None,
    without_table: str | None = None,
) -> str:
    """Return the statement that gives all rows with their stamps; see `Engine.stamped`."""
    features = _features(rows)
    sources = competing(rows, features + _time(rows, [rows.event_time or ""]), journal=journal)
    keys = ", ".join(quoted(key) for key in rows.keys)
    time = [] if rows.event_time is None else [quoted(rows.event_time)]
    wanted = [
        keys,
        *time,
        *(quoted(name) for name in features),
        f"__x AS {quoted(RETIRED_COLUMN)}",
        f"__c AS {quoted(COMMIT_COLUMN)}",
        f"CASE WHEN __a > ({NO_TIME}) THEN make_timestamptz(__a) END AS {quoted(AVAILABLE_COLUMN)}",
    ]
    only = f" SEMI JOIN {keys_table} USING ({keys})" if keys_table else ""
    only += f" ANTI JOIN {without_table} USING ({keys})" if without_table else ""
    relation = f"(SELECT * FROM ({sources}){only})"
    if horizon_us is not None:
        version = Packing.of(rows).version()
        hidden = f" AND __c NOT IN ({_list(rows.retracted)})" if rows.retracted else ""
        settled = f"max(CASE WHEN greatest(__e, __a) <= {horizon_us}{hidden} THEN {version} END)"
        relation = (
            f"(SELECT * FROM {relation} QUALIFY coalesce({version} >= {settled} OVER (PARTITION BY {keys}), true))"
        )
    relation = _filled(rows, relation, features, journal=journal)
    return f"SELECT {', '.join(wanted)} FROM {relation} ORDER BY {keys}, __e, __c"


def _features(rows: Rows) -> list[str]:
    ours = {*rows.keys, rows.event_time, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN}
    return [name for name in rows.schema.names if name not in ours]


def _time(rows: Rows, wanted: Sequence[str]) -> list[str]:
    return [rows.event_time] if rows.event_time is not None and rows.event_time in wanted else []
