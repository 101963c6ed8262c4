"""Names of Feast's in ours: lower-case letters, digits and single underscores."""

import keyword
import re
from collections.abc import Collection

from asof.definitions.names import PATTERN, suggest_name

FALLBACK = "unnamed"

TAKEN = frozenset(
    ("asof", "on_demand", "np", "entity", "float", "int", "bool", "str", "list", "dict", "set", "type", "id", "map")
)
"""Names that what is written needs for something else, or that would hide Python's own."""


def is_name(text: str) -> bool:
    """Return whether asof takes a name as it is."""
    return PATTERN.fullmatch(text) is not None and "__" not in text


def ours(text: str) -> str:
    """Return a name as it is, or the nearest one that asof takes."""
    return text if is_name(text) else suggest_name(re.sub(r"_+", "_", text)) or FALLBACK


class Variables:
    """Names of the file that is written, each once."""

    def __init__(self) -> None:
        """Have none."""
        self._taken: set[str] = {*TAKEN, *keyword.kwlist}

    def new(self, name: str, kind: str) -> str:
        """Return a name of its own for something of a kind."""
        found = free(name, self._taken, kind)
        self._taken.add(found)
        return found


def free(name: str, taken: Collection[str], kind: str) -> str:
    """Return a name that is not taken: as it is, or with the kind of thing that it names, and perhaps a number."""
    if name not in taken:
        return name
    base = f"{name[: 60 - len(kind)]}_{kind}"
    return next(each for at in range(1, 10_000) if (each := base if at == 1 else f"{base}_{at}") not in taken)
