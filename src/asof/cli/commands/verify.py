"""`asof verify`."""

from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.documents import Document
from asof.cli.screen import counted, progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asof.cli.screen import Screen
    from asof.quality.verify import Cause, Difference, Stage, Verification

SHAPE: Document = {
    "view": "departure@1",
    "compared": 6150,
    "equal": 0.9998,
    "defects": 1,
    "instants": 40,
    "keys": 50,
    "rows": 72,
    "statuses": {"PRESENT": 6000, "MISSING": 150},
    "stages": [
        {
            "stage": "replay",
            "compared": 6000,
            "differing": 1,
            "equal": 0.9998,
            "causes": {"defect": 1},
            "skipped": {"retention": 2},
        }
    ],
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

ABOUT = {
    "replay": "history, fed into an online store in memory, at many times",
    "today": "what the store answers online now",
    "served": "logged answers, with history at their commits",
    "hindsight": "logged answers, with what would be said of their times now",
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
@click.option(
    "--logged",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    help="How many answers of the serving log to compare.",
)
def command(store: str, view: str, instants: int, keys: int, logged: int) -> Answer:
    """Prove that online equals history, on your own data.

    History is read into memory, encoded as for the online store, and put into one in memory, newest wins, under a
    moving clock; sampled keys of VIEW (a view or a group) are read and compared with history. So are the store's
    answers now, and those of its serving log. The exit code is 1 if a difference is a defect: if nothing explains it.
    """
    with open_store(store) as opened, progress(f"verifying {view}") as advance:
        found = opened.verify(view, instants=instants, keys=keys, logged=logged, progress=advance)
    return answer(found)


def answer(found: "Verification") -> Answer:
    """Return what a verification found; the exit code is 1 if there are defects."""
    return Answer(_document(found), lambda screen: _show(screen, found), 1 if found.defects else 0)


def _document(found: "Verification") -> dict[str, Any]:
    return {
        "view": found.view,
        "compared": found.compared,
        "equal": found.equal,
        "defects": len(found.defects),
        "instants": found.instants,
        "keys": found.keys,
        "rows": found.rows,
        "statuses": found.statuses,
        "stages": [_stage(stage) for stage in found.stages],
        "differences": [_difference(difference) for difference in found.differences],
    }


def _stage(stage: "Stage") -> dict[str, Any]:
    return {
        "stage": stage.name,
        "compared": stage.compared,
        "differing": stage.differing,
        "equal": stage.equal,
        "causes": dict(stage.causes),
        "skipped": dict(stage.skipped),
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
    from asof.quality.verify import first, share

    rows = [
        (stage.name, ABOUT[stage.name], stage.compared, share(stage.equal), _counts(stage.causes))
        for stage in found.stages
    ]
    screen.table(
        ("stage", "compared with history", "values", "equal", "causes"), rows, right=(False, False, True, True, False)
    )
    screen.line()
    for stage in found.stages:
        for reason, count in stage.skipped.items():
            screen.line(f"{stage.name}: {counted(count, 'answer')} not compared: {reason}")
    shown = first(found.differences)
    for difference in shown:
        screen.line(str(difference))
    if len(shown) < len(found.differences):
        screen.line(f"... and {len(found.differences) - len(shown):,} more: see --json")
    head = f"{found.view}: {found.compared:,} values compared, {counted(len(found.differences), 'difference')}, "
    screen.line(head + counted(len(found.defects), "defect"), style="red" if found.defects else "green")


def _counts(causes: "Mapping[Cause, int]") -> str:
    return ", ".join(f"{count:,} {cause}" for cause, count in causes.items())
