"""How things show themselves: columns of text, and in a notebook small pieces of HTML, escaped, without style."""

from collections.abc import Iterable, Sequence
from html import escape


def aligned(rows: Iterable[Sequence[str]], *, right: Sequence[bool] | None = None) -> list[str]:
    """Return rows of cells as lines with straight columns, two spaces between them.

    Args:
        rows: The heads among them, if there are any.
        right: Of each column, whether its cells stand at the right; default: none does.
    """
    every = list(rows)
    widths = [max(map(len, cells)) for cells in zip(*every, strict=True)]
    sides = [str.rjust if each else str.ljust for each in right or [False] * len(widths)]
    return [
        "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()
        for row in every
    ]


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; None is an empty cell."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(title: str, lines: Iterable[str] = ()) -> str:
    """Return a title, and lines below it; empty ones are left out."""
    said = "".join(f"<br>{escape(line)}" for line in lines if line)
    return f"<p><b>{escape(title)}</b>{said}</p>"


def text(said: object) -> str:
    """Return what a thing says as text, line by line as it is."""
    return f"<pre>{escape(str(said))}</pre>"


def _cell(value: object) -> str:
    return "" if value is None else escape(str(value))
