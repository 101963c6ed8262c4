"""Files of a repository: what their columns are, where they are at hand."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from asof.arrow.types import inferred_type
from asof.errors import AsofError


def columns_of(path: Path) -> Mapping[str, str] | None:
    """Return the columns of a Parquet file, or of the first of a folder, with their types; None if none can be read."""
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        return None
    try:
        schema = parquet.read_schema(files[0])
    except (pa.ArrowException, OSError):
        return None
    return {field.name: _type_of(field.type) for field in schema}


def _type_of(arrow: pa.DataType) -> str:
    try:
        return str(inferred_type(arrow))
    except AsofError:
        return ""
