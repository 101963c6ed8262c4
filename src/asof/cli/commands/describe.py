"""`asof describe`."""

from typing import TYPE_CHECKING

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.lookup import find

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
    with open_store(store) as opened:
        find(opened, name)
        described = opened.catalog.describe(name)
    features = [
        dict(zip(("name", "type", "unit", "description"), feature, strict=True)) for feature in described.features
    ]
    document = {"name": described.name, "kind": described.kind, "facts": dict(described.facts), "features": features}
    return Answer(document, lambda screen: _show(screen, described))


def _show(screen: "Screen", described: "Description") -> None:
    screen.line(f"{described.kind} {described.name}", style="bold")
    screen.facts(described.facts)
    screen.line()
    about = "source" if described.kind == "view" else "description"
    screen.table(("feature", "type", "unit", about), described.features)
