"""One fault at one operation of a store, chosen by a seed: an error, a lost answer, or the end of process or machine.

Everything that a store does to its parts is an operation with two boundaries, before and after it. Faults fire at
boundaries only; what happens inside an operation of SQLite or LMDB is their own promise, and is tested by kills of real
processes.
"""

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeVar

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from asof.errors import PermanentError, TransientError
from asof.offline.files import Hold, LocalFiles

T = TypeVar("T")

Way = Literal["fail", "lose", "kill", "power"]
"""An error before the operation; an error after it (the answer is lost); the end of the process; of the machine."""

WAYS: tuple[Way, ...] = ("fail", "lose", "kill", "power")

LOSABLE = ("log.publish", "log.replace_files", "log.forget_files", "registry.apply", "history.mirror")
"""What may have happened though it raised, as when a server's answer is lost. Of all else the ports promise it not."""


class Stopped(BaseException):
    """The process has ended here, as far as the store can tell; no handler may swallow it."""


@dataclass(slots=True)
class Faults:
    """Counts the operations of a store, and fires once.

    Attributes:
        random: Where every choice comes from.
        way: What happens.
        target: The operation at which it happens, such as "log.publish"; "" for any.
        countdown: At which boundary of that operation.
        armed: Whether it may happen yet.
        stopped: Whether the process has ended: from then on every operation raises `Stopped`.
        fired: Where it happened, such as "before log.publish"; "" if it has not.
        trace: What was done: operations, and what the test says in between.
        at_stop: Called when the process ends, before anything can clean up.
    """

    random: Random
    way: Way
    target: str = ""
    countdown: int = 1
    armed: bool = False
    stopped: bool = False
    fired: str = ""
    trace: list[str] = field(default_factory=list[str])
    at_stop: Callable[[], object] = lambda: None

    def say(self, line: str) -> None:
        """Add a line to the trace; one that repeats the last one is counted."""
        last, _, times = self.trace[-1].partition(" x ") if self.trace else ("", "", "")
        if last == line:
            self.trace[-1] = f"{line} x {int(times or 1) + 1}"
        else:
            self.trace.append(line)

    def before(self, operation: str) -> None:
        """Pass the boundary before an operation."""
        self._pass(operation, "before", fires=self.way != "lose")

    def after(self, operation: str) -> None:
        """Pass the boundary after an operation."""
        self._pass(operation, "after", fires=self.way != "fail" and (self.way != "lose" or operation in LOSABLE))

    def _pass(self, operation: str, side: str, *, fires: bool) -> None:
        if self.stopped:
            raise Stopped
        if side == "before":
            self.say(f"    {operation}")
        if not (fires and self.armed and not self.fired and self.target in ("", operation)):
            return
        self.countdown -= 1
        if self.countdown > 0:
            return
        self.fired = f"{side} {operation}"
        self.say(f"    ^ {self.way} {self.fired}")
        if self.way in ("kill", "power"):
            self.at_stop()
            self.stopped = True
            raise Stopped(self.fired)
        raise self._error(operation)

    def _error(self, operation: str) -> Exception:
        if operation.startswith("files."):
            code = self.random.choice([errno.ENOSPC, errno.EIO, errno.EACCES])
            return OSError(code, os.strerror(code))
        kind = self.random.choice([TransientError, PermanentError])
        return kind(f"{operation} failed on purpose", where="faults", todo="try again")


class Faulted:
    """A port some of whose methods are operations; all else goes to the port itself.

    Args:
        port: An adapter.
        name: What its operations begin with, such as "log".
        methods: The methods that are operations.
        faults: The plan.
    """

    def __init__(self, port: object, name: str, methods: tuple[str, ...], faults: Faults) -> None:
        """Stand before an adapter."""
        self._port = port
        self._name = name
        self._methods = methods
        self._faults = faults

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._port, method)
        if method not in self._methods:
            return found
        operation = f"{self._name}.{method}"

        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - what the method takes and gives
            self._faults.before(operation)
            answer = found(*arguments, **options)
            self._faults.after(operation)
            return answer

        return call


@dataclass(frozen=True, slots=True)
class _Name:
    """A change to the names in a folder that no sync has made safe yet."""

    folder: Path
    kind: Literal["made", "created", "renamed", "removed"]
    place: Path
    old: Path | None = None
    content: bytes = b""


