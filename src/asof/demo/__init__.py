"""The demo: the whole main job on every flight that left New York in 2013 (extra `demo`)."""

from pathlib import Path
from typing import TYPE_CHECKING

from asof.demo.source import require_extra

if TYPE_CHECKING:
    from rich.console import Console

    from asof.demo.result import DemoResult

__all__ = ["run"]


def run(folder: Path | None = None, *, quick: bool = False, console: "Console | None" = None) -> "DemoResult":
    """Define, load, train, serve and verify on real flights, and show each step.

    Args:
        folder: Where the store is made and left; default `demo-store` here. A store that an earlier demo made
            there is replaced; any other content is refused.
        quick: Train on one departure in twenty, and read and verify less (tests, slow machines).
        console: Where to print; default: standard output.

    Returns:
        The figures that were shown.

    Raises:
        MissingDependencyError: The extra `demo` is not installed.
        UsageError: The folder holds something that is not the demo's.
    """
    require_extra()
    # Imported here: scikit-learn and pandas take seconds, and only a run needs them.
    from rich.console import Console  # noqa: PLC0415 - see above

    from asof.demo.flow import run_all  # noqa: PLC0415 - see above

    return run_all(folder or Path("demo-store"), quick=quick, console=console or Console())
