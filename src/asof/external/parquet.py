"""Rows in Parquet files: a folder, a glob, or one file."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from glob import escape, glob, has_magic
from pathlib import Path

from asof.arrow.layout import stored_schema
from asof.definitions import FeatureGroup
from asof.engine.outside import ARRIVAL_PIN
from asof.engine.port import Outside, Rows
from asof.errors import ConflictError, NotFoundError, PermanentError, UsageError
from asof.external.columns import Wanted
from asof.external.footers import File, Footer, footer_of
from asof.records import DataFile, ExternalRead, Stamp

FINGERPRINT_BITS = 52
"""So that every JSON can carry it."""

FOREVER_US = 1 << 62


def parquet_rows(group: FeatureGroup, path: Path, *, pin: int | None, now_us: int) -> Rows:
    """Return the rows of the files at a path; see `asof.external.external_rows`."""
    place = group.external or ""
    files = found(path, place)
    fingerprint = _fingerprint(files)
    if pin is not None and pin != fingerprint:
        raise ConflictError(
            "the files are not those of the pinned read",
            where=place,
            todo="read without commits=, or keep such files in a Delta table, which has versions",
        )
    megabytes = sum(file.size for file in files) / 1e6
    read = ExternalRead(
        place=place,
        what=f"{len(files):,} files, {megabytes:,.1f} MB",
        reproducible=False,
        pin=fingerprint,
        read_at_us=now_us,
        files=tuple((file.path, file.size, file.modified_ns // 1000) for file in files),
    )
    unchanged = partial(_is_unchanged, path, place, fingerprint)
    return rows_of(group, files, read, utc=group.timezone == "UTC", unchanged=unchanged)


def _is_unchanged(path: Path, place: str, fingerprint: int) -> bool:
    return _fingerprint(found(path, place)) == fingerprint


def rows_of(
    group: FeatureGroup,
    files: Sequence[File],
    read: ExternalRead,
    *,
    utc: bool,
    constants: Mapping[str, Mapping[str, object]] | None = None,
    unchanged: Callable[[], bool] | None = None,
) -> Rows:
    """Return files as the rows of a group.

    Args:
        group: The group.
        files: The files.
        read: What is read.
        utc: Whether naive times are UTC.
        constants: For each file, by its path, declared columns that are not in it.
        unchanged: Whether the files are still those.

    Raises:
        As `footer_of`.
    """
    wanted, fixed = Wanted.of(group, utc=utc), constants or {}
    look = partial(_look, wanted, fixed)
    if len(files) > 1:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            footers = list(pool.map(look, files))
    else:
        footers = [look(file) for file in files]
    stamp = Stamp(1, FOREVER_US, "delay" if group.available_at is None else "column")
    schema = stored_schema(group)
    return Rows(
        schema=schema,
        keys=group.keys,
        event_time=group.event_time,
        delay_us=group.delay_us,
        pin=1 if group.available_at is None else ARRIVAL_PIN,
        layout=tuple(feature.name for feature in group.features),
        files=tuple(
            (file.path, DataFile(file.path, each.rows, file.size, each.min_us, each.max_us), stamp)
            for file, each in zip(files, footers, strict=True)
            if each.rows
        ),
        outside=Outside(
            read,
            available_at=group.available_at,
            casts={file.path: each.casts for file, each in zip(files, footers, strict=True)},
            constants=fixed,
            unchanged=unchanged,
        ),
    )


def _look(wanted: Wanted, constants: Mapping[str, Mapping[str, object]], file: File) -> Footer:
    return footer_of(file, wanted, frozenset(constants.get(file.path, ())))


def found(path: Path, place: str) -> list[File]:
    """Return the files at a path, in order; names that begin with "_" or "." are of unfinished ones.

    Raises:
        NotFoundError: There is nothing. UsageError: It is a Delta table.
    """
    try:
        if (path / "_delta_log").is_dir():
            raise UsageError("this is a Delta table", where=place, todo='write "delta:" in place of "parquet:"')
        if path.is_dir():
            pattern = f"{escape(str(path))}/**/*.parquet"
        else:
            pattern = str(path) if has_magic(str(path)) and not path.exists() else escape(str(path))
        every = glob(pattern, recursive=True)  # noqa: PTH207 - a Path has no globs with a root
        begin = len(str(path)) if path.is_dir() else None
        paths = sorted(each for each in every if Path(each).is_file() and not _is_debris(each, begin))
        if not paths and not path.is_dir():
            raise NotFoundError("there is no such file or folder", where=place, todo="look at external=")
        return [_file(each) for each in paths]
    except OSError as error:
        raise PermanentError(f"it cannot be read: {error.strerror}", where=place, todo="check its rights") from error


def _is_debris(path: str, begin: int | None) -> bool:
    """Return whether a writer has not finished a file, or the folder that it is in, below that which is read."""
    below = Path(path).name if begin is None else path[begin:]
    return any(part.startswith(("_", ".")) for part in Path(below).parts)


def _file(path: str) -> File:
    known = os.stat(path)  # noqa: PTH116 - a Path takes three times as long
    return File(path, known.st_size, known.st_mtime_ns)


def _fingerprint(files: Sequence[File]) -> int:
    text = "\n".join(f"{file.path}\t{file.size}\t{file.modified_ns}" for file in files)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()) >> (256 - FINGERPRINT_BITS)
