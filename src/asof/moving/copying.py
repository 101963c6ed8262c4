"""Copy a store."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from asof.errors import ConflictError, UsageError
from asof.moving.carrying import Carried, Place, alone, carry, place_of
from asof.parts import Durable, open_durable, open_registry
from asof.progress import Progress, showing
from asof.quality.doctor import Diagnosis
from asof.registry.port import Metadata
from asof.store import Store

NAMES: Mapping[str, Callable[[Metadata], Iterable[str]]] = {
    "group": lambda there: (each.ref for each in there.registry.groups()),
    "view": lambda there: (each.ref for each in there.registry.views()),
    "tag": lambda there: (each.name for each in there.tags.all()),
    "key": lambda there: (each.id for each in there.keys.all()),
    "training set": lambda there: (each.ref for each in there.training_sets.all()),
    "model": lambda there: (each.ref for each in there.models.all()),
}
"""What a registry holds besides commits, by name: what the source does not have of it would be lost."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was brought to a store, and how that is.

    Attributes:
        carried: What was carried.
        diagnosis: Every data file was read again, every online row compared with history.
    """

    carried: Carried
    diagnosis: Diagnosis

    def __str__(self) -> str:
        """Return it as text."""
        return f"{self.carried}\n{self.diagnosis}"


def copy(source: str | Path, target: str | Path, *, progress: Progress | bool = False) -> Moved:
    """Copy a store, whatever its parts are, to one whose parts may be others.

    Both are folders with an `asof.toml`, which names the parts; without one, the target is a store in that folder. The
    source may be read and written meanwhile: it is copied as it was at one moment, after the call. Repeating it goes on
    where it was broken off, and brings what is new to a target that has nothing else.

    Args:
        source: The folder of the store.
        target: The folder of the other one, absent, empty, or made by `asof init --bare`.
        progress: True for a bar, or a callable that is told (done, total) of bytes, then of rows.

    Returns:
        What was copied, and the health of the target: what is served there was made anew, and Delta logs too.

    Raises:
        NotFoundError: There is no source. UsageError: Both have the same registry or files, or rows are being erased.
        ConflictError: The target has something that the source does not have; or somebody works on its files.
        TransientError: The source's files were merged faster than they were carried.
        PermanentError: What was written is not what was read; or no space.
    """
    with ExitStack() as opened:
        here = _opened(opened, source, create=False)
        there = _opened(opened, target, create=True)
        _refuse_same(here, there)
        opened.enter_context(alone(there.root))
        text = f"copying {source}"
        with showing(text, progress=progress, unit="bytes") as advance:
            carried = carry(
                here, Place(there.root, there.history), lambda file, paths: put(file, paths, there), advance
            )
    return Moved(carried, settled(target, progress=progress))


def put(file: Path, paths: dict[str, str], there: Durable) -> None:
    """Put a saved registry in the place of an empty one, or of one that has nothing else.

    Raises:
        ConflictError: There is something else.
    """
    saved = open_registry(f"sqlite:///{file}")
    try:
        there.metadata.contents.load(
            file, paths=paths, check=lambda: _refuse_others(there.metadata, saved, where=str(there.root))
        )
    finally:
        saved.log.close()


def settled(target: str | Path, *, progress: Progress | bool) -> Diagnosis:
    """Make what is served, and read by others, of a store's history; return how it is."""
    with Store.open(target, create=False, repair=True, progress=progress) as store:
        return store.quality.doctor(repair=True, progress=progress)


def _opened(opened: ExitStack, folder: str | Path, *, create: bool) -> Durable:
    durable = open_durable(place_of(folder), create=create)
    opened.callback(durable.close)
    return durable


def _refuse_same(here: Durable, there: Durable) -> None:
    todo = "name another one in the target's asof.toml"
    if here.metadata.contents.identity() == there.metadata.contents.identity():
        raise UsageError("both stores have the same registry", where=str(there.root), todo=todo)
    if here.history.location("") == there.history.location(""):
        raise UsageError("both stores have the same history", where=str(there.root), todo=todo)


def _refuse_others(there: Metadata, saved: Metadata, *, where: str) -> None:
    """Refuse to replace what the source does not have."""
    for kind, names in NAMES.items():
        more = sorted(set(names(there)) - set(names(saved)))
        if more:
            _refuse(kind, more[0], where)
    for group in there.registry.groups():
        if group.definition.external is not None:
            continue
        for last in there.log.commits(group, limit=1):
            if last not in saved.log.commits(saved.registry.group(group.ref), after=last.number - 1):
                _refuse("commit", last.id, where)


def _refuse(kind: str, name: str, where: str) -> None:
    what = f"the target has a {kind} {name} that the source does not have"
    raise ConflictError(what, where=where, todo="copy into another folder, with a registry of its own")
