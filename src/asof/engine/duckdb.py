"""The engine port over DuckDB, in process, reading the files of the pinned commits by explicit list."""

import itertools
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import get_args
from urllib.parse import parse_qsl
from weakref import WeakSet

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from asof.engine import aggregated, answers, point_in_time, scans
from asof.engine.compare import absent, compare, key_range
from asof.engine.conditions import check
from asof.engine.events import Asking
from asof.engine.first import first_rows
from asof.engine.idle import idle
from asof.engine.literals import sources_of, text
from asof.engine.numbered import answers as numbered_answers
from asof.engine.numbered import on_all_cores
from asof.engine.planning import (
    SAMPLE_ROWS,
    Asked,
    Chosen,
    count,
    reach,
    reaches_beyond,
    sample,
    up_to,
    within_reach,
)
from asof.engine.port import EVENT_COLUMN, NO_TIME, STATUS_COLUMN, TIME_COLUMN, Known, Profile, Rows
from asof.engine.profiling import add_query
from asof.engine.reasons import Asked as Reasons
from asof.engine.reasons import shape as reasons_shape
from asof.engine.sandbox import Sandbox
from asof.engine.scans import Scan
from asof.engine.spill import Spill
from asof.engine.tables import nothing_found, typed, unsliced
from asof.engine.ties import settled, settled_stream, tied, with_keys
from asof.errors import BackendError, NotFoundError, PermanentError, TransientError, UsageError
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
)
from asof.windows.aggregation import Aggregation

BATCH_ROWS = 131_072

DEEP = "deep"
"""All windows by the plans for many events; look-ups as always."""

PLANS: Mapping[str, point_in_time.Plan | None] = {"": None, DEEP: None} | {
    plan: plan for plan in get_args(point_in_time.Plan)
}

LIMITS = {"memory_limit": "write a size such as 2GB", "threads": "write a number of threads"}

MANY_ROWS = 100_000
"""Answers that are worth the threads that bring them into order."""


