"""External groups as sources: their rows are taken with the arrival that the group declares for each."""

from collections.abc import Iterator, Mapping
from functools import partial
from os.path import relpath
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from asof.arrow.layout import declared_schema
from asof.arrow.types import TIMESTAMP
from asof.definitions import FeatureGroup
from asof.definitions.external import place_of
from asof.engine.port import Outside, Reach
from asof.errors import DataError
from asof.external import external_rows
from asof.external.parquet import found
from asof.ingest.sources.files import File, FileSource, base_of
from asof.ingest.sources.port import Bounds, Source
from asof.ingest.sources.reading import read_file
from asof.ingest.sources.spans import SpanSource
from asof.parts import Parts
from asof.records import AVAILABLE_COLUMN


def external_source(parts: Parts, group: FeatureGroup) -> Source:
    """Return the rows of an external group as a source; they have `__available_at`.

    New are, of folders and Delta tables, files; of a table of a server, rows with later event times than those asked
    for before, up to `delay` before now.
    """
    place, where = place_of(group.external or ""), f"group {group.name}, {group.external}"
    match place.kind:
        case "parquet":
            return FileSource(
                "external",
                lambda: _listed(parts.root, place.path, group),
                lambda file: _arrived(parts, group, _rows(group, file.path), str(file.path)),
                where=where,
                keeps=False,
            )
        case "delta":
            return _DeltaFiles(parts, group, where, parts.root / place.path).source()
        case _:
            ask = partial(_fetched, parts, group, where)
            return SpanSource("external", ask, where=where, delay_us=group.delay_us)


def _listed(root: Path, place: str, group: FeatureGroup) -> Iterator[File]:
    base = base_of(root, place)
    for each in found(root / place, group.external or ""):
        yield File(relpath(each.path, base), Path(each.path), each.size, each.modified_ns)


class _DeltaFiles:
    """The live files of the newest version of a Delta table, and what is the same in all rows of a file."""

    def __init__(self, parts: Parts, group: FeatureGroup, where: str, folder: Path) -> None:
        self._parts = parts
        self._group = group
        self._where = where
        self._folder = folder
        self._fixed: Mapping[str, Mapping[str, object]] = {}

    def source(self) -> FileSource:
        return FileSource("external", self._found, self._read, where=self._where, keeps=False)

    def _found(self) -> Iterator[File]:
        outside = _outside(self._parts, self._group)
        self._fixed = outside.constants
        for path, _, _ in outside.read.files:
            known = Path(path).stat()
            yield File(relpath(path, self._folder), Path(path), known.st_size, known.st_mtime_ns)

    def _read(self, file: File) -> Iterator[pa.Table]:
        fixed = self._fixed.get(str(file.path), {})
        tables = _rows(self._group, file.path, fixed)
        return _arrived(self._parts, self._group, tables, str(file.path))


def _outside(parts: Parts, group: FeatureGroup) -> Outside:
    outside = external_rows(group, root=parts.root, pin=None, now_us=parts.now_us()).outside
    assert outside is not None  # noqa: S101 - the rows are those of an external group
    return outside


def _types(group: FeatureGroup) -> dict[str, pa.DataType]:
    """Return the columns that a row must have, with their types."""
    types = {field.name: field.type for field in declared_schema(group)}
    return types if group.available_at is None else types | {group.available_at: TIMESTAMP}


def _rows(group: FeatureGroup, path: Path, fixed: Mapping[str, object] | None = None) -> Iterator[pa.Table]:
    """Give the declared columns of a file, and those that all its rows share."""
    types, constants = _types(group), fixed or {}
    within = {name: kind for name, kind in types.items() if name not in constants}
    for table in read_file(path, within, only=True, timezone=group.timezone, kind="Parquet"):
        for name, value in constants.items():
            table = table.append_column(name, pa.repeat(pa.scalar(value, types[name]), table.num_rows))  # noqa: PLW2901 - a column more
        yield table.select(list(types))


def _arrived(parts: Parts, group: FeatureGroup, tables: Iterator[pa.Table], where: str) -> Iterator[pa.Table]:
    """Add since when each row was known: by the group's column, or since its event time and delay, but never later."""
    for table in tables:
        if group.available_at is not None:
            arrivals = table.column(group.available_at)
            if arrivals.null_count:
                what = f"column {group.available_at!r} has a null"
                raise DataError(what, where=where, todo="fill it, or leave such rows out")
            yield table.drop_columns([group.available_at]).append_column(AVAILABLE_COLUMN, arrivals)
            continue
        assert group.event_time is not None  # noqa: S101 - the definition was checked
        events = table.column(group.event_time).cast(pa.int64())
        known = pc.min_element_wise(pc.add(events, group.delay_us), parts.now_us(), skip_nulls=False)
        yield table.append_column(AVAILABLE_COLUMN, known.cast(TIMESTAMP))


def _fetched(parts: Parts, group: FeatureGroup, where: str, bounds: Bounds) -> Iterator[pa.Table]:
    """Give the rows of a server's table in a span of event times."""
    fetch = _outside(parts, group).fetch
    assert fetch is not None and group.event_time is not None  # noqa: S101, PT018 - a table is fetched
    names = tuple(feature.name for feature in group.features)
    with fetch(Reach(names, after_us=bounds[0], until_us=bounds[1])) as rows:
        for path, _, _ in rows.files:
            for table in _arrived(parts, group, _rows(group, Path(path)), where):
                events = table.column(group.event_time).cast(pa.int64())
                kept = pc.less_equal(events, bounds[1])
                if bounds[0] is not None:
                    kept = pc.and_(kept, pc.greater(events, bounds[0]))
                yield table.filter(kept)  # a server compares times of its own zone itself
