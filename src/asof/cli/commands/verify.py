"""`asof verify`."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.screen import progress

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.quality.verify import Difference, Verification

SHAPE: Document = {
    "view": "departure@1",
    "compared": 6150,
    "instants": 40,
    "keys": 50,
    "rows": 72,
    "statuses": {"PRESENT": 6000, "MISSING": 150},
    "differences": [
        {
            "stage": "replay",
            "clock": "2026-01-01T12:00:00Z",
            "keys": {"origin": "JFK"},
            "feature": "temp",
            "online": {"value": 61.0, "status": "PRESENT"},
            "history": {"value": 60.0, "status": "PRESENT"},
            "cause": "defect",
        }
    ],
}


@asof_command("verify", shape=SHAPE)
@store_argument
@click.argument("view")
@click.option(
    "--instants", type=click.IntRange(min=1), default=40, show_default=True, help="At how many times to stand."
)
@click.option(
    "--keys", type=click.IntRange(min=1), default=50, show_default=True, help="How many keys to read at each."
)
def command(store: str, view: str, instants: int, keys: int) -> Answer:
    """Prove that online equals history, on your own data.

    History is fed through the real way of writing into a fresh online store under a moving clock; sampled keys of
    VIEW (a view or a group) are read and compared with history. The exit code is 1 if there are differences.
    """
    with open_store(store) as opened, progress(f"verifying {view}") as advance:
        found = opened.verify(view, instants=instants, keys=keys, progress=advance)
    return answer(found)


def answer(found: "Verification") -> Answer:
    """Return what a verification found; the exit code is 1 if there are differences."""
    return Answer(_document(found), lambda screen: _show(screen, found), 1 if found.differences else 0)


def _document(found: "Verification") -> dict[str, Any]:
    return {
        "view": found.view,
        "compared": found.compared,
        "instants": found.instants,
        "keys": found.keys,
        "rows": found.rows,
        "statuses": found.statuses,
        "differences": [_difference(difference) for difference in found.differences],
    }


def _difference(difference: "Difference") -> dict[str, Any]:
    from asof.clock import show_us

    return {
        "stage": difference.stage,
        "clock": show_us(difference.clock_us),
        "keys": difference.keys,
        "feature": difference.feature,
        "online": dict(zip(("value", "status"), difference.online, strict=True)),
        "history": dict(zip(("value", "status"), difference.history, strict=True)),
        "cause": difference.cause,
    }


def _show(screen: "Screen", found: "Verification") -> None:
    head, *rest = str(found).split("\n")
    screen.line(head, style="red" if found.differences else "green")
    for line in rest:
        screen.line(line)
