"""Reads of stored rows that are no look-ups, as SQL text."""

from collections.abc import Sequence
from dataclasses import dataclass

from asof.engine.literals import listed, quoted
from asof.engine.point_in_time import Packing
from asof.engine.port import EVENT_COLUMN, NO_TIME, Known, Rows
from asof.engine.stored import competing, confirming, filled, visible, wanted_time
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN


@dataclass(frozen=True, slots=True)
class Scan:
    """What `Engine.scan` is asked, but for the first rows; and how its statements call the journal.

    Attributes:
        rows: The history.
        journal: Name of the registered table of journal rows.
        columns: The columns wanted.
        after_us: Exclusive lower bound.
        until_us: Inclusive upper bound.
        known: Knowledge mode.
        latest: Only the newest row of each key.
        clocks: Add `__commit` and `__available_at`.
    """

    rows: Rows
    journal: str
    columns: Sequence[str]
    after_us: int | None
    until_us: int | None
    known: Known
    latest: bool
    clocks: bool

    def statement(self, keys_table: str = "", between: str = "") -> str:
        """Return the statement that reads the rows.

        Args:
            keys_table: Registered keys; only their rows are read. "": all are.
            between: A condition that those rows meet, by which parts of files are left out; or "".
        """
        rows = self.rows
        features = [name for name in self.columns if name not in rows.keys]
        stored = [name for name in features if name != rows.event_time] + wanted_time(rows, features)
        only = f" SEMI JOIN {keys_table} USING ({self._keys})" if keys_table else ""
        first = "row_number" if rows.outside is None else "rank"  # rows that tie are told apart by who reads them
        newest = f" QUALIFY {first}() OVER (PARTITION BY {self._keys} ORDER BY __e DESC, __c DESC) = 1"
        relation = f"(SELECT * FROM ({self._competing(stored)}){only}{self._where(between)}{newest * self.latest})"
        wanted = [quoted(name) for name in self.columns]
        if self.clocks:
            wanted += [
                f"{'__c' if rows.outside is None else 'NULL::BIGINT'} AS {quoted(COMMIT_COLUMN)}",
                f"CASE WHEN __a > ({NO_TIME}) THEN make_timestamptz(__a) END AS {quoted(AVAILABLE_COLUMN)}",
            ]
        shown = filled(rows, relation, stored, journal=self.journal, between=between)
        return f"SELECT {', '.join(wanted)} FROM {shown} WHERE NOT __x ORDER BY {self._keys}, __e, __c"

    def first_keys(self, many: int) -> str:
        """Return the statement that gives the keys of the first so many rows, ordered, and `__n`: rows of each.

        They are found by the greatest of them so far: what lies above is left out, by parts of files and unsorted.
        """
        keys = self._keys
        found = f"SELECT {keys} FROM ({self._competing([])}){self._where()} ORDER BY {keys} LIMIT {many}"
        return f"SELECT {keys}, count(*) AS __n FROM ({found}) GROUP BY {keys} ORDER BY {keys}"

    @property
    def _keys(self) -> str:
        return ", ".join(quoted(key) for key in self.rows.keys)

    def _competing(self, columns: Sequence[str]) -> str:
        return competing(self.rows, columns, journal=self.journal)

    def _where(self, between: str = "") -> str:
        shown = visible(self.rows, self.known).removeprefix(" WHERE ")
        return _where(between, shown, *_within(self.after_us, self.until_us))


def newest(rows: Rows, *, journal: str, keys_table: str | None, between: str = "") -> str:
    """Return the statement that finds the newest row of each key; see `Engine.newest` and `Scan.statement`."""
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
    shown = _where(between, visible(rows, "event").removeprefix(" WHERE "))
    only = f" SEMI JOIN {keys_table} USING ({keys})" if keys_table else ""
    best = (
        f"FROM (SELECT * FROM ({sources}){shown}){only}"
        f" QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY __e DESC, __c DESC) = 1"
    )
    if confirming(rows):
        best = f"FROM {filled(rows, f'(SELECT * {best})', features, journal=journal, between=between)}"
    return f"SELECT {', '.join(wanted)} {best} ORDER BY {keys}"


def stamped(  # noqa: PLR0913 - the parts of one statement
    rows: Rows,
    *,
    journal: str,
    horizon_us: int | None,
    keys_table: str | None = None,
    without_table: str | None = None,
    after_us: int | None = None,
    until_us: int | None = None,
    between: str = "",
) -> str:
    """Return the statement that gives all rows with their stamps; see `Engine.stamped` and `Scan.statement`."""
    features = _features(rows)
    sources = competing(rows, features + wanted_time(rows, [rows.event_time or ""]), journal=journal)
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
    relation = f"(SELECT * FROM ({sources}){only}{_where(between, *_within(after_us, until_us))})"
    if horizon_us is not None:
        version = Packing.of(rows).version()
        hidden = f" AND __c NOT IN ({listed(rows.retracted)})" if rows.retracted else ""
        settled = f"max(CASE WHEN greatest(__e, __a) <= {horizon_us}{hidden} THEN {version} END)"
        relation = (
            f"(SELECT * FROM {relation} QUALIFY coalesce({version} >= {settled} OVER (PARTITION BY {keys}), true))"
        )
    relation = filled(rows, relation, features, journal=journal, between=between)
    return f"SELECT {', '.join(wanted)} FROM {relation} ORDER BY {keys}, __e, __c"


def _within(after_us: int | None, until_us: int | None) -> list[str]:
    """Return the conditions that an event time lies in (after, until]."""
    after = [] if after_us is None else [f"__e > {after_us}"]
    return after if until_us is None else [*after, f"__e <= {until_us}"]


def _where(*conditions: str) -> str:
    given = " AND ".join(filter(None, conditions))
    return f" WHERE {given}" if given else ""


def _features(rows: Rows) -> list[str]:
    ours = {*rows.keys, rows.event_time, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN}
    return [name for name in rows.schema.names if name not in ours]
