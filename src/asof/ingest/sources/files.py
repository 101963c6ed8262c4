"""Files as a source: each is a piece, and new when its bytes are."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import dropwhile, takewhile
from pathlib import Path

import pyarrow as pa

from asof.errors import ConflictError, DataError, NotFoundError
from asof.ingest.sources.port import Asked, Piece
from asof.ingest.sources.reading import SUFFIXES
from asof.progress import Progress

HASH_DIGITS = 24
"""Of the SHA-256: with size and time, a position fits its 63 characters, and nobody forges his own files."""

MOST_NAME = 127
"""Characters of a partition's name; a longer path goes by its hash."""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was found.

    Attributes:
        name: Its path below the place, by which it is remembered.
        path: Where it is.
        size: Bytes.
        modified_ns: When it was changed.
    """

    name: str
    path: Path
    size: int
    modified_ns: int

    @property
    def partition(self) -> str:
        """By what the registry remembers it."""
        return self.name if len(self.name) <= MOST_NAME else hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def begin(self) -> str:
        """What its position begins with: as long as that is so, the file is not read."""
        return f"{self.size}-{self.modified_ns}-"

    def still(self) -> bool:
        """Return whether it is as it was found."""
        known = self.path.stat()
        return (known.st_size, known.st_mtime_ns) == (self.size, self.modified_ns)


Read = Callable[[File], Iterator[pa.Table]]
"""Gives the rows of a file."""


class FileSource:
    """Files, each of which is a piece: those that are new, and those whose bytes changed; by the time of change.

    A changed file is read as a whole: rows that it lacks now stay.
    """

    unit = "bytes"
    apart = True

    def __init__(self, name: str, found: Callable[[], Iterable[File]], read: Read, *, where: str, keeps: bool) -> None:
        """Look at nothing yet.

        Args:
            name: By what name the positions are remembered.
            found: Gives the files that are there now.
            read: Gives the rows of one.
            where: Whose they are, for messages.
            keeps: Whether files that are gone still count: then nothing can be taken anew without them.
        """
        self.name = name
        self._found = found
        self._read = read
        self._where = where
        self._keeps = keeps

    def pieces(self, taken: Mapping[str, str], asked: Asked, advance: Progress) -> Iterator[Piece]:
        """See `Source.pieces`. With bounds all files are read again; in the first run of all they are taken with that.

        Raises:
            ConflictError: Files that were taken are gone, and the run is to begin anew.
        """
        files = sorted(self._found(), key=lambda file: (file.modified_ns, file.name))
        if asked.full and self._keeps:
            self._refuse_lost(files, taken)
        again = asked.full or (asked.bounded and bool(taken))
        files = [file for file in files if again or not taken.get(file.partition, "").startswith(file.begin)]
        done, total = 0, sum(file.size for file in files)
        for file in files:
            advance(done, total)
            yield self._piece(file, "" if again else taken.get(file.partition, ""), moves=asked.full or not again)
            done += file.size
        advance(total, total)

    def _piece(self, file: File, before: str, *, moves: bool) -> Piece:
        try:
            with file.path.open("rb") as opened:
                digest = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            reason = error.strerror or str(error)

            def failed() -> Iterator[pa.Table]:
                raise DataError(f"the file cannot be read: {reason}", where=str(file.path))
                yield  # it is a generator

            return Piece(file.name, failed)
        reached = f"{file.begin}{digest[:HASH_DIGITS]}"
        only_touched = before.endswith(digest[:HASH_DIGITS])
        note = {"size": file.size, "modified_ns": file.modified_ns, "sha256": digest}
        rows = (lambda: iter(())) if only_touched else (lambda: self._rows(file))
        return Piece(file.name, rows, moves={file.partition: reached} if moves else {}, note=note)

    def _rows(self, file: File) -> Iterator[pa.Table]:
        yield from self._read(file)
        try:
            still = file.still()
        except OSError:
            still = False
        if not still:
            todo = "it is taken once it is finished: write it under a name that begins with . or _, then rename it"
            raise DataError("the file is still being written", where=str(file.path), todo=todo)

    def _refuse_lost(self, files: Iterable[File], taken: Mapping[str, str]) -> None:
        lost = sorted(taken.keys() - {file.partition for file in files})
        if lost:
            shown = ", ".join(lost[:SHOWN]) + (", ..." if len(lost) > SHOWN else "")
            raise ConflictError(
                f"{len(lost):,} files that were taken are gone, and their rows would be: {shown}",
                where=self._where,
                todo="bring them back; or apply the group as a new version, and take what there is into that",
            )


def listed(root: Path, place: str, where: str) -> list[File]:
    """Return the files at a place: a folder with those below it, a glob, or one file.

    Files of a folder that are of no kind that is read are left out; so are names that begin with "_" or ".".

    Args:
        root: The folder in which a relative place lies.
        place: What the definition says.
        where: Whose it is, for messages.

    Raises:
        NotFoundError: There is no such folder or file; a glob may find nothing.
    """
    path, base = root / place, base_of(root, place)
    if path.is_dir():
        return _known(path, (each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES))
    if path.exists():
        return [file for file in [_file(path, base)] if file is not None]
    if base == path or not base.is_dir():
        raise NotFoundError(f"there is no {place!r}", where=where, todo="look at the path of source=")
    pattern = Path(*dropwhile(lambda part: not has_magic(part), Path(place).parts))
    return _known(base, (base / each for each in glob(str(pattern), root_dir=base, recursive=True)))  # noqa: PTH207 - a Path's leaves other files out


def base_of(root: Path, place: str) -> Path:
    """Return the folder below which the files of a place have their names."""
    path = root / place
    if path.exists():
        return path if path.is_dir() else path.parent
    return root.joinpath(*takewhile(lambda part: not has_magic(part), Path(place).parts))


def _known(base: Path, paths: Iterable[Path]) -> list[File]:
    """Return those of some paths below a folder that are finished files."""
    finished = (each for each in paths if not any(part.startswith(("_", ".")) for part in each.relative_to(base).parts))
    return [file for file in (_file(each, base) for each in finished) if file is not None]


def _file(path: Path, base: Path) -> File | None:
    try:
        known = path.stat()
    except OSError:  # gone since it was listed
        return None
    name = path.relative_to(base).as_posix()
    return File(name, path, known.st_size, known.st_mtime_ns) if path.is_file() else None
