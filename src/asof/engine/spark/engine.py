"""The engine port over Spark, reading the files of the pinned commits by explicit list."""

import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine import answers
from asof.engine.conditions import check
from asof.engine.planning import count, up_to, within_reach
from asof.engine.port import (
    EVENT_COLUMN,
    NO_TIME,
    STATUS_COLUMN,
    TIME_COLUMN,
    Engine,
    Known,
    Profile,
    Rows,
)
from asof.engine.spark import point_in_time, scans
from asof.engine.spark.failures import translated
from asof.engine.spark.frames import SparkFrames
from asof.engine.spark.sessions import master_of, open_session
from asof.engine.spark.stored import views
from asof.engine.spark.tables import shaped
from asof.engine.spark.windows import aggregated
from asof.engine.spines import in_order, with_numbers
from asof.engine.tables import nothing_found, typed
from asof.records import COMMIT_COLUMN, RETIRED_COLUMN
from asof.windows.aggregation import Aggregation

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLAN, PARTS = "union", "parts"


class SparkEngine:
    """The engine port over Spark.

    Look-ups, windows and the newest rows are Spark's. What ingest asks of few keys or in a stream (`scan`, `compare`,
    `absent`, `stamped`, `explain`), users' statements, and rows that lie outside of the store are answered by the
    engine of one machine, "duckdb", in the driver.

    Args:
        url: "spark:local[2]", "spark:spark://host:7077": the master of a session that is started when the first
            question is asked; "spark": all cores of this machine. Settings of Spark may follow, as in
            "spark:local[2]?spark.sql.shuffle.partitions=4". A session that the process has already is used as it is.
        root: The store's folder, at the same path on every machine of the cluster.
    """

    def __init__(self, url: str = "spark", *, root: str = "") -> None:
        """Start nothing yet."""
        self._master, self._settings = master_of(url)
        (point,) = entry_points(group="asof.engine", name="duckdb")
        self._inner: Engine = point.load()("duckdb", root=root)
        self._lock = threading.Lock()
        self._session: SparkSession | None = None

    def _opened(self) -> "SparkSession":
        """Return the session; a new one, if the last was stopped."""
        with self._lock:
            stopped = self._session is not None and self._session.sparkContext._jsc is None  # noqa: SLF001
            if self._session is None or stopped:
                self._session = open_session(self._master, self._settings)
            return self._session

    @property
    def frames(self) -> SparkFrames:
        """See `asof.engine.distributed.Distributing`."""
        return SparkFrames()

    def look_up(
        self,
        spine: pa.Table,
        rows: Rows,
        *,
        columns: Sequence[str],
        known: Known,
        ttl_us: int | None,
        profile: Profile | None = None,
    ) -> pa.Table:
        """See `Engine.look_up`."""
        if rows.outside is not None:
            return self._inner.look_up(spine, rows, columns=columns, known=known, ttl_us=ttl_us, profile=profile)
        profile = profile or Profile()
        schema = answer_schema(rows, columns)
        last_us: int = pc.max(spine.column(TIME_COLUMN).cast(pa.int64())).as_py() if spine.num_rows else NO_TIME
        profile.files, profile.rows, rows = len(rows.files), count(rows), up_to(rows, last_us)
        profile.files_read, profile.plan, profile.why = len(rows.files), PLAN, "the one plan of Spark"
        if not spine.num_rows or (not rows.files and rows.journal is None):
            return nothing_found(schema, spine.num_rows)
        session = self._opened()
        with profile.step("query"), translated(), views(session) as made:
            statement = point_in_time.look_up(
                rows,
                made,
                spine=made.table(with_numbers(spine, rows.keys)),
                carried=["__row"],
                columns=columns,
                known=known,
                ttl_us=ttl_us,
            )
            found = session.sql(statement).toArrow()
        with profile.step("arrange"):
            return typed(in_order(found), schema)

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """See `Engine.newest`."""
        schema = pa.schema(
            [
                *(rows.schema.field(key) for key in rows.keys),
                pa.field(EVENT_COLUMN, pa.int64()),
                pa.field(COMMIT_COLUMN, pa.int64()),
                pa.field(RETIRED_COLUMN, pa.bool_()),
                *(rows.schema.field(name) for name in scans.features_of(rows)),
            ]
        )
        if not rows.files and rows.journal is None:
            return schema.empty_table().to_reader()
        session = self._opened()
        with translated(), views(session) as made:
            statement = scans.newest(rows, made, keys_view=None if keys is None else made.table(keys))
            return typed(session.sql(statement).toArrow(), schema).to_reader()

    def aggregate(
        self,
        spine: pa.Table,
        rows: Rows,
        *,
        on: Sequence[str],
        aggregations: Sequence[Aggregation],
        known: Known,
        profile: Profile | None = None,
    ) -> pa.Table:
        """See `Engine.aggregate`."""
        profile = profile or Profile()
        check(aggregations, rows.schema)
        profile.files, profile.rows = len(rows.files), count(rows)
        rows = within_reach(rows, aggregations, spine)
        profile.files_read, profile.plan, profile.why = len(rows.files), PARTS, "the one plan of Spark"
        if not spine.num_rows or (not rows.files and rows.journal is None):
            return answers.nothing(spine, rows, on=on, aggregations=aggregations)
        session = self._opened()
        with profile.step("query"), translated(), views(session) as made:
            found = aggregated(
                made.table(with_numbers(spine, on)),
                rows,
                made,
                carried=pa.schema([("__row", pa.int64())]),
                on=on,
                aggregations=aggregations,
                known=known,
            ).toArrow()
        with profile.step("arrange"):
            schema = answers.nothing(spine.slice(0, 0), rows, on=on, aggregations=aggregations).schema
            return shaped(in_order(found), schema)

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """See `Engine.explain`."""
        return self._inner.explain(spine, rows, on=on, aggregation=aggregation, known=known)

    def scan(  # noqa: PLR0913 - see the port
        self,
        rows: Rows,
        *,
        columns: Sequence[str],
        after_us: int | None = None,
        until_us: int | None = None,
        known: Known = "event",
        latest: bool = False,
        clocks: bool = False,
        first: int | None = None,
    ) -> pa.RecordBatchReader:
        """See `Engine.scan`."""
        return self._inner.scan(
            rows,
            columns=columns,
            after_us=after_us,
            until_us=until_us,
            known=known,
            latest=latest,
            clocks=clocks,
            first=first,
        )

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """See `Engine.compare`."""
        return self._inner.compare(rows, frame)

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """See `Engine.absent`."""
        return self._inner.absent(rows, present, until_us=until_us)

    def stamped(
        self,
        rows: Rows,
        *,
        horizon_us: int | None = None,
        keys: pa.Table | None = None,
        without: pa.Table | None = None,
        after_us: int | None = None,
        until_us: int | None = None,
    ) -> pa.RecordBatchReader:
        """See `Engine.stamped`."""
        return self._inner.stamped(
            rows, horizon_us=horizon_us, keys=keys, without=without, after_us=after_us, until_us=until_us
        )

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """See `Engine.transform`."""
        return self._inner.transform(statement, tables, where=where)

    def close(self) -> None:
        """Release the engine. The session stays: others may use it, and a new one takes seconds."""
        self._inner.close()


def answer_schema(rows: Rows, columns: Sequence[str]) -> pa.Schema:
    """Return the schema of answers of `Engine.look_up`."""
    return pa.schema(
        [
            *(rows.schema.field(name) for name in columns),
            pa.field(STATUS_COLUMN, pa.int8()),
            pa.field(EVENT_COLUMN, pa.int64()),
            pa.field(COMMIT_COLUMN, pa.int64()),
        ]
    )
