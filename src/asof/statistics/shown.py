"""Statistics for people: text and HTML of what has a title, a table and remarks; values that fit into a cell."""

from collections.abc import Sequence
from typing import Any

from asof import notebook

BLOCKS = "▁▂▃▄▅▆▇█"
WIDEST = 24
"""Characters of a value in a cell."""


def as_text(
    title: str, table: Sequence[Sequence[str]], *, facts: Sequence[tuple[str, Any]] = (), remarks: Sequence[str] = ()
) -> str:
    """Return as text: a title, facts by name, a table whose heads are its first row, and what the reader must know."""
    return "\n".join([title, *_said(facts), *notebook.aligned(table), *remarks])


def as_html(
    title: str, table: Sequence[Sequence[str]], *, facts: Sequence[tuple[str, Any]] = (), remarks: Sequence[str] = ()
) -> str:
    """Return the same as HTML."""
    told = "".join(map(notebook.paragraph, remarks))
    return notebook.paragraph(title, _said(facts)) + notebook.table(table[0], table[1:]) + told


def _said(facts: Sequence[tuple[str, Any]]) -> list[str]:
    return [f"{name}: {value}" for name, value in facts]


def bars(counts: Sequence[int]) -> str:
    """Return counts as a row of blocks, the greatest of them the highest."""
    most = max(counts, default=0)
    return "".join(" " if not each else BLOCKS[min(each * len(BLOCKS) // most, len(BLOCKS) - 1)] for each in counts)


def shown(value: Any) -> str:  # noqa: ANN401 - a value of any column
    """Return a value, short enough for a cell; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    said = value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
    said = "".join(letter if letter.isprintable() else "." for letter in said)
    return said if len(said) <= WIDEST else said[: WIDEST - 3] + "..."
