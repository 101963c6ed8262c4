"""History as Delta tables: Parquet files that we write, and a Delta log that makes them readable by every engine.

The commit log of the registry is the truth. The Delta log mirrors it: files are added when they are published and
removed when they are compacted, so that DuckDB, Polars or Spark read whole commits without us.
"""

import errno
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from asof.errors import BackendError, PermanentError, TransientError
from asof.offline.files import Files, Hold, LocalFiles, sha256_of
from asof.offline.port import Table
from asof.records import DataFile

ROW_GROUP_ROWS = 122_880
"""Rows of a row group: DuckDB's own measure, so that its threads share a file."""

FILE_ROWS = 4_000_000
"""Rows of a file: a few hundred MB at most, so that a reader skips and a writer fails in parts."""

COPIED_BYTES = 8 * 1024**2
"""Bytes that are held of a file that is copied."""

WRITERS = "writers"
LOG = "_delta_log"
OUR_NAME = re.compile(r"(?P<writer>[0-9a-f]{12})-[0-9a-f]{12}(-[0-9a-f]{64})?\.parquet")
"""Who wrote a file, its own number, and for an object the hash of its bytes."""

ATTEMPTS = 20


class DeltaHistory:
    """The history port over a folder of Delta tables, or over a prefix of a bucket.

    Args:
        url: The folder, relative to the store's; or s3://BUCKET/PREFIX, gs://..., az://...
        root: The store's folder.
        files: How it works on data files; the Delta log is written by deltalake itself.

    Attributes:
        remote: Whether the files are objects.
        folder: The folder; in a bucket, where places are relative to the prefix, the empty path.
    """

    def __init__(self, url: str, *, root: str = "", files: Files | None = None) -> None:
        """Remember the folder; a writer announces itself at its first file."""
        self.folder = Path() if "://" in url else Path(root) / url
        self._files = files or (object_files(url) if "://" in url else LocalFiles())
        self.remote = self._files.remote
        with self._translated(self.folder):
            if self._files.make_folder(self.folder):
                self._files.sync(self.folder.parent)  # else a power cut may take the folder with its synced files
        self._lock = threading.Lock()
        self._writer: tuple[int, str, Hold] | None = None

    def stage(self, table: Table, batches: pa.RecordBatchReader | pa.Table) -> list[DataFile]:
        """See `History.stage`."""
        folder = self.folder / table.name
        written: list[DataFile] = []
        with self._translated(folder):
            if self._files.make_folder(folder):
                self._files.sync(self.folder)
            try:
                for rows in _in_files(batches):
                    written.append(self._write(table, folder, rows))  # noqa: PERF401 - what was written must be known
                self._files.sync(folder)
            except BaseException:  # an interrupt too must leave no files behind
                with suppress(BackendError):  # of the two errors the first one is told; what stays is debris
                    self.discard([file.path for file in written])
                raise
        return written

    def adopt(self, path: str, near: str) -> str:
        """See `History.adopt`."""
        place = self.folder / path
        sha256 = sha256_of(Path(near))
        with self._translated(place):
            named = self._files.named(place, sha256)
            if self._files.digest(named) != sha256:
                if self._files.make_folder(place.parent):
                    self._files.sync(self.folder)
                self._copy(Path(near), place)
                self._files.sync(place.parent)
                if self._files.digest(named) != sha256:
                    raise OSError(errno.EIO, "its bytes are not those that were written")
        return f"{named.parent.name}/{named.name}"

    def mirror(self, table: Table, *, live: Sequence[DataFile]) -> None:
        """See `History.mirror`. A forked child leaves it to other processes: deltalake (1.6) cannot run in it."""
        if _runtime() != os.getpid():
            return None
        folder = self.folder / table.name
        wanted = {file.path.partition("/")[2]: file for file in live}
        with self._translated(folder):
            for attempt in range(ATTEMPTS):
                try:
                    return self._mirror_once(folder, table.schema, wanted)
                except CommitFailedError:  # another process was first: look again
                    time.sleep(0.01 * attempt)
                except (DeltaError, OSError) as error:
                    created = "already exists" in str(error)  # by another one, just now: look again
                    if not created and (attempt == ATTEMPTS - 1 or not self.remote or not _is_cut(error)):
                        raise
                    time.sleep(0.01 * attempt)
        raise TransientError(
            "other processes kept changing the Delta log", where=self._files.url(folder), todo="try again"
        )

    def _mirror_once(self, folder: Path, schema: pa.Schema, wanted: dict[str, DataFile]) -> None:
        add = [_add_action(path, file) for path, file in wanted.items()]
        delta = self._opened_log(folder)
        if delta is None:
            if wanted:
                create_table_with_add_actions(
                    self._files.url(folder),
                    Schema.from_arrow(schema),
                    add,
                    mode="error",
                    partition_by=[],
                    storage_options=dict(self._files.options),
                )
            return
        known = {field.name for field in delta.schema().fields}
        added = [field for field in Schema.from_arrow(schema).fields if field.name not in known]
        if added:  # features that an amendment added; files from before read as null
            delta.alter.add_columns(added)
        sizes: dict[str, int] = {}
        actions = pa.table(delta.get_add_actions(flatten=True))
        for path, size in zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
            sizes[unquote(path)] = size
        changes: list[AddAction | RemoveAction] = [action for action in add if unquote(action.path) not in sizes]
        gone = {path: size for path, size in sizes.items() if path not in wanted}
        now_ms = self._files.modified_ms(folder) if gone else 0
        changes += [_remove_action(path, size, now_ms) for path, size in gone.items()]
        if changes:
            delta.create_write_transaction(changes, mode="append", schema=Schema.from_arrow(schema), partition_by=[])

    def _opened_log(self, folder: Path) -> DeltaTable | None:
        """Return the Delta table of a folder; None if there is none yet, or its log is damaged: that is begun anew.

        deltalake does not sync the log, so that a power cut may tear it. Nothing is lost: it only mirrors.
        """
        url, options = self._files.url(folder), dict(self._files.options)
        if not self.remote and not DeltaTable.is_deltatable(
            url
        ):  # there may be a folder for the log, and nothing in it
            return None  # of a bucket it is not asked: deltalake (1.6) would stop all threads until the answer comes
        try:
            return DeltaTable(url, storage_options=options)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if "os error" in str(error) or self.remote:  # the disk refuses to read it: it may be well
                raise
        self._files.remove_folder(folder / LOG)
        return None

    def location(self, path: str) -> str:
        """See `History.location`."""
        return self._files.url(self.folder / path)

    def near(self, files: Sequence[DataFile]) -> AbstractContextManager[Mapping[str, str]]:
        """See `History.near`."""
        return self._files.near(self.folder, files)

    def links(self, files: Sequence[DataFile], *, seconds: int) -> Mapping[str, str]:
        """See `History.links`."""
        return self._files.links(self.folder, files, seconds=seconds)

    def keep_only(self, paths: Iterable[str]) -> None:
        """See `History.keep_only`."""
        self._files.keep_only(paths)

    def check(self, path: str) -> str:
        """See `History.check`."""
        place = self.folder / path
        where = self._files.url(place)
        try:
            with self._files.open(place) as opened, pq.ParquetFile(opened, page_checksum_verification=True) as file:
                for batch in file.iter_batches():
                    batch.validate(full=True)
        except FileNotFoundError:
            return f"{where}: the file is gone"
        except (pa.ArrowException, OSError) as error:
            return f"{where}: {' '.join(str(error).split())}"
        return ""

    def discard(self, paths: Iterable[str]) -> None:
        """See `History.discard`."""
        with self._translated(self.folder):
            self._files.remove(*(self.folder / path for path in paths))

    def debris(self, known: Iterable[str]) -> list[str]:
        """See `History.debris`."""
        kept = set(known)
        with self._translated(self.folder):
            found = [f"{p.parent.name}/{p.name}" for p in self._files.find(self.folder, "*/*.parquet*")]
            ours = {path: name["writer"] for path in found if (name := OUR_NAME.match(path.partition("/")[2]))}
            unknown = {path: writer for path, writer in ours.items() if path not in kept}  # not somebody else's file
            alive = {writer: self._writes(writer) for writer in sorted(set(unknown.values()))}
        return [path for path, writer in unknown.items() if not alive[writer]]

    def drop(self, table: Table) -> None:
        """See `History.drop`."""
        self._files.remove_folder(self.folder / table.name)

    def close(self) -> None:
        """See `History.close`."""
        with self._lock:
            if self._writer is not None:
                _, name, handle = self._writer
                handle.close()
                with suppress(OSError):
                    self._files.remove(self.folder / WRITERS / name)
                self._writer = None
        self._files.close()

    @contextmanager
    def _translated(self, folder: Path) -> Generator[None]:
        try:
            yield
        except (OSError, pa.ArrowException, DeltaError) as error:
            raise _translation(error, self._files.url(folder), remote=self.remote) from error

    def _write(self, table: Table, folder: Path, rows: pa.Table) -> DataFile:
        name = f"{self._writer_name()}-{uuid.uuid4().hex[:12]}.parquet"
        place = folder / name
        unfinished = place.with_suffix(".parquet.part")
        try:
            with self._files.create(unfinished) as file:
                with pq.ParquetWriter(
                    file,
                    table.schema,
                    compression="zstd",
                    compression_level=1,
                    use_dictionary=[field.name for field in table.schema if _repeats(field.type)],
                    write_page_checksum=True,
                ) as writer:
                    writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
                size = file.tell()
            self._files.sync(unfinished)
            name = self._files.rename(unfinished, place).name
        except BaseException:  # an interrupt too
            self._files.remove(unfinished)
            raise
        least, greatest = 0, 0
        if table.event_time is not None:
            bounds = pc.min_max(rows.column(table.event_time).cast(pa.int64()))
            least, greatest = bounds["min"].as_py(), bounds["max"].as_py()
        return DataFile(f"{table.name}/{name}", rows.num_rows, size, least, greatest)

    def _copy(self, near: Path, place: Path) -> None:
        unfinished = place.with_suffix(".parquet.part")
        try:
            with near.open("rb") as source, self._files.create(unfinished) as file:
                shutil.copyfileobj(source, file, COPIED_BYTES)
            self._files.sync(unfinished)
            self._files.rename(unfinished, place)
        except BaseException:  # an interrupt too
            self._files.remove(unfinished)
            raise

    def _writer_name(self) -> str:
        """Return a name for this process, announced by a locked file: its unpublished files are no debris."""
        with self._lock:
            if self._writer is None or self._writer[0] != os.getpid():
                name = uuid.uuid4().hex[:12]
                place = self.folder / WRITERS / name
                self._files.make_folder(place.parent)
                self._writer = (os.getpid(), name, self._files.hold(place))
            return self._writer[1]

    def _writes(self, writer: str) -> bool:
        if self._writer is not None and self._writer[1] == writer:
            return True
        place = self.folder / WRITERS / writer
        if self._files.is_held(place):
            return True
        self._files.remove(place)
        return False


