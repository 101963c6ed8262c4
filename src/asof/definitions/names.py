"""Names that may become paths, columns and table rows. Source: SEMANTICS section 6."""

import re
from collections.abc import Iterable
from typing import cast

from asof.errors import UsageError

TAG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
EVERY_PROJECT = "*"
"""In place of the name of a project: all of them."""

PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")


def checked_name(name: object, kind: str) -> str:
    """Return the name if it may be used.

    Args:
        name: The name as given.
        kind: What it names, for the message ("group").

    Raises:
        UsageError: It does not match `[a-z][a-z0-9_]{0,62}`, or holds `__`, which is kept for stored clocks.
    """
    if isinstance(name, str) and PATTERN.fullmatch(name) and "__" not in name:
        return name
    raise UsageError(
        f"{name!r} is no name for a {kind}",
        todo="use lower-case letters, digits and single underscores, a letter first, 63 at most"
        + (f", such as {suggested!r}" if (suggested := suggest_name(str(name))) else ""),
    )


def checked_project(name: object) -> str:
    """Return the name of a project, as of a group; "" is the default project."""
    return "" if name == "" else checked_name(name, "project")


def checked_projects(names: object, *, where: str = "") -> tuple[str, ...]:
    """Return the names of projects, each once; "*" stands for all of them.

    Raises:
        UsageError: They are no names of projects, or one text.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        todo = "pass a list of the names of projects"
        raise UsageError(f"shared_with={names!r} names no projects", where=where, todo=todo)
    given = cast("Iterable[object]", names)
    return tuple(dict.fromkeys(EVERY_PROJECT if name == EVERY_PROJECT else checked_project(name) for name in given))


def checked_tag(name: object, kind: str = "tag") -> str:
    """Return the name of a tag, or of something else with such names, if it may be used.

    Raises:
        UsageError: It holds other characters than letters, digits and ". _ -" between them, or more than 63.
    """
    if isinstance(name, str) and TAG.fullmatch(name):
        return name
    raise UsageError(
        f"{name!r} is no name for a {kind}", todo='use letters, digits, and ". _ -" between them, 63 at most: "2026-11"'
    )


def checked_text(text: object, what: str, *, where: str = "") -> str:
    """Return a text that callers pass if it can be kept.

    Raises:
        UsageError: It is no text, or no UTF-8 can hold it (a lone half of a surrogate pair).
    """
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return text
    raise UsageError(f"{what}={text!r} is no text", where=where, todo="pass it as text")


def suggest_name(text: str) -> str:
    """Return the nearest permitted name to a foreign one ("Arr Delay" gives "arr_delay"), or ""."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:63].rstrip("_")
    if name and not name[0].isalpha():
        name = f"c_{name}"[:63]
    return name if PATTERN.fullmatch(name) else ""
