"""The pages of models: versions, what they read, and how good they were over time."""

from datetime import timedelta
from itertools import product

import pytest
from sklearn.linear_model import LinearRegression
from tests.ui.conftest import Ui
from tests.ui.test_browser import CONTRAST, UNNAMED, screenshot, url

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.clock import system_clock

HOUR = timedelta(hours=1)
NOW = system_clock().replace(minute=0, second=0, microsecond=0)


def made(folder):
    """Make a store with two versions of a model, which predicted for ten days; return its folder."""
    moment = [NOW - timedelta(days=12)]
    airport = Entity("airport", keys={"origin": "string"})
    features = [Feature("temp", "float64"), Feature("wind", "float64")]
    weather = FeatureGroup("weather", entity=airport, event_time="at", features=features, online=True)
    arrivals = FeatureGroup("arrivals", entity=airport, event_time="at", features=[Feature("delay", "float64")])
    view = FeatureView("departure", features=[weather])
    with asof.open(folder, clock=lambda: moment[0]) as store:
        store.apply(weather, arrivals, view)
        begin = moment[0] - timedelta(days=3)
        hours = [begin + number * HOUR for number in range(72)]
        rows = [{"origin": "JFK", "at": at, "temp": float(n % 24), "wind": float(n % 7)} for n, at in enumerate(hours)]
        store.backfill("weather", rows)
        store.backfill(
            "arrivals", [{"origin": "JFK", "at": at + HOUR / 2, "delay": 2.0 * (n % 24)} for n, at in enumerate(hours)]
        )
        spine = [{"origin": "JFK", "at": at + HOUR / 4} for at in hours[:60]]
        label = arrivals["delay"].after("2h")
        made = store.training_set("departure-2026", view="departure", spine=spine, time="at", label=label)
        x, y = made.xy()
        first = store.models.register("delays", LinearRegression().fit(x, y), training_set=made, log=1.0,
                                      metrics={"mae": 3.5}, description="minutes <b>late</b>", stage="production")  # fmt: skip
        store.models.register("delays", LinearRegression(fit_intercept=False).fit(x, y), training_set=made, log=1.0)
        store.models.register("quiet", LinearRegression().fit(x, y), training_set=made)
        assert first.ref == "delays@1"
        predictors = [store.models.load("delays@1"), store.models.load("delays@2")]
        for number in range(60):
            moment[0] += 4 * HOUR
            store.write("weather", [{"origin": "JFK", "at": moment[0], "temp": float(number % 24), "wind": 1.0}])
            for predictor in predictors[: 1 if number < 20 else 2]:
                predictor.predict_one({"origin": "JFK"})
            moment[0] += HOUR / 2
            if number % 5:
                store.write(
                    "arrivals", [{"origin": "JFK", "at": moment[0], "delay": 2.0 * (number % 24) + number / 10}]
                )
            moment[0] -= HOUR / 2
    return folder


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    ui = Ui(made(tmp_path_factory.mktemp("models") / "store"))
    yield ui
    ui.stop()


def test_models_are_listed_with_the_version_in_production(pages):
    page = pages.get("/models")[1]
    assert 'href="/models/delays"' in page
    assert 'href="/models/quiet"' in page
    assert "production" in page
    assert 'href="/views/departure"' in page
    assert "minutes &lt;b&gt;late" in page


def test_the_page_of_a_model_says_what_each_version_was_fitted_on_and_takes(pages):
    page = pages.get("/models/delays")[1]
    for text in ("delays@1", "delays@2", "departure-2026@1", "mae 3.5", "prediction", "temp", "100%"):
        assert text in page
    assert 'href="/groups/departure_2026_v1"' in page
    assert 'href="/models/delays/quality"' in page
    assert "quality" not in pages.get("/models/quiet")[1]
    assert pages.get("/models/quiet/quality")[0] == 404
    assert pages.get("/models/nothing")[0] == 404


def test_quality_over_time_is_a_line_for_each_version_with_a_table(pages):
    page = pages.get("/models/delays/quality")[1]
    for text in (
        "predictions",
        "mae over time, of each version",
        'class="series-1"',
        "arrivals.delay after 2h, known until",
    ):
        assert text in page
    assert page.count("<tr>") > 10
    hourly = pages.get("/models/delays/quality?every=1h")[1]
    assert hourly.count('class="bar"') > page.count('class="bar"')
    assert pages.get("/models/delays/quality?every=1us")[0] == 200


def test_a_view_lists_the_models_that_read_it_and_lineage_leads_to_them(pages):
    assert 'href="/models/delays"' in pages.get("/views/departure")[1]
    for of in ("weather", "departure", "delays", "departure_2026_v1", "delays_predictions"):
        status, page, _ = pages.get(f"/lineage/{of}")
        assert status == 200
        assert "model delays@2" in page
        assert "group weather@1" in page
    assert "log delays_predictions@1" in pages.get("/lineage/delays")[1]


@pytest.mark.slow
def test_the_pages_of_models_are_legible_wide_and_narrow_light_and_dark(tab, pages):
    page = tab()
    for path in ("/models", "/models/delays", "/models/delays/quality", "/lineage/delays", "/views/departure"):
        page.goto(url(pages, path))
        assert page.evaluate(UNNAMED) == [], path
        for width, scheme in product((1280, 400), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            assert page.evaluate(CONTRAST) == [], (path, scheme)
            screenshot(page, f"models{path.replace('/', '-')}-{width}-{scheme}")
