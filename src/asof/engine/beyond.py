"""External groups over any engine: what a question can reach is brought near, and what ties is refused."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.nested import canonical
from asof.engine.planning import between
from asof.engine.port import TIME_COLUMN, Engine, Known, Outside, Profile, Reach, Rows
from asof.errors import TransientError, UnsupportedError
from asof.windows.aggregation import Aggregation


class OutsideEngine:
    """The engine port over another one.

    Args:
        engine: Answers over the rows of the store.
        plain: Answers over files of this machine.
    """

    def __init__(self, engine: Engine, plain: Engine) -> None:
        """Keep both."""
        self.engine = engine
        self._plain = plain

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
        """See `Engine.look_up`.

        Raises:
            DataError: Several external rows answer, and differ.
        """
        outside = rows.outside
        if outside is None:
            return self.engine.look_up(spine, rows, columns=columns, known=known, ttl_us=ttl_us, profile=profile)
        keys = spine.select(list(rows.keys))
        last_us = pc.max(spine.column(TIME_COLUMN).cast(pa.int64())).as_py()
        told = profile or Profile()
        with ExitStack() as held:
            with told.step("fetch"):
                near = _near(held, rows, outside, Reach(tuple(columns), keys, until_us=last_us))
            found = self._plain.look_up(spine, near, columns=columns, known=known, ttl_us=ttl_us, profile=profile)
        _check(outside)
        values = [
            canonical(found.column(name)) if name in columns else found.column(name) for name in found.schema.names
        ]
        return pa.Table.from_arrays(values, schema=found.schema)

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
        """See `Engine.aggregate`.

        Raises:
            UnsupportedError: The rows are external.
        """
        return self._stored(rows, "windows").aggregate(
            spine, rows, on=on, aggregations=aggregations, known=known, profile=profile
        )

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """See `Engine.explain`.

        Raises:
            UnsupportedError: The rows are external.
        """
        return self._stored(rows, "windows").explain(spine, rows, on=on, aggregation=aggregation, known=known)

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
        outside, near, engine = rows.outside, rows, self.engine
        with ExitStack() as held:
            if outside is not None:
                features = tuple(name for name in columns if name in rows.layout)
                reach = Reach(features, after_us=after_us, until_us=until_us)
                near, engine = between(_near(held, rows, outside, reach), after_us, until_us), self._plain
            found = engine.scan(
                near,
                columns=columns,
                after_us=after_us,
                until_us=until_us,
                known=known,
                latest=latest,
                clocks=clocks,
                first=first,
            )
            return found if outside is None else _holding(held, found, outside)

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """See `Engine.newest`."""
        return self._stored(rows, "online reads").newest(rows, keys=keys)

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """See `Engine.compare`."""
        return self._stored(rows, "comparisons").compare(rows, frame)

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """See `Engine.absent`."""
        return self._stored(rows, "full loads").absent(rows, present, until_us=until_us)

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
        return self._stored(rows, "upkeep").stamped(
            rows, horizon_us=horizon_us, keys=keys, without=without, after_us=after_us, until_us=until_us
        )

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """See `Engine.transform`."""
        return self.engine.transform(statement, tables, where=where)

    def close(self) -> None:
        """See `Engine.close`."""
        self.engine.close()

    def _stored(self, rows: Rows, what: str) -> Engine:
        if rows.outside is not None:
            todo = "load the rows into a group of the store"
            raise UnsupportedError(f"{what} over external rows", where=rows.outside.read.place, todo=todo)
        return self.engine


def _near(held: ExitStack, rows: Rows, outside: Outside, reach: Reach) -> Rows:
    """Return the rows that a question can reach, as files."""
    if outside.fetch is not None:
        return held.enter_context(outside.fetch(reach))
    return replace(rows, outside=replace(outside, after_us=reach.after_us, until_us=reach.until_us))


def _check(outside: Outside) -> None:
    if outside.unchanged is not None and not outside.unchanged():
        raise TransientError("the files changed while they were read", where=outside.read.place, todo="read again")


def _holding(held: ExitStack, reader: pa.RecordBatchReader, outside: Outside) -> pa.RecordBatchReader:
    """Return a stream, with canonical floats, that holds what was fetched until it ends, or is dropped."""
    until_then = held.pop_all()

    def batches() -> Iterator[pa.RecordBatch]:
        with until_then:
            for batch in reader:
                table = pa.Table.from_batches([batch])
                columns = [canonical(column) for column in table.columns]
                yield from pa.Table.from_arrays(columns, schema=table.schema).to_batches()
            _check(outside)

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
