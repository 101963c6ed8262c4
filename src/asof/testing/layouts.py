"""Histories of the oracle as an engine reads them: in files of one commit, in stamped files, in the journal."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from hypothesis import strategies as st

from asof.arrow.layout import stored_schema
from asof.engine.port import Rows
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
    Availability,
    DataFile,
    Family,
    Stamp,
)
from asof.testing.played import declared, key_columns, times
from asof.testing.reference import Reference, Stored
from asof.testing.strategies import FEATURE_TYPES, History

Place = Literal["file", "stamped", "journal"]
"""Where the rows of a commit lie: in a file of their own, in a stamped file with others, in the journal."""


def layouts(history: History) -> st.SearchStrategy[tuple[Place, ...]]:
    """Make a place for each commit; often the same for all."""
    every: list[Place] = ["file", "stamped", "journal"]
    count = len(history.ops)
    same = st.sampled_from(every).map(lambda place: (place,) * count)
    return st.one_of(same, st.lists(st.sampled_from(every), min_size=count, max_size=count).map(tuple))


@dataclass(frozen=True, slots=True)
class Laid:
    """A history on a disk.

    Attributes:
        history: The history.
        reference: The oracle.
        rows: What an engine reads.
    """

    history: History
    reference: Reference
    rows: Rows


def lay(  # noqa: PLR0913 - a history, and how it lies
    history: History,
    reference: Reference,
    places: Sequence[Place],
    folder: Path,
    *,
    pin: int | None = None,
    keep: Callable[[Stored], bool] = lambda _: True,
    cold: Sequence[str] = (),
    split_at: int = 0,
) -> Laid:
    """Write a history to files.

    Args:
        history: The history.
        reference: The oracle that played it.
        places: Where each commit lies.
        folder: Where the files go.
        pin: The pin; stamped files hold later commits too, as after a compaction.
        keep: Rows to write; the clocks of the commits stay as they are.
        cold: Features that lie apart from the others, but for rows in the journal.
        split_at: The last commit before they did.
    """
    last = len(history.ops) if pin is None else pin
    kept = [row for row in reference.rows(retracted=True) if keep(row)]
    whole = [row for row in kept if not cold or row.commit <= split_at or places[row.commit - 1] == "journal"]
    named = _named(history, whole, places)
    every = [row for row in whole if _version_of(row) not in named]
    files = _laid_files(history, reference, every, named, places, folder, last)
    families: tuple[Family, ...] = ("hot", "cold") if cold else ()
    for family in families:
        features = [name for name in FEATURE_TYPES if (name in cold) is (family == "cold")]
        rows = [row for row in kept if row not in whole]
        its = _named(history, rows, places, features, full=every)
        full = [row for row in rows if _version_of(row) not in its]
        files += [
            (place, replace(file, family=family), stamp)
            for place, file, stamp in _laid_files(history, reference, full, its, places, folder, last, features)
        ]
    journal = [row for row in every if places[row.commit - 1] == "journal" and row.commit <= last]
    group = declared(history, "g")
    rows = Rows(
        schema=stored_schema(group),
        keys=group.keys,
        event_time=group.event_time,
        delay_us=history.group.delay_us,
        pin=last,
        layout=tuple(FEATURE_TYPES),
        files=tuple(files),
        journal=_stamped(history, journal) if journal else None,
        retracted={
            op.target: None if history.ops[op.target - 1].kind == "backfill" else reference.committed_at(number)
            for number, op in enumerate(history.ops[:last], 1)
            if op.target is not None
        },
        cold=tuple(cold),
    )
    return Laid(history, reference, rows)


def _laid_files(  # noqa: PLR0913, PLR0917 - what lies where
    history: History,
    reference: Reference,
    every: Sequence[Stored],
    named: Mapping[tuple[object, ...], tuple[Stored, Stored]],
    places: Sequence[Place],
    folder: Path,
    last: int,
    features: Sequence[str] = tuple(FEATURE_TYPES),
) -> list[tuple[str, DataFile, Stamp | None]]:
    """Write rows and confirmations with some features to files."""
    files: list[tuple[str, DataFile, Stamp | None]] = []
    for number, op in enumerate(history.ops[:last], 1):
        mine = [row for row in every if row.commit == number]
        if places[number - 1] == "file" and mine:
            availability: Availability = "commit"
            if op.kind == "backfill":
                availability = "column" if op.has_arrivals else "delay"
            arrivals = [row.available_at if availability == "column" else None for row in mine]
            table = _table(history, mine, arrivals, stamped=False, features=features)
            stamp = Stamp(number, reference.committed_at(number), availability)
            files.append((*_file(table, mine, folder), stamp))
    shared = [row for row in every if places[row.commit - 1] == "stamped"]
    if shared and shared[0].commit <= last:
        place, file = _file(_stamped(history, shared, features), shared, folder)
        files.append((place, replace(file, stamped=True, late=any(map(_is_late, shared))), None))
    for row, other in named.values():
        if row.commit <= last:
            place, file = _file(_confirmation(history, row, other), [row], folder)
            files.append((place, replace(file, confirms=True, stamped=True, late=_is_late(row)), None))
    return files


def _named(
    history: History,
    rows: Sequence[Stored],
    places: Sequence[Place],
    features: Sequence[str] = tuple(FEATURE_TYPES),
    *,
    full: Sequence[Stored] = (),
) -> dict[tuple[object, ...], tuple[Stored, Stored]]:
    """Return the rows that lie as confirmations, with the rows that they name, by key and version.

    Args:
        history: The history.
        rows: The rows.
        places: Where each commit lies.
        features: The features that count.
        full: Other rows that they may name.
    """
    found: dict[tuple[object, ...], tuple[Stored, Stored]] = {}
    every = list(full)

    def values(row: Stored) -> list[object]:
        return [row.key, *(row.values[name] for name in features)]

    for row in sorted(rows, key=lambda row: row.commit):
        same = [other for other in every if values(other) == values(row) and _is_named(other, row)]
        skipped = history.on_unchanged == "skip" and not row.retired and places[row.commit - 1] != "journal"
        if skipped and same:
            found[_version_of(row)] = (row, same[-1])
        else:
            every.append(row)
    return found


def _version_of(row: Stored) -> tuple[object, ...]:
    return row.key, row.event_time, row.commit


def _is_named(other: Stored, row: Stored) -> bool:
    """Return whether a confirmation may name a row: it is no later in any clock, and has values."""
    return other.commit < row.commit and (other.event_time or 0) <= (row.event_time or 0) and not other.retired


def _confirmation(history: History, row: Stored, other: Stored) -> pa.Table:
    stamped = _stamped(history, [row])
    event = pa.array([other.event_time or 0], pa.int64())
    table = stamped.drop_columns(list(FEATURE_TYPES)).append_column(NAMED_EVENT_COLUMN, event)
    return table.append_column(NAMED_COMMIT_COLUMN, pa.array([other.commit], pa.int64()))


def lay_stamped(laid: Laid, table: pa.Table, folder: Path) -> Laid:
    """Return the history whose rows are those of a stamped table, such as `Engine.stamped` gives."""
    place = str(folder / f"{uuid.uuid4().hex}.parquet")
    pq.write_table(table, place)
    least, greatest = _bounds(laid.rows, table)
    file = DataFile(place, table.num_rows, 1, least, greatest, stamped=True, first_commit=1, last_commit=laid.rows.pin)
    return replace(laid, rows=replace(laid.rows, files=((place, file, None),), journal=None))


def _bounds(rows: Rows, table: pa.Table) -> tuple[int, int]:
    if rows.event_time is None or not table.num_rows:
        return 0, 0
    bounds = pc.min_max(table.column(rows.event_time).cast(pa.int64()))
    return bounds["min"].as_py(), bounds["max"].as_py()


def _is_late(row: Stored) -> bool:
    return row.event_time is None or row.available_at is None or row.available_at > row.event_time


def _stamped(history: History, rows: Sequence[Stored], features: Sequence[str] = tuple(FEATURE_TYPES)) -> pa.Table:
    return _table(history, rows, [row.available_at for row in rows], stamped=True, features=features)


def _table(
    history: History, rows: Sequence[Stored], arrivals: Sequence[int | None], *, stamped: bool, features: Sequence[str]
) -> pa.Table:
    columns = key_columns(history, [row.key for row in rows])
    if not history.group.static:
        columns["at"] = times(row.event_time for row in rows)
    schema = stored_schema(declared(history, "g"))
    for feature in features:
        columns[feature] = pa.array([row.values[feature] for row in rows], schema.field(feature).type)
    columns[RETIRED_COLUMN] = pa.array([row.retired for row in rows], pa.bool_())
    columns[COMMIT_COLUMN] = pa.array([row.commit if stamped else None for row in rows], pa.int64())
    columns[AVAILABLE_COLUMN] = times(arrivals)
    table = pa.table(columns).cast(pa.schema([field for field in schema if field.name in columns]))
    by = [name for name in (*key_columns(history, ()), "at", COMMIT_COLUMN) if name in table.column_names]
    return table.sort_by([(name, "ascending") for name in by])


def _file(table: pa.Table, rows: Sequence[Stored], folder: Path) -> tuple[str, DataFile]:
    place = str(folder / f"{uuid.uuid4().hex}.parquet")
    pq.write_table(table, place)
    events = [row.event_time or 0 for row in rows]
    commits = [row.commit for row in rows]
    return place, DataFile(
        place, len(rows), 1, min(events), max(events), first_commit=min(commits), last_commit=max(commits)
    )