class DuckDBEngine:
    """The engine port over DuckDB.

    Args:
        url: "duckdb"; "duckdb:as-of" (or whole, hash, numbered; deep, of windows) for one plan whatever the history
            is like: to test, to measure. Each may have limits, as in "duckdb:?memory_limit=2GB&threads=2": queries
            that need more memory spill to disk.
        root: The store's folder; what does not fit memory is spilled below it, if it can be written to.
    """

    def __init__(self, url: str = "duckdb", *, root: str = "") -> None:
        """Open nothing yet: a database takes ten times as long as the rest of a store."""
        name, _, query = url.partition(":")[2].partition("?")
        if name not in PLANS:
            raise NotFoundError.named("plan", name, PLANS, where=url)
        plan, self._deep = PLANS[name], name == DEEP
        self._fixed = plan and Chosen(plan, f"the store's engine is {url!r}")
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._database: duckdb.DuckDBPyConnection | None = None
        self._cursors: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
        self._spill = Spill(root) if root else None
        self._sandbox = Sandbox()
        self._url = url
        self._limits = dict(parse_qsl(query, keep_blank_values=True))
        if self._limits:  # whether they are any, DuckDB knows
            self._opened()

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """Return the in-memory database."""
        with self._lock:
            if self._database is None:
                self._database = self._connected()
            return self._database

    def _connected(self) -> duckdb.DuckDBPyConnection:
        database: duckdb.DuckDBPyConnection = (None if self._limits else idle.take()) or _new()
        folder = self._spill.folder if self._spill is not None else None
        # "" is no folder, and no spilling; unset it would be one below wherever the process stands.
        database.execute(f"SET temp_directory = {text(str(folder or ''))}")
        for name, value in self._limits.items():
            if name not in LIMITS:
                raise NotFoundError.named("option", name, LIMITS, where=self._url)
            try:
                database.execute(f"SET {name} = {text(value)}")
            except duckdb.Error as error:
                raise UsageError(f"{name}={value} is no limit: {error}", where=self._url, todo=LIMITS[name]) from error
        return database

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
        given, profile = profile, profile or Profile()
        schema = pa.schema(
            [
                *(rows.schema.field(name) for name in columns),
                pa.field(STATUS_COLUMN, pa.int8()),
                pa.field(EVENT_COLUMN, pa.int64()),
                pa.field(COMMIT_COLUMN, pa.int64()),
            ]
        )
        times = spine.column(TIME_COLUMN).cast(pa.int64())
        last_us: int = pc.max(times).as_py() if spine.num_rows else NO_TIME
        profile.files, profile.rows, rows = len(rows.files), count(rows), up_to(rows, last_us)
        profile.files_read = len(rows.files)
        if not spine.num_rows or (not rows.files and rows.journal is None):
            return nothing_found(schema, spine.num_rows)
        spine_rows = _numbered(spine, rows.keys)
        asked = Asked.of(spine.num_rows, rows, len(columns), known)
        with self._session(rows, __asof_spine=spine_rows) as (run, names):
            with profile.step("choose"):
                chosen = self._fixed or asked.at_once() or _chosen(run, rows, asked, spine, names["__asof_spine"])
                chosen = chosen if rows.outside is None else chosen.showing_ties()
            profile.plan, profile.why = chosen
            beyond_us = last_us if reaches_beyond(rows, last_us) else None
            step = partial(_step, run, profile, given)
            spine_name, journal = names["__asof_spine"], names["__asof_journal"]
            if chosen.plan == "numbered" and not point_in_time.hidden_later(rows, known):
                with step("hold"):
                    statement = point_in_time.held(
                        rows, journal=journal, columns=columns, known=known, last_us=beyond_us
                    )
                    held = run.sql(statement).to_arrow_table()
                if not held.num_rows:
                    return nothing_found(schema, spine.num_rows)
                with step("query"):
                    found = _numbers(run, held, rows, spine_name, known)
                with profile.step("arrange"):
                    return typed(numbered_answers(held, found, times, columns=columns, ttl_us=ttl_us), schema)
            statement = point_in_time.look_up(
                rows,
                spine=spine_name,
                journal=journal,
                columns=columns,
                known=known,
                ttl_us=ttl_us,
                plan=chosen.plan,
                narrow=asked.narrow,
                last_us=beyond_us,
            )
            with step("query"):
                found = run.sql(statement).to_arrow_table()
        with profile.step("arrange"):
            found = found if found.num_rows == spine.num_rows else _settled(found, spine, rows)
            return typed(_in_order(found), schema)

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
        given, profile = profile, profile or Profile()
        check(aggregations, rows.schema)
        profile.files, profile.rows = len(rows.files), count(rows)
        rows = within_reach(rows, aggregations, spine)
        profile.files_read = len(rows.files)
        if not spine.num_rows or (not rows.files and rows.journal is None):
            return answers.nothing(spine, rows, on=on, aggregations=aggregations)
        table = _numbered(spine, on)
        wanted = list(dict.fromkeys([*on, *(name for each in aggregations for name in each.columns)]))
        with self._session(rows, __asof_spine=table, __asof_sample=sample(spine)) as (run, names):
            asking = Asking(wanted, on, names["__asof_spine"], known, *reach(aggregations, spine))
            question = aggregated.Question(
                rows,
                asking,
                aggregations,
                journal=names["__asof_journal"],
                sample=names["__asof_sample"],
                spine_rows=spine.num_rows,
                always=self._deep,
            )

            def ask(statement: str) -> pa.Table:
                with _profiled(run, given):
                    return run.sql(statement).to_arrow_table()

            found, ways = aggregated.found(question, ask, profile)
        with profile.step("arrange"):
            return answers.arranged(spine, found, on=on, aggregations=aggregations, ways=ways)

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """See `Engine.explain`."""
        check([aggregation], rows.schema)
        schema = reasons_shape(rows, aggregation, on)
        if not rows.files and rows.journal is None:
            return schema.empty_table().to_reader()
        with self._session(rows, __asof_spine=_numbered(spine, on)) as (run, names):
            wanted = list(dict.fromkeys([*on, *aggregation.columns]))
            asking = Asking(wanted, on, names["__asof_spine"], known, *reach([aggregation], spine))
            t_us = spine.column(TIME_COLUMN).cast(pa.int64())[0].as_py()
            asked = Reasons(
                rows=rows, aggregation=aggregation, journal=names["__asof_journal"], asking=asking, t_us=t_us
            )
            return _stream(run, asked.statement(), schema)

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
        names = [*columns, *((COMMIT_COLUMN, AVAILABLE_COLUMN) if clocks else ())]
        schema = pa.schema([rows.schema.field(name) for name in names])
        if not rows.files and rows.journal is None:
            return schema.empty_table().to_reader()
        ties = latest and rows.outside is not None
        asked = with_keys(rows, columns) if ties else columns
        stored = pa.schema([rows.schema.field(name) for name in (*asked, *names[len(columns) :])])
        with self._session(rows) as (run, tables):
            scan = Scan(rows, tables["__asof_journal"], asked, after_us, until_us, known, latest, clocks)
            if first is None:
                found = _stream(run, scan.statement(), stored)
                return settled_stream(found, rows, schema) if ties else found

            def of_keys(keys: pa.Table) -> pa.Table:
                found = typed(self._of_keys(run, scan, keys), stored)
                return settled_stream(found.to_reader(), rows, schema).read_all() if ties else found

            keys = partial(_first_keys, run, scan)
            return first_rows(first, rows.keys, keys, of_keys, schema).to_reader()

    def _of_keys(self, run: duckdb.DuckDBPyConnection, scan: Scan, keys: pa.Table) -> pa.Table:
        """Return what a scan gives of some keys."""
        name = f"__asof_keys_{next(self._numbers)}"
        run.register(name, unsliced(keys))
        return run.sql(scan.statement(name, key_range(scan.rows, keys))).to_arrow_table()

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """See `Engine.newest`."""
        ours = (rows.event_time, AVAILABLE_COLUMN, COMMIT_COLUMN, RETIRED_COLUMN)
        schema = pa.schema(
            [
                *(rows.schema.field(key) for key in rows.keys),
                pa.field(EVENT_COLUMN, pa.int64()),
                pa.field(COMMIT_COLUMN, pa.int64()),
                pa.field(RETIRED_COLUMN, pa.bool_()),
                *(field for field in rows.schema if field.name not in (*rows.keys, *ours)),
            ]
        )
        if not rows.files and rows.journal is None:
            return schema.empty_table().to_reader()
        with self._session(rows, __asof_keys=keys) as (run, names):
            journal, table = names["__asof_journal"], names.get("__asof_keys")
            statement = scans.newest(rows, journal=journal, keys_table=table, between=key_range(rows, keys))
            return _stream(run, statement, schema)

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """See `Engine.compare`."""
        features = [name for name in frame.column_names if name not in rows.keys and name != "__event"]
        names = ["__same", NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN, *features]
        types = [pa.bool_(), pa.int64(), pa.int64(), *(pa.bool_() for _ in features)]
        schema = pa.schema(list(zip(names, types, strict=True)))
        if not frame.num_rows or (not rows.files and rows.journal is None):
            return pa.table([pa.nulls(frame.num_rows, field.type) for field in schema], schema=schema)
        if rows.event_time is None:  # all are as early as the stored rows
            frame = frame.set_column(frame.column_names.index("__event"), "__event", pa.repeat(NO_TIME, len(frame)))
        numbered = frame.append_column("__row", pa.array(np.arange(frame.num_rows)))
        with self._session(rows, __asof_frame=numbered) as (run, tables):
            statement = compare(
                rows,
                frame=tables["__asof_frame"],
                journal=tables["__asof_journal"],
                columns=features,
                between=key_range(rows, frame),
            )
            found = run.sql(statement).to_arrow_table()
        order = np.full(frame.num_rows, -1)
        order[found.column("__row").to_numpy()] = np.arange(found.num_rows)
        places = pa.array(order, mask=order < 0)
        found = found.drop_columns(["__row"]).take(places).rename_columns(names)
        if rows.event_time is None:
            zeros = pc.if_else(pc.is_valid(found.column(NAMED_EVENT_COLUMN)), 0, pa.scalar(None, pa.int64()))
            found = found.set_column(1, NAMED_EVENT_COLUMN, zeros)
        return found.cast(schema)

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """See `Engine.absent`."""
        schema = pa.schema([rows.schema.field(key) for key in rows.keys])
        if not rows.files and rows.journal is None:
            return schema.empty_table().to_reader()
        with self._session(rows, __asof_present=present.journal) as (run, names):
            statement = absent(
                rows,
                present,
                journal=names["__asof_journal"],
                present_journal=names.get("__asof_present", ""),
                until_us=until_us,
            )
            return _stream(run, statement, schema)

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
        if not rows.files and rows.journal is None:
            return rows.schema.empty_table().to_reader()
        with self._session(rows, __asof_keys=keys, __asof_without=without) as (run, names):
            statement = scans.stamped(
                rows,
                journal=names["__asof_journal"],
                horizon_us=horizon_us,
                keys_table=names.get("__asof_keys"),
                without_table=names.get("__asof_without"),
                after_us=after_us,
                until_us=until_us,
                between=key_range(rows, keys),
            )
            return _stream(run, statement, rows.schema)

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """See `Engine.transform`."""
        return self._sandbox.run(statement, {name: unsliced(each) for name, each in tables.items()}, where=where)

    def close(self) -> None:
        """See `Engine.close`."""
        self._sandbox.close()
        with self._lock:
            if self._database is not None:
                self._database = self._given_up(self._database)
        if self._spill is not None:
            self._spill.close()

    def _given_up(self, database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Let go of the database, for the next engine if nothing of this one is left in it; return a closed one."""
        try:
            closed = database.cursor()
        except duckdb.Error:  # it was given up before
            return database
        closed.close()
        if not self._limits and not self._cursors:
            with suppress(duckdb.Error):  # DuckDB 1.4 keeps to a folder that it spilled to
                database.execute("SET temp_directory = ''")
                idle.keep(database)
                return closed
        database.close()
        return closed

    @contextmanager
    def _session(
        self, rows: Rows, **tables: pa.Table | None
    ) -> Generator[tuple[duckdb.DuckDBPyConnection, dict[str, str]]]:
        """Open a cursor with the given tables registered, native errors translated."""
        journal = f"__asof_journal_{next(self._numbers)}"
        names = {"__asof_journal": journal}
        with _translated():
            cursor = self._opened().cursor()
            self._cursors.add(cursor)
            if rows.journal is not None:
                cursor.register(journal, unsliced(rows.journal))
            if rows.sources is not None and rows.sources.journal is not None:
                cursor.register(sources_of(journal), unsliced(rows.sources.journal))
            for name, table in tables.items():
                if table is not None:
                    names[name] = f"{name}_{next(self._numbers)}"
                    cursor.register(names[name], unsliced(table))
            yield cursor, names


def _new() -> duckdb.DuckDBPyConnection:
    """Return a database in memory."""
    database = duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
    )
    database.execute("SET TimeZone = 'UTC'")
    database.execute("SET preserve_insertion_order = false")
    return database


def _first_keys(run: duckdb.DuckDBPyConnection, scan: Scan, many: int) -> pa.Table:
    return run.sql(scan.first_keys(many)).to_arrow_table()


def _numbers(run: duckdb.DuckDBPyConnection, held: pa.Table, rows: Rows, spine: str, known: Known) -> pa.Table:
    """Return for rows of the spine (`__row`) which of the rows held answers (`__n`)."""
    name = f"{spine}_held"
    versions = held.select([*rows.keys, "__s", "__v"]).append_column("__n", pa.array(np.arange(len(held))))
    run.register(name, versions)
    return run.sql(point_in_time.numbers(rows, spine, name, known)).to_arrow_table()


@contextmanager
def _step(run: duckdb.DuckDBPyConnection, profile: Profile, given: Profile | None, name: str) -> Generator[None]:
    """Time a step, and have DuckDB profile its query, if somebody wants to know."""
    with profile.step(name), _profiled(run, given):
        yield


@contextmanager
def _profiled(run: duckdb.DuckDBPyConnection, profile: Profile | None) -> Generator[None]:
    """Have DuckDB profile the query of a block, if somebody wants to know."""
    if profile is None:
        yield
        return
    run.execute("SET enable_profiling = 'no_output'")
    yield
    told = getattr(run, "get_profiling_information", None)  # DuckDB 1.4 has none
    add_query(profile, "" if told is None else told("json"))


def _in_order(found: pa.Table) -> pa.Table:
    """Return answers in the order of the spine, each row of which has one; the columns on all cores."""
    order = np.empty(found.num_rows, dtype=np.int64)
    order[found.column("__row").to_numpy()] = np.arange(found.num_rows)
    found, places = found.drop_columns(["__row"]), pa.array(order)
    if found.num_rows < MANY_ROWS:
        return found.take(places)
    return pa.Table.from_arrays(on_all_cores(partial(pc.take, indices=places), found.columns), schema=found.schema)


def _settled(found: pa.Table, spine: pa.Table, rows: Rows) -> pa.Table:
    """Return one answer for each row of the spine, of several that are equal.

    Raises:
        DataError: Some differ.
    """
    found, tie = settled(found.sort_by("__row"), ["__row"])
    if tie is not None:
        row, event_us = (found.column(name)[tie].as_py() for name in ("__row", EVENT_COLUMN))
        raise tied(rows, spine.slice(row, 1), event_us if rows.event_time is not None else None)
    return found


def _numbered(spine: pa.Table, on: Sequence[str]) -> pa.Table:
    """Return some columns of a spine with its times, `__t_us`, and the number of each row, `__row`."""
    table = spine.select(list(on)).append_column("__t_us", spine.column(TIME_COLUMN).cast(pa.int64()))
    return table.append_column("__row", pa.array(np.arange(spine.num_rows)))


def _chosen(run: duckdb.DuckDBPyConnection, rows: Rows, asked: Asked, spine: pa.Table, name: str) -> Chosen:
    """Choose by the rows that the keys of the spine have, as far as its sample and the largest file tell."""
    place, file, _ = max(rows.files, key=lambda item: item[1].rows, default=(None, None, None))
    if place is None or file is None or not file.rows:
        return Chosen("hash", "no file has rows")
    run.register(f"{name}_sample", unsliced(sample(spine)))
    found = run.sql(point_in_time.matches(rows, place, sample=f"{name}_sample")).to_arrow_table()
    sampled = min(asked.spine_rows, SAMPLE_ROWS)
    return asked.by_pairs(found.column(0)[0].as_py() * asked.rows / file.rows * asked.spine_rows / sampled)


def _stream(cursor: duckdb.DuckDBPyConnection, statement: str, schema: pa.Schema) -> pa.RecordBatchReader:
    with _translated():
        reader = cursor.sql(statement).to_arrow_reader(BATCH_ROWS)

    def batches() -> Iterator[pa.RecordBatch]:
        with _translated():
            for batch in reader:
                yield from typed(pa.Table.from_batches([batch]), schema).to_batches()
        cursor.close()

    return pa.RecordBatchReader.from_batches(schema, batches())


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise _translation(error) from error


def _translation(error: duckdb.Error) -> BackendError:
    reason = " ".join(str(error).split())
    if isinstance(error, duckdb.OutOfMemoryException):
        return PermanentError(f"the query needs more memory: {reason}", todo="read fewer rows or columns at once")
    if "No files found" in reason or "No such file" in reason:
        return TransientError(f"a data file is gone: {reason}", todo="read again; if it stays, run `asof doctor`")
    return PermanentError(f"the engine failed: {reason}", todo="run `asof doctor`")
