"""Windows of events over Spark: it brings together what belongs together, and the engine of one machine aggregates it.

Rows of the spine and stored rows are cut into parts by the values of the columns that they have in common, and by bands
of time where windows reach back so far and no further; each part is answered by the engine "duckdb" within a task. The
same code gives the same bits.

    rivals   rows of one event (key and event time) may differ in those columns: each of them goes wherever one goes, so
             that which of them is the newest is seen there
    bands    are at least as long as the longest window reaches back: a row goes to the band of its event time and to
             the next one. So a key with very many rows is several parts; if a window has no bound, it is one
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pyarrow as pa

from asof.arrow.types import TIMESTAMP
from asof.engine import answers
from asof.engine.planning import count, span_us
from asof.engine.port import NO_TIME, TIME_COLUMN, Engine, Known, Rows
from asof.engine.spark.literals import names, quoted, same_key
from asof.engine.spark.stored import Views, competing, confirming, payloads
from asof.engine.spark.tables import plain, shaped, spark_schema
from asof.records import AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN
from asof.windows.aggregation import Aggregation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PART_ROWS = 500_000
"""Rows that a part should have: a task holds it in memory, in Arrow and in DuckDB."""

PARTS_AT_LEAST = 2
"""Parts for each thing that Spark does at a time, so that none waits long for another."""

BUCKET, BAND = "__bucket", "__band"


@dataclass(frozen=True, slots=True)
class Cut:
    """How rows are cut into parts.

    Attributes:
        buckets: Parts by the columns in common.
        band_us: Length of the bands of time; 0: one band.
    """

    buckets: int
    band_us: int

    @classmethod
    def of(cls, rows: Rows, aggregations: Sequence[Aggregation], *, at_once: int) -> "Cut":
        """Choose by the size of the history.

        Args:
            rows: The history.
            aggregations: What is wanted.
            at_once: Tasks that run at a time.
        """
        parts = -(-count(rows) // PART_ROWS)
        reaches = [each.window.reach_us for each in aggregations]
        reach_us = max((each for each in reaches if each is not None), default=0)
        banded = parts > 1 and None not in reaches
        band_us = max(reach_us, -(-span_us(rows) // parts), 1) if banded else 0
        return cls(max(parts, PARTS_AT_LEAST * at_once), band_us)

    def bucket(self, on: Sequence[str], *, otherwise: str = "0") -> str:
        """Return the bucket of a row; that of one with a null is whatever is said."""
        null = " OR ".join(f"{quoted(name)} IS NULL" for name in on)
        return f"CASE WHEN {null} THEN {otherwise} ELSE pmod(xxhash64({names(on)}), {self.buckets}) END"

    def band(self, time_us: str) -> str:
        """Return the band of a time."""
        whole = f"({time_us} - pmod({time_us}, {self.band_us})) DIV {self.band_us}"  # "/" would divide floats
        return whole if self.band_us else "CAST(0 AS BIGINT)"


def aggregated(  # noqa: PLR0913 - one question
    spine: str,
    rows: Rows,
    made: Views,
    *,
    carried: pa.Schema,
    on: Sequence[str],
    aggregations: Sequence[Aggregation],
    known: Known,
) -> "DataFrame":
    """Return what is carried and the answers of `Engine.aggregate`, in no order.

    Args:
        spine: Name of the view of the spine: the columns `on`, `__t_us`, and what is carried.
        rows: The history; it holds rows.
        made: Takes the views.
        carried: Columns of the spine that come out with the answers, in Spark's types.
        on: Columns that both have.
        aggregations: What is wanted.
        known: Knowledge mode.
    """
    cut = Cut.of(rows, aggregations, at_once=made.session.sparkContext.defaultParallelism)
    session = made.session
    features = list(
        dict.fromkeys(
            name
            for name in (*on, *(name for each in aggregations for name in each.columns))
            if name not in (*rows.keys, rows.event_time)
        )
    )
    asked = session.sql(
        f"SELECT {names([*on, '__t_us', *carried.names])}, {cut.bucket(on, otherwise=f'pmod(__t_us, {cut.buckets})')}"
        f" AS {BUCKET}, {cut.band('__t_us')} AS {BAND} FROM {spine}"
    )
    events = session.sql(_sent(rows, features, on, cut, made))
    task = Task.of(rows, features, on=on, aggregations=aggregations, known=known, carried=carried)
    both = asked.groupBy(BUCKET, BAND).cogroup(events.groupBy(BUCKET, BAND))
    return both.applyInArrow(answering(task), spark_schema(task.schema))


def _sent(rows: Rows, features: Sequence[str], on: Sequence[str], cut: Cut, made: Views) -> str:
    """Return the stored rows, stamped, once for each part that they belong to."""
    stored = _stamped(rows, features, made)
    own = f"SELECT *, {cut.bucket(on)} AS {BUCKET} FROM ({stored})"
    if not set(on) <= set(rows.keys):
        identity = f"{names(rows.keys)}, __e"
        every = f"SELECT *, collect_set({BUCKET}) OVER (PARTITION BY {identity}) AS __buckets FROM ({own})"
        own = f"SELECT * EXCEPT ({BUCKET}, __buckets), explode(__buckets) AS {BUCKET} FROM ({every})"
    band = cut.band("__e")
    bands = f"explode(array({band}, {band} + 1))" if cut.band_us else band
    return f"SELECT * EXCEPT (__e), {bands} AS {BAND} FROM ({own})"


def _stamped(rows: Rows, features: Sequence[str], made: Views) -> str:
    """Return the stored rows with their clocks as columns, and `__e`."""
    named = confirming(rows)
    own = payloads(rows, features, made) if named else ""
    rest = f" LEFT JOIN ({own}) p ON {same_key(rows.keys, 'r', 'p')} AND p.__e = r.__pe AND p.__c = r.__pc" * bool(own)
    of = "r" if not named else "p" if own else ""
    wanted = [
        names(rows.keys, "r"),
        f"timestamp_micros(r.__e) AS {quoted(rows.event_time or '')}",
        *(f"{of}.{quoted(name)}" if of else f"NULL AS {quoted(name)}" for name in features),
        f"r.__x AS {quoted(RETIRED_COLUMN)}",
        f"r.__c AS {quoted(COMMIT_COLUMN)}",
        f"CASE WHEN r.__a > ({NO_TIME}) THEN timestamp_micros(r.__a) END AS {quoted(AVAILABLE_COLUMN)}",
        "r.__e",
    ]
    return f"SELECT {', '.join(wanted)} FROM ({competing(rows, features, made)}) r{rest}"


@dataclass(frozen=True, slots=True)
class Task:
    """What a task is asked; it travels to other machines.

    Attributes:
        rows: The history, without rows.
        on: Columns that both have.
        aggregations: What is wanted.
        known: Knowledge mode.
        carried: Columns of the spine that come out with the answers.
        schema: What comes out.
    """

    rows: Rows
    on: tuple[str, ...]
    aggregations: tuple[Aggregation, ...]
    known: Known
    carried: tuple[str, ...]
    schema: pa.Schema

    @classmethod
    def of(
        cls,
        rows: Rows,
        features: Sequence[str],
        *,
        on: Sequence[str],
        aggregations: Sequence[Aggregation],
        known: Known,
        carried: pa.Schema,
    ) -> "Task":
        """Return what a task is asked of a history; see `aggregated`."""
        kept = [*rows.keys, *([rows.event_time] if rows.event_time else []), *features]
        schema = pa.schema(
            [rows.schema.field(name) for name in (*kept, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN)]
        )
        layout = tuple(name for name in rows.layout if name in features)
        few = replace(rows, schema=schema, layout=layout, files=(), journal=None, sources=None, cold=())
        none = pa.table({name: pa.nulls(0, schema.field(name).type) for name in on})
        spine = none.append_column(TIME_COLUMN, pa.nulls(0, TIMESTAMP))
        answer = answers.nothing(spine, few, on=on, aggregations=aggregations).schema
        out = plain(pa.schema([*carried, *answer]))
        return cls(few, tuple(on), tuple(aggregations), known, tuple(carried.names), out)

    def answer(self, spine: pa.Table, events: pa.Table) -> pa.Table:
        """Return what is carried and the answers of one part."""
        if not spine.num_rows:
            return self.schema.empty_table()
        stored = shaped(events.select(self.rows.schema.names), self.rows.schema)
        rows = replace(self.rows, journal=stored if stored.num_rows else None)
        on = pa.schema([self.rows.schema.field(name) for name in self.on])
        asked = shaped(spine.select(list(self.on)), on)
        found = _engine().aggregate(
            asked.append_column(TIME_COLUMN, spine.column("__t_us").cast(TIMESTAMP)),
            rows,
            on=self.on,
            aggregations=self.aggregations,
            known=self.known,
        )
        columns = [*spine.select(list(self.carried)).columns, *found.columns]
        return shaped(pa.Table.from_arrays(columns, names=self.schema.names), self.schema)

    def of_nothing(self, spine: pa.Table) -> pa.Table:
        """Return the answers of a part of the spine, if there are no events."""
        return self.answer(spine, self.rows.schema.empty_table())


def answering(task: Task) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Return what Spark calls with each part."""

    def answer(spine: pa.Table, events: pa.Table) -> pa.Table:
        return task.answer(spine, events)

    return answer


@cache
def _engine() -> Engine:
    """Return the engine of this process of tasks: each has a core of its own."""
    (point,) = entry_points(group="asof.engine", name="duckdb")
    engine: Engine = point.load()("duckdb:?threads=1", root="")
    return engine
