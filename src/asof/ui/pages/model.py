"""Models: the list of them, and the page of each: its versions, and how good they were over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asof.clock import from_us, show_us, to_us
from asof.errors import NotFoundError
from asof.models.quality import ModelQuality, QualityRow
from asof.training.model import Model, told
from asof.ui.charts import DAY_US, Bar, Point, bars, lines
from asof.ui.links import cell_of_ref, model_page
from asof.ui.model_table import stage_cell, versions_table
from asof.ui.page import OVERVIEW, Asked, Page
from asof.ui.shown import moment
from asof.ui.tables import Cell, Column, Table, number, plain, prose, table_of

QUALITY = "quality"

PERIODS: Mapping[str, int] = {"1h": 7, "1d": 90, "1w": 730}
"""How many days are shown for each length of time."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page: its heading, and the file of its template."""

    title: str
    template: str


def models(asked: Asked) -> Page:
    """Return the list of models: of each the version in production, or else the newest live one."""
    every = asked.sight.models(asked.seen)
    by_name = {name: [each for each in every if each.name == name] for name in dict.fromkeys(m.name for m in every)}
    shown = [(_chosen(versions), len(versions)) for versions in by_name.values()]
    columns: list[Column[tuple[Model, int]]] = [
        Column("name", "name", lambda each: plain(each[0].name, model_page(each[0].name))),
        Column("version", "version", lambda each: number(each[0].version), numeric=True),
        Column("stage", "stage", lambda each: stage_cell(each[0])),
        Column("versions", "versions", lambda each: number(each[1]), numeric=True),
        Column("view", "view", lambda each: cell_of_ref(each[0].view, asked.seen)),
        Column("metrics", "metrics", lambda each: prose(told(each[0].metrics))),
        Column("about", "description", lambda each: prose(each[0].said.description)),
    ]
    table = table_of(shown, columns, id_="models", caption="Models", query=asked.query)
    return Page("list.html", "Models", {"table": table, "only": "", "of": "models"})


def model(asked: Asked, tab: str = OVERVIEW) -> Page:
    """Return the page of a model, or how good it was."""
    name, tab = asked.path["name"].partition("@")[0], asked.path.get("tab", tab)
    every = asked.sight.models(asked.seen)
    versions = [each for each in every if each.name == name]
    if not versions:
        raise NotFoundError.named("model", name, {each.name for each in every})
    tabs = [OVERVIEW, *([QUALITY] if any(each.said.log for each in versions) else [])]
    if tab not in tabs:
        raise NotFoundError.named("tab", tab, [each for each in tabs if each], where=f"model {name}")
    chosen = _chosen(versions)
    sections = _overview(asked, versions, chosen) if tab == OVERVIEW else _over_time(asked, versions)
    data = {
        "kind": "model",
        "about": chosen.said,
        "ref": name,
        "url": model_page(name),
        "tab": tab,
        "tabs": tabs,
        "sections": sections,
    }
    return Page("subject.html", name, data)


def _overview(asked: Asked, versions: Sequence[Model], chosen: Model) -> list[tuple[Part, Mapping[str, Any]]]:
    """Return the versions, and what one of them takes and gives."""
    sides = [("takes", *each) for each in chosen.said.inputs] + [("gives", *each) for each in chosen.said.outputs]
    columns: list[Column[tuple[str, str, str]]] = [
        Column("name", "name", lambda each: Cell(each[1], each[1], tone="code")),
        Column("side", "it", lambda each: plain(each[0])),
        Column("type", "type", lambda each: plain(each[2])),
    ]
    table = table_of(sides, columns, id_="columns", caption="Inputs and outputs", query=asked.query)
    facts = [(what, [prose(how)]) for what, how in chosen.facts() if what not in ("view", "gives", "metrics", "stage")]
    return [
        (Part("Versions", "sections/table.html"), {"table": versions_table(asked, versions), "anchors": ()}),
        (Part(f"Inputs and outputs of {chosen.ref}", "sections/table.html"), {"table": table, "anchors": ()}),
        (Part(f"Facts of {chosen.ref}", "sections/facts.html"), {"facts": facts, "figures": (), "why": ""}),
    ]


