"""Files that lie elsewhere, over any engine: what a question needs is brought near, and held while it is answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.planning import between, count, up_to, within_reach
from asof.engine.port import TIME_COLUMN, Engine, Known, Profile, Rows
from asof.records import DataFile
from asof.windows.aggregation import Aggregation

Near = Callable[[Sequence[DataFile]], AbstractContextManager[Mapping[str, str]]]
"""See `asof.offline.port.History.near`."""


class NearEngine:
    """The engine port over another engine, which reads local files only.

    Args:
        engine: The engine.
        near: Brings files near.
    """

    def __init__(self, engine: Engine, near: Near) -> None:
        """Keep the engine."""
        self.engine = engine
        self._near = near

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
        """See `Engine.look_up`. Files all of whose rows are later than the spine stay where they are."""
        last_us = pc.max(spine.column(TIME_COLUMN).cast(pa.int64())).as_py()
        needed = replace(rows, files=(), sources=None) if last_us is None else up_to(rows, last_us)
        told = profile or Profile()
        with ExitStack() as held:
            with told.step("fetch"):
                local = self._local(held, needed)
            answer = self.engine.look_up(spine, local, columns=columns, known=known, ttl_us=ttl_us, profile=profile)
        told.files, told.rows = len(rows.files), count(rows)
        return answer

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
        """See `Engine.aggregate`. Files without events that a window may hold stay where they are."""
        told = profile or Profile()
        with ExitStack() as held:
            with told.step("fetch"):
                local = self._local(held, within_reach(rows, aggregations, spine))
            answer = self.engine.aggregate(spine, local, on=on, aggregations=aggregations, known=known, profile=profile)
        told.files, told.rows = len(rows.files), count(rows)
        return answer

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """See `Engine.explain`."""
        with ExitStack() as held:
            local = self._local(held, rows)
            return _holding(held, self.engine.explain(spine, local, on=on, aggregation=aggregation, known=known))

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
        """See `Engine.scan`. Files without rows of that time stay where they are."""
        with ExitStack() as held:
            found = self.engine.scan(
                self._local(held, between(rows, after_us, until_us)),
                columns=columns,
                after_us=after_us,
                until_us=until_us,
                known=known,
                latest=latest,
                clocks=clocks,
                first=first,
            )
            return _holding(held, found)

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """See `Engine.newest`."""
        with ExitStack() as held:
            return _holding(held, self.engine.newest(self._local(held, rows), keys=keys))

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """See `Engine.compare`."""
        with ExitStack() as held:
            return self.engine.compare(self._local(held, rows), frame)

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """See `Engine.absent`."""
        with ExitStack() as held:
            local = self._local(held, rows)
            return _holding(held, self.engine.absent(local, self._local(held, present), until_us=until_us))

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
        with ExitStack() as held:
            local = self._local(held, rows)
            found = self.engine.stamped(
                local, horizon_us=horizon_us, keys=keys, without=without, after_us=after_us, until_us=until_us
            )
            return _holding(held, found)

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """See `Engine.transform`."""
        return self.engine.transform(statement, tables, where=where)

    def close(self) -> None:
        """See `Engine.close`."""
        self.engine.close()

    def _local(self, held: ExitStack, rows: Rows) -> Rows:
        """Return a history with its files near, as long as they are held."""
        sources = () if rows.sources is None else rows.sources.files
        wanted = {file.path: file for _, file, _ in (*rows.files, *sources)}
        if not wanted:
            return rows
        places = held.enter_context(self._near(list(wanted.values())))

        def local(rows: Rows) -> Rows:
            files = tuple((places[file.path], file, stamp) for _, file, stamp in rows.files)
            return replace(rows, files=files, sources=None if rows.sources is None else local(rows.sources))

        return local(rows)


def _holding(held: ExitStack, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
    """Return a stream that holds its files until it ends, or is dropped."""
    until_then = held.pop_all()

    def batches() -> Iterator[pa.RecordBatch]:
        with until_then:
            yield from reader

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
