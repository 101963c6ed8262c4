"""Files as objects of S3, or what speaks its protocol; the same library reaches gs:// and az://.

An object is written once, whole, and its name ends with the hash of its bytes: whoever reads it knows what it must be.
Files are made, and read, in the file cache of this machine.
"""

import errno
import hashlib
import itertools
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pyarrow as pa

from asof.errors import (
    BackendError,
    MissingDependencyError,
    PermanentError,
    TransientError,
    UnsupportedError,
    UsageError,
)
from asof.offline.cache import FileCache, Wanted, cache_bytes, cache_folder, hash_in
from asof.offline.files import Hold, sha256_of
from asof.records import DataFile

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url
except ImportError as missing:
    raise MissingDependencyError("obstore", extra="objects") from missing

T = TypeVar("T")

SCHEMES = ("s3", "gs", "az")

PATIENCE_SECONDS = 60
"""How long a request is repeated, with growing rests, when the storage is busy or does not answer."""

REQUEST_SECONDS = 30
RETRIES = 10

TRIES = 5
"""How often something is asked whose answer broke off."""

PIECE_BYTES = 8 * 1024**2
"""Bytes of a request: a part of a file, in either direction. The memory of a transfer is a piece for each thread."""

WHOLE_BYTES = 2 * PIECE_BYTES
"""Objects up to this size are written by one request, which leaves nothing if it is broken off."""

READS, WRITES = 16, 4
"""Requests at the same time."""

RENEWED_SECONDS = 3600.0
LEASE = timedelta(hours=24)
"""A writer on another machine that wrote nothing for so long has ended, as far as we know."""

NOW = Path("writers/now")
"""An object that is written to learn what time it is."""

COLOURS = re.compile(r"\x1b\[\d+m|\u21b3")
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AZURE_STORAGE_ACCOUNT_KEY")
REFUSED = re.compile(r"status code: (400|401|403|405|411|501)|InvalidAccessKeyId|SignatureDoesNotMatch")
NO_CREDENTIALS = ("169.254.169.254", "metadata.google.internal")
"""Where machines of a cloud get theirs: asked if there are none in the environment."""


