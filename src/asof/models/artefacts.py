"""What predicts, as files in the store's folder: named by the hash of their bytes, so that none is ever another one."""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from asof.definitions.code import Function, digest_of, imported, name_of, unchanged
from asof.errors import ConflictError, MissingDependencyError, PermanentError, UsageError, warn
from asof.file_locks import turn
from asof.fitted.archive import read, written
from asof.training.model import SKOPS, Facts, Model

FOLDER = "models"
FILE = "model.skops"
UNFINISHED = ".new-"
_OURS = re.compile(rf"[0-9a-f]{{32}}|{re.escape(UNFINISHED)}.*")
"""Names of folders that are made here: of what else lies beside them nothing is known."""

WHAT = "loader"


@dataclass(frozen=True, slots=True)
class Kept:
    """An artefact that was put into the folder.

    Attributes:
        place: Where, below the store's folder.
        digest: Hash of its names and bytes.
        bytes: How many.
    """

    place: str
    digest: str
    bytes: int


class Artefacts:
    """The folder of artefacts of a store.

    Attributes:
        root: The store's folder.
    """

    def __init__(self, root: Path) -> None:
        """Keep the folder; it is made with the first artefact."""
        self.root = root

    @contextmanager
    def keeping(self, fill: Callable[[Path], None], used: Callable[[], set[str]]) -> Generator[Kept]:
        """Put an artefact into the folder while the block records it; if that fails it goes again.

        Args:
            fill: Writes it into a folder.
            used: Gives the places that models use.

        Raises:
            PermanentError: The folder cannot be written.
        """
        folder = self.root / FOLDER
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise _unwritten(folder, error) from error
        try:
            with turn(folder, shared=True):  # others may too; but nobody deletes meanwhile
                yield self._kept(folder, fill)
        except BaseException:
            self.sweep(used)
            raise

    def _kept(self, folder: Path, fill: Callable[[Path], None]) -> Kept:
        unfinished = folder / f"{UNFINISHED}{uuid.uuid4().hex[:12]}"
        try:
            unfinished.mkdir()
            fill(unfinished)
            files, folders = _files(unfinished), [unfinished, *(p for p in unfinished.rglob("*") if p.is_dir())]
            for each in folders:
                each.chmod(0o755)  # what was copied may be read-only, and could not be deleted then
            for each in (*files, *folders):
                _synced(each)
            digest, size = _digest(unfinished, files), sum(file.stat().st_size for file in files)
            place = folder / digest[:32]
            if place.exists() and _digest(place, _files(place)) != digest:  # damaged: these are the bytes that it had
                damaged = folder / f"{UNFINISHED}{uuid.uuid4().hex[:12]}"
                place.rename(damaged)
                shutil.rmtree(damaged, ignore_errors=True)
            with suppress(OSError):  # another process was first: it has the same bytes
                unfinished.rename(place)
            if not place.exists():
                raise PermanentError(f"{place} cannot be made", where="models")
            _synced(folder)
        except OSError as error:
            raise _unwritten(folder, error) from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return Kept(f"{FOLDER}/{place.name}", digest, size)

    def path(self, model: Model) -> Path:
        """Return where the files of a model lie, once their bytes are known to be those that were kept.

        Raises:
            PermanentError: They are damaged, or gone.
        """
        place = self.root / model.artefact
        where, todo = f"model {model.ref}", "restore the store's folder, or keep the model again"
        try:
            files = _files(place) if place.is_dir() else []
            digest = _digest(place, files) if files else ""
        except OSError as error:
            raise PermanentError(f"{place} cannot be read: {error.strerror}", where=where, todo=todo) from error
        if digest != model.kept.digest:
            what = f"the files of {place} are not those that were kept" if files else f"there are no files in {place}"
            raise PermanentError(what, where=where, todo=todo)
        return place

    def sweep(self, used: Callable[[], set[str]]) -> None:
        """Delete what no model uses, and what was never finished; not now, if somebody registers a model."""
        self.orphans(used, delete=True)

    def orphans(self, used: Callable[[], set[str]], *, delete: bool) -> list[Path]:
        """Return the folders of artefacts that no model uses, or that were never finished; maybe delete them.

        A registration that was broken off leaves them. While one is going on nobody can tell, so there are none.

        Args:
            used: Gives the places that models use.
            delete: Whether they go.
        """
        folder = self.root / FOLDER
        if not folder.is_dir():
            return []
        with turn(folder, wait=False) as ours:
            if not ours:
                return []
            kept = used()
            ours_named = [place for place in sorted(folder.iterdir()) if _OURS.fullmatch(place.name)]
            found = [place for place in ours_named if f"{FOLDER}/{place.name}" not in kept]
            for place in found if delete else ():
                shutil.rmtree(place, ignore_errors=True)
        return found


