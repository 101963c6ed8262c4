"""Features by reference: "weather:temp,planes@2:seats", a question for which no view was declared.

A reference is a group or view, perhaps with its version, and one of its features. A text of them stands wherever the
name of a view is read, and is told from one by its colons.
"""

from collections.abc import Iterable
from typing import Final

from asof.errors import UsageError

COLON: Final = ":"
COMMA: Final = ","


def are_references(name: object) -> bool:
    """Return whether a name is a text of references, and none of a view or group."""
    return isinstance(name, str) and COLON in name


def joined(references: Iterable[str]) -> str:
    """Return references as one text."""
    return COMMA.join(references)


def parted(text: str) -> list[tuple[str, str]]:
    """Return the references of a text: each a group or view, and a feature of it.

    Raises:
        UsageError: One of them is none, or is there twice.
    """
    found: list[tuple[str, str]] = []
    for reference in text.split(COMMA):
        source, _, feature = (part.strip() for part in reference.partition(COLON))
        if not source or not feature:
            raise UsageError(f"{reference!r} is no reference", where=text, todo='write "group:feature"')
        if (source, feature) in found:
            raise UsageError(f"{reference!r} is asked for twice", where=text, todo="ask for it once")
        found.append((source, feature))
    return found


def sources_of(name: str) -> list[str]:
    """Return the groups and views that are named: by a text of references, or by one name."""
    return list(dict.fromkeys(source for source, _ in parted(name))) if are_references(name) else [name]
