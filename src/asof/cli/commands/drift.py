"""`asof drift`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from asof.cli.command import Answer, open_store, store_argument
from asof.cli.command import command as asof_command
from asof.cli.files import SUFFIXES, read_table
from asof.cli.lookup import feature_types, find
from asof.cli.quality import DRIFT_SHAPE

if TYPE_CHECKING:
    from asof.cli.screen import Screen
    from asof.statistics import Drift
    from asof.store import Store

SIDE = "SIDE"


@asof_command("drift", shape=DRIFT_SHAPE)
@store_argument
@click.argument("view")
@click.option("--baseline", required=True, metavar=SIDE, help="With what to compare.")
@click.option("--current", required=True, metavar=SIDE, help="What to compare.")
@click.option("--feature", "features", multiple=True, metavar="NAME", help="Only this one; may be repeated.")
@click.option("--by", metavar="COL", help="Compare each segment for itself: rows with the same value of this column.")
@click.option("--alpha", type=float, default=0.01, show_default=True, help="Share of false alarms, of all comparisons.")
@click.option("--psi", type=float, default=0.1, show_default=True, help="Least PSI of a feature that drifted.")
@click.option("--missing", type=float, default=0.05, show_default=True, help="Or least change of its missing share.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    store: str,
    view: str,
    baseline: str,
    current: str,
    features: tuple[str, ...],
    by: str | None,
    alpha: float,
    psi: float,
    missing: float,
) -> Answer:
    """Say which features are of another distribution than they were, and which commits moved them.

    A SIDE is a tag, a commit such as weather:17, commits 4..7, times 2026-01-01T00:00:00Z..2026-02-01T00:00:00Z by
    commit, "last 7d", "previous 7d", "online", "offline", "served", or a data file. The exit code is 1 if one drifted.
    """
    with open_store(store) as opened:
        found = opened.quality.drift(
            view,
            baseline=_side(opened, view, baseline),
            current=_side(opened, view, current),
            features=list(features) or None,
            by=by,
            alpha=alpha,
            psi=psi,
            missing=missing,
        )
    return Answer(found.to_dict(), lambda screen: _show(screen, found), code=1 if found.drifted else 0)


def _side(store: "Store", view: str, text: str) -> Any:  # noqa: ANN401 - what the library takes
    from asof.clock import system_clock
    from asof.quality.drift import side_from

    path = Path(text)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return read_table(path, feature_types(find(store, view)))
    return side_from(text, system_clock())


def _show(screen: "Screen", found: "Drift") -> None:
    screen.line(found.title(), style="red" if found.drifted else "green")
    right = [name not in ("feature", "verdict", "moved by") for name in found.HEADS]
    screen.table(found.HEADS, found.cells(), right=right)
    for remark in found.remarks():
        screen.line(remark, style="dim")
