"""A folder of CSV files as groups: for each file a name, keys, event time and types are proposed, and tried.

Nothing is stored here: a proposal says what would be, and `rows` gives the rows to backfill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import declared_schema
from asof.arrow.order import OnConflict
from asof.checks import Checking, NoStore
from asof.definitions import FeatureGroup
from asof.definitions.names import suggest_name
from asof.errors import AsofError, DataError, NotFoundError, UsageError
from asof.ingest.csv_file import read_csv, read_header
from asof.ingest.csv_keys import event_time_of, keys_of
from asof.ingest.infer import infer_group
from asof.ingest.prepare import Options, prepare
from asof.registry.registered import RegisteredGroup


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person says about a file; everything else is proposed.

    Attributes:
        name: The group's name.
        keys: Key columns, by their names in the file or in the group.
        event_time: Event time column, likewise; "" makes a static group.
        timezone: Zone of naive times.
    """

    name: str | None = None
    keys: Sequence[str] | None = None
    event_time: str | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a file would become.

    Attributes:
        file: The file.
        name: The group's name.
        group: The group; None if there is a problem.
        exists: Whether the group exists already, and gets more rows.
        rows: Rows of the file.
        columns: Column of the file to column of the group.
        problem: Why it cannot be loaded; "" if it can.
    """

    file: Path
    name: str
    group: FeatureGroup | None = None
    exists: bool = False
    rows: int = 0
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""

    @property
    def renamed(self) -> dict[str, str]:
        """The columns that get another name."""
        return {old: new for old, new in self.columns.items() if old != new}


def csv_files(folder: Path) -> list[Path]:
    """Return the CSV files of a folder, not of folders in it, by name.

    Raises:
        NotFoundError: There is none.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".csv" and file.is_file())
    if not files:
        raise NotFoundError(f"there is no CSV file in {str(folder)!r}", todo="files must end in .csv")
    return files


def propose(
    file: Path, wish: Wish, known: Mapping[str, FeatureGroup], *, now_us: int, on_conflict: OnConflict = "error"
) -> Proposal:
    """Return what a file would become, tried to the end: what has no problem can be loaded.

    Args:
        file: The file; it is read as a whole.
        wish: What a person says about it.
        known: The groups that the store has: a file of such a name brings rows for it.
        now_us: The store's time; later rows are refused.
        on_conflict: As in `Store.backfill`.
    """
    name = wish.name or suggest_name(file.stem)
    if not name:
        return Proposal(file, file.stem, problem="the file's name gives no name for a group; name one")
    try:
        if name in known:
            group = known[name]
            table, columns = _declared_rows(file, group)
            _refuse_other(group, wish, columns)
        else:
            table, columns = _inferred_rows(file)
            group = _group(name, table, wish, columns)
            table = table.cast(_naive_or_zoned(table, group))
        registered = RegisteredGroup(0, 1, group, "event", 0, ())
        checks = Checking(group, NoStore(), now_us=now_us)
        prepare(registered, table, "backfill", Options(on_conflict=on_conflict), now_us=now_us, checking=checks)
    except AsofError as error:
        return Proposal(file, name, problem=str(error))
    except OSError as error:
        return Proposal(file, name, problem=error.strerror or str(error))
    return Proposal(file, name, group, name in known, table.num_rows, columns)


def rows(proposal: Proposal) -> pa.Table:
    """Return the rows of a file as the columns of its group.

    Raises:
        DataError: The file has changed since it was looked at. UsageError: The proposal has a problem.
    """
    if proposal.group is None:
        raise UsageError(f"{proposal.file.name} cannot be loaded: {proposal.problem}")
    return _declared_rows(proposal.file, proposal.group)[0]


