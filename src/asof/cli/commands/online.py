"""`asof online`."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, pairs, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.lookup import asked_values, find

if TYPE_CHECKING:
    from asof.serving.online import Vector

SHAPE: Document = {
    "view": "departure@1",
    "keys": {"origin": "JFK"},
    "clock": "2026-01-01T12:00:00Z",
    "values": {"temp": 61.0, "visib": None},
    "statuses": {"temp": "PRESENT", "visib": "NULL"},
    "event_times": {"temp": "2026-01-01T11:00:00Z", "visib": "2026-01-01T11:00:00Z"},
    "commits": {"weather@1": 17},
}


@asof_command("online", shape=SHAPE)
@store_argument
@click.argument("view")
@click.argument("keys", nargs=-1, required=True, metavar="KEY=VALUE...")
def command(store: str, view: str, keys: tuple[str, ...]) -> Answer:
    """Show the newest values of one key.

    VIEW is a view or a group, or features of several: weather:temp,planes:seats. KEY=VALUE for each of its keys, and
    for what it wants of a request; a time is written as 2026-01-01T12:00:00Z, nothing after the `=` is null.
    """
    given = pairs(keys, what="key")
    with open_store(store) as opened:
        asked, request = asked_values(find(opened, view), given)
        vector = opened.online(view, asked, request=request)
    names = list(vector.values)
    rows = [[name, vector.values[name], vector.statuses[name], vector.event_times[name]] for name in names]
    return Answer(
        _document(vector),
        lambda screen: screen.table(["feature", "value", "status", "event time"], [_texts(r) for r in rows]),
    )


def _document(vector: "Vector") -> dict[str, Any]:
    receipt = vector.receipt
    return {
        "view": receipt.view,
        "keys": receipt.keys,
        "clock": receipt.clock,
        "values": vector.values,
        "statuses": vector.statuses,
        "event_times": vector.event_times,
        "commits": receipt.commits,
    }


def _texts(row: list[Any]) -> list[Any]:
    name, value, status, moment = row
    return [name, "null" if value is None else str(value), status, moment]