class ObjectFiles:
    """The objects below a prefix; places are relative to it.

    Args:
        url: Such as "s3://BUCKET/PREFIX". Credentials, endpoint and region come from the environment.
    """

    remote = True

    def __init__(self, url: str) -> None:
        """Connect to nothing yet."""
        self._url = _checked(url)
        plain_http = _endpoint().startswith("http://")
        self._store: Any = _opened(
            self._url,
            client_options={"timeout": f"{REQUEST_SECONDS}s", "connect_timeout": "5s", "allow_http": plain_http},
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=PATIENCE_SECONDS),
                "backoff": {
                    "init_backoff": timedelta(milliseconds=100),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )
        self.options: Mapping[str, str] = {
            "allow_http": str(plain_http).lower(),
            "timeout": f"{REQUEST_SECONDS}s",
            "connect_timeout": "5s",
            "max_retries": str(RETRIES),
            "retry_timeout": f"{PATIENCE_SECONDS}s",
            "conditional_put": "etag",  # of several writers of a log entry one succeeds
        }
        owner = hashlib.sha256(f"{_endpoint()} {self._url}".encode()).hexdigest()[:16]
        self._cache = FileCache(cache_folder(), cache_bytes(), owner=owner, fetch=self._fetch)
        self._pool = ThreadPoolExecutor(READS, "asof-objects")
        self._parts: dict[Path, Path] = {}
        self._leases: dict[Path, float] = {}
        self._lock = threading.Lock()

    def url(self, place: Path) -> str:
        """See `Files.url`."""
        return f"{self._url}/{place.as_posix()}" if place.parts else self._url

    def near(self, folder: Path, files: Sequence[DataFile]) -> AbstractContextManager[Mapping[str, str]]:
        """See `Files.near`."""
        wanted = [Wanted(f.path, f.size_bytes, hash_in(f.path), self.url(folder / f.path)) for f in files]
        return self._cache.holding(wanted)

    def links(self, folder: Path, files: Sequence[DataFile], *, seconds: int) -> Mapping[str, str]:
        """See `Files.links`: signed ones."""
        names = [(folder / file.path).as_posix() for file in files]
        if not names:
            return {}
        signed = self._ask(folder, lambda _: obstore.sign(self._store, "GET", names, timedelta(seconds=seconds)))
        return {file.path: link for file, link in zip(files, signed, strict=True)}

    def keep_only(self, paths: Iterable[str]) -> None:
        """See `Files.keep_only`."""
        self._cache.keep_only(paths)

    def modified_ms(self, folder: Path) -> int:
        """See `Files.modified_ms`."""
        del folder
        return int(self._now().timestamp() * 1000)

    def make_folder(self, folder: Path) -> bool:
        """See `Files.make_folder`: there are none."""
        del folder
        return False

    def sync(self, place: Path) -> None:
        """See `Files.sync`: an object that was written is safe."""

    def create(self, place: Path) -> pa.NativeFile:
        """See `Files.create`: on this machine's disk, until it is whole."""
        self._renew()
        part = self._cache.part()
        with self._lock:
            self._parts[place] = part
        return pa.OSFile(str(part), "wb")

    def rename(self, place: Path, to: Path) -> Path:
        """See `Files.rename`: write the object; until it is whole nobody sees it."""
        part = self._parts[place]
        sha256 = sha256_of(part)
        named = self.named(to, sha256)
        several = part.stat().st_size > WHOLE_BYTES
        with part.open("rb") as file:
            self._ask(
                named,
                lambda name: obstore.put(
                    self._store, name, file, use_multipart=several, chunk_size=PIECE_BYTES, max_concurrency=WRITES
                ),
            )
        self._cache.add(part, sha256)
        with self._lock:
            del self._parts[place]
        return named

    def named(self, place: Path, sha256: str) -> Path:
        """See `Files.named`."""
        return place if hash_in(place.name) == sha256 else place.with_name(f"{place.stem}-{sha256}{place.suffix}")

    def digest(self, place: Path) -> str:
        """See `Files.digest`."""
        try:
            with self._fetched(place) as part:
                return sha256_of(part)
        except FileNotFoundError:
            return ""

    def remove(self, *places: Path) -> None:
        """See `Files.remove`."""
        with self._lock:
            parts = [self._parts.pop(place) for place in places if place in self._parts]
        for part in parts:
            part.unlink(missing_ok=True)
        objects = [place.as_posix() for place in places if place.suffix != ".part"]
        if objects:
            self._cache.remove(objects, filter(None, map(hash_in, objects)))
            self._delete(objects)

    def remove_folder(self, folder: Path) -> None:
        """See `Files.remove_folder`."""
        self.remove(*(Path(name) for name in self._names(folder)))

    def open(self, place: Path) -> pa.NativeFile:
        """See `Files.open`: fetched anew, whatever the cache has; refused if it does not have its hash."""
        with self._fetched(place) as part:
            if hash_in(place.name) not in ("", sha256_of(part)):
                raise OSError(errno.EIO, "its bytes are not those that were written")
            return pa.OSFile(str(part), "rb")

    def find(self, folder: Path, pattern: str) -> Iterator[Path]:
        """See `Files.find`."""
        depth = len(folder.parts) + len(PurePosixPath(pattern).parts)
        names = map(Path, self._names(folder))
        return (name for name in names if len(name.parts) == depth and name.match(pattern))

    def hold(self, place: Path) -> Hold:
        """See `Files.hold`: an object that says which process it is; renewed as long as that writes."""
        self._announce(place)
        return _Lease(self, place)

    def is_held(self, place: Path) -> bool:
        """See `Files.is_held`: of a writer on another machine it is known only when he wrote last."""
        try:
            told = self._ask(place, lambda name: obstore.get(self._store, name))
            lives = self._cache.lives(bytes(told.bytes()).decode(errors="replace"))
        except FileNotFoundError:
            return False
        return self._now() - told.meta["last_modified"] < LEASE if lives is None else lives

    def let_go(self, place: Path) -> None:
        """End a hold."""
        with self._lock:
            self._leases.pop(place, None)

    def close(self) -> None:
        """Let go of cache and threads."""
        self._pool.shutdown()
        self._cache.close()

    def _renew(self) -> None:
        """Announce our writers anew before others take them for dead."""
        with self._lock:
            old = [place for place, at in self._leases.items() if time.monotonic() - at > RENEWED_SECONDS]
        for place in old:
            self._announce(place)

    def _announce(self, place: Path) -> None:
        told = self._cache.process.encode()
        self._ask(place, lambda name: obstore.put(self._store, name, told))
        with self._lock:
            self._leases[place] = time.monotonic()

    def _now(self) -> datetime:
        """Return the time by the storage's clock: machines may disagree."""
        self._ask(NOW, lambda name: obstore.put(self._store, name, b""))
        return self._ask(NOW, lambda name: obstore.head(self._store, name)["last_modified"])

    @contextmanager
    def _fetched(self, place: Path) -> Generator[Path]:
        """Give the bytes of an object as a file, as long as the block takes, whatever the cache has."""
        size: int = self._ask(place, lambda name: obstore.head(self._store, name)["size"])
        part = self._cache.part()
        try:
            self._fetch(Wanted(place.as_posix(), size, "", self.url(place)), part)
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, wanted: Wanted, to: Path) -> None:
        """Write the bytes of an object to a place, some pieces at a time."""
        starts = range(0, wanted.size_bytes, PIECE_BYTES)
        with to.open("wb") as file:

            def piece(start: int) -> None:
                length = min(PIECE_BYTES, wanted.size_bytes - start)
                got = self._ask(
                    Path(wanted.name), lambda name: obstore.get_range(self._store, name, start=start, length=length)
                )
                os.pwrite(file.fileno(), got, start)

            try:
                for _ in self._pool.map(piece, starts):
                    pass
            except FileNotFoundError as error:
                raise TransientError(
                    "a data file is gone", where=wanted.where, todo="read again; if it stays, run `asof doctor`"
                ) from error

    def _names(self, folder: Path) -> list[str]:
        prefix = f"{folder.as_posix()}/" if folder.parts else None
        chunks = self._ask(folder, lambda _: [*obstore.list(self._store, prefix, chunk_size=1000)])
        return [entry["path"] for chunk in chunks for entry in chunk]

    def _delete(self, names: Sequence[str]) -> None:
        try:
            self._ask(Path(), lambda _: obstore.delete(self._store, names))
        except FileNotFoundError:  # of gs:// and az://, which delete one by one and stop there
            for name in names:
                with suppress(FileNotFoundError):
                    self._ask(Path(name), lambda name: obstore.delete(self._store, name))

    def _ask(self, place: Path, request: Callable[[str], T]) -> T:
        """Make a request; native errors are translated here, but for FileNotFoundError."""
        if _process() != os.getpid():
            raise UnsupportedError(
                "a forked process cannot reach object storage: its parent did before",
                where=self.url(place),
                todo='start processes by "spawn" or "forkserver"',
            )
        for attempt in itertools.count(1):
            try:
                return request(place.as_posix())
            except (OSError, BaseError) as error:
                if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
                    raise
                if not is_cut(error) or attempt == TRIES:
                    raise translation(error, self.url(place)) from error
                time.sleep(0.1 * attempt)
        raise AssertionError("unreachable")


