"""Split groups over any engine: each family of features is a history of its own, and an answer joins them.

Every row lies in both families, with the same key, clocks and status: in full, as a confirmation, or in a file of all
features, which belongs to both. So both families give the same rows in the same order, and only features differ.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from asof.engine.port import (
    EVENT_COLUMN,
    STATUS_COLUMN,
    Engine,
    Known,
    Profile,
    Rows,
    greatest,
    total,
)
from asof.errors import PermanentError
from asof.records import COMMIT_COLUMN, NAMED_COMMIT_COLUMN, NAMED_EVENT_COLUMN, Family
from asof.windows.aggregation import Aggregation

FAMILIES: tuple[Family, Family] = ("hot", "cold")

SAME = "__same"


def is_split(rows: Rows) -> bool:
    """Return whether files of a history, or of the rows that its confirmations may name, have a family."""
    if not rows.cold:
        return False
    sources = () if rows.sources is None else rows.sources.files
    return any(file.family is not None for _, file, _ in (*rows.files, *sources))


def family_of(rows: Rows, feature: str) -> Family:
    """Return the family of a feature."""
    return "cold" if feature in rows.cold else "hot"


def others(layout: Iterable[str], cold: Sequence[str], family: Family) -> frozenset[str]:
    """Return the features that are not of a family."""
    return frozenset(name for name in layout if (name in cold) is (family == "hot"))


def of_family(rows: Rows, family: Family) -> Rows:
    """Return a history with the features of one family only, as an engine reads it."""
    schema = without(rows.schema, others(rows.layout, rows.cold, family))
    return replace(
        rows,
        schema=schema,
        cold=(),
        files=tuple(
            (place, replace(file, family=None), stamp)
            for place, file, stamp in rows.files
            if file.family in (None, family)
        ),
        journal=None if rows.journal is None else rows.journal.select(schema.names),
        sources=None if rows.sources is None else of_family(rows.sources, family),
    )


def narrowed(rows: Rows, features: Collection[str]) -> Rows:
    """Return a history with some of its features only, for who reads it whole."""
    schema = without(rows.schema, frozenset(rows.layout) - frozenset(features))
    return replace(
        rows,
        schema=schema,
        journal=None if rows.journal is None else rows.journal.select(schema.names),
        sources=None if rows.sources is None else narrowed(rows.sources, features),
    )


def without(schema: pa.Schema, names: frozenset[str]) -> pa.Schema:
    """Return a schema without some columns."""
    return pa.schema([field for field in schema if field.name not in names])


class FamilyEngine:
    """The engine port over another engine, which never sees that a group is split."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine."""
        self.engine = engine

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
        """See `Engine.look_up`. A family none of whose features is wanted is not read."""
        if not is_split(rows):
            return self.engine.look_up(spine, rows, columns=columns, known=known, ttl_us=ttl_us, profile=profile)
        found: dict[Family, pa.Table] = {}
        told: dict[Family, Profile] = {}
        for family in families_of(rows, columns):
            told[family] = Profile()
            found[family] = self.engine.look_up(
                spine,
                of_family(rows, family),
                columns=[name for name in columns if family_of(rows, name) == family],
                known=known,
                ttl_us=ttl_us,
                profile=None if profile is None else told[family],
            )
        if profile is not None:
            _add(profile, rows, told)
        first, *rest = found.values()
        clocks = (STATUS_COLUMN, EVENT_COLUMN, COMMIT_COLUMN)
        for other in rest:
            _check(all(first.column(name).equals(other.column(name)) for name in clocks))
        places = [*((name, found[family_of(rows, name)]) for name in columns), *((name, first) for name in clocks)]
        return pa.Table.from_arrays(
            [table.column(name) for name, table in places],
            schema=pa.schema([table.schema.field(name) for name, table in places]),
        )

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
        rows = self._whole(rows, [*on, *(name for each in aggregations for name in each.columns)])
        return self.engine.aggregate(spine, rows, on=on, aggregations=aggregations, known=known, profile=profile)

    def explain(
        self, spine: pa.Table, rows: Rows, *, on: Sequence[str], aggregation: Aggregation, known: Known
    ) -> pa.RecordBatchReader:
        """See `Engine.explain`."""
        rows = self._whole(rows, [*on, *aggregation.columns])
        return self.engine.explain(spine, rows, on=on, aggregation=aggregation, known=known)

    def _whole(self, rows: Rows, columns: Sequence[str]) -> Rows:
        """Return events with some columns; those that lie in both families are put together in memory."""
        if not is_split(rows):
            return rows
        asked = families_of(rows, [name for name in columns if name in rows.layout])
        if len(asked) == 1:
            return of_family(rows, asked[0])
        return replace(rows, files=(), journal=self.stamped(rows).read_all(), sources=None, cold=())

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
        """See `Engine.scan`. A family none of whose features is wanted is not read."""

        def scanned(part: Rows, names: Sequence[str]) -> pa.RecordBatchReader:
            return self.engine.scan(
                part,
                columns=names,
                after_us=after_us,
                until_us=until_us,
                known=known,
                latest=latest,
                clocks=clocks,
                first=first,
            )

        if not is_split(rows):
            return scanned(rows, columns)
        features = [name for name in columns if name in rows.layout]
        asked = families_of(rows, features)
        if len(asked) == 1:
            return scanned(of_family(rows, asked[0]), columns)
        hot, cold = (
            scanned(
                of_family(rows, family),
                [name for name in columns if (family_of(rows, name) if name in features else "hot") == family],
            )
            for family in FAMILIES
        )
        return _beside(hot, cold, [*columns, *(name for name in cold.schema.names if name not in columns)])

    def newest(self, rows: Rows, *, keys: pa.Table | None = None) -> pa.RecordBatchReader:
        """See `Engine.newest`."""
        if not is_split(rows):
            return self.engine.newest(rows, keys=keys)
        hot, cold = (self.engine.newest(of_family(rows, family), keys=keys) for family in FAMILIES)
        ours = [name for name in hot.schema.names if name not in rows.layout]
        return _beside(hot, cold, [*ours, *(name for name in rows.schema.names if name in rows.layout)])

    def compare(self, rows: Rows, frame: pa.Table) -> pa.Table:
        """See `Engine.compare`.

        A row is the same only if one stored row has all its features; else none is named. Whoever stores the families
        apart asks for each of them, see `of_family`.
        """
        if not is_split(rows):
            return self.engine.compare(rows, frame)
        features = [name for name in frame.column_names if name in rows.layout]
        hot, cold = (
            self.engine.compare(of_family(rows, family), frame.drop_columns(list(others(features, rows.cold, family))))
            for family in FAMILIES
        )
        named = (NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN)
        one = pc.and_(*(pc.equal(hot.column(name), cold.column(name)) for name in named))
        same = pc.and_(pc.and_(hot.column(SAME), cold.column(SAME)), one)
        columns = [pc.if_else(one, hot.column(name), pa.scalar(None, pa.int64())) for name in named]
        columns += [(cold if name in rows.cold else hot).column(name) for name in features]
        return pa.Table.from_arrays([same, *columns], names=[SAME, *named, *features])

    def absent(self, rows: Rows, present: Rows, *, until_us: int | None) -> pa.RecordBatchReader:
        """See `Engine.absent`. It asks for keys only, which lie in both families."""
        one, other = (of_family(each, "hot") if is_split(each) else each for each in (rows, present))
        return self.engine.absent(one, other, until_us=until_us)

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
        if not is_split(rows):
            return self.engine.stamped(
                rows, horizon_us=horizon_us, keys=keys, without=without, after_us=after_us, until_us=until_us
            )
        hot, cold = (
            self.engine.stamped(
                of_family(rows, family),
                horizon_us=horizon_us,
                keys=keys,
                without=without,
                after_us=after_us,
                until_us=until_us,
            )
            for family in FAMILIES
        )
        return _beside(hot, cold, rows.schema.names)

    def transform(self, statement: str, tables: Mapping[str, pa.Table], *, where: str = "") -> pa.Table:
        """See `Engine.transform`."""
        return self.engine.transform(statement, tables, where=where)

    def close(self) -> None:
        """See `Engine.close`."""
        self.engine.close()


