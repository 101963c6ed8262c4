"""Backups: a folder with data files, and the registry as it was at several times, each under the name of a tag."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asof.clock import from_us, system_us
from asof.errors import NotFoundError, PermanentError, UsageError
from asof.moving.carrying import Carried, Place, alone, carried, carry, place_of, scratch, synced
from asof.moving.copying import Moved, put, settled
from asof.offline.port import History
from asof.parts import open_durable, open_history, open_registry, process
from asof.progress import Progress, showing

FILE = "asof-backup"
"""A file by which a folder of backups is known; it holds the number of its format."""

FORMAT = "1"
SNAPSHOTS = "snapshots"
HISTORY = "history/"


@dataclass(frozen=True, slots=True)
class Backup:
    """A store as it was.

    Attributes:
        name: The tag that names that moment in the store, too.
        at: When it was made.
        file: Its registry.
    """

    name: str
    at: datetime
    file: Path


def backup(
    store: str | Path, folder: str | Path, *, tag: str = "", keep: int = 0, progress: Progress | bool = False
) -> Carried:
    """Keep a store as it is now in a folder of backups, beside earlier ones; only new data files are copied.

    The store gets a tag, which names the moment: `store.read(..., commits=tag)` answers the same in the store, and in
    what is restored. It may be read and written meanwhile.

    Args:
        store: The folder of the store.
        folder: The folder of backups, on a disk of its own; made if it is absent.
        tag: The name; default: "backup-" and the time.
        keep: Delete all but so many, the newest; 0: none.
        progress: True for a bar, or a callable that is told (done, total) of bytes.

    Returns:
        What the backup holds.

    Raises:
        NotFoundError: There is no store. ConflictError: There is a tag of that name; or somebody else backs it up now.
        UsageError: The folder holds something else; or rows are being erased.
        TransientError, PermanentError: See `asof.moving.copy`.
    """
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:  # pyright: ignore[reportUnnecessaryIsInstance] - callers err
        raise UsageError(f"keep={keep!r} is no number of backups", todo="pass 1 or more; 0 for all")
    with ExitStack() as opened:
        here = open_durable(place_of(store), create=False)
        opened.callback(here.close)
        place = _begun(place_of(folder))
        history = open_history(HISTORY, root=place)
        opened.callback(history.close)
        opened.enter_context(alone(place))
        now_us = system_us()
        name = tag or f"backup-{from_us(now_us):%Y%m%dt%H%M%S}"
        here.metadata.tags.add(name, message=f"backed up to {place.name}", writer=process(), now_us=now_us)
        file = place / SNAPSHOTS / f"{now_us}.{name}.db"

        def take(saved: Path, paths: dict[str, str]) -> None:
            del paths  # a folder keeps their names
            synced(saved)
            saved.rename(file)
            synced(file.parent)

        try:
            with showing(f"backing {store} up", progress=progress, unit="bytes") as advance:
                found = carry(here, Place(place, history), take, advance)
        except BaseException:  # an interrupt too: the name is free again
            here.metadata.tags.remove(name)
            raise
        if keep:
            _drop(place, history, backups(place)[keep:])
    return found


def backups(folder: str | Path) -> list[Backup]:
    """Return the backups of a folder, the newest first.

    Raises:
        NotFoundError: It is no folder of backups.
    """
    place = place_of(folder).absolute()
    if not (place / FILE).is_file():
        todo = "`asof backup STORE FOLDER` makes one"
        raise NotFoundError(f"{str(folder)!r} is no folder of backups", todo=todo)
    if (place / FILE).read_text().strip() != FORMAT:
        raise UsageError("a newer asof made these backups", where=str(folder), todo="upgrade asof")
    named = [(file, *file.stem.partition(".")) for file in (place / SNAPSHOTS).glob("*.db")]
    found = [Backup(name, from_us(int(us)), file) for file, us, _, name in named if us.isdecimal() and name]
    return sorted(found, key=lambda each: each.at, reverse=True)


def restore(folder: str | Path, target: str | Path, *, tag: str = "", progress: Progress | bool = False) -> Moved:
    """Bring a backup to a store.

    Args:
        folder: The folder of backups.
        target: As for `asof.moving.copy`.
        tag: Which backup; default: the newest.
        progress: As for `asof.moving.copy`.

    Returns:
        What was brought, and the health of the store.

    Raises:
        NotFoundError: No such backup. ConflictError: The target has something that the backup does not have.
        UsageError, PermanentError: See `asof.moving.copy`.
    """
    every = {each.name: each for each in backups(folder)}
    if not every:
        raise NotFoundError("there is no backup", where=str(folder), todo="`asof backup STORE FOLDER` makes one")
    if tag and tag not in every:
        raise NotFoundError.named("backup", tag, every, where=str(folder))
    wanted = every[tag] if tag else next(iter(every.values()))
    place = Path(folder).absolute()
    with ExitStack() as opened:
        there = open_durable(place_of(target), create=True)
        opened.callback(there.close)
        history = open_history(HISTORY, root=place)
        opened.callback(history.close)
        opened.enter_context(alone(there.root))
        saved = opened.enter_context(_copied(wanted, there.root))
        to = Place(there.root, there.history)
        try:
            with showing(f"restoring {wanted.name}", progress=progress, unit="bytes") as advance:
                found = carried(saved, history, place, to, lambda file, paths: put(file, paths, there), advance)
        except FileNotFoundError as error:
            what = f"a data file of it is gone: {error}"
            raise PermanentError(what, where=f"backup {wanted.name}", todo="restore another one") from error
    return Moved(found, settled(target, progress=progress))


def _begun(folder: Path) -> Path:
    """Return a folder of backups, made if it is absent or empty."""
    try:
        if not (folder / FILE).exists():
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                what = f"{str(folder)!r} is no folder of backups, and not empty"
                raise UsageError(what, todo="choose an empty folder")
            (folder / SNAPSHOTS).mkdir(parents=True)
            (folder / FILE).write_text(FORMAT + "\n")
        backups(folder)
    except OSError as error:
        what = f"the folder cannot be written: {error.strerror}"
        raise PermanentError(what, where=str(folder), todo="check its permissions, and the space") from error
    return folder.absolute()


@contextmanager
def _copied(wanted: Backup, root: Path) -> Generator[Path]:
    """Give a copy of a backup's registry: to open one of an older asof changes it."""
    with scratch(root) as folder:
        yield Path(shutil.copyfile(wanted.file, folder / "backup.db"))


def _drop(place: Path, history: History, old: Sequence[Backup]) -> None:
    """Delete backups, and the data files that no other one names."""
    for each in old:
        each.file.unlink()
    named: set[str] = set()
    for each in backups(place):
        with _copied(each, place) as file:
            saved = open_registry(f"sqlite:///{file}")
            named |= set(saved.log.files())
            saved.log.close()
    history.discard(history.debris(named))
