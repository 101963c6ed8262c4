"""The commit of the repository that a folder is in, read from its files: git itself need not be installed."""

import re
from contextlib import suppress
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def code_commit(folder: Path | None = None) -> str:
    """Return the commit that is checked out where a folder lies, "" if it is in no repository, or nobody can tell.

    Args:
        folder: The folder; default: where this process stands.
    """
    with suppress(OSError, UnicodeDecodeError):
        folder = (folder or Path.cwd()).absolute()
        for place in (folder, *folder.parents):
            if (place / ".git").exists():
                return _head(_git_folder(place / ".git"))
    return ""


def _git_folder(place: Path) -> Path:
    """Return where git keeps what it knows: of a worktree or submodule `.git` is a file that says so."""
    if place.is_dir():
        return place
    _, _, folder = place.read_text().strip().partition("gitdir: ")
    return place.parent / folder


def _head(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head if _COMMIT.fullmatch(head) else ""
    ref = head.removeprefix("ref: ")
    common = git / "commondir"
    shared = git / common.read_text().strip() if common.exists() else git
    for place in (git / ref, shared / ref):
        if place.is_file():
            return place.read_text().strip()
    packed = shared / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), "")
