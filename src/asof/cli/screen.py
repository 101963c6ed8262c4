"""What people see: tables and lines, with colour and boxes only on a terminal."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from asof.progress import Progress, showing

if TYPE_CHECKING:
    from rich.console import Console

Cell = Any
"""Text, a number, a time, None: whatever is to be shown."""

LONGEST = 60
"""Characters of a value in a table."""

Advance = Progress


class Screen:
    """Standard output."""

    def __init__(self) -> None:
        """Find out whether somebody looks."""
        self.terminal = sys.stdout.isatty()
        self._console: Console | None = None

    @property
    def console(self) -> "Console":
        """Rich's console; loaded only for a terminal."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(highlight=False)
        return self._console

    @property
    def width(self) -> int | None:
        """Characters of a line; None if nobody looks."""
        return self.console.width if self.terminal else None

    def line(self, text: str = "", *, style: str = "") -> None:
        """Print a line, on a terminal in one of Rich's styles."""
        if self.terminal:
            self.console.print(text, style=style or None, markup=False)
        else:
            click.echo(text)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, right: Sequence[bool] = (), title: str = ""
    ) -> None:
        """Print a table; unless told otherwise, columns of numbers are set to the right."""
        right = right or [bool(rows) and all(_is_number(row[at]) for row in rows) for at in range(len(columns))]
        texts = [[shown(cell) for cell in row] for row in rows]
        if title:
            self.line(title, style="bold")
        if self.terminal:
            self._rich_table(columns, texts, right)
        else:
            _plain_table(columns, texts, right)

    def facts(self, pairs: Sequence[tuple[str, Cell]]) -> None:
        """Print names with their values, one a line."""
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            if self.terminal:
                from rich.table import Table

                grid = Table.grid(padding=(0, 2))
                grid.add_column(style="dim", width=width, no_wrap=True)
                grid.add_column(overflow="fold")
                grid.add_row(_text(name), _text(shown(value)))
                self.console.print(grid)
            else:
                click.echo(f"{name:<{width}}  {shown(value)}")

    def _rich_table(self, columns: Sequence[str], texts: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold cyan")
        for name, numbers in zip(columns, right, strict=True):
            table.add_column(_text(name), justify="right" if numbers else "left", overflow="fold")
        for row in texts:
            table.add_row(*map(_text, row))
        self.console.print(table)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "2 rows"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def shown(cell: Cell) -> str:
    """Return a value as people read it: thousands separated, times in UTC, nothing for None."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case datetime() if cell.tzinfo is not None:
            return cell.isoformat(sep=" ").replace("+00:00", "Z")
        case date():
            return str(cell)
        case _:
            return str(cell)


def progress(text: str, *, unit: str = "") -> AbstractContextManager[Advance]:
    """Show a bar on stderr while the block runs, if somebody looks; see `asof.progress.showing`."""
    return showing(text, progress=True, unit=unit)


def _plain_table(columns: Sequence[str], texts: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    from asof.notebook import aligned

    for line in aligned([columns, *texts], right=right):
        click.echo(line)


def _is_number(cell: Cell) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _text(text: str) -> Any:  # noqa: ANN401 - Rich's Text, loaded when needed
    from rich.text import Text

    return Text(text)
