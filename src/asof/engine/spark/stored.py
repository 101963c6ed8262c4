"""The stored rows of a history as relations of Spark: the rows that may answer, and those that have features.

As `asof.engine.stored`, with the same columns: `__e`, `__c`, `__a`, `__x`; and `__pe`, `__pc`. All files of a history
are one relation, whose rows are told apart by the names of their files.
"""

import itertools
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from asof.engine.port import NO_TIME, Known, Rows
from asof.engine.spark.literals import names, quoted
from asof.engine.spark.tables import into_spark, read_files
from asof.engine.stored import hidden_at
from asof.errors import PermanentError
from asof.records import (
    AVAILABLE_COLUMN,
    COMMIT_COLUMN,
    NAMED_COMMIT_COLUMN,
    NAMED_EVENT_COLUMN,
    RETIRED_COLUMN,
    Stamp,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILE, NAME, NUMBER, AT, HOW = "__file", "__name", "__number", "__at", "__how"

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Views:
    """Temporary views of a session, for as long as statements that name them are made.

    Attributes:
        session: The session.
        held: Names of the views.
    """

    session: "SparkSession"
    held: list[str] = field(default_factory=list[str])

    def add(self, frame: "DataFrame") -> str:
        """Return the name of a new view of a frame."""
        name = f"__asof_{next(_numbers)}"
        frame.createOrReplaceTempView(name)
        self.held.append(name)
        return name

    def table(self, table: pa.Table) -> str:
        """Return the name of a new view of a table."""
        return self.add(into_spark(self.session, table))


@contextmanager
def views(session: "SparkSession") -> Generator[Views]:
    """Give a place for views; when the block ends, frames made of them stay, and their names go."""
    made = Views(session)
    try:
        yield made
    finally:
        for name in made.held:
            session.catalog.dropTempView(name)


def base(rows: Rows, columns: Sequence[str], made: Views, *, confirms: bool = False) -> str:
    """Return the stored rows of a history as a relation: the keys, the columns, and the clocks.

    Args:
        rows: The history.
        columns: Columns wanted beside the keys.
        made: Takes the views.
        confirms: The confirmations, not the rows that have features.
    """
    files = tuple(item for item in rows.files if item[1].confirms is confirms)
    wanted = [*rows.keys, *columns]
    parts: list[str] = []
    if files:
        parts.append(_of_files(replace(rows, files=files), wanted, made))
    if rows.journal is not None and not confirms:
        needed = [*dict.fromkeys([*wanted, *_clock_columns(rows)])]
        journal = made.table(rows.journal.select(needed))
        parts.append(f"SELECT {names(wanted)}, {_stored(rows)} FROM {journal}")
    return " UNION ALL ".join(parts)


def _of_files(rows: Rows, wanted: Sequence[str], made: Views) -> str:
    needed = [*dict.fromkeys([*wanted, *_clock_columns(rows)])]
    ours = {COMMIT_COLUMN: pa.int64(), NAMED_COMMIT_COLUMN: pa.int64(), NAMED_EVENT_COLUMN: pa.int64()}
    schema = pa.schema(
        [pa.field(name, ours[name]) if name in ours else rows.schema.field(name) for name in needed],
    )
    frame = read_files(made.session, [place for place, _, _ in rows.files], schema)
    stamps = {stamp for _, _, stamp in rows.files}
    if len(stamps) == 1:
        stamp = next(iter(stamps))
        source, clocks = made.add(frame), _stored(rows) if stamp is None else _stamped_as(rows, stamp)
        pinned = f" WHERE {quoted(COMMIT_COLUMN)} <= {rows.pin}" if stamp is None else ""
        return f"SELECT {names(wanted)}, {clocks} FROM {source}{pinned}"
    source = made.add(frame.selectExpr("*", f"_metadata.file_name AS {FILE}"))
    stamped = made.table(_stamps(rows))
    return (
        f"SELECT /*+ BROADCAST(t) */ {names(wanted, 'f')}, {_either(rows)} FROM {source} f JOIN {stamped} t"
        f" ON f.{FILE} = t.{NAME} WHERE {NUMBER} IS NOT NULL OR {quoted(COMMIT_COLUMN)} <= {rows.pin}"
    )


def _stamps(rows: Rows) -> pa.Table:
    """Return the stamps of files, by their names; null for those whose rows are stamped."""
    every = [(PurePosixPath(place).name, stamp) for place, _, stamp in rows.files]
    if len({name for name, _ in every}) != len(every):
        raise PermanentError("two files of a history have the same name", todo="run `asof doctor`")
    columns = {
        NAME: pa.array([name for name, _ in every], pa.string()),
        NUMBER: pa.array([None if stamp is None else stamp.number for _, stamp in every], pa.int64()),
        AT: pa.array([None if stamp is None else stamp.committed_at_us for _, stamp in every], pa.int64()),
        HOW: pa.array([None if stamp is None else stamp.availability for _, stamp in every], pa.string()),
    }
    return pa.table(columns)


def _clock_columns(rows: Rows) -> list[str]:
    time = [] if rows.event_time is None else [rows.event_time]
    return [*time, RETIRED_COLUMN, COMMIT_COLUMN, AVAILABLE_COLUMN]


def _event(rows: Rows) -> str:
    return f"({NO_TIME})" if rows.event_time is None else f"unix_micros({quoted(rows.event_time)})"


def _own_arrival() -> str:
    return f"coalesce(unix_micros({quoted(AVAILABLE_COLUMN)}), ({NO_TIME}))"


def _arrivals(rows: Rows, at: str) -> dict[str, str]:
    """Return the arrival of a row by how its commit says it."""
    return {
        "commit": at,
        "delay": f"({NO_TIME})" if rows.event_time is None else f"least({_event(rows)} + {rows.delay_us}, {at})",
        "column": f"unix_micros({quoted(AVAILABLE_COLUMN)})",
    }


def _clocks(rows: Rows, number: str, arrival: str) -> str:
    return f"{_event(rows)} AS __e, {number} AS __c, {arrival} AS __a, {quoted(RETIRED_COLUMN)} AS __x"


def _stored(rows: Rows) -> str:
    """Return the clocks of rows that are stamped themselves."""
    return _clocks(rows, quoted(COMMIT_COLUMN), _own_arrival())


def _stamped_as(rows: Rows, stamp: Stamp) -> str:
    """Return the clocks of rows that all have one stamp."""
    arrival = _arrivals(rows, f"({stamp.committed_at_us})")[stamp.availability]
    return _clocks(rows, f"CAST({stamp.number} AS BIGINT)", arrival)


def _either(rows: Rows) -> str:
    """Return the clocks of rows whose files are stamped, or are named in the table of stamps."""
    cases = " ".join(f"WHEN '{how}' THEN {arrival}" for how, arrival in _arrivals(rows, AT).items())
    number = f"coalesce({NUMBER}, {quoted(COMMIT_COLUMN)})"
    return _clocks(rows, number, f"CASE {HOW} {cases} ELSE {_own_arrival()} END")


def confirming(rows: Rows) -> bool:
    """Return whether there are confirmations in a history."""
    return any(file.confirms for _, file, _ in rows.files)


def competing(rows: Rows, columns: Sequence[str], made: Views) -> str:
    """Return the rows that may answer as a relation: that of `base`, with `__pe` and `__pc` if there are confirmations.

    Then it has no features: they are those of the row of that version, see `payloads`.
    """
    if not confirming(rows):
        return base(rows, columns, made)
    row = f"{names(rows.keys)}, __e, __c, __a, __x"
    event = quoted(NAMED_EVENT_COLUMN) if rows.event_time is not None else f"({NO_TIME})"
    named = base(rows, [NAMED_EVENT_COLUMN, NAMED_COMMIT_COLUMN], made, confirms=True)
    parts = [f"SELECT {row}, {event} AS __pe, {quoted(NAMED_COMMIT_COLUMN)} AS __pc FROM ({named})"]
    own = base(rows, [], made)
    if own:
        parts.append(f"SELECT {row}, __e AS __pe, __c AS __pc FROM ({own})")
    return " UNION ALL ".join(parts)


def payloads(rows: Rows, columns: Sequence[str], made: Views) -> str:
    """Return the rows that confirmations may name as a relation, that of `base`; "" if there are none."""
    return base(rows if rows.sources is None else rows.sources, columns, made)


def shown(rows: Rows, known: Known, *, late: bool) -> str:
    """Return the filter of rows that some T may see; of those that all may, if visibility does not depend on T."""
    conditions = [f"__a <= {known}"] if isinstance(known, int) and not late else []
    hidden = [commit for commit, since in rows.retracted.items() if since is None] if late else hidden_at(rows, known)
    if hidden:
        conditions.append(f"__c NOT IN ({', '.join(map(str, hidden))})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
