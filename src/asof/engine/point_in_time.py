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

A history that is small against the spine is held in memory instead, its rows numbered: the plan "numbered" joins as of
the time for the number of the row alone. Bringing answers into the spine's order then gathers from a few rows.

Confirmations of unchanged rows (SEMANTICS section 5) compete like any row. The winner's features are then fetched from
the row that it names, which is the winner itself if it is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.literals import files, listed, quoted, same_key
from asof.engine.port import EVENT_COLUMN, EXPIRED, FOUND, MISSING, NO_TIME, RETIRED, STATUS_COLUMN, Known, Rows
from asof.engine.stored import base, competing, confirming, filled, payloads, visible
from asof.records import COMMIT_COLUMN

SMALL = 1 << 62
"""Packed versions below this fit 64 bits, which sort and join in four fifths of the time of 128."""

Plan = Literal["as-of", "whole", "hash", "numbered"]


@dataclass(frozen=True, slots=True)
class Packing:
    """How event times and commits become packed versions: `(event - least) * span + commit`.

    In 64 bits where the versions of all rows fit, by the bounds of their files; else in 128. It tells both again.

    Attributes:
        least: Least event time.
        greatest: Greatest event time.
        span: A power of two, greater than every commit.
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
        return cls(least, max((bound for _, bound in bounds), default=least), 1 << rows.pin.bit_length())

    @property
    def is_small(self) -> bool:
        """Whether 64 bits suffice."""
        return (self.greatest - self.least + 1) * self.span < SMALL

    def version(self, event: str = "__e", commit: str = "__c") -> str:
        """Return the packed version of a row."""
        wide = "" if self.is_small else "::HUGEINT"
        return f"(({event}{wide} - ({self.least})) * {self.span} + {commit})"

    def bound(self, time: str) -> str:
        """Return what the versions of all rows up to a time are not greater than."""
        # No row lies outside the bounds, so times outside them are as good as the bounds.
        inside = f"greatest(least({time}, ({self.greatest})), ({self.least - 1}))"
        return self.version(inside, str(self.span - 1))

    def event(self, version: str) -> str:
        """Return the event time of a packed version."""
        return f"(({version} >> {self.span.bit_length() - 1})::BIGINT + ({self.least}))"

    def commit(self, version: str) -> str:
        """Return the commit of a packed version."""
        return f"({version} & {self.span - 1})::BIGINT"


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
    late = is_late(rows, known)
    only = f" SEMI JOIN {spine} USING ({_keys(rows)})" if narrow else ""
    named = confirming(rows)
    later = hidden_later(rows, known)
    stored = _candidates(rows, columns, journal, known, only=only, last_us=last_us)
    answer = _answer(rows, columns, ttl_us, of="p" if named else "r")
    rest = _named(rows, columns, journal, only) if named else ""
    if plan == "whole" and not later:
        found = _as_of(rows, spine, "ASOF LEFT JOIN", "*", late=late)
        return f"WITH b AS ({stored}) SELECT {answer} FROM {found}{rest}"
    # Else as-of joins sort keys and versions only, and read the history again for the rest.
    once = "MATERIALIZED" if plan == "hash" else "NOT MATERIALIZED"
    same = same_key(rows.keys, "s", "r")
    return (
        f"WITH b AS {once} ({stored}), best AS ({_best(rows, spine, plan, late=late, later=later)})"
        f" SELECT {answer} FROM (SELECT s.*, __best FROM {spine} s LEFT JOIN best USING (__row)) s"
        f" LEFT JOIN b r ON {same} AND r.__v = s.__best{rest}"
    )


def _named(rows: Rows, columns: Sequence[str], journal: str, only: str) -> str:
    """Return the join of the rows `s` of a spine and their winners `r` with the rows `p` that have the features."""
    own = f"(SELECT * FROM ({payloads(rows, columns, journal=journal)}){only})"
    return f" LEFT JOIN {own} p ON {same_key(rows.keys, 's', 'p')} AND p.__e = r.__pe AND p.__c = r.__pc"


def hidden_later(rows: Rows, known: Known) -> dict[int, int]:
    """Return the commits whose rows were visible until some time: they break "once visible, always visible"."""
    late = is_late(rows, known)
    return {commit: since for commit, since in rows.retracted.items() if since is not None} if late else {}


def _keys(rows: Rows) -> str:
    return ", ".join(quoted(key) for key in rows.keys)


def _candidates(
    rows: Rows, columns: Sequence[str], journal: str, known: Known, *, only: str = "", last_us: int | None = None
) -> str:
    """Return the rows that may answer as a relation: keys, `__s`, `__v`, `__x`, and columns as `competing` has them."""
    late = is_late(rows, known)
    payload = ("__pe", "__pc") if confirming(rows) else map(quoted, columns)
    wanted = ", ".join(["__x", *(["__c"] if hidden_later(rows, known) else []), *payload])
    return (
        f"SELECT {_keys(rows)}, {'greatest(__e, __a)' if late else '__e'} AS __s,"
        f" {Packing.of(rows).version()} AS __v, {wanted}"
        f" FROM ({competing(rows, columns, journal=journal)}){only}"
        f"{_where(_shown(rows) if late else visible(rows, known), last_us)}"
    )


def held(rows: Rows, journal: str, *, columns: Sequence[str], known: Known, last_us: int | None) -> str:
    """Return the statement that reads the rows that may answer, for the plan "numbered"; see `look_up`.

    It gives the keys, `__s`, `__v`, the columns, and what an answer tells: `__status`, `__event_us`, `__commit`.
    """
    packing = Packing.of(rows)
    wanted = [
        _keys(rows),
        "__s, __v",
        *map(quoted, columns),
        f"(CASE WHEN __x THEN {RETIRED} ELSE {FOUND} END)::TINYINT AS {STATUS_COLUMN}",
        f"{packing.event('__v')} AS {EVENT_COLUMN}",
        f"{packing.commit('__v')} AS {quoted(COMMIT_COLUMN)}",
    ]
    relation = f"({_candidates(rows, columns, journal, known, last_us=last_us)})"
    return f"SELECT {', '.join(wanted)} FROM {filled(rows, relation, columns, journal=journal)}"


def numbers(rows: Rows, spine: str, numbered: str, known: Known) -> str:
    """Return the statement that finds the number of the row that answers: `__row`, `__n`, in no order.

    Args:
        rows: The history; none of its rows was hidden later.
        spine: As in `look_up`.
        numbered: Name of what `held` gave, registered, with the number `__n` of each row.
        known: Knowledge mode.
    """
    late = is_late(rows, known)
    wanted = f"{_keys(rows)}, __s, __v, __n"
    return (
        f"WITH b AS (SELECT * FROM {numbered})"
        f" SELECT s.__row, r.__n FROM {_as_of(rows, spine, 'ASOF JOIN', wanted, late=late)}"
    )


def _best(rows: Rows, spine: str, plan: Plan, *, late: bool, later: Mapping[int, int]) -> str:
    """Return the statement that finds the version that answers each row of the spine: `__row`, `__best`."""
    keys = _keys(rows)
    same = same_key(rows.keys, "s", "r")
    if plan == "hash":
        return _greatest(spine, same, later)
    wanted = f"{keys}, {'__s, ' if late else ''}__v"
    found = "SELECT s.__row, r.__v AS __best FROM"
    if not later:
        return f"{found} {_as_of(rows, spine, 'ASOF JOIN', wanted, late=late)}"
    # The keys with rows that were visible and then hidden go the other way.
    odd = f"(SELECT DISTINCT {keys} FROM b WHERE __c IN ({listed(later)}))"
    is_odd = f"EXISTS (SELECT 1 FROM {odd} r WHERE {same})"
    even = f"(SELECT * FROM {spine} s WHERE NOT {is_odd})"
    as_of = _as_of(rows, even, "ASOF JOIN", wanted, late=late)
    return f"{found} {as_of} UNION ALL {_greatest(spine, same, later, only=is_odd)}"


def _as_of(rows: Rows, spine: str, join: str, wanted: str, *, late: bool) -> str:
    """Return the relation of the rows `s` of the spine, each with the row `r` of `b` that answers it."""
    keys = _keys(rows)
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
    one = files([place])
    if rows.outside is not None:
        one = f"({base(replace(rows, files=tuple(item for item in rows.files if item[0] == place)), [], journal='')})"
    return f"SELECT count(*) FROM {sample} s JOIN {one} r ON {same}"


def _where(visible: str, last_us: int | None) -> str:
    later = "" if last_us is None else f"__e <= {last_us}"
    return f"{visible} AND {later}" if visible and later else visible or (later and f" WHERE {later}")


def _shown(rows: Rows) -> str:
    """Return the filter of rows that are hidden at every T."""
    never = [commit for commit, since in rows.retracted.items() if since is None]
    return f" WHERE __c NOT IN ({listed(never)})" if never else ""


def _answer(rows: Rows, columns: Sequence[str], ttl_us: int | None, *, of: str) -> str:
    packing = Packing.of(rows)
    event = packing.event("r.__v")
    expired = "false" if ttl_us is None else f"({event} <= s.__t_us - {ttl_us})"
    status = (
        f"(CASE WHEN r.__v IS NULL THEN {MISSING} WHEN r.__x THEN {RETIRED} WHEN {expired} THEN {EXPIRED}"
        f" ELSE {FOUND} END)::TINYINT AS {STATUS_COLUMN}"
    )
    value = f"{of}.{{0}}" if ttl_us is None else f"CASE WHEN NOT {expired} THEN {of}.{{0}} END AS {{0}}"
    return ", ".join(
        [
            *(value.format(quoted(name)) for name in columns),
            status,
            f"{event} AS {EVENT_COLUMN}",
            f"{packing.commit('r.__v')} AS {quoted(COMMIT_COLUMN)}",
            "s.__row",
        ]
    )
