"""What is made of the parts of a store: its parts go when it is closed, and are opened again in a forked child."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from asof.clock import Clock
from asof.errors import UsageError
from asof.forks import opening
from asof.parts.open import Parts, open_parts


class OfParts:
    """Keeps parts in attributes, which are gone in a forked child until one of them is asked for.

    Attributes:
        _held: The names of these attributes.
        _root: The store's folder.
        _closed: Whether it was closed.
    """

    _held: ClassVar[tuple[str, ...]]
    _root: Path
    _closed: bool
    _parts: Parts
    _clock: Clock

    def __init__(self, parts: Parts) -> None:
        """Keep the parts."""
        self._root = parts.root
        self._closed = False
        self._parts = parts

    def close(self) -> None:
        """Release the parts; closing twice is harmless."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """Return its place."""
        return f"<asof.{type(self).__name__} {str(self._root)!r}>"

    if not TYPE_CHECKING:  # a type checker would let every misspelt name pass

        def __getattr__(self, name: str) -> object:
            """Open the parts again in a forked child; say that a closed store is closed."""
            if name not in self._held or "_root" not in vars(self):
                raise AttributeError(name)
            if self._closed:
                raise UsageError(f"the store {str(self._root)!r} is closed", todo="open it again with asof.open")
            with opening():
                if name not in vars(self):
                    self.__init__(open_parts(self._root, create=False, clock=self._clock))
            return vars(self)[name]

    def _let_go(self) -> dict[str, object]:
        """Drop the parts; the next use opens them again, unless the store is closed."""
        if "_parts" not in vars(self):
            return {}
        self._clock = self._parts.clock
        return {name: vars(self).pop(name) for name in self._held}
