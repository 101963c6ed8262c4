"""How far a long operation is: told to a callable, or shown as a bar. Rich is loaded only for a bar."""

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Called with (done, total): done never falls, and is total in the end.

Of rows whose number nobody knows, total is how many were read so far.
"""

Wanted = Progress | bool
"""What a caller may pass: a callable to be told, True for a bar, False for nothing."""

TICK_SECONDS = 0.2


def unheard(_done: int, _total: int) -> None:
    """Be told, and do nothing."""


@contextmanager
def showing(text: str, *, progress: Progress | bool, unit: str = "") -> Generator[Progress]:
    """Show how far the block is while it runs, if that is wanted.

    Args:
        text: What is done.
        progress: A callable to be told; or True for a bar on stderr that goes away when done, if that is a terminal
            or a notebook, else nothing is shown.
        unit: What is counted, such as "rows": then the bar says how many a second.

    Yields:
        A function to be called with (done, total); until then, and when done is total, the bar only moves.
    """
    if callable(progress):
        yield progress
    elif progress and sys.stderr.isatty():
        yield from _bar(text, unit)
    elif progress and _in_notebook():
        yield from _line(text, unit)
    else:
        yield unheard


def _bar(text: str, unit: str) -> Generator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - only who looks waits for it
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - the same
    from rich.progress import Progress as Bar  # noqa: PLC0415 - the same

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None, counts="")
        begun = time.monotonic()

        def advance(done: int, total: int) -> None:
            left = total if done < total else None  # it moves: what follows the last row is not counted
            bar.update(task, completed=done, total=left, counts=_counts(done, total, unit, begun))

        yield advance


def _line(text: str, unit: str) -> Generator[Progress]:
    """Show a line of text that is written over; a notebook shows Rich's bars only where ipywidgets is installed."""
    begun = time.monotonic()
    width, told = 0, 0.0

    def advance(done: int, total: int) -> None:
        nonlocal width, told
        now = time.monotonic()
        if now - told < TICK_SECONDS:
            return
        line = f"{text} {_counts(done, total, unit, begun)}"
        sys.stderr.write(f"\r{line:<{width}}")
        width, told = max(width, len(line)), now

    try:
        yield advance
    finally:
        sys.stderr.write(f"\r{'':<{width}}\r")


def _counts(done: int, total: int, unit: str, begun: float) -> str:
    counts = f"{done:,}/{total:,}" if done < total else f"{done:,}"
    return f"{counts} {unit}, {done / max(time.monotonic() - begun, 0.001):,.0f}/s" if unit else counts


def _in_notebook() -> bool:
    """Return whether IPython runs under Jupyter; it is loaded then."""
    ask = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return ask is not None and type(ask()).__name__ == "ZMQInteractiveShell"
