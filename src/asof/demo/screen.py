"""What the demo puts on the terminal: a heading per step, short tables, bars that go away when done."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

Advance = Callable[[int], None]
Cell = str | int | float

WIDTH = 100
"""Columns at most, also on a wider screen: longer lines are hard to read."""


@dataclass(slots=True)
class Screen:
    """Prints the demo's steps.

    Attributes:
        console: Where to.
        steps: How many headings there will be.
    """

    console: Console
    steps: int
    _step: int = field(default=0, init=False)
    _started: float = field(default_factory=perf_counter, init=False)

    def heading(self, text: str) -> None:
        """Start the next step."""
        self._step += 1
        self.console.print()
        self.console.print(Text.assemble((f"{self._step}/{self.steps} ", "bold cyan"), (text, "bold")))

    def say(self, text: str) -> None:
        """Print a paragraph, in Rich's markup."""
        self.console.print(text, highlight=False, width=min(WIDTH, self.console.width))

    def command(self, command: str, purpose: str) -> None:
        """Print a command that can be copied: it is never broken."""
        line = Text.assemble("  ", (command, "bold"), f"  {purpose}")
        self.console.print(line, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Print a table; columns whose first cell is a number or per cent are set to the right."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
        for place, name in enumerate(columns):
            right = bool(rows) and (not isinstance(rows[0][place], str) or str(rows[0][place]).endswith("%"))
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(shown(cell) for cell in row))
        self.console.print(table, width=min(WIDTH, self.console.width))

    @contextmanager
    def progress(self, text: str, total: int | None = None) -> Generator[Advance]:
        """Show a bar while the block runs; without a total it only says that something is going on.

        Yields:
            A function that moves the bar forward by a number of units.
        """
        if not self.console.is_terminal:
            yield lambda _units: None
            return
        counts = () if total is None else (MofNCompleteColumn(),)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            *counts,
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(text, total=total)
            yield lambda units: bar.advance(task, units)

    def seconds(self) -> float:
        """Return the time since the start."""
        return perf_counter() - self._started


def shown(cell: Cell) -> str:
    """Return a number with thousands separators, a fraction with three digits, a text as it is."""
    match cell:
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.3f}"
        case str():
            return cell
