"""`asof copy`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.moving import Moved

SHAPE: Document = {
    "groups": 3,
    "commits": 72,
    "files": 24,
    "bytes": 1843200,
    "models": 1,
    "healthy": True,
    "findings": [
        {"where": "online", "what": "weather@1 has commits up to 72, 0 is applied", "repaired": True, "todo": ""}
    ],
}


@asof_command("copy", shape=SHAPE)
@click.argument("source")
@click.argument("target")
def command(source: str, target: str) -> Answer:
    """Copy the store in folder SOURCE to the one in folder TARGET.

    The parts may be others: name those of TARGET in its asof.toml (`asof init --bare` makes one); without one it is a
    store in that folder. SOURCE may be used meanwhile. Run it again to go on where it was broken off, or to bring what
    is new. Every byte is compared; the exit code is 1 if something is wrong with TARGET.
    """
    from asof.moving import copy

    return answer_of(copy(source, target, progress=True))


def answer_of(moved: "Moved") -> Answer:
    """Return what was brought to a store, and how that is."""
    carried, found = moved.carried, moved.diagnosis
    document = {
        "groups": carried.groups,
        "commits": carried.commits,
        "files": carried.files,
        "bytes": carried.bytes,
        "models": carried.models,
        "healthy": found.healthy,
        "findings": found.findings,
    }

    def show(screen: "Screen") -> None:
        screen.line(str(carried))
        for line in str(found).split("\n")[:-1]:
            screen.line(line)
        screen.line("all is well" if found.healthy else "not well", style="green" if found.healthy else "red")

    return Answer(document, show, 0 if found.healthy else 1)