def families_of(rows: Rows, features: Sequence[str]) -> list[Family]:
    """Return the families that have some features; without features any of them, and most rows of hot are whole."""
    wanted = {family_of(rows, name) for name in features} or {"hot"}
    return [family for family in FAMILIES if family in wanted]


def _beside(hot: pa.RecordBatchReader, cold: pa.RecordBatchReader, names: Sequence[str]) -> pa.RecordBatchReader:
    """Return streams of the same rows as one with some columns, of the first stream that has them."""
    of_hot = frozenset(hot.schema.names)
    schema = pa.schema([(hot if name in of_hot else cold).schema.field(name) for name in names])
    shared = COMMIT_COLUMN in of_hot and COMMIT_COLUMN in cold.schema.names

    def batches() -> Iterator[pa.RecordBatch]:
        for one, other in _matched(hot, cold):
            _check(not shared or one.column(COMMIT_COLUMN).equals(other.column(COMMIT_COLUMN)))
            columns = [(one if name in of_hot else other).column(name) for name in names]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _matched(one: pa.RecordBatchReader, other: pa.RecordBatchReader) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Return two streams in batches of the same rows, whatever the sizes of their own."""
    left, right = _filled(one), _filled(other)
    mine, its = next(left, None), next(right, None)
    while mine is not None and its is not None:
        count = min(mine.num_rows, its.num_rows)
        yield mine.slice(0, count), its.slice(0, count)
        mine = mine.slice(count) if count < mine.num_rows else next(left, None)
        its = its.slice(count) if count < its.num_rows else next(right, None)
    _check(mine is None and its is None)


def _filled(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    return (batch for batch in reader if batch.num_rows)


def _check(agree: bool) -> None:  # noqa: FBT001 - what is checked
    if not agree:
        raise PermanentError(
            "the hot and the cold family of a group have other rows",
            todo="run `asof doctor`; if it finds nothing, this is a defect of asof",
        )


def _add(profile: Profile, rows: Rows, told: Mapping[Family, Profile]) -> None:
    """Tell of the look-ups in some families as of one."""
    every = list(told.values())
    unread = [file for _, file, _ in rows.files if file.family is not None and file.family not in told]
    profile.plan = " + ".join(dict.fromkeys(each.plan for each in every))
    profile.why = "; ".join(f"{family}: {each.why}" for family, each in told.items())
    profile.files = total(len(unread), *(each.files for each in every))
    profile.files_read = total(*(each.files_read for each in every))
    profile.row_groups = total(profile.row_groups, *(each.row_groups for each in every))
    profile.row_groups_read = total(profile.row_groups_read, *(each.row_groups_read for each in every))
    profile.rows = total(*(each.rows for each in every))
    profile.rows_read = total(profile.rows_read, *(each.rows_read for each in every))
    profile.peak_bytes = greatest(profile.peak_bytes, *(each.peak_bytes for each in every))
    profile.spilled_bytes = greatest(profile.spilled_bytes, *(each.spilled_bytes for each in every))
    for each in every:
        for seconds, spent in ((profile.seconds, each.seconds), (profile.processor_seconds, each.processor_seconds)):
            for step, time in spent.items():
                seconds[step] = seconds.get(step, 0.0) + time
