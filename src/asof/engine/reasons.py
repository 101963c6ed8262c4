"""Which stored rows of an entity are events of a window, and why the others are not, as SQL text.

What counts is asked of the same relations that answers are made of; a reason is told of what they leave out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from asof.arrow.types import TIMESTAMP
from asof.engine.events import Asking, events
from asof.engine.literals import listed, quoted
from asof.engine.port import (
    BY_COLUMN,
    EVENT_COLUMN,
    NO_TIME,
    OF_COLUMN,
    REASON_COLUMN,
    VALUE_COLUMN,
    Known,
    Rows,
)
from asof.engine.stored import competing, filled, hidden_at, visible, wanted_time
from asof.engine.windows import bounds_of, counting, in_order, is_event
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN
from asof.windows.aggregation import Aggregation


def shape(rows: Rows, aggregation: Aggregation, on: Sequence[str]) -> pa.Schema:
    """Return the columns of `Engine.explain`."""
    value = pa.null() if aggregation.column is None else rows.schema.field(aggregation.column).type
    return pa.schema(
        [
            *(rows.schema.field(key) for key in rows.keys),
            pa.field(VALUE_COLUMN, value),
            pa.field(EVENT_COLUMN, pa.int64()),
            pa.field(COMMIT_COLUMN, pa.int64()),
            pa.field(AVAILABLE_COLUMN, TIMESTAMP),
            pa.field(REASON_COLUMN, pa.string()),
            pa.field(BY_COLUMN, pa.int64()),
            pa.field(OF_COLUMN, pa.struct([pa.field(name, rows.schema.field(name).type) for name in on])),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One entity at one time.

    Attributes:
        rows: The source.
        aggregation: What is asked about.
        journal: Name of the registered journal rows.
        spine: Name of the registered spine: one row of the columns `on`, `__t_us`, `__row`.
        on: The source's columns that the spine has.
        known: Knowledge mode.
        t_us: Its time.
    """

    rows: Rows
    aggregation: Aggregation
    journal: str
    spine: str
    on: Sequence[str]
    known: Known
    t_us: int

    def statement(self) -> str:
        """Return the statement; see `Engine.explain`."""
        rows, on, asked = self.rows, self.on, self.aggregation
        wanted = list(dict.fromkeys([*on, *asked.columns]))
        names = [name for name in wanted if name not in rows.keys and name != rows.event_time]
        stored = [*names, *wanted_time(rows, wanted)]
        every = filled(rows, f"({competing(rows, stored, journal=self.journal)})", stored, journal=self.journal)
        asking = Asking(wanted, on, self.spine, self.known, asked.window.bounds(self.t_us)[0], self.t_us)
        relation = f"({events(rows, asking, journal=self.journal)})"
        held, counts, begins = counting(rows, asked, asking=asking, relation=relation)
        keys = ", ".join(map(quoted, rows.keys))
        columns = ", ".join(quoted(name) for name in dict.fromkeys([*rows.keys, *wanted]))
        of = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in on)
        begun = "NULL::BIGINT" if begins is None else f"(SELECT max({begins}) FROM held)"
        value = "NULL" if asked.column is None else quoted(asked.column)
        return (
            f"WITH every AS (SELECT * FROM {every}),"
            f" own AS (SELECT {columns}, __e, __c, __a, {self.t_us}::BIGINT AS __t_us, struct_pack({of}) AS __own"
            f" FROM every SEMI JOIN {self.spine} USING ({', '.join(map(quoted, on))}) WHERE NOT __x),"
            f" standing AS (SELECT {keys}, __e, max(__c) AS {BY_COLUMN}, arg_max(__x, __c) AS __gone,"
            f" arg_max(struct_pack({of}), __c) AS {OF_COLUMN} FROM (SELECT * FROM every{visible(rows, self._moment)})"
            f" SEMI JOIN (SELECT DISTINCT {keys}, __e FROM own) USING ({keys}, __e)"
            f" WHERE __e <= {self.t_us} GROUP BY {keys}, __e),"
            f" held AS ({held}), counted AS (SELECT {keys}, __e, __c, true AS __counts FROM held WHERE {counts}),"
            f" begun AS (SELECT {begun} AS __begun)"
            f" SELECT {keys}, {value} AS {VALUE_COLUMN}, __e AS {EVENT_COLUMN}, __c AS {quoted(COMMIT_COLUMN)},"
            f" CASE WHEN __a > ({NO_TIME}) THEN make_timestamptz(__a) END AS {quoted(AVAILABLE_COLUMN)},"
            f" {self._reason()} AS {REASON_COLUMN}, {BY_COLUMN}, {OF_COLUMN}"
            f" FROM own LEFT JOIN standing USING ({keys}, __e) LEFT JOIN counted USING ({keys}, __e, __c), begun"
            f" ORDER BY {in_order(rows)}, __c"
        )

    @property
    def _moment(self) -> Known:
        """The mode that does not depend on T: what is served at T is what was known at T."""
        return self.t_us if self.known == "served" else self.known

    def _reason(self) -> str:
        """Return the reason of a row of `own`."""
        after, until = bounds_of(self.aggregation.window)
        hidden = hidden_at(self.rows, self._moment)
        value = "false" if self.aggregation.column is None else f"{quoted(self.aggregation.column)} IS NULL"
        cases = [
            ("__counts", ""),
            (f"__c IN ({listed(hidden)})" if hidden else "false", "retracted"),
            ("__e > __t_us", "in the future"),
            (f"__a > {self._moment}" if isinstance(self._moment, int) else "false", "not yet available"),
            (f"__e <= {after or '__begun'} OR __e > {until}", "outside the window"),
            ("__gone", "retired"),
            (f"__c <> {BY_COLUMN} AND __own IS DISTINCT FROM {OF_COLUMN}", "of another key"),
            (f"__c <> {BY_COLUMN}", "corrected"),
            (f"NOT {is_event(self.rows, self.aggregation.where) or 'true'}", "not where"),
            (value, "no value"),
        ]
        whens = " ".join(f"WHEN {condition} THEN '{reason}'" for condition, reason in cases)
        return f"CASE {whens} END"
