"""The leak again: windows that roll over the timetable.

A window of a tutorial rolls over the rows of the file: `frame.groupby("carrier").rolling("6h", on="sched_dep")`. Its
last row is the very flight that is to be predicted, and the rows before it are flights that are still in the air.

The same windows over the time from which a landing was known leak nothing, and must hold what the store gives.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asof.definitions import FeatureGroup
from asof.windows.aggregation import Aggregation

Times = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rolled:
    """Windows of one length over one stamp.

    Attributes:
        group: The group that has the same windows in the store.
        length_us: Their length.
        held: Events in them, over all rows of the spine.
        unknown: Those among them that were not known at the time of the prediction.
        columns: Counts and means by the names of the group's features.
        differing: Rows whose values differ from the store's.
    """

    group: str
    length_us: int
    held: int
    unknown: int
    columns: Mapping[str, pa.Array]
    differing: int


@dataclass(frozen=True, slots=True)
class Stamps:
    """Which times a window is made of, in microseconds.

    Attributes:
        events: The time of each event, by which windows are cut.
        ends: Where the window of each row of the spine ends.
        known: From when on each event was known.
        asked: When each row of the spine was asked for.
        shorter_us: How much later an event is stamped than it was: its window begins so much later.
    """

    events: Times
    ends: Times
    known: Times
    asked: Times
    shorter_us: int = 0


def over_the_timetable(frame: pa.Table, events: pa.Table, group: FeatureGroup) -> list[Rolled]:
    """Return the windows of a group as they roll over the file: by the scheduled departure.

    Args:
        frame: The point-in-time training set.
        events: The source's rows.
        group: A group of windows over them.
    """
    stamps = Stamps(_us(events, "sched_dep"), _us(frame, "sched_dep"), _known(events, group), _us(frame, "as_of"))
    return _rolled(frame, events, group, stamps)


def over_what_was_known(frame: pa.Table, events: pa.Table, group: FeatureGroup) -> list[Rolled]:
    """Return the same windows by the time from which a landing was known, up to the time of the prediction."""
    known, asked = _known(events, group), _us(frame, "as_of")
    return _rolled(frame, events, group, Stamps(known, asked, known, asked, _source(group).delay_us))


def _rolled(frame: pa.Table, events: pa.Table, group: FeatureGroup, stamps: Stamps) -> list[Rolled]:
    made = [feature.aggregation for feature in group.features if feature.aggregation is not None]
    wanted = [each for each in made if each.function in ("count", "mean")]
    pairs = list(_of_each_key(frame, events, group.keys))
    values = {each.name: _values(each, events) for each in wanted}
    found: list[Rolled] = []
    for length_us in sorted({each.window.length_us for each in wanted}):
        same = [each for each in wanted if each.window.length_us == length_us]
        columns = {each.name: np.zeros(frame.num_rows) for each in same}
        held = unknown = 0
        for rows, of in pairs:
            in_order = of[np.argsort(stamps.events[of], kind="stable")]
            ends, times = stamps.ends[rows], stamps.events[in_order]
            begun = np.searchsorted(times, ends - length_us + stamps.shorter_us, side="right")
            ended = np.searchsorted(times, ends, side="right")
            held += int((ended - begun).sum())
            unknown += _unknown(begun, ended, stamps.known[in_order], stamps.asked[rows])
            for each in same:
                columns[each.name][rows] = _answers(each, values[each.name][:, in_order], begun, ended)
        arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
        found.append(Rolled(group.name, length_us, held, unknown, arrays, _differing(frame, arrays)))
    return found


def _values(each: Aggregation, events: pa.Table) -> Times:
    """Return, for each event, whether it counts, as 0 or 1, and its value if it does."""
    counts = np.ones(events.num_rows, np.int64)
    if each.where is not None:
        rows = events.select(list(each.where.columns))
        kinds = rows.group_by(rows.column_names).aggregate([])  # few: a condition is asked of each of them
        true = kinds.filter(pa.array(map(each.where.predicate(), kinds.to_pylist())))
        counts = pc.is_in(rows[0], true[0].combine_chunks()).cast(pa.int64()).to_numpy()
    return np.stack([counts, counts if each.column is None else counts * events[each.column].to_numpy()])


def _answers(each: Aggregation, values: Times, begun: Times, ended: Times) -> Floats:
    """Return a count or a mean over the places (begun, ended] of events in order; nan for the mean of none."""
    count, total = (_sums(of, begun, ended) for of in values)
    if each.function == "count":
        return count.astype(np.float64)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _sums(values: Times, begun: Times, ended: Times) -> Times:
    running = np.concatenate([[0], np.cumsum(values)])
    return running[ended] - running[begun]


def _unknown(begun: Times, ended: Times, known: Times, asked: Times) -> int:
    """Count pairs of a row and an event in its window that was not known when the row was asked for."""
    held = ended - begun
    places: Times = np.arange(int(held.sum())) + np.repeat(begun - (np.cumsum(held) - held), held)
    return int((known[places] > np.repeat(asked, held)).sum())


def _differing(frame: pa.Table, columns: Mapping[str, pa.Array]) -> int:
    differs = np.zeros(frame.num_rows, dtype=bool)
    for name, values in columns.items():
        ours, theirs = (column.cast(pa.float64()).to_numpy(zero_copy_only=False) for column in (frame[name], values))
        differs |= ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    return int(differs.sum())


def _of_each_key(frame: pa.Table, events: pa.Table, keys: Sequence[str]) -> Iterator[tuple[Times, Times]]:
    """Give the places of the rows of a frame, and of the events, that have the same key."""
    joined = [pc.binary_join_element_wise(*(table[key] for key in keys), "|") for table in (frame, events)]
    codes = [pc.index_in(each, pc.unique(joined[1])).fill_null(-1).to_numpy() for each in joined]
    for code in range(int(codes[1].max(initial=-1)) + 1):
        yield np.flatnonzero(codes[0] == code), np.flatnonzero(codes[1] == code)


def _known(events: pa.Table, group: FeatureGroup) -> Times:
    source = _source(group)
    return _us(events, source.event_time or "") + source.delay_us


def _source(group: FeatureGroup) -> FeatureGroup:
    assert group.source is not None  # noqa: S101 - it is made of windows
    return group.source


def _us(table: pa.Table, column: str) -> Times:
    return table[column].cast(pa.int64()).to_numpy()
