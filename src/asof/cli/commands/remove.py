"""`asof remove`."""

import sys
from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, note, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.screen import counted

if TYPE_CHECKING:
    from asof.store import Store


@asof_command("remove", shape={"name": "weather", "data_deleted": ["weather@1"]})
@store_argument
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(store: str, name: str, yes: bool) -> Answer:  # noqa: FBT001 - click's flag
    """Remove a view, or a group with all its data.

    NAME is one version (weather@1), or all of them (weather). What something else depends on is not removed.
    """
    with open_store(store) as opened:
        opened.catalog.find(name)
        if not yes:
            _ask(opened, name)
        gone = opened.catalog.remove(name)
        log = _log_left(opened, name)
    what = f", and the data of {', '.join(gone)}" if gone else ""
    if log:
        note(f"what it answered online is kept in {log}: `asof remove` that too, or read it")
    return Answer(
        {"name": name, "data_deleted": gone}, lambda screen: screen.line(f"removed {name}{what}", style="green")
    )


def _log_left(store: "Store", name: str) -> str:
    """Return the serving log of a view that is gone; "" if there is none, or a version of the view is still there."""
    from asof.definitions.serving_log import is_log, log_name

    base = name.partition("@")[0]
    log = log_name(base)
    there = any(view.definition.name == base for view in store.catalog.views())
    left = any(group.definition.name == log and is_log(group.definition) for group in store.catalog.groups())
    return log if left and not there else ""


def _ask(store: "Store", name: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError(f"nothing was removed -> pass --yes to remove {name!r} without being asked")
    rows = sum(
        commit.rows
        for group in store.catalog.groups()
        if name in (group.ref, group.definition.name)
        for commit in store.catalog.commits(group.ref)
    )
    data = f" and {counted(rows, 'row')} of history" if rows else ""
    click.confirm(f"Remove {name}{data} for ever?", abort=True, err=True)
