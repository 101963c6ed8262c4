"""Direct reads: the files of history are fetched, kept in the file cache and read here, and the server moves no rows.

It is the read that a store in a folder does, by the same engine over the same files, so the answer is the same. What
goes wrong before the first row is given is no error: the rows are streamed then.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from asof.client.fetching import Fetcher
from asof.client.link import Link
from asof.engine.families import FamilyEngine
from asof.engine.near import NearEngine
from asof.engine.port import Engine
from asof.erasure import Certificate
from asof.errors import AsofError, PermanentError, UsageError
from asof.offline.cache import AT_ONCE, FileCache, Wanted, cache_bytes, cache_folder, hash_in
from asof.parts import open_engine
from asof.records import DataFile
from asof.wire.direct import SentRead, read_of, unpacked_read
from asof.wire.requests import Read
from asof.wire.values import record

REST_SECONDS = 300.0
"""How long everything is streamed after a direct read failed."""

RENEWED = 0.7
"""The part of the time that a link holds after which a new one is asked for."""

log = logging.getLogger("asof.client")


@dataclass(frozen=True, slots=True)
class _Linked(Wanted):
    """A file with what gives a link to it."""

    link: Callable[[], str] = field(repr=False)


class Direct:
    """Reads files of a server's history on this machine. Safe to use from several threads.

    Args:
        link: The way to the server.
    """

    def __init__(self, link: Link) -> None:
        """Open nothing yet."""
        self._link = link
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._caches: dict[str, FileCache] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._engine: Engine | None = None
        self._fetcher: Fetcher | None = None
        self._rests_until = 0.0

    @property
    def ready(self) -> bool:
        """Whether the server should be asked for links."""
        return time.monotonic() >= self._rests_until

    def reader(self, asked: Read, said: Mapping[str, Any]) -> pa.RecordBatchReader | None:
        """Return the rows that a server lets this client read itself; None if they must be streamed.

        Args:
            asked: What was asked.
            said: What the server said.
        """
        if "direct" not in said:
            return None
        with self._streaming_after_failure(asked):
            sent, commits = unpacked_read(said["direct"]), record(dict[str, int], said["commits"])
            read, (group,) = read_of(sent), commits
            cache = self._cache(group)
            if asked.commits is None:
                cache.keep_only(each.file.path for each in sent.rows.files)
            links = _Links(sent, lambda: self._renewed(msgspec.structs.replace(asked, commits=commits, direct=True)))

            @contextmanager
            def near(files: Sequence[DataFile]) -> Generator[Mapping[str, str]]:
                wanted = [
                    _Linked(file.path, file.size_bytes, hash_in(file.path), file.path, links.to(file.path))
                    for file in files
                ]
                with cache.holding(wanted) as places:
                    yield places

            return read.answered(FamilyEngine(NearEngine(self._opened_engine(), near)))
        return None

    def tidy(self, asked: Read, said: Mapping[str, Any]) -> None:
        """Delete the copies of a group's files that are not among its files any more, if all of them were named."""
        if "direct" in said and asked.commits is None:
            with self._streaming_after_failure(asked):
                (group,) = record(dict[str, int], said["commits"])
                sent = unpacked_read(said["direct"])
                self._cache(group).keep_only(each.file.path for each in sent.rows.files)

    def forget(self, certificate: Certificate) -> None:
        """Delete the copies of files that an erasure wrote anew, also from under whoever reads them.

        Raises:
            PermanentError: There may be some, and they cannot be deleted.
        """
        for erased in certificate.erased:
            if erased.files and certificate.id and self._has_copies(erased.what):
                before = [each.before for each in erased.files]
                self._cache(erased.what).remove(before, (each.before_sha256 for each in erased.files))

    def close(self) -> None:
        """Let go of copies, connections and engine."""
        with self._lock:
            caches, engine, fetcher = [*self._caches.values()], self._engine, self._fetcher
            pool = self._pool
            self._begin()
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        for each in (*caches, fetcher, engine):
            if each is not None:
                each.close()

    def let_go(self) -> dict[str, object]:
        """Forget what belongs to a parent process, and return it: it is never closed."""
        of_parent = {name: vars(self)[name] for name in ("_caches", "_pool", "_engine", "_fetcher")}
        self._begin()
        return of_parent

    @contextmanager
    def _streaming_after_failure(self, asked: Read) -> Generator[None]:
        try:
            yield
        except (AsofError, OSError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.info("rows of %s are streamed, for %d s: %s", asked.group, REST_SECONDS, error)

    def _renewed(self, asked: Read) -> SentRead:
        said = self._link.get("read", asked).result
        if "direct" not in said:
            raise PermanentError("the server gives no links any more")
        return unpacked_read(said["direct"])

    def _has_copies(self, group: str) -> bool:
        """Return whether a process of this user ever read a group's files on this machine."""
        with suppress(UsageError):  # no home, and no cache
            return (cache_folder() / self._owner(group)).is_dir()
        return False

    def _owner(self, group: str) -> str:
        return hashlib.sha256(f"{self._link.address.url} {group}".encode()).hexdigest()[:16]

    def _cache(self, group: str) -> FileCache:
        """Return the copies of a group's files."""
        with self._lock:
            if group not in self._caches:
                owner = self._owner(group)
                self._pool = self._pool or ThreadPoolExecutor(AT_ONCE, "asof-cache")
                self._caches[group] = FileCache(
                    cache_folder(), cache_bytes(), owner=owner, fetch=self._fetch, pool=self._pool
                )
            return self._caches[group]

    def _fetch(self, wanted: Wanted, to: Path) -> None:
        if not isinstance(wanted, _Linked):
            raise TypeError(wanted)
        with self._lock:
            address = self._link.address
            fetcher = self._fetcher = self._fetcher or Fetcher(seconds=address.seconds, tls=address.tls)
        fetcher.fetch(wanted.link, wanted.size_bytes, to, where=wanted.where)

    def _opened_engine(self) -> Engine:
        with self._lock:
            self._engine = self._engine or open_engine(root=str(cache_folder()))
            return self._engine


class _Links:
    """The links of an answer, asked for again before they end."""

    def __init__(self, sent: SentRead, renew: Callable[[], SentRead]) -> None:
        self._renew = renew
        self._lock = threading.Lock()
        self._take(sent)

    def to(self, path: str) -> Callable[[], str]:
        """Return what gives a link to a file that holds."""

        def link() -> str:
            with self._lock:
                if time.monotonic() > self._until:
                    self._take(self._renew())
                if path not in self._links:
                    raise PermanentError("the server gives no link to it any more", where=path)
                return self._links[path]

        return link

    def _take(self, sent: SentRead) -> None:
        self._until = time.monotonic() + RENEWED * sent.seconds
        self._links = sent.links
