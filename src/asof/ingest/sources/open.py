"""The source of a group, by what its definition says."""

from asof.arrow.layout import declared_schema
from asof.arrow.types import TIMESTAMP, arrow_type
from asof.definitions import FeatureGroup, Files
from asof.ingest.sources.calls import call_source
from asof.ingest.sources.files import FileSource, listed
from asof.ingest.sources.port import Source
from asof.ingest.sources.reading import read_file
from asof.parts import Parts


def open_source(parts: Parts, group: FeatureGroup) -> Source:
    """Return the source that a group's rows are taken from.

    Raises:
        UsageError: It is a function that cannot be imported. ConflictError: The function is not what it was.
    """
    where = f"group {group.name}"
    match group.taken_from:
        case Files() as files:
            return _files(parts, group, files)
        case None:  # pragma: no cover - who asks has looked
            raise ValueError(where)
        case call:
            return call_source(call, where=where, delay_us=group.delay_us)


def _files(parts: Parts, group: FeatureGroup, files: Files) -> FileSource:
    where = f"group {group.name}"
    if files.columns is not None:
        types = {name: arrow_type(dtype) for name, dtype in files.columns.items()}
    else:
        types = {field.name: field.type for field in declared_schema(group)}
        if group.available_at is not None:
            types[group.available_at] = TIMESTAMP
    only = files.columns is not None
    return FileSource(
        "files",
        lambda: listed(parts.root, files.path, where),
        lambda file: read_file(file.path, types, only=only, timezone=group.timezone),
        where=where,
        keeps=True,
    )
