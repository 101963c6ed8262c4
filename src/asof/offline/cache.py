"""The file cache: copies of immutable files on this machine, so that an engine reads them at the speed of its disk.

    <folder>/<owner>/files/<sha256>   bytes, under their hash; the time of the last use is the file's own
    <folder>/<owner>/names/<...>      a link to the hash, for names that do not tell it
    <folder>/held/<process>/          what a process reads now: hard links, which eviction does not take from it
    <folder>/turns/<...>              locks: of several who want a file one fetches it

A file's hash is verified when a process opens it, unless it did so before and nothing has touched the file since.
Any process may be killed at any moment: a file gets its name when it is whole, links of dead processes are swept, and
what a power cut tore does not have its hash any more and is fetched again.
"""

import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from asof import file_locks
from asof.errors import PermanentError, UsageError
from asof.offline.files import sha256_of
from asof.own_folder import OwnFolder, is_held

FOLDER, SIZE = "ASOF_CACHE", "ASOF_CACHE_SIZE"
MOST_BYTES = 10 * 10**9

AT_ONCE = 16
"""Files that are verified or fetched at the same time: enough to hide 20 ms of latency from hundreds of small ones."""

LOOKS = 100
"""A process looks at the size of the cache whenever it has added this part of what it may hold."""

TURNS = 256
TURN_SECONDS = 30.0
"""How long to wait for another one's fetch; then the file is fetched twice, which is harmless."""

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
HASH = re.compile(r"[0-9a-f]{64}")
IN_NAME = re.compile(r"-(?P<sha256>[0-9a-f]{64})\.parquet$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that somebody wants to read.

    Attributes:
        name: Its name, by which its owner knows it.
        size_bytes: Its size.
        sha256: Hash of its bytes; "" if it is not known: then it is what was fetched first.
        where: What messages call it.
    """

    name: str
    size_bytes: int
    sha256: str
    where: str


Fetch = Callable[[Wanted, Path], None]
"""Write the bytes of a file to a place."""


class FileCache:
    """The copies of one owner's files, in a folder that this user's processes share.

    Args:
        folder: The folder of all owners.
        most_bytes: What the copies of all owners may take; what is being read comes on top.
        owner: Name of the owner: letters and digits.
        fetch: How to get a file.
        pool: Threads that several caches share; by default it has its own.
    """

    def __init__(
        self, folder: Path, most_bytes: int, *, owner: str, fetch: Fetch, pool: ThreadPoolExecutor | None = None
    ) -> None:
        """Make the folder, closed to other users, and sweep what dead processes left."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._files = folder / owner / "files"
        self._names = folder / owner / "names"
        self._turns = folder / "turns"
        self._fetch = fetch
        self._lock = Lock()
        self._held: dict[str, int] = {}
        self._hashes: dict[str, str] = {}
        self._added_bytes = most_bytes
        self._sound: dict[str, tuple[int, int, int]] = {}
        self._process = os.getpid()
        with _translated(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            for each in (self._files, self._names, self._turns):
                each.mkdir(parents=True, exist_ok=True)
            self._own = OwnFolder(folder / "held")
            self._here = _kernels_name_of(folder)
        self._pool = pool or ThreadPoolExecutor(AT_ONCE, "asof-cache")

    @property
    def process(self) -> str:
        """Return a name for this process, which others can ask about; see `lives`."""
        return f"{self._here}/{self._own.path.name}"

    def lives(self, process: str) -> bool | None:
        """Return whether a process lives; None if it has another cache, on another machine perhaps."""
        here, _, name = process.partition("/")
        if here != self._here or not name.isalnum():
            return None
        return is_held(self._own.path.with_name(name))

    @contextmanager
    def holding(self, wanted: Sequence[Wanted]) -> Generator[dict[str, str]]:
        """Give by name where files can be read as long as the block takes; those that are not here are fetched.

        Raises:
            PermanentError: Bytes are not those that were written, or there is no space.
        """
        held: list[str] = []
        try:
            with _translated(self._folder):
                tasks = [self._pool.submit(self._hold, each, held) for each in wanted]
                try:
                    fetched = [each.size_bytes for each, task in zip(wanted, tasks, strict=True) if task.result()]
                finally:  # if one failed the others go on: what they hold must be known before it is let go of
                    for task in tasks:
                        task.cancel()
                    wait(tasks)
                self._make_room(sum(fetched))
            yield {each.name: str(self._place(each.name)) for each in wanted}
        finally:
            self._release(held)

    def part(self) -> Path:
        """Return a place for a file that is being made, to be given to `add` or deleted; a crash does not leave it."""
        return self._own.path / f"{uuid.uuid4().hex}.part"

    def add(self, part: Path, sha256: str) -> None:
        """Take a finished file."""
        with _translated(self._folder):
            self._publish(part, sha256)
            size = part.stat().st_size
            part.unlink()
            self._make_room(size)

    def remove(self, names: Iterable[str], hashes: Iterable[str]) -> None:
        """Delete files at once, also from under whoever reads them."""
        gone = [*hashes]
        for name in names:
            link = self._link(name)
            with suppress(OSError):
                gone.append(link.readlink().name)
                link.unlink()
            for held in (self._folder / "held").glob(f"*/{self._place(name).name}"):
                held.unlink(missing_ok=True)
        for sha256 in gone:
            (self._files / sha256).unlink(missing_ok=True)

    def keep_only(self, names: Iterable[str]) -> int:
        """Delete all files but those with these names, and those with the hashes in them; return how many.

        Who reads them goes on, who fetched them too: a file that was written and is not published yet is fetched again.
        """
        hashes = {name: hash_in(name) for name in names}
        kept = {sha256 for sha256 in hashes.values() if sha256}
        links = {self._link(name).name for name, sha256 in hashes.items() if not sha256}
        with _translated(self._folder):
            for link in self._names.iterdir():
                with suppress(FileNotFoundError):
                    if link.name in links:
                        kept.add(link.readlink().name)
                    else:
                        link.unlink()
            gone = [place for place in self._files.iterdir() if place.name not in kept]
            for place in gone:
                place.unlink(missing_ok=True)
        return len(gone)

    def close(self) -> None:
        """Let go of everything."""
        self._pool.shutdown()
        self._own.close()

    def _hold(self, wanted: Wanted, held: list[str]) -> bool:
        """Link a file, fetched if it must be, and add its name to those held; return whether it was fetched."""
        if self._linked(wanted, held):
            return False
        with self._turn(wanted.name):
            if self._linked(wanted, held):
                return False
            part = self.part()
            try:
                sha256 = self._fetched(wanted, part)
                self._publish(part, sha256)
                if not wanted.sha256:
                    self._remember(wanted.name, sha256)
                self._register(part, wanted.name, sha256, held)
            finally:
                part.unlink(missing_ok=True)
        self._found_sound(sha256)
        return True

    def _fetched(self, wanted: Wanted, part: Path) -> str:
        """Fetch a file and return its hash; a second time if it does not have the one that it should have."""
        sha256 = ""
        for _ in range(2):
            try:
                self._fetch(wanted, part)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self._evict(0)
                self._fetch(wanted, part)
            sha256 = sha256_of(part)
            if part.stat().st_size == wanted.size_bytes and wanted.sha256 in ("", sha256):
                return sha256
        raise PermanentError(
            f"a file has {part.stat().st_size:,} bytes with the hash {sha256}, not the {wanted.size_bytes:,} written",
            where=wanted.where,
            todo="bring back an earlier version of the object, or a backup; `asof doctor` names all such files",
        )

    def _linked(self, wanted: Wanted, held: list[str]) -> bool:
        """Hold a file that is here, if it still has its hash."""
        name = wanted.name
        with self._lock:
            if self._held.get(name) and self._place(name).exists():
                self._held[name] += 1
                held.append(name)
                return True
        sha256, link = wanted.sha256 or self._hash_of(name), self.part()
        if not sha256:
            return False
        try:
            before = (self._files / sha256).stat()
            os.link(self._files / sha256, link)
        except FileNotFoundError:
            return False
        try:
            sound = self._sound.get(sha256) == _mark(before) and _contents(link.stat()) == _contents(before)
            if not sound and sha256_of(link) != sha256:
                (self._files / sha256).unlink(missing_ok=True)
                return False
            os.utime(link)
            self._register(link, name, sha256, held)
        finally:
            link.unlink(missing_ok=True)
        self._found_sound(sha256)
        return True

    def _found_sound(self, sha256: str) -> None:
        """Remember the state in which a file has its hash; linking it and letting go of it changed its state."""
        with suppress(FileNotFoundError):
            self._sound[sha256] = _mark((self._files / sha256).stat())

    def _register(self, link: Path, name: str, sha256: str, held: list[str]) -> None:
        with self._lock:
            if not self._place(name).exists():  # else another thread holds it
                os.link(link, self._place(name))
            self._held[name] = self._held.get(name, 0) + 1
            self._hashes[name] = sha256
            held.append(name)

    def _release(self, held: Iterable[str]) -> None:
        if self._process != os.getpid():  # a forked child: its parent still reads them
            return
        with self._lock:
            for name in held:
                self._held[name] -= 1
                if not self._held[name]:
                    del self._held[name]
                    self._let_go(self._place(name), self._hashes.pop(name))

    def _let_go(self, place: Path, sha256: str) -> None:
        with suppress(FileNotFoundError):
            sound = self._sound.pop(sha256, None) == _mark(place.stat())
            place.unlink()
            if sound:
                self._found_sound(sha256)

    def _place(self, name: str) -> Path:
        """Return where a file is held: by its name, since two names may have the same bytes."""
        return self._own.path / f"{hashlib.sha256(name.encode()).hexdigest()}.parquet"

    def _publish(self, part: Path, sha256: str) -> None:
        """Name a file that is whole; it is not synced: what a power cut tears has another hash."""
        with suppress(FileExistsError):
            os.link(part, self._files / sha256)

    def _link(self, name: str) -> Path:
        return self._names / hashlib.sha256(name.encode()).hexdigest()

    def _hash_of(self, name: str) -> str:
        try:
            found = self._link(name).readlink().name
        except FileNotFoundError:
            return ""
        return found if HASH.fullmatch(found) else ""

    def _remember(self, name: str, sha256: str) -> None:
        begun = self.part()
        begun.symlink_to(f"../files/{sha256}")
        begun.replace(self._link(name))

    def _make_room(self, added_bytes: int) -> None:
        """Evict when enough was added for that to be worth a look at all files."""
        with self._lock:
            self._added_bytes += added_bytes
            if self._added_bytes <= self._most_bytes // LOOKS:
                return
            self._added_bytes = 0
        self._evict(self._most_bytes)

    def _evict(self, most_bytes: int) -> None:
        """Delete the files that were not used for the longest time, until the rest is small enough."""
        every: list[tuple[float, int, str]] = []
        for place in self._folder.glob("*/files/*"):
            with suppress(FileNotFoundError):  # another process is at it too
                stat = place.stat()
                every.append((stat.st_mtime, stat.st_size, str(place)))
        total = sum(size for _, size, _ in every)
        for _, size, place in sorted(every):
            if total <= most_bytes:
                return
            Path(place).unlink(missing_ok=True)
            total -= size

    @contextmanager
    def _turn(self, name: str) -> Generator[None]:
        """Take turns at a file; who waits too long goes on all the same."""
        number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % TURNS
        until = time.monotonic() + TURN_SECONDS
        with (self._turns / str(number)).open("wb") as file:
            while time.monotonic() < until:
                if file_locks.lock(file, wait=False):
                    break
                time.sleep(0.005)
            try:
                yield
            finally:
                file_locks.unlock(file)


def _kernels_name_of(folder: Path) -> str:
    """Return a name that no other folder has on any machine, as long as the machine runs.

    A name in a file would be copied with the images of machines and containers.
    """
    boot = Path("/proc/sys/kernel/random/boot_id")
    stat = folder.stat()
    running = boot.read_text().strip() if boot.exists() else uuid.uuid4().hex
    return f"{running}-{stat.st_dev}-{stat.st_ino}"


def _mark(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what changes with the bytes of a file, and with its links and times too: nobody can set it back."""
    return stat.st_ino, stat.st_size, stat.st_ctime_ns


def _contents(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what changes with the bytes of a file only, unless somebody sets it back."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def hash_in(name: str) -> str:
    """Return the hash that a name tells; "" if it tells none: the file was copied from a folder."""
    found = IN_NAME.search(name)
    return found["sha256"] if found else ""


def cache_folder() -> Path:
    """Return the folder of this user's cache: below ASOF_CACHE, or below the user's cache folder."""
    given = os.environ.get(FOLDER) or os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(given or Path.home() / ".cache").absolute() / "asof"
    except RuntimeError as error:  # a container may run under a number that has no home
        raise UsageError("this user has no home for the file cache", todo=f"name a folder in {FOLDER}") from error


def cache_bytes() -> int:
    """Return how much the cache may take: ASOF_CACHE_SIZE, such as "500MB", or 10 GB."""
    given = os.environ.get(SIZE)
    if given is None:
        return MOST_BYTES
    size = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]B|)", given.strip().upper())
    if size is None:
        raise UsageError(f"{given!r} is no size", where=SIZE, todo="write one such as 500MB or 10GB")
    return int(float(size[1]) * UNITS[size[2]])


@contextmanager
def _translated(folder: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        where, another = str(folder), f"name a folder on another disk in {FOLDER}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise PermanentError(
                f"no space for the file cache: {error}", where=where, todo=f"free some disk space, or {another}"
            ) from error
        raise PermanentError(
            f"the file cache cannot be used: {error}", where=where, todo=f"check its permissions, or {another}"
        ) from error