def _over_time(asked: Asked, versions: Sequence[Model]) -> list[tuple[Part, Mapping[str, Any]]]:
    """Return how many predictions there were, and how good they were, of each version that is seen."""
    every = asked.query.get("every", "1d")
    every = every if every in PERIODS else "1d"
    data: dict[str, Any] = {"url": model_page(versions[0].name), "every": every, "periods": list(PERIODS), "notes": ()}
    data |= {"problem": "", "charts": (), "table": None}
    hidden = asked.sight.labels(versions) - asked.seen.refs.keys()
    if hidden:
        data["problem"] = "What became of the predictions is in a group that you may not read."
        return [(Part("Quality over time", "sections/quality.html"), data)]
    start = from_us(asked.sight.now_us) - timedelta(days=PERIODS[every])
    found = asked.sight.model_quality(versions, every=every, start=start)
    data["notes"] = [f"predictions after {show_us(to_us(start))}", *found.notes]
    if found.rows:
        data["charts"] = [_volume(found), *(_measure(found, each) for each in found.measures)]
        data["table"] = _table(asked, found)
    return [(Part("Quality over time", "sections/quality.html"), data)]


def _volume(found: ModelQuality) -> Any:  # noqa: ANN401 - markup
    starts = sorted({row.start_us for row in found.rows})
    counts = {start: [row for row in found.rows if row.start_us == start] for start in starts}
    each = [
        Bar(_named(start, found.every_us), sum(row.predictions for row in rows), _hover(start, rows))
        for start, rows in counts.items()
    ]
    return bars(each, unit="predictions", about="Predictions that were logged")


def _hover(start_us: int, rows: Sequence[QualityRow]) -> str:
    of = ", ".join(f"{row.model} {row.predictions:,}" for row in rows)
    return f"after {moment(start_us)}: {of}"


def _named(at_us: int, every_us: int) -> str:
    at = from_us(at_us)
    return at.strftime("%Y-%m-%d") if every_us >= DAY_US else at.strftime("%d %b %H:%M")


def _measure(found: ModelQuality, name: str) -> Any:  # noqa: ANN401 - markup
    series: dict[str, list[Point]] = {}
    for row in found.rows:
        if row.outcomes:
            series.setdefault(row.model, []).append(Point(row.start_us, row.measures.get(name)))
    return lines(series, unit=name, about=f"{name} over time, of each version")


def _table(asked: Asked, found: ModelQuality) -> Table:
    columns: list[Column[QualityRow]] = [
        Column("model", "model", lambda row: Cell(row.model, row.model)),
        Column("after", "after", lambda row: Cell(show_us(row.start_us), row.start_us)),
        Column("predictions", "predictions", lambda row: number(row.predictions), numeric=True),
        Column("outcomes", "outcomes", lambda row: number(row.outcomes), numeric=True),
        Column("pending", "pending", lambda row: number(row.pending), numeric=True),
        Column("missing", "missing", lambda row: number(row.missing), numeric=True),
        *(_column(name) for name in found.measures),
    ]
    rows = sorted(found.rows, key=lambda row: (-row.start_us, row.model))
    return table_of(rows, columns, id_="quality", caption="Quality over time", query=asked.query)


def _column(name: str) -> Column[QualityRow]:
    def cell(row: QualityRow) -> Cell:
        value = row.measures.get(name)
        return Cell("" if value is None else f"{value:.4g}", value)

    return Column(name, name, cell, numeric=True)


def _chosen(versions: Sequence[Model]) -> Model:
    """Return the version in production, or else the newest live one, or else the newest."""
    produced = [each for each in versions if each.stage == "production"]
    return (produced or [each for each in versions if each.live] or list(versions))[-1]