def copied(source: Path, *, where: str) -> Callable[[Path], None]:
    """Return what copies a file or folder.

    Raises:
        UsageError: There is none, or it holds links, or no files.
    """
    if not source.exists():
        raise UsageError(f"there is no {str(source)!r}", where=where, todo="pass the file or folder of the model")
    links = [file for file in (source, *source.rglob("*")) if file.is_symlink() and file != source]
    if links:
        todo = "pass a folder that holds the files themselves"
        raise UsageError(f"{str(links[0])!r} is a link", where=where, todo=todo)
    if source.is_dir() and not _files(source):
        raise UsageError(f"there are no files in {str(source)!r}", where=where)

    def copy(folder: Path) -> None:
        if source.is_dir():
            shutil.copytree(source, folder, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / source.name)

    return copy


def dumped(model: object, *, where: str) -> tuple[Callable[[Path], None], tuple[str, ...]]:
    """Return what writes a model of scikit-learn without pickle, and the types that reading it takes on trust.

    Raises:
        UnsupportedError: skops does not write it. MissingDependencyError: It is not installed.
    """
    body, trusted = written(model, where=where)

    def write(folder: Path) -> None:
        (folder / FILE).write_bytes(body)

    return write, trusted


def loaded(said: Facts, place: Path, *, where: str) -> object:
    """Return the model of an artefact.

    Raises:
        ConflictError: The source of its loader is another one now. PermanentError: It cannot be loaded.
        UsageError: Its loader cannot be imported. MissingDependencyError: A package is not installed.
    """
    tell_other_packages(said, where=where)
    try:
        if said.loader == SKOPS:
            return read((place / FILE).read_bytes(), said.trusted)
        function = unchanged(said.loader, said.loader_digest, what=WHAT, where=where)
        files = list(place.iterdir())
        return function(str(files[0] if len(files) == 1 and files[0].is_file() else place))
    except (ConflictError, UsageError, MissingDependencyError):
        raise
    except Exception as error:  # a loader may raise anything
        what = f"the model cannot be loaded: {type(error).__name__}: {error}"
        raise PermanentError(what, where=where, todo="install what it was kept with, or keep it again") from error


def tell_other_packages(said: Facts, *, where: str) -> None:
    """Warn of packages that a model was kept with in another version than the one that is here."""
    for package, known in said.packages.items():
        found = version_of(package)
        if found and found.split(".")[:2] != known.split(".")[:2]:
            warn(f"{where} was kept with {package} {known}, and is read with {found}")


def named_loader(loader: str | Function, *, where: str) -> tuple[str, str]:
    """Return the name of a loader, and the hash of its source.

    Raises:
        UsageError: It cannot be imported by a name.
    """
    name = name_of(loader, what=WHAT, where=where)
    return name, digest_of(imported(name, what=WHAT, where=where), where=where)


def version_of(package: str) -> str:
    """Return the version of a package that is installed, "" if it is not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _unwritten(folder: Path, error: OSError) -> PermanentError:
    what = f"the model cannot be kept: {error.strerror or error}"
    return PermanentError(what, where=str(folder), todo="look at the disk and its permissions")


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def digest_of_folder(folder: Path, without: str) -> tuple[str, int]:
    """Return the hash of the names and bytes of a folder's files, and how many bytes: of all but one of its files."""
    files = [file for file in _files(folder) if file != folder / without]
    return _digest(folder, files), sum(file.stat().st_size for file in files)


def _digest(folder: Path, files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix().encode()
        found.update(len(name).to_bytes(4, "big") + name)
        with file.open("rb") as opened:
            found.update(hashlib.file_digest(opened, "sha256").digest())
    return found.hexdigest()


def _synced(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
