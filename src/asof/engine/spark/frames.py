"""Spark DataFrames that are answered where they lie."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from asof.engine.conditions import check
from asof.engine.distributed import Asking, Make
from asof.engine.families import families_of, family_of, is_split, of_family
from asof.engine.port import EVENT_COLUMN, MISSING, STATUS_COLUMN, Known, Rows
from asof.engine.spark import point_in_time
from asof.engine.spark.failures import translated
from asof.engine.spark.literals import quoted
from asof.engine.spark.stored import views
from asof.engine.spark.tables import plain, shaped, spark_schema
from asof.engine.spark.windows import Task, aggregated
from asof.errors import UnsupportedError
from asof.windows.aggregation import Aggregation

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkFrames:
    """See `asof.engine.distributed.FarFrames`. A frame is answered in its own session."""

    def takes(self, frame: object) -> bool:
        """See `FarFrames.takes`."""
        return type(frame).__module__.startswith("pyspark.sql.") and hasattr(frame, "sparkSession")

    def schema(self, frame: "DataFrame") -> pa.Schema:
        """See `FarFrames.schema`."""
        from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415 - an extra

        with translated():
            return to_arrow_schema(frame.schema, timezone="UTC")

    def mapped(self, frame: "DataFrame", make: Make, schema: pa.Schema) -> "DataFrame":
        """See `FarFrames.mapped`."""
        out = plain(schema)

        def batches(given: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in given:
                if batch.num_rows:
                    yield from shaped(make(pa.Table.from_batches([batch])), out).to_batches()

        with translated():
            return frame.mapInArrow(batches, spark_schema(out))

    def looked_up(
        self, frame: "DataFrame", rows: Rows, *, asking: Asking, known: Known, ttl_us: int | None
    ) -> "DataFrame":
        """See `FarFrames.looked_up`. Families of features are looked up one after the other."""
        if rows.outside is not None:
            raise UnsupportedError(
                "Spark DataFrames over external rows",
                where=rows.outside.read.place,
                todo="load the rows into a group of the store, or collect the spine",
            )
        names = list(asking.features)
        if not is_split(rows):
            return _looked_up(frame, rows, names, asking=asking, known=known, ttl_us=ttl_us)
        families = families_of(rows, names)
        for place, family in enumerate(families):
            own = [name for name in names if family_of(rows, name) == family]
            some = _looked_up(frame, of_family(rows, family), own, asking=asking, known=known, ttl_us=ttl_us)
            told = [] if place + 1 == len(families) else [asking.status, asking.event]
            frame = some.selectExpr(*(quoted(name) for name in some.columns if name not in told))
        return frame

    def aggregated(
        self,
        frame: "DataFrame",
        rows: Rows,
        *,
        asking: Asking,
        on: Sequence[str],
        aggregations: Sequence[Aggregation],
        known: Known,
    ) -> "DataFrame":
        """See `FarFrames.aggregated`."""
        check(aggregations, rows.schema)
        if is_split(rows):
            wanted = [*on, *(name for each in aggregations for name in each.columns)]
            families = families_of(rows, [name for name in wanted if name in rows.layout])
            if len(families) > 1:
                raise UnsupportedError(
                    "windows over features of both families of a split group, for Spark DataFrames",
                    todo="ask for them in two views, or collect the spine",
                )
            rows = of_family(rows, families[0])
        carried = self.schema(frame)
        keys = (f"{quoted(column)} AS {quoted(name)}" for name, column in zip(on, asking.keys, strict=True))
        spine = frame.selectExpr("*", *keys, f"{quoted(asking.time)} AS __t_us")
        with translated(), views(frame.sparkSession) as made:
            if rows.files or rows.journal is not None:
                found = aggregated(
                    made.add(spine), rows, made, carried=carried, on=on, aggregations=aggregations, known=known
                )
            else:
                task = Task.of(rows, [], on=on, aggregations=aggregations, known=known, carried=carried)
                found = self.mapped(spine, task.of_nothing, task.schema)
            return _renamed(found, carried.names, asking)

    def selected(self, frame: "DataFrame", columns: Mapping[str, str]) -> "DataFrame":
        """See `FarFrames.selected`."""
        with translated():
            return frame.selectExpr(*(f"{quoted(old)} AS {quoted(new)}" for new, old in columns.items()))

    def collected(self, frame: "DataFrame", schema: pa.Schema) -> pa.Table:
        """See `FarFrames.collected`."""
        with translated():
            return shaped(frame.toArrow(), schema)


def _looked_up(
    frame: "DataFrame", rows: Rows, names: Sequence[str], *, asking: Asking, known: Known, ttl_us: int | None
) -> "DataFrame":
    carried = frame.columns
    if not rows.files and rows.journal is None:
        return frame.selectExpr("*", *_nothing(rows, names, asking))
    with translated(), views(frame.sparkSession) as made:
        keys = (f"{quoted(column)} AS {quoted(key)}" for key, column in zip(rows.keys, asking.keys, strict=True))
        spine = made.add(frame.selectExpr("*", *keys, f"{quoted(asking.time)} AS __t_us"))
        statement = point_in_time.look_up(
            rows, made, spine=spine, carried=carried, columns=names, known=known, ttl_us=ttl_us
        )
        return _renamed(frame.sparkSession.sql(statement), carried, asking)


def _nothing(rows: Rows, names: Sequence[str], asking: Asking) -> list[str]:
    """Return the answers of a history without rows."""
    types = spark_schema(pa.schema([rows.schema.field(name) for name in names])).fields
    return [
        *(
            f"CAST(NULL AS {field.dataType.simpleString()}) AS {quoted(asking.features[name])}"
            for name, field in zip(names, types, strict=True)
        ),
        f"CAST({MISSING} AS TINYINT) AS {quoted(asking.status)}",
        f"CAST(NULL AS BIGINT) AS {quoted(asking.event)}",
    ]


def _renamed(found: "DataFrame", carried: Sequence[str], asking: Asking) -> "DataFrame":
    """Return a frame with its answers under the names that were asked for."""
    wanted = {**asking.features, STATUS_COLUMN: asking.status, EVENT_COLUMN: asking.event}
    here = {name: wanted[name] for name in found.columns if name in wanted and name not in carried}
    return found.selectExpr(
        *(quoted(name) for name in carried), *(f"{quoted(old)} AS {quoted(new)}" for old, new in here.items())
    )
