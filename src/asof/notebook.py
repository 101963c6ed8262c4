"""How things show themselves in a notebook: small pieces of HTML, escaped, without style of their own."""

from collections.abc import Iterable, Sequence
from html import escape


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
