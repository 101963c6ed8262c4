"""A comparison for people: lines of text, cells of a table, a page of HTML."""

from html import escape
from typing import TYPE_CHECKING

from asof.statistics.measures import MeasureName
from asof.statistics.shown import WIDEST

if TYPE_CHECKING:
    from asof.statistics.drift import Drift, FeatureDrift

HEADS = ("feature", "verdict", "psi", "js", "ks", "wasserstein", "mean", "missing", "p", "rows", "moved by")
DISTANCES: tuple[MeasureName, ...] = ("psi", "js", "ks", "wasserstein")
RIGHT = [name in HEADS[2:10] for name in HEADS]


def title(found: "Drift") -> str:
    """Return what was compared, and what came of it, as a sentence."""
    every, many = len(found.features), len(found.drifted)
    what = "feature" if not found.by else f"feature by {found.by}"
    named = what if every == 1 else what.replace("feature", "features", 1)
    return f"{found.of}: {many} of {every} {named} drifted, {found.current} compared with {found.baseline}"


def cells(found: "FeatureDrift") -> list[str]:
    """Return the cells of a feature, as `HEADS` names them."""
    about = {name: "~" for name, each in found.measures.items() if each.source != "exact"}
    numbers = [_number(found.value(name), about.get(name, "")) for name in DISTANCES]
    moved = found.value("missing")
    return [
        found.name if len(found.name) <= 2 * WIDEST else found.name[: 2 * WIDEST - 3] + "...",
        found.verdict,
        *numbers,
        _signed(found.value("mean")),
        "" if moved is None else f"{moved:+.1%}" if moved else "",
        _chance(found.p),
        f"{found.baseline_rows:,} / {found.current_rows:,}",
        ", ".join(each.id for each in found.moved_by),
    ]


def notes(found: "Drift") -> list[str]:
    """Return what the reader must know, and why features drifted."""
    limits = found.limits
    rule = (
        f"drifted: p, corrected for all features, is {limits.alpha:g} or less, and psi {limits.psi:g} or more,"
        f" or missing moved by {limits.missing:.0%} or more"
    )
    about = any(each.source != "exact" for one in found.features for each in one.measures.values())
    sketched = ["~ within the bounds of sketches, which p takes off first"] if about else []
    return [*map(str, found.drifted), rule, *sketched, *found.notes]


def text(found: "Drift") -> str:
    """Return a comparison as text, a line a feature."""
    rows = [list(HEADS), *map(cells, found.features)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([title(found), *lines, *notes(found)])


def html(found: "Drift") -> str:
    """Return a comparison as HTML."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADS)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(each)) + "</tr>" for each in found.features
    )
    told = "".join(f"<p>{escape(note)}</p>" for note in notes(found))
    return (
        f"<p><b>{escape(title(found))}</b></p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{told}"
    )


def _number(value: float | None, about: str) -> str:
    return "" if value is None else f"{about}{value:.3g}" if value >= 0.0005 else "0"  # noqa: PLR2004 - nobody reads on


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _chance(p: float | None) -> str:
    return "" if p is None else "<1e-9" if p < 1e-9 else f"{p:.2g}"  # noqa: PLR2004 - as good as never
