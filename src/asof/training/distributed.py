"""Point-in-time reads of spines that lie on many machines: neither they nor the answers come to this process.

Columns have names of our own on the way, since the spine's may be any:

    __own_0         the spine's first column              __key_1_0       the first key of the second look-up
    __time_us       T                                     __value_1_0     a feature of the second look-up
    __status_1      how its row was found                 __event_1       the event time of that row
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from asof import notebook
from asof.arrow.frames import Origin
from asof.arrow.types import TIMESTAMP
from asof.clock import show_us
from asof.definitions import Feature, FeatureView, Lookup
from asof.derived import derived_of
from asof.engine.answers import values_type
from asof.engine.distributed import Asking, FarFrame, FarFrames
from asof.engine.port import EVENT_COLUMN, STATUS_COLUMN, Known, Rows
from asof.errors import UsageError
from asof.parts import Pins
from asof.training.answered import Answered, coincide, label, shown
from asof.training.frame import BATCH_ROWS, HistoricalFrame
from asof.training.inputs import keys_of, times_of
from asof.training.report import STATUSES, Comparison, Report

TIME = "__time_us"
TIMES = pa.schema([(TIME, pa.int64())])


@dataclass(frozen=True, slots=True)
class Options:
    """How `Store.historical` was asked; see there."""

    time: str | datetime | None
    known: str | datetime | None
    commits: Pins | str | None
    timezone: str | None
    truncate: bool
    full_names: bool
    statuses: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """Makes columns of parts of a spine; it travels to other machines.

    Attributes:
        own: The spine's columns.
        time: That of the times; an integer is the one time of all rows, in microseconds.
        timezone: Of naive times.
        truncate: Cut times to microseconds.
        lookups: The look-ups.
        modes: Their knowledge modes.
        view: What is asked for.
        ref: Its name, with its version.
        outputs: Names of its features.
        full_names: Whether they have the names of their groups.
        statuses: Whether statuses come out.
    """

    own: pa.Schema
    time: str | int
    timezone: str | None
    truncate: bool
    lookups: Sequence[Lookup]
    modes: Sequence[Known]
    view: FeatureView
    ref: str
    outputs: Sequence[str]
    full_names: bool
    statuses: bool

    def first(self, part: pa.Table) -> pa.Table:
        """Return the spine's columns under names of our own, the times, and the keys that it has."""
        part = pa.table(part.columns, names=self.own.names)
        if isinstance(self.time, int):
            times = pa.chunked_array([pa.repeat(pa.scalar(self.time, pa.int64()), part.num_rows)])
        else:
            times = times_of(part, self.time, timezone=self.timezone, truncate=self.truncate).cast(pa.int64())
        columns = {f"__own_{at}": column for at, column in enumerate(part.columns)} | {TIME: times}
        for at, lookup in enumerate(self.lookups):
            if not _derived(lookup):
                columns |= _keys(at, keys_of(lookup, part, _none_before))
        return pa.table(columns)

    def least(self, part: pa.Table) -> pa.Table:
        """Return the least time of a part."""
        return self.first(part).select([TIME]).group_by([]).aggregate([(TIME, "min")]).rename_columns([TIME])

    def keyed(self, at: int) -> Callable[[pa.Table], pa.Table]:
        """Return what adds the keys of a look-up that come from answers."""

        def add(part: pa.Table) -> pa.Table:
            def answer(index: int, feature: str) -> pa.ChunkedArray:
                return part.column(self.values(index)[feature])

            for name, column in _keys(at, keys_of(self.lookups[at], self.spine(part), answer)).items():
                part = part.append_column(name, column)
            return part

        return add

    def last(self, part: pa.Table) -> pa.Table:
        """Return the rows with their answers, and what is made of them."""
        derived = derived_of(self.view, self.ref, full_names=self.full_names)
        spine, where = self.spine(part), f"view {self.ref}"
        return shown(spine, self.answered(part), derived, self.outputs, where=where, statuses=self.statuses)

    def counted(self, part: pa.Table) -> pa.Table:
        """Return how the answers of each look-up came out: one row for each of them."""
        times = part.column(TIME).cast(TIMESTAMP)
        rows = [
            {"place": at, "rows": part.num_rows, "coincide": coincide(each, times), **each.counts()}
            for at, each in enumerate(self.answered(part))
        ]
        return pa.Table.from_pylist(rows, COUNTS)

    def answered(self, part: pa.Table) -> list[Answered]:
        """Return the answers in a part."""
        found: list[Answered] = []
        for at, (lookup, mode) in enumerate(zip(self.lookups, self.modes, strict=True)):
            names = {old: new for new, old in self.values(at).items()}
            names |= {f"__status_{at}": STATUS_COLUMN, f"__event_{at}": EVENT_COLUMN}
            table = part.select(list(names)).rename_columns(list(names.values()))
            found.append(Answered(lookup, label(lookup, self.lookups), mode, table))
        return found

    def spine(self, part: pa.Table) -> pa.Table:
        """Return the spine's columns of a part under their names."""
        return pa.table([part.column(f"__own_{at}") for at in range(len(self.own))], names=self.own.names)

    def values(self, at: int) -> dict[str, str]:
        """Return the features of a look-up with the columns that they become."""
        return {feature.name: f"__value_{at}_{place}" for place, feature in enumerate(features_of(self.lookups[at]))}

    @property
    def is_plain(self) -> bool:
        """Whether what comes out only has other names."""
        return not self.statuses and not self.view.on_demand

    def names(self) -> dict[str, str]:
        """Return what comes out, if it is plain, by the columns that become it."""
        every = {name: f"__own_{at}" for at, name in enumerate(self.own.names)}
        for at, lookup in enumerate(self.lookups):
            values = self.values(at)
            every |= {name: values[feature.name] for feature, name in lookup.outputs if name}
        return {name: every[name] for name in (*self.own.names, *self.outputs)}


