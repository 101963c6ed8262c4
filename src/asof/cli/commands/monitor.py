"""`asof monitor`: run, ls, results."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, note, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.definitions.monitor import Monitor
    from asof.quality.monitors import MonitorRun

FILE = "monitors.toml"

RUN_SHAPE: Document = {
    "monitor": "weekly",
    "view": "weather",
    "at_us": 1767268800000000,
    "writer": "ana@host",
    "baseline": "tag spring",
    "current": "commits after 2026-01-01T00:00:00Z",
    "alerts": [
        {
            "what": "drift",
            "of": "temp",
            "told": "temp: drifted: psi 2.1 is large",
            "commit": "weather@1:4",
            "segment": None,
        }
    ],
    "features": [
        {
            "feature": "temp",
            "verdict": "drifted",
            "p": 0.001,
            "values": {"psi": 2.1, "ks": 0.8},
            "missing": 0.0,
            "rows": 600,
            "segment": None,
        }
    ],
    "by": "",
}
MONITOR_SHAPE: Document = {
    "name": "weekly",
    "view": "weather",
    "baseline": "spring",
    "current": "last 7d",
    "features": ["temp"],
    "by": "",
    "alpha": 0.01,
    "psi": 0.1,
    "missing": 0.05,
    "max_missing": None,
    "min_rows": 0,
    "max_age": "3h",
    "webhook": "$CHAT",
}

file_option = click.option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=f"Default: {FILE} in the store."
)


@click.group("monitor", short_help="Look at drift, missing values and age again and again.")
def command() -> None:
    """Look at drift, missing values, rows and age, as a file of monitors says, and tell somebody.

    A monitor is a table of monitors.toml in the store's folder; cron or Airflow run `asof monitor run`.
    """


@asof_command("run", shape={"runs": [RUN_SHAPE], "failed": [{"monitor": "weekly", "why": "unknown tag 'spring'"}]})
@store_argument
@click.argument("names", nargs=-1)
@file_option
def run(store: str, names: tuple[str, ...], file: Path | None) -> Answer:
    """Run the monitors of a file, or those named, keep what they find, and post alerts to their webhooks.

    The exit code is 1 if there was an alert, or a monitor could not be run; the others are run all the same.
    """
    from asof.errors import AsofError

    chosen = _chosen(_monitors(store, file), names)
    found: list[MonitorRun] = []
    failed: list[dict[str, str]] = []
    with open_store(store) as opened:
        for monitor in chosen:
            try:
                found.append(opened.quality.monitor(monitor))
            except AsofError as error:
                failed.append({"monitor": monitor.name, "why": " ".join(str(error).split())})
                continue
            if found[-1].alerts:
                _post(monitor, found[-1])
    document = {"runs": [_document(each) for each in found], "failed": failed}

    def show(screen: "Screen") -> None:
        for each in found:
            screen.line(str(each), style="red" if each.alerts else "green")
        for each in failed:
            screen.line(f"{each['monitor']} could not be run: {each['why']}", style="red")

    return Answer(document, show, code=1 if failed or any(each.alerts for each in found) else 0)


@asof_command("ls", shape={"monitors": [MONITOR_SHAPE]})
@store_argument
@file_option
def listed(store: str, file: Path | None) -> Answer:
    """List the monitors of a file."""
    from dataclasses import asdict

    found = _monitors(store, file)
    rows = [(each.name, each.view, each.baseline, each.current, each.max_age, each.webhook) for each in found]

    def show(screen: "Screen") -> None:
        screen.table(("monitor", "view", "baseline", "current", "max age", "webhook"), rows)

    return Answer({"monitors": [asdict(each) for each in found]}, show)


@asof_command("results", shape={"runs": [RUN_SHAPE]})
@store_argument
@click.argument("view")
@click.option("--monitor", metavar="NAME", help="Only those of this monitor.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest.")
def results(store: str, view: str, monitor: str | None, limit: int) -> Answer:
    """List what monitors of a view or group found."""
    with open_store(store) as opened:
        found = opened.quality.monitor_runs(view, monitor=monitor, limit=limit)

    def show(screen: "Screen") -> None:
        for each in found:
            screen.line(str(each), style="red" if each.alerts else "green")
        if not found:
            screen.line("no monitor was run")

    return Answer({"runs": [_document(each) for each in found]}, show)


command.add_command(run)
command.add_command(listed)
command.add_command(results)


def _monitors(store: str, file: Path | None) -> "list[Monitor]":
    """Return the monitors of a file.

    Raises:
        UsageError: It is not there, or no such file.
    """
    import tomllib

    from asof.definitions.monitor import monitors_from
    from asof.errors import UsageError

    if file is None and "://" in store:
        raise UsageError("the monitors of a remote store are in a file of yours", todo="pass --file")
    path = Path(store) / FILE if file is None else file
    try:
        return monitors_from(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {str(path)!r}", todo="write one, see docs/quality.md") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} is no TOML: {error}") from error


def _chosen(monitors: "list[Monitor]", names: tuple[str, ...]) -> "list[Monitor]":
    from asof.errors import NotFoundError

    known = {each.name: each for each in monitors}
    for name in names:
        if name not in known:
            raise NotFoundError.named("monitor", name, known)
    return [known[name] for name in names] if names else monitors


def _post(monitor: "Monitor", found: "MonitorRun") -> None:
    """Post what was found; that it failed is told, and no error: the exit code tells of the alert."""
    from asof.errors import UsageError
    from asof.quality.monitors import post

    try:
        url = monitor.url()
        failure = post(url, found) if url else ""
    except UsageError as error:
        failure = error.what
    if failure:
        note(f"monitor {monitor.name}: {failure}")


def _document(found: "MonitorRun") -> Any:  # noqa: ANN401 - JSON
    import msgspec

    return msgspec.to_builtins(found)
