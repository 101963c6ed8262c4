"""External rows by the kind of their place; what a kind needs is imported when it is read."""

from pathlib import Path

from asof.definitions import FeatureGroup
from asof.definitions.external import place_of
from asof.engine.port import Rows
from asof.errors import UnsupportedError


def external_rows(group: FeatureGroup, *, root: Path, pin: int | None, now_us: int) -> Rows:
    """Return the rows of an external group as they are now, or as they were at a pin.

    Args:
        group: The group.
        root: The store's folder: relative paths lie in it, and what is fetched is put below it.
        pin: What `frame.commits` said of an earlier read; None for now.
        now_us: The time.

    Raises:
        NotFoundError: There is nothing at the place. DataError: Its columns are not those that are declared, or a key
            or time is null. ConflictError: It is not any more what was pinned. BackendError: It cannot be read now.
        UnsupportedError: It cannot be read in place. MissingDependencyError: A package is not installed.
    """
    place = place_of(group.external or "")
    match place.kind:
        case "parquet":
            from asof.external.parquet import parquet_rows  # noqa: PLC0415 - 0.1 s

            return parquet_rows(group, root / place.path, pin=pin, now_us=now_us)
        case "delta":
            from asof.external.delta import delta_rows  # noqa: PLC0415 - 0.1 s

            return delta_rows(group, root / place.path, pin=pin, now_us=now_us)
        case "postgresql":
            from asof.external.sql import table_rows  # noqa: PLC0415 - its package is an extra

            return table_rows(group, place, root=root, pin=pin, now_us=now_us)
        case _:  # pragma: no cover - `place_of` knows no other
            raise UnsupportedError(f"external places of kind {place.kind!r}")