class FaultyFiles(LocalFiles):
    """The files of this machine (see `asof.offline.files`) as operations; knows what a power cut takes."""

    def __init__(self, faults: Faults) -> None:
        """Begin with a disk on which everything is safe."""
        self._faults = faults
        self._local = LocalFiles()
        self._unsynced: set[Path] = set()
        self._names: list[_Name] = []

    def make_folder(self, folder: Path) -> bool:
        """See `Files.make_folder`."""
        return self._do("make_folder", lambda: self._made(folder))

    def create(self, place: Path) -> pa.NativeFile:
        """See `Files.create`."""
        return self._do("create", lambda: pa.PythonFile(_Written(self._created(place), self._faults), mode="w"))

    def sync(self, place: Path) -> None:
        """See `Files.sync`."""
        self._do("sync_folder" if place.is_dir() else "sync", lambda: self._synced(place))

    def rename(self, place: Path, to: Path) -> Path:
        """See `Files.rename`."""
        return self._do("rename", lambda: self._renamed(place, to))

    def remove(self, *places: Path) -> None:
        """See `Files.remove`."""
        for place in places:
            self._do("remove", lambda place=place: self._removed(place))

    def remove_folder(self, folder: Path) -> None:
        """See `Files.remove_folder`."""
        self._do("remove_folder", lambda: self._local.remove_folder(folder))

    def open(self, place: Path) -> pa.NativeFile:
        """See `Files.open`."""
        return self._do("open", lambda: self._local.open(place))

    def digest(self, place: Path) -> str:
        """See `Files.digest`."""
        return self._do("digest", lambda: self._local.digest(place))

    def find(self, folder: Path, pattern: str) -> Iterator[Path]:
        """See `Files.find`; in one order, so that a seed means one run."""
        return self._do("find", lambda: iter(sorted(self._local.find(folder, pattern))))

    def hold(self, place: Path) -> Hold:
        """See `Files.hold`."""
        return self._do("hold", lambda: self._local.hold(place))

    def is_held(self, place: Path) -> bool:
        """See `Files.is_held`."""
        return self._do("is_held", lambda: self._local.is_held(place))

    def lose_power(self, folder: Path, image: Path) -> None:
        """Take from a copy of a folder what a power cut takes from it.

        Content that was not synced is cut at any place; of the changes to the names in a folder, those after some point
        never happened.
        """
        random = self._faults.random
        for place in sorted(self._unsynced):
            copy = image / place.relative_to(folder)
            if copy.exists():
                os.truncate(copy, random.randint(0, copy.stat().st_size))
        for parent in sorted({name.folder for name in self._names}, reverse=True):  # the deepest first
            mine = [name for name in self._names if name.folder == parent]
            for name in reversed(mine[random.randint(0, len(mine)) :]):
                _undo(name, folder, image)

    def _do(self, operation: str, work: Callable[[], T]) -> T:
        self._faults.before(f"files.{operation}")
        done = work()
        self._faults.after(f"files.{operation}")
        return done

    def _made(self, folder: Path) -> bool:
        made = self._local.make_folder(folder)
        if made:
            self._names.append(_Name(folder.parent, "made", folder))
        return made

    def _created(self, place: Path) -> io.RawIOBase:
        opened = place.open("xb", buffering=0)
        self._unsynced.add(place)
        self._names.append(_Name(place.parent, "created", place))
        return opened

    def _synced(self, place: Path) -> None:
        self._unsynced.discard(place)
        self._names = [name for name in self._names if name.folder != place]

    def _renamed(self, place: Path, to: Path) -> Path:
        self._local.rename(place, to)
        if place in self._unsynced:
            self._unsynced.remove(place)
            self._unsynced.add(to)
        self._names.append(_Name(to.parent, "renamed", to, old=place))
        return to

    def _removed(self, place: Path) -> None:
        if place.exists():
            self._names.append(_Name(place.parent, "removed", place, content=place.read_bytes()))
        self._unsynced.discard(place)
        self._local.remove(place)


def _undo(name: _Name, folder: Path, image: Path) -> None:
    place = image / name.place.relative_to(folder)
    match name.kind:
        case "made":
            shutil.rmtree(place, ignore_errors=True)
        case "created":
            place.unlink(missing_ok=True)
        case "renamed":
            assert name.old is not None
            place.rename(image / name.old.relative_to(folder))
        case "removed":
            place.write_bytes(name.content)


class _Written(io.RawIOBase):
    """A file each write of which is an operation; one that fails, or at which all ends, has written a part."""

    def __init__(self, file: io.RawIOBase, faults: Faults) -> None:
        super().__init__()
        self._file = file
        self._faults = faults

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        raw = bytes(data)
        half = self._faults.random.randint(0, len(raw))
        self._file.write(raw[:half])
        self._faults.before("files.write")
        self._file.write(raw[half:])
        self._faults.after("files.write")
        return len(raw)

    def close(self) -> None:
        self._file.close()
        super().close()


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Draw values from a Hypothesis strategy: the same ones each time (with the same version of Hypothesis)."""
    values: list[T] = []

    @seeded(0)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(strategy)
    def draw(value: T) -> None:
        values.append(value)

    draw()
    return values
