"""Step 10: features, training and inference as three processes that meet in a store: `asof init --template fti`."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.markup import escape

from asof.demo.screen import Screen
from asof.demo.source import copy, example
from asof.errors import PermanentError

FOLDER = "pipelines"
NAMES = ("feature_pipeline.py", "training_pipeline.py", "inference_pipeline.py")
PATIENCE_SECONDS = 600.0


def run_pipelines(screen: Screen, folder: Path) -> Mapping[str, str]:
    """Make the project in the demo's folder, and run its pipelines one after the other, each as a process of its own.

    Returns:
        What each printed.

    Raises:
        PermanentError: One failed.
    """
    screen.heading("Three pipelines, three processes: asof init --template fti")
    project = folder / FOLDER
    copy(example("fti"), project)
    screen.say(
        "One takes what is new into a store, one trains on what was known and puts its model into production, one"
        f" predicts the departures that are two hours away. They lie in [bold]{escape(str(project))}[/bold]:"
    )
    printed: dict[str, str] = {}
    for name in NAMES:
        with screen.progress(name):
            printed[name] = _run(project / name)
        screen.command(f"python {name}", "")
        for line in printed[name].splitlines():
            screen.say(f"    {escape(line)}")
    return printed


def _run(file: Path) -> str:
    """Return what a program prints.

    Raises:
        PermanentError: It failed.
    """
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and a file of ours
            [sys.executable, file.name],
            cwd=file.parent,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise PermanentError(f"it failed: {error.stderr.strip()}", where=str(file)) from error
    except subprocess.TimeoutExpired as error:
        raise PermanentError(f"it took more than {PATIENCE_SECONDS:.0f} s", where=str(file)) from error
    return done.stdout
