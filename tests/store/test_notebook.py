"""What a notebook shows of things: tables, with all text escaped."""

from html.parser import HTMLParser

import pytest

from asof import Check, Entity, Feature, FeatureGroup, FeatureView

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")
EVIL = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """Collects tags, and holds that they are closed."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.open = set(), []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_everything_that_is_shown_is_a_table_or_text_and_escaped(store, clock):
    group = FeatureGroup(
        "weather",
        entity=Entity("airport", keys={"origin": "string"}),
        event_time="at",
        features=[Feature("temp", "float64", description=EVIL), Feature("note", "string")],
        checks=[Check.one_of("note", EVIL, "fine")],
        on_violation="warn",
        description=EVIL,
        online=True,
    )
    view = FeatureView("departure", features=[group["temp"], group["note"]], description=EVIL)
    plan = store.apply(group, view)
    store.write("weather", [{"origin": f"A{n}", "at": clock.now, "temp": 1.0, "note": EVIL} for n in range(12)])
    store.write("weather", [{"origin": "B", "at": clock.now, "temp": 1.0, "note": "<b>"}])
    answered = store.historical("departure", [{"origin": "A1", "time": clock.now}], time="time")
    shown = {
        "group": group,
        "view": view,
        "plan": plan,
        "rows": store.read("weather"),
        "frame": answered,
        "report": answered.report,
        "checks": store.quality.reports("weather")[-1],
        "statistics": store.quality.statistics("weather"),
        "drift": store.quality.drift("weather", baseline="weather:1", current="weather:2"),
        "explanation": store.quality.explain("departure", {"origin": "A1"}),
        "verification": store.verify("departure", instants=2, keys=2),
        "doctor": store.quality.doctor(),
        "description": store.catalog.describe("weather"),
    }
    for name, thing in shown.items():
        page = thing._repr_html_()
        tags = Tags(page).seen
        assert tags <= {"p", "b", "br", "pre", "table", "thead", "tbody", "tr", "th", "td"}, name
        assert tags & {"table", "pre"}, name
    assert "the first 10 of them" in shown["rows"]._repr_html_()
    assert "&lt;script&gt;" in group._repr_html_()