class _Lease:
    """A hold that ends when it is closed."""

    def __init__(self, files: ObjectFiles, place: Path) -> None:
        self._files = files
        self._place = place

    def close(self) -> None:
        """See `Hold.close`."""
        self._files.let_go(self._place)


def is_cut(error: Exception) -> bool:
    """Return whether an answer broke off in its middle: neither obstore nor deltalake asks again then."""
    return "response body" in str(error) or "IncompleteBody" in str(error)


def translation(error: Exception, where: str) -> BackendError:
    """Return what a native error of obstore or deltalake means for the caller."""
    plain = COLOURS.sub("", str(error).partition("\n\nDebug source")[0])
    said = _without_secrets(" ".join(plain.split())[:400])
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return PermanentError(f"no space for the file cache: {said}", where=where, todo="free some disk space")
    if "NoSuchBucket" in said:
        return PermanentError("there is no such bucket", where=where, todo="make it, or correct the URL")
    if any(host in said for host in NO_CREDENTIALS):
        todo = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your storage needs"
        return PermanentError("there are no credentials for the object storage", where=where, todo=todo)
    if isinstance(error, PermissionError) or REFUSED.search(said):
        return PermanentError(f"the object storage refused: {said}", where=where, todo="check credentials and rights")
    return TransientError(f"the object storage failed: {said}", where=where, todo="try again later")


def _without_secrets(said: str) -> str:
    for name in SECRETS:
        value = os.environ.get(name)
        said = said.replace(value, "***") if value else said
    return said


@cache
def _process() -> int:
    """Return the process in which obstore's runtime was started, at its first use; a forked child hangs in it."""
    return os.getpid()


def _opened(url: str, **options: Any) -> Any:  # noqa: ANN401 - a store of obstore
    try:
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        raise UsageError(
            f"the object storage lacks a setting: {str(error).partition(chr(10))[0]}",
            where=url,
            todo="set its variables, such as AZURE_STORAGE_ACCOUNT_NAME",
        ) from error


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _checked(url: str) -> str:
    """Return the URL of a bucket or prefix; a refusal does not repeat what it may hold."""
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"the URL of a history is {parts.scheme}://BUCKET/PREFIX and nothing else",
            todo="credentials, endpoint and region come from variables such as AWS_ACCESS_KEY_ID",
        )
    if not parts.netloc:
        raise UsageError(f"{url!r} names no bucket", todo=f"write {parts.scheme}://BUCKET/PREFIX")
    return url.rstrip("/")
