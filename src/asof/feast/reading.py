"""Reads a feature repository of Feast: its Python files, as they stand, and `feature_store.yaml`. None of it is run."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from asof.errors import NotFoundError, UsageError
from asof.feast.groups import Groups
from asof.feast.model import Found, Remarks
from asof.feast.settings import NAME, settings_of
from asof.feast.static import Made, Place, Reader
from asof.feast.views import Views

IGNORE = ".feastignore"
BELOW = "feature_repo"
"""Where templates of Feast have the repository, below the project's folder."""

SHOWN = 3
"""Remarks that an error tells."""

LEFT_OUT = ("Permission", "Project", "ValidationReference", "SavedDataset", "RequestFeatureView")

COUNTERPARTS = {
    "Permission": "make keys with roles: asof keys add (docs/security.md)",
    "Project": "a group may say project= (docs/security.md)",
    "ValidationReference": "declare checks= of the group (docs/quality.md)",
    "SavedDataset": "make a training set (docs/training-sets.md)",
    "RequestFeatureView": "name Request(...) as an input of an on-demand feature (docs/on-demand.md)",
}


def read_repository(folder: Path) -> Found:
    """Return what a repository says, in our words.

    Raises:
        NotFoundError: There is no such folder. UsageError: It defines no feature view.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {str(folder)!r}", todo="name the folder of a feature repository")
    root = _root(folder.resolve())
    remarks = Remarks()
    project, settings = settings_of(root, remarks)
    made = _made(root, remarks)
    for each in made:
        if each.kind in LEFT_OUT:
            remarks.add(each.place, f"{each.kind} {_name(each)}has no counterpart", COUNTERPARTS[each.kind])
    groups = Groups(made, root, remarks)
    if not groups.all:
        told = "; ".join(f"{each.place}: {each.what}" for each in sorted(remarks)[:SHOWN])
        todo = f"name the folder that holds {NAME}" + (f" ({told})" if told else "")
        data = {"remarks": [f"{each.place}: {each.what}" for each in sorted(remarks)]}
        raise UsageError("no feature view is defined there that could be read", where=str(root), todo=todo, data=data)
    views = Views(made, groups, remarks)
    return Found(root, project, settings, groups.all, views.functions, views.all, sorted(remarks))


def _root(folder: Path) -> Path:
    """Return the folder of the repository itself."""
    below = folder / BELOW
    return below if not (folder / NAME).is_file() and (below / NAME).is_file() else folder


def _made(root: Path, remarks: Remarks) -> Sequence[Made]:
    """Return the objects of Feast that the files make, in the order of the files and lines."""
    reader = Reader(root)
    made: list[Made] = []
    for path in _files(root):
        shown = reader.shown(path)
        try:
            module = reader.read(path)
        except (SyntaxError, ValueError, RecursionError) as error:  # no UTF-8 is a ValueError
            line = getattr(error, "lineno", 0) or 0
            remarks.add(Place(shown, line), f"the file cannot be read: {getattr(error, 'msg', error)}", "mend it first")
            continue
        made += module.made
        for unread in module.unread:
            todo = "it is made in a function, a loop or a branch: declare it yourself"
            remarks.add(unread.place, f"{unread.text} is not read", todo)
    return made


def _files(root: Path) -> Iterator[Path]:
    """Iterate over the Python files that Feast would read."""
    patterns = _ignored(root)
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        parts = name.parts
        if any(part.startswith(".") or part in ("__pycache__", "venv", "site-packages") for part in parts):
            continue
        below = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        if not any(fnmatch(each, pattern) for each in below for pattern in patterns):
            yield path


def _ignored(root: Path) -> list[str]:
    path = root / IGNORE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    patterns = [line.partition("#")[0].strip().strip("/") for line in lines]
    return [each.replace("**/", "*") for pattern in patterns if pattern for each in (pattern, pattern.rstrip("/*"))]


def _name(made: Made) -> str:
    name = made.get("name", 0)
    return f"{name} " if isinstance(name, str) else ""