COUNTS = pa.schema([(name, pa.int64()) for name in ("place", "rows", "coincide", *STATUSES)])


def features_of(lookup: Lookup) -> list[Feature]:
    """Return the features of a look-up, each once."""
    return list({feature.name: feature for feature, _ in lookup.outputs}.values())


def answer(
    frames: FarFrames, frame: FarFrame, columns: Columns, pinned: Mapping[str, Rows]
) -> tuple[FarFrame, pa.Schema]:
    """Return a frame with all answers, under names of our own, and its columns.

    Raises:
        UnsupportedError: Rows that lie outside of the store. DataError: A column does not fit.
    """
    empty = columns.first(columns.own.empty_table())
    frame = frames.mapped(frame, columns.first, empty.schema)
    for at, (lookup, mode) in enumerate(zip(columns.lookups, columns.modes, strict=True)):
        rows, features = pinned[lookup.group.name], features_of(lookup)
        if _derived(lookup):
            add = columns.keyed(at)
            empty = add(empty)
            frame = frames.mapped(frame, add, empty.schema)
        keys = [f"__key_{at}_{place}" for place in range(len(lookup.group.keys))]
        asking = Asking(keys, TIME, columns.values(at), f"__status_{at}", f"__event_{at}")
        if lookup.group.source is None:
            types = [rows.schema.field(feature.name).type for feature in features]
            frame = frames.looked_up(frame, rows, asking=asking, known=mode, ttl_us=lookup.group.ttl_us)
        else:
            wanted = [feature.aggregation for feature in features if feature.aggregation is not None]
            on = lookup.group.source_columns
            types = [values_type(each, rows.schema) for each in wanted]
            frame = frames.aggregated(frame, rows, asking=asking, on=on, aggregations=wanted, known=mode)
        named = dict(zip(columns.values(at).values(), types, strict=True))
        for name, kind in {**named, asking.status: pa.int8(), asking.event: pa.int64()}.items():
            empty = empty.append_column(name, pa.nulls(0, kind))
    return frame, empty.schema


class DistributedFrame(HistoricalFrame):
    """Answers that lie on many machines, and are made when somebody asks for rows; each asking makes them again."""

    def __init__(
        self,
        frames: FarFrames,
        answered: FarFrame,
        schema: pa.Schema,
        columns: Columns,
        commits: Mapping[str, int],
    ) -> None:
        """Keep what is needed."""
        empty = columns.last(schema.empty_table())
        super().__init__(empty, Origin("arrow"), commits)
        self._frames, self._answered, self._columns = frames, answered, columns
        plain = columns.is_plain
        self._frame: FarFrame = (
            frames.selected(answered, columns.names()) if plain else frames.mapped(answered, columns.last, empty.schema)
        )

    def to_spark(self) -> FarFrame:
        """Return the rows as a Spark DataFrame, in no order: nothing is computed yet."""
        return self._frame

    def to_native(self) -> FarFrame:
        """Return the rows in the kind of the spine: a Spark DataFrame."""
        return self._frame

    def to_arrow(self) -> pa.Table:
        """Bring all rows to this process; return them as a pyarrow table."""
        return self._frames.collected(self._frame, self.schema)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Bring all rows to this process, and iterate over them in batches of at most `rows`."""
        yield from self.to_arrow().to_batches(max_chunksize=rows)

    @property
    def report(self) -> Report:
        """How the values come out: to count them, they are computed."""
        found = self._report or self._counted()
        self._report = found
        return found

    def _counted(self) -> Report:
        columns = self._columns
        found = self._frames.collected(self._frames.mapped(self._answered, columns.counted, COUNTS), COUNTS)
        rows = found.to_pylist()
        labels = [label(lookup, columns.lookups) for lookup in columns.lookups]

        def total(at: int, name: str) -> int:
            return sum(row[name] for row in rows if row["place"] == at)

        def compare() -> Comparison:
            raise UsageError("answers on many machines are not compared", todo="read a part of the spine from Arrow")

        return Report(
            rows=total(0, "rows"),
            counts={each: {status: total(at, status) for status in STATUSES} for at, each in enumerate(labels)},
            coincide={each: total(at, "coincide") for at, each in enumerate(labels)},
            known={
                each: m if isinstance(m, str) else show_us(m) for each, m in zip(labels, columns.modes, strict=True)
            },
            _compare=compare,
        )

    def __len__(self) -> int:
        """Return the number of rows: to count them, they are computed."""
        return self.report.rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Bring all rows to this process, for anything that reads Arrow streams."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def _repr_html_(self) -> str:
        return notebook.paragraph(repr(self))

    def __repr__(self) -> str:
        """Return the columns."""
        return f"<rows on many machines x {len(self.column_names)} columns: {', '.join(self.column_names)}>"


def _derived(lookup: Lookup) -> bool:
    """Return whether a key comes from an earlier answer."""
    return not all(isinstance(source, str) for source in lookup.sources)


def _keys(at: int, keys: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {f"__key_{at}_{place}": column for place, column in enumerate(keys.columns)}


def _none_before(index: int, feature: str) -> pa.ChunkedArray:
    raise UsageError(f"look-up {index} has not answered {feature} yet")
