"""A run of the demo from the first step to the last."""

import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import asof
from asof.demo.context import NOW, Context, Hands
from asof.demo.history import define, load_history, show_facts
from asof.demo.live import Day, replay
from asof.demo.pipelines import run_pipelines
from asof.demo.result import DemoResult
from asof.demo.screen import Screen
from asof.demo.serving import serve, verify
from asof.demo.source import load
from asof.demo.training import build, train
from asof.demo.windows import roll
from asof.errors import UsageError

STEPS = 10
MARK = "made-by-asof-demo.txt"


def run_all(folder: Path, *, quick: bool, console: Console) -> DemoResult:
    """Make the store in the folder and go through all steps; see `asof.demo.run`."""
    _clear(folder)
    screen = Screen(console, STEPS)
    screen.say(
        f"[bold]asof[/bold] on real flights. The store is the folder [bold]{escape(str(folder))}[/bold]."
        f" Its clock stands at {NOW:%Y-%m-%d %H:%M} UTC, where the weather ends: what lies after it is not"
        " loaded; those departures are the ones to serve."
    )
    clock = Hands()
    with asof.open(folder, clock=clock) as store:
        (folder / MARK).write_text("The next `asof demo` may replace this folder.\n", encoding="utf-8")
        context = Context(screen, store, clock, load("data"), load("features"), quick)
        show_facts(context)
        define(context)
        loaded = load_history(context)
        training = build(context)
        aucs = train(context, training)
        with Day(context).reading() as day:
            windows = roll(context)
            latency, with_windows = serve(context, windows.model)
            live = replay(context, day)
        proof = verify(context)
    pipelines = run_pipelines(screen, folder)
    _farewell(screen, folder)
    return DemoResult(
        folder=str(folder),
        seconds=screen.seconds(),
        loaded_rows=loaded.rows,
        load_rows_per_second=loaded.rows_per_second,
        training_rows=training.frame.num_rows,
        training_seconds=training.seconds,
        statuses=training.statuses,
        leaked={leak.group: leak.leaked for leak in training.leaks},
        pandas_differs=sum(join.differing for join in training.careful),
        auc_honest=aucs.honest,
        auc_promised=aucs.promised,
        auc_kept=aucs.kept,
        windows_unknown=windows.unknown,
        windows_differ=windows.differing,
        windows_auc_honest=windows.aucs.honest,
        windows_auc_promised=windows.aucs.promised,
        windows_auc_kept=windows.aucs.kept,
        windows_auc_without=windows.aucs.without,
        p50_us=latency.p50_us,
        p99_us=latency.p99_us,
        windows_p50_us=with_windows.p50_us,
        windows_p99_us=with_windows.p99_us,
        live_messages=live.messages,
        live_p50_ms=live.p50_ms,
        live_worst_ms=live.worst_ms,
        live_counts=[(each.before, each.after) for each in live.specials],
        live_wrong=live.wrong,
        compared=proof.compared,
        differences=proof.differences,
        pipelines=pipelines,
    )


def _clear(folder: Path) -> None:
    """Remove the store of an earlier demo.

    Raises:
        UsageError: The folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / MARK).is_file():
        raise UsageError(
            "the demo will not overwrite what it has not made",
            where=str(folder),
            todo="name an empty or new folder",
        )
    shutil.rmtree(folder)


def _farewell(screen: Screen, folder: Path) -> None:
    screen.say(f"\nDone in {screen.seconds():.0f} s. Three commands to try next:")
    commands = {
        f"{_program()} {verb} {shlex.quote(str(folder))} {what}": purpose
        for verb, what, purpose in (
            ("describe", "weather", "what a group is"),
            ("search", "delay", "find by words"),
            ("read", "route_days", "the history itself"),
        )
    }
    width = max(map(len, commands))
    for command, purpose in commands.items():
        screen.command(command.ljust(width), purpose)


def _program() -> str:
    """Return how `asof` is called from here: after `make demo` it is not on the path."""
    here = Path(sys.executable).parent / "asof"
    if shutil.which("asof") or not here.exists():
        return "asof"
    return shlex.quote(str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here))
