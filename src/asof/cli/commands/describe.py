"""`asof describe`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document

if TYPE_CHECKING:
    from asof.catalog.catalog import Description
    from asof.cli.screen import Screen

SHAPE: Document = {
    "name": "weather@1",
    "kind": "group",
    "facts": {"entity": "airport", "keys": "origin: string", "ttl": "6h"},
    "features": [{"name": "temp", "type": "float64", "unit": "°F", "description": "air temperature"}],
}


@asof_command("describe", shape=SHAPE)
@store_argument
@click.argument("name")
def command(store: str, name: str) -> Answer:
    """Say what there is to know about a group or view."""
    import msgspec

    from asof.catalog.answers import described

    with open_store(store) as opened:
        found = opened.catalog.describe(name)
    return Answer(msgspec.to_builtins(described(found)), lambda screen: _show(screen, found))


def _show(screen: "Screen", described: "Description") -> None:
    screen.line(f"{described.kind} {described.name}", style="bold")
    screen.facts(described.facts)
    screen.line()
    about = "source" if described.kind == "view" else "description"
    screen.table(("feature", "type", "unit", about), described.features)
