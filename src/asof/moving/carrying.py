"""Carry the files of a store to another place."""

import os
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from asof.errors import BackendError, ConflictError, PermanentError, TransientError, UsageError, warn
from asof.models.artefacts import FOLDER, Artefacts, copied
from asof.offline.port import History
from asof.own_folder import OwnFolder
from asof.parts import Durable, open_registry, rewriting
from asof.progress import Progress
from asof.records import DataFile
from asof.registry.port import Metadata

TOGETHER = 16
"""Files that are fetched at a time."""

WRITERS = 4
"""Files that are written at the same time."""

ATTEMPTS = 5
"""How often it begins again because files were merged meanwhile; what was carried stays."""

SETTINGS = "monitors.toml"
"""What of a store's folder is carried besides: who watches it."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What was carried.

    Attributes:
        groups: Group versions.
        commits: Commits of all of them.
        files: Data files.
        bytes: Of the data files.
        models: Versions of models whose files lie in the store's folder.
    """

    groups: int
    commits: int
    files: int
    bytes: int
    models: int

    def __str__(self) -> str:
        """Return it as text."""
        parts = [
            f"{self.groups:,} groups with {self.commits:,} commits",
            f"{self.files:,} data files of {self.bytes / 1e6:,.1f} MB",
        ]
        return ", ".join(parts + [f"{self.models:,} models"] * bool(self.models))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store is carried to.

    Attributes:
        root: Its folder.
        history: Its data files.
    """

    root: Path
    history: History


def place_of(folder: str | Path) -> Path:
    """Return a folder.

    Raises:
        UsageError: It is a URL.
    """
    if "://" in str(folder):
        todo = "name the folder of its asof.toml, on the machine where that is; folders of backups lie on a disk"
        raise UsageError(f"{str(folder)!r} is no folder", todo=todo)
    return Path(folder)


@contextmanager
def scratch(root: Path) -> Generator[Path]:
    """Give a folder that goes again; what a killed process leaves there goes with what its queries left."""
    own = OwnFolder(root / "tmp")
    try:
        yield own.path
    finally:
        own.close()


@contextmanager
def alone(folder: Path) -> Generator[None]:
    """Have a folder for ourselves.

    Raises:
        ConflictError: Somebody on this machine works on its files.
    """
    with rewriting(folder, wait=False) as ours:
        if not ours:
            raise ConflictError("another process works on its files", where=str(folder), todo="wait until it is done")
        yield


def carry(source: Durable, to: Place, take: Callable[[Path, dict[str, str]], None], progress: Progress) -> Carried:
    """Carry a store as it is at one moment; who carries it again takes only what is new.

    Args:
        source: The store.
        to: Where its files go.
        take: Is given its registry as a file, and where each data file lies now, when all of them are there.
        progress: Is told of bytes.

    Raises:
        UsageError: Rows of it are being erased. TransientError: Its files were merged faster than they were carried.
        PermanentError: What was written is not what was read; or no space.
    """
    for attempt in range(ATTEMPTS):
        with scratch(to.root) as folder:
            file = folder / "registry.db"
            source.metadata.contents.save(file)
            try:
                return carried(file, source.history, source.root, to, take, progress)
            except FileNotFoundError as error:
                if attempt == ATTEMPTS - 1:
                    what = f"files of it went while they were carried: {error}"
                    raise TransientError(what, where=str(source.root), todo="run it again: it goes on") from error
    raise AssertionError


def carried(  # noqa: PLR0917 - from where to where
    file: Path,
    history: History,
    root: Path,
    to: Place,
    take: Callable[[Path, dict[str, str]], None],
    progress: Progress,
) -> Carried:
    """Carry what a saved registry names; see `carry`.

    Raises:
        FileNotFoundError: A data file is gone where it came from.
    """
    saved = open_registry(f"sqlite:///{file}")
    try:
        _refuse_erasing(saved, root)
        groups = [group for group in saved.registry.groups() if group.definition.external is None]
        files = [each for group in groups for each, _ in saved.log.snapshot(group).files]
        paths = _carry_files(files, history, to.history, progress)
        models = _carry_models(saved, root, to.root)
        commits = sum(head.number for head in saved.log.heads().values())
        size = sum(file.size_bytes for file in files)
        found = Carried(len(saved.registry.groups()), commits, len(files), size, models)
    finally:
        saved.log.close()
    if (root / SETTINGS).exists() and not (to.root / SETTINGS).exists():
        shutil.copyfile(root / SETTINGS, to.root / SETTINGS)
    take(file, paths)
    return found


def _refuse_erasing(saved: Metadata, root: Path) -> None:
    for each in saved.erasures.all():
        if each.pending is not None:
            what = f"erasure {each.id} of {each.entity} is not finished"
            raise UsageError(what, where=str(root), todo="open the store, which finishes it, then come back")


def _carry_files(files: Sequence[DataFile], source: History, to: History, progress: Progress) -> dict[str, str]:
    paths: dict[str, str] = {}
    done, total = 0, sum(file.size_bytes for file in files)
    with ThreadPoolExecutor(WRITERS, "asof-carrying") as pool:
        for at in range(0, len(files), TOGETHER):
            part = files[at : at + TOGETHER]
            with _near(source, part) as near:
                names = [file.path for file in part]
                taken = pool.map(to.adopt, names, [near[name] for name in names])
                for file, path in zip(part, taken, strict=True):
                    paths[file.path] = path
                    done += file.size_bytes
                    progress(done, total)
    return paths


@contextmanager
def _near(source: History, files: Sequence[DataFile]) -> Generator[Mapping[str, str]]:
    with ExitStack() as held:
        try:
            near = held.enter_context(source.near(files))
        except TransientError as error:
            raise FileNotFoundError(str(error)) from error
        yield near


def _carry_models(saved: Metadata, source: Path, to: Path) -> int:
    """Copy the files of models that lie in the folder; those that are damaged stay, and are told."""
    kept = [each for each in saved.models.all() if each.artefact.startswith(f"{FOLDER}/")]
    places = {each.artefact: each for each in kept}
    for place, model in places.items():
        where = f"model {model.ref}"
        try:
            with Artefacts(to).keeping(copied(source / place, where=where), lambda: set(places)) as new:
                if new.digest != model.digest:
                    raise PermanentError("its files are not those that were kept", where=where)
        except (BackendError, UsageError) as error:
            warn(f"{where} is carried without its files: {error.what}")
    return len(kept)


def synced(place: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    handle = os.open(place, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
