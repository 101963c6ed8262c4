"""Tables that sort and have pages: by links, which need no script; a script sorts tables that are whole in place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from markupsafe import Markup

T = TypeVar("T")

PAGE_ROWS = 50
"""Rows of a page of a table."""

Key = str | float | int | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        key: What it is sorted by, text without regard to case; a missing one comes last.
        href: Where it leads.
        tone: "good", "warn" or "bad" for a word that is to be noticed; "code" for code; "wrap" for prose.
        title: What it says when a pointer rests on it.
        picture: A small chart in place of text.
    """

    text: str
    key: Key = None
    href: str = ""
    tone: str = ""
    title: str = ""
    picture: Markup | None = None


def plain(text: str, href: str = "") -> Cell:
    """Return a cell with a word; an empty one comes last."""
    return Cell(text, text or None, href)


def prose(text: str) -> Cell:
    """Return a cell with a text that may break between its words."""
    return Cell(text, text or None, tone="wrap")


def number(count: int) -> Cell:
    """Return a cell with a whole number."""
    return Cell(f"{count:,}", count)


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of a table of things.

    Attributes:
        name: What the query calls it.
        title: What its head says.
        cell: The cell of a thing.
        numeric: Whether it stands to the right.
    """

    name: str
    title: str
    cell: Callable[[T], Cell]
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column.

    Attributes:
        title: What it says.
        numeric: Whether its column stands to the right.
        href: Sorts by it; by the other way round if it is sorted by it already. "" if it cannot be.
        sorted: "ascending", "descending" or "none".
    """

    title: str
    numeric: bool
    href: str
    sorted: str


@dataclass(frozen=True, slots=True)
class Table:
    """What the template shows.

    Attributes:
        id: Of the element.
        caption: What it is a table of.
        heads: The heads of its columns.
        rows: The cells of the page.
        total: Rows on all pages.
        page: Which page, from 1.
        pages: How many there are.
        links: (label, href) of the pages around it; "" leads nowhere.
    """

    id: str
    caption: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    total: int
    page: int = 1
    pages: int = 1
    links: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def whole(self) -> bool:
        """Whether all rows are on this page."""
        return self.pages == 1


def table_of(  # noqa: PLR0913 - a declaration
    things: Sequence[T],
    columns: Sequence[Column[T]],
    *,
    id_: str,
    caption: str,
    query: Mapping[str, str],
    order: str = "",
    page_rows: int = PAGE_ROWS,
) -> Table:
    """Return a page of a table of things, in the order that the query asks for.

    Args:
        things: The rows, in the order that they have unless another is asked for.
        columns: The columns.
        id_: Of the element; the query names its order `<id>.sort` and its page `<id>.page`.
        caption: What it is a table of.
        query: The query of the page.
        order: The order if none is asked for: the name of a column, with "-" before it for the other way round.
        page_rows: Rows of a page.
    """
    asked = query.get(f"{id_}.sort", order)
    by = next((each for each in columns if each.name == asked.lstrip("-")), None)
    backwards = asked.startswith("-")
    if by is not None:
        things = _ordered(things, by.cell, backwards=backwards)
    pages = max(-(-len(things) // page_rows), 1)
    page = min(max(_whole(query.get(f"{id_}.page", "1")), 1), pages)

    def link(**changed: str) -> str:
        kept = {name: text for name, text in query.items() if name != f"{id_}.page"}
        return f"?{urlencode({**kept, **{f'{id_}.{name}': text for name, text in changed.items()}})}#{id_}"

    heads = [
        Head(
            each.title,
            each.numeric,
            link(sort=each.name if each is not by or backwards else f"-{each.name}"),
            "none" if each is not by else "descending" if backwards else "ascending",
        )
        for each in columns
    ]
    sort = {"sort": asked} if by is not None else {}
    links = [("previous", link(page=str(page - 1), **sort) if page > 1 else "")]
    links += [("next", link(page=str(page + 1), **sort) if page < pages else "")]
    shown = things[(page - 1) * page_rows : page * page_rows]
    rows = [[each.cell(thing) for each in columns] for thing in shown]
    return Table(id_, caption, heads, rows, len(things), page, pages, links)


def _ordered(things: Sequence[T], cell: Callable[[T], Cell], *, backwards: bool) -> list[T]:
    """Return things by the keys of their cells; those without one come last, whichever way."""
    keys = [(cell(thing), thing) for thing in things]
    known = [(_comparable(each), thing) for each, thing in keys if each.key is not None]
    known.sort(key=lambda pair: pair[0], reverse=backwards)
    return [thing for _, thing in known] + [thing for each, thing in keys if each.key is None]


def _comparable(cell: Cell) -> Any:  # noqa: ANN401 - the keys of a column are of one kind
    return cell.key.casefold() if isinstance(cell.key, str) else cell.key


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1  # noqa: PLR2004 - no page has more