@cache
def _runtime() -> int:
    """Return the process in which deltalake's runtime was started, at its first use; a forked child inherits it."""
    return os.getpid()


def object_files(url: str) -> Files:
    """Return the files below a URL of object storage."""
    from asof.offline.objects import ObjectFiles  # noqa: PLC0415 - its package is an extra

    return ObjectFiles(url)


def _is_cut(error: Exception) -> bool:
    from asof.offline.objects import is_cut  # noqa: PLC0415 - its package is an extra

    return is_cut(error)


def _in_files(batches: pa.RecordBatchReader | pa.Table) -> Iterator[pa.Table]:
    if isinstance(batches, pa.Table):
        for start in range(0, batches.num_rows, FILE_ROWS):
            yield batches.slice(start, FILE_ROWS)
        return
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= FILE_ROWS:
            yield pa.Table.from_batches(held)
            held, count = [], 0
    if count:
        yield pa.Table.from_batches(held)


def _repeats(arrow: pa.DataType) -> bool:
    """Return whether values of a type tend to repeat; a dictionary of others costs three quarters of the writing."""
    return not (pa.types.is_floating(arrow) or pa.types.is_timestamp(arrow) or pa.types.is_nested(arrow))


def _add_action(path: str, file: DataFile) -> AddAction:
    stats: dict[str, Any] = {"numRecords": file.rows}
    return AddAction(quote(path), file.size_bytes, {}, 0, data_change=True, stats=json.dumps(stats))


def _remove_action(path: str, size: int, now_ms: int) -> RemoveAction:
    return RemoveAction(path=quote(path), data_change=True, deletion_timestamp=now_ms, size=size, partition_values={})


def _translation(error: Exception, where: str, *, remote: bool) -> BackendError:
    if remote:
        from asof.offline.objects import translation  # noqa: PLC0415 - its package is an extra

        return translation(error, where)
    code = getattr(error, "errno", None)
    if code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error):
        return PermanentError(f"no space for the history: {error}", where=where, todo="free some disk space")
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermanentError(f"the history cannot be written: {error}", where=where, todo="check permissions")
    return PermanentError(f"the history failed: {error}", where=where, todo="run `asof doctor`")