def typed_rows(
    file: Path, types: Mapping[str, pa.DataType], *, timezone: str | None
) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows of a file, and the column of the group for each of the file's.

    Args:
        file: The file.
        types: Types by the columns of the group; those of other columns are inferred.
        timezone: Zone of naive times; None refuses them.

    Raises:
        DataError: It is no CSV, or a value does not fit.
    """
    columns = _columns(read_header(file))
    wanted = {old: types[new] for old, new in columns.items() if new in types}
    table = read_csv(file, wanted, timezone=timezone, foreign=True)
    return table.rename_columns(list(columns.values())), columns


def _declared_rows(file: Path, group: FeatureGroup) -> tuple[pa.Table, dict[str, str]]:
    declared = {column.name: column.type for column in declared_schema(group)}
    return typed_rows(file, declared, timezone=group.timezone)


def _inferred_rows(file: Path) -> tuple[pa.Table, dict[str, str]]:
    columns = _columns(read_header(file))
    table = read_csv(file, {}, foreign=True)
    # What CSV readers take for numbers, times of day or nothing may be text: "007", "10:05".
    suspects = [f.name for f in table.schema if pa.types.is_integer(f.type)]
    texts = read_csv(file, dict.fromkeys(suspects, pa.string()), foreign=True) if suspects else table
    as_text = [name for name in suspects if pc.any(pc.match_substring_regex(texts.column(name), r"^[+-]?0\d")).as_py()]
    as_text += [f.name for f in table.schema if pa.types.is_time(f.type) or pa.types.is_null(f.type)]
    if as_text:
        table = read_csv(file, dict.fromkeys(as_text, pa.string()), foreign=True)
    for column in table.schema:
        if pa.types.is_binary(column.type):
            raise DataError(
                f"column {column.name!r} is no UTF-8 text", where=str(file), todo="convert the file to UTF-8"
            )
    return table.rename_columns(list(columns.values())), columns


def _columns(header: Sequence[str]) -> dict[str, str]:
    """Return the column of the group for each of the file."""
    found: dict[str, str] = {}
    for at, old in enumerate(header):
        base = suggest_name(old) or f"column_{at + 1}"
        new, number = base, 1
        while new in found.values():
            number += 1
            new = f"{base[:59]}_{number}"
        found[old] = new
    return found


def _group(name: str, table: pa.Table, wish: Wish, columns: Mapping[str, str]) -> FeatureGroup:
    event_time = _named(wish.event_time, columns) if wish.event_time is not None else event_time_of(table)
    event_time = event_time or None
    if wish.keys is not None:
        keys, problem = [_named(key, columns) for key in wish.keys], ""
    else:
        keys, problem = keys_of(table, event_time)
    if problem:
        raise DataError(
            problem, todo=f"name the keys: --keys FILE=COLUMN,COLUMN (it has {', '.join(table.column_names)})"
        )
    naive = [f.name for f in table.schema if pa.types.is_timestamp(f.type) and f.type.tz is None]
    if event_time is not None and pa.types.is_date(table.schema.field(event_time).type):
        naive.insert(0, event_time)
    if naive and wish.timezone is None:
        raise DataError(
            f"the times of {naive[0]!r} have no zone", todo="name it: --timezone UTC, or --timezone FILE=ZONE"
        )
    frame = table
    if event_time in naive:
        frame = table.set_column(
            table.column_names.index(event_time), event_time, table.column(event_time).cast(pa.timestamp("us"))
        )
    inferred = infer_group(name, frame, keys, event_time)
    return FeatureGroup(
        name,
        entity=inferred.entity,
        features=inferred.features,
        event_time=event_time,
        timezone=wish.timezone if naive else None,
    )


def _naive_or_zoned(table: pa.Table, group: FeatureGroup) -> pa.Schema:
    """Return the schema with a date as event time made a local midnight."""
    fields = [
        pa.field(f.name, pa.timestamp("us")) if f.name == group.event_time and pa.types.is_date(f.type) else f
        for f in table.schema
    ]
    return pa.schema(fields)


def _named(name: str, columns: Mapping[str, str]) -> str:
    if not name or name in columns.values():
        return name
    if name in columns:
        return columns[name]
    raise NotFoundError.named("column", name, columns)


def _refuse_other(group: FeatureGroup, wish: Wish, columns: Mapping[str, str]) -> None:
    keys = group.keys if wish.keys is None else tuple(_named(key, columns) for key in wish.keys)
    event_time = group.event_time if wish.event_time is None else _named(wish.event_time, columns) or None
    if set(keys) != set(group.keys) or event_time != group.event_time:
        raise UsageError(
            f"the group exists with keys {', '.join(group.keys)} and event time {group.event_time}",
            todo="choose another name: --name FILE=NAME",
        )
