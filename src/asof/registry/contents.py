"""What a registry must do to be moved: give all that it holds as a file, and take over such a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class Contents(Protocol):
    """All that a registry holds; safe while others write."""

    def save(self, file: Path) -> None:
        """Write everything, as it is at one moment, to a registry in a new SQLite file.

        Data files that were replaced are left out: readers hold them, and their rows lie in others.

        Raises:
            UsageError: The file is there already. PermanentError: No space, or no permission.
        """
        ...

    def load(self, file: Path, *, paths: Mapping[str, str], check: Callable[[], None] = lambda: None) -> None:
        """Put what was saved in the place of everything that this registry holds, in one step.

        Args:
            file: What `save` wrote, perhaps of another kind of registry.
            paths: Where each of its data files lies in the history that belongs to this registry, by
                `DataFile.path` there.
            check: Called when nobody else can write here any more; if it raises, nothing happens.

        Raises:
            UsageError: There is no such file, or a newer asof wrote it.
        """
        ...

    def identity(self) -> str:
        """Return a name that no other registry has, whatever is loaded into it."""
        ...

    def is_empty(self) -> bool:
        """Return whether nothing was defined, written or allowed here yet."""
        ...
