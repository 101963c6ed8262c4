"""The first rows of a table on the screen."""

from collections.abc import Sequence

import pyarrow as pa

from asof.cli.documents import whole_microseconds
from asof.cli.screen import LONGEST, Cell, Screen, counted, shown

ROWS = 20
GAP = 3
"""Characters between two columns on a terminal."""


def show_rows(screen: Screen, table: pa.Table, *, limit: int | None = None) -> None:
    """Print rows of a table: as many columns as fit a terminal, and what was left out."""
    limit = ROWS if limit is None else limit
    first = whole_microseconds(table.slice(0, limit))
    names = first.column_names
    rows = [[_value(cell) for cell in row.values()] for row in first.to_pylist()]
    right = [pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t) for t in first.schema.types]
    fit = _fitting(names, rows, screen.width)
    screen.table(names[:fit], [row[:fit] for row in rows], right=right[:fit])
    left = names[fit:]
    if left:
        screen.line(f"and {counted(len(left), 'more column')}: {', '.join(left)}", style="dim")
    if table.num_rows > limit:
        screen.line(f"{limit:,} of {table.num_rows:,} rows; --limit N shows more, --out FILE keeps all", style="dim")
    else:
        screen.line(counted(table.num_rows, "row"), style="dim")


def _fitting(names: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None) -> int:
    """Return how many columns fit in a line, at least one."""
    if width is None:
        return len(names)
    used = 0
    for at, name in enumerate(names):
        used += max([len(name), *(len(shown(row[at])) for row in rows)]) + GAP
        if used - GAP > width:
            return max(at, 1)
    return len(names)


def _value(value: Cell) -> Cell:
    match value:
        case None:
            return "null"
        case float():
            return f"{value:.6g}"
        case bool():
            return str(value).lower()
        case str() | bytes() | list() | dict():
            text = f"{value}"
            return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
        case _:
            return str(value) if isinstance(value, int) else value
