"""Rows in a Delta table: the files of one version."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from asof.definitions import FeatureGroup
from asof.engine.outside import FILE_NUMBER
from asof.engine.port import Rows
from asof.errors import ConflictError, DataError, NotFoundError, PermanentError, UnsupportedError
from asof.external.columns import Wanted
from asof.external.footers import File
from asof.external.parquet import rows_of
from asof.records import ExternalRead

READABLE = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Features of tables for readers that change nothing of what lies in live files."""


def delta_rows(group: FeatureGroup, path: Path, *, pin: int | None, now_us: int) -> Rows:
    """Return the rows of a version of a table, the newest if none is pinned; see `asof.external.external_rows`."""
    place = group.external or ""
    table = _opened(path, place, pin)
    _check(table, place)
    found = pa.table(table.get_add_actions(flatten=False))
    actions: list[dict[str, Any]] = found.to_pylist()
    columns = {*group.columns, *(() if group.available_at is None else (group.available_at,))}
    constants: dict[str, dict[str, object]] = {}
    for action in actions:
        fixed: dict[str, object] = action.get("partition") or {}
        constants[_place(path, action["path"])] = {name: fixed[name] for name in fixed if name in columns}
    if "partition" in found.column_names:
        _check_partitions(
            group, {each.name: each.type for each in found.schema.field("partition").type}, constants, place
        )
    names = {field.name: field.type for field in table.schema().fields}
    naive = [name for name in columns & names.keys() if "timestamp_ntz" in str(names[name])]
    if naive and group.timezone != "UTC":
        todo = 'declare timezone="UTC" if they are'
        raise DataError(f"column {naive[0]!r} holds naive times", where=place, todo=todo)
    if FILE_NUMBER in names and any(constants.values()):
        raise UnsupportedError(f"a partitioned table with a column {FILE_NUMBER!r} is not read in place", where=place)
    files = [
        File(_place(path, each["path"]), each["size_bytes"], each["modification_time"] * 1_000_000) for each in actions
    ]
    for file in files:
        if not Path(file.path).exists():
            raise ConflictError(
                f"version {table.version()} lost the file {file.path}",
                where=place,
                todo="it was vacuumed: read a newer version, without commits=",
            )
    megabytes = sum(file.size for file in files) / 1e6
    read = ExternalRead(
        place=place,
        what=f"version {table.version()}, {len(files):,} files, {megabytes:,.1f} MB",
        reproducible=True,
        pin=table.version(),
        read_at_us=now_us,
        files=tuple((file.path, file.size, file.modified_ns // 1000) for file in sorted(files, key=lambda f: f.path)),
    )
    return rows_of(group, files, read, utc=True, constants={p: each for p, each in constants.items() if each})


def _check_partitions(
    group: FeatureGroup,
    types: Mapping[str, pa.DataType],
    constants: Mapping[str, Mapping[str, object]],
    place: str,
) -> None:
    """Refuse partitions that do not hold what is declared; see `asof.external.footers.footer_of`."""
    wanted = Wanted.of(group, utc=True)
    replace(wanted, types=tuple((name, kind) for name, kind in wanted.types if name in types)).check(types, place)
    for fixed in constants.values():
        for name in wanted.required & fixed.keys():
            if fixed[name] is None:
                todo = "leave such rows out"
                raise DataError(f"a partition has a null value in column {name!r}", where=place, todo=todo)


def _opened(path: Path, place: str, pin: int | None) -> DeltaTable:
    try:
        return DeltaTable(str(path), version=pin)
    except TableNotFoundError as error:
        raise NotFoundError("there is no Delta table", where=place, todo="look at external=") from error
    except DeltaError as error:
        reason = " ".join(str(error).split())
        if pin is not None and _is_there(path):
            raise ConflictError(f"version {pin} cannot be read: {reason}", where=place) from error
        raise PermanentError(f"the Delta table cannot be read: {reason}", where=place) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        todo = "start the process with spawn or forkserver"
        raise UnsupportedError("deltalake cannot run in a forked process", where=place, todo=todo) from error


def _is_there(path: Path) -> bool:
    try:
        DeltaTable(str(path))
    except DeltaError:
        return False
    return True


def _check(table: DeltaTable, place: str) -> None:
    """Refuse tables whose files do not say themselves which rows they have under which names."""
    protocol, settings = table.protocol(), table.metadata().configuration
    features = set(protocol.reader_features or ()) - READABLE
    if settings.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    if features:
        raise UnsupportedError(
            f"Delta tables with {', '.join(sorted(features))} are not read in place",
            where=place,
            todo="have deletionVectors purged and switched off, columns not mapped; or load the rows into the store",
        )


def _place(path: Path, name: str) -> str:
    return str(path / unquote(name))
