"""The files of a history: each thing that a disk may refuse, or lose in a power cut, is an operation of its own.

`DeltaHistory` reaches its data files through this port only: `asof.testing.faults` fails or stops any of them. They lie
on a disk of this machine, or are objects (`asof.offline.objects`).
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pyarrow as pa

from asof import file_locks
from asof.records import DataFile


class Hold(Protocol):
    """What keeps a file locked."""

    def close(self) -> None:
        """Let go; so does the end of the process."""
        ...


class Files(Protocol):
    """Works on files and folders; every method raises OSError, and pyarrow's errors are OSErrors too.

    Objects have no folders, and their errors are asof's own, but for FileNotFoundError.

    Attributes:
        remote: Whether a file must be fetched before it can be read.
        options: How deltalake gets there.
    """

    remote: bool
    options: Mapping[str, str]

    def url(self, place: Path) -> str:
        """Return how others, and messages, call a file or folder."""
        ...

    def near(self, folder: Path, files: Sequence[DataFile]) -> AbstractContextManager[Mapping[str, str]]:
        """Give by path, relative to a folder, where data files can be read as long as the block takes."""
        ...

    def links(self, folder: Path, files: Sequence[DataFile], *, seconds: int) -> Mapping[str, str]:
        """Return by path, relative to a folder, URLs at which data files can be read for some seconds."""
        ...

    def keep_only(self, paths: Iterable[str]) -> None:
        """Delete what this machine has of other data files than these, if they lie elsewhere."""
        ...

    def modified_ms(self, folder: Path) -> int:
        """Return a time not long before now, by the clock of whoever keeps the files."""
        ...

    def make_folder(self, folder: Path) -> bool:
        """Make a folder, with its parents; return whether it was not there."""
        ...

    def create(self, place: Path) -> pa.NativeFile:
        """Begin a file; what is written survives a power cut only after `sync`."""
        ...

    def sync(self, place: Path) -> None:
        """Make the content of a file, or the names in a folder, survive a power cut."""
        ...

    def rename(self, place: Path, to: Path) -> Path:
        """Give a file a new name in its folder, in one step; return the name: an object's has its hash in it."""
        ...

    def named(self, place: Path, sha256: str) -> Path:
        """Return the name that `rename` gives to a file of such bytes."""
        ...

    def digest(self, place: Path) -> str:
        """Return the SHA-256 of the bytes of a file, read anew; "" if there is none."""
        ...

    def remove(self, *places: Path) -> None:
        """Delete files; absent ones do not matter."""
        ...

    def remove_folder(self, folder: Path) -> None:
        """Delete a folder with what is in it, as far as possible."""
        ...

    def open(self, place: Path) -> pa.NativeFile:
        """Open a file for reading."""
        ...

    def find(self, folder: Path, pattern: str) -> Iterator[Path]:
        """Return the files below a folder that match a pattern such as "*/*.parquet"."""
        ...

    def hold(self, place: Path) -> Hold:
        """Make a file and keep it locked as long as this process lives."""
        ...

    def is_held(self, place: Path) -> bool:
        """Return whether some process keeps a file locked; no for an absent one."""
        ...

    def close(self) -> None:
        """Release what was opened; twice is harmless."""
        ...


class LocalFiles:
    """The files of this machine."""

    remote = False
    options: Mapping[str, str] = MappingProxyType({})

    def url(self, place: Path) -> str:
        """See `Files.url`."""
        return str(place)

    def near(self, folder: Path, files: Sequence[DataFile]) -> AbstractContextManager[Mapping[str, str]]:
        """See `Files.near`."""
        return nullcontext({file.path: str(folder / file.path) for file in files})

    def links(self, folder: Path, files: Sequence[DataFile], *, seconds: int) -> Mapping[str, str]:
        """See `Files.links`: nobody else reaches them."""
        del folder, files, seconds
        return {}

    def keep_only(self, paths: Iterable[str]) -> None:
        """See `Files.keep_only`: there are no copies."""

    def modified_ms(self, folder: Path) -> int:
        """See `Files.modified_ms`."""
        return int(folder.stat().st_mtime * 1000)

    def make_folder(self, folder: Path) -> bool:
        """See `Files.make_folder`."""
        if folder.is_dir():
            return False
        folder.mkdir(parents=True, exist_ok=True)
        return True

    def create(self, place: Path) -> pa.NativeFile:
        """See `Files.create`: Arrow's own file, which needs no Python to be written."""
        return pa.OSFile(str(place), "wb")

    def sync(self, place: Path) -> None:
        """See `Files.sync`."""
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, place: Path, to: Path) -> Path:
        """See `Files.rename`."""
        return place.rename(to)

    def named(self, place: Path, sha256: str) -> Path:
        """See `Files.named`."""
        del sha256
        return place

    def digest(self, place: Path) -> str:
        """See `Files.digest`."""
        try:
            return sha256_of(place)
        except FileNotFoundError:
            return ""

    def remove(self, *places: Path) -> None:
        """See `Files.remove`."""
        for place in places:
            place.unlink(missing_ok=True)

    def remove_folder(self, folder: Path) -> None:
        """See `Files.remove_folder`."""
        shutil.rmtree(folder, ignore_errors=True)

    def open(self, place: Path) -> pa.NativeFile:
        """See `Files.open`."""
        return pa.OSFile(str(place), "rb")

    def find(self, folder: Path, pattern: str) -> Iterator[Path]:
        """See `Files.find`."""
        return folder.glob(pattern)

    def hold(self, place: Path) -> Hold:
        """See `Files.hold`."""
        return file_locks.HeldFile(place)

    def is_held(self, place: Path) -> bool:
        """See `Files.is_held`."""
        return file_locks.is_held(place)

    def close(self) -> None:
        """See `Files.close`."""


def sha256_of(place: Path) -> str:
    """Return the hash of a file's bytes."""
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
