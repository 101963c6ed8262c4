"""The pages in a real browser: each loads without an error, is legible, and can be used by mouse, keyboard and script."""

import re
from html import unescape
from itertools import product

import pytest
from tests.server.conftest import Server
from tests.ui.conftest import SCREENSHOTS, made
from tests.ui.test_http import LARGE, PAGES

pytestmark = pytest.mark.slow

DEMO = (
    "/",
    "/groups",
    "/groups/weather",
    "/groups/arrivals",
    "/groups/arrivals/data",
    "/groups/arrivals/commits",
    "/groups/weather/statistics",
    "/groups/arrivals/statistics?feature=arr_delay&over=commits",
    "/groups/weather/checks",
    "/groups/weather/data?at=2013-07-01T12:00",
    "/groups/carrier_arrivals",
    "/groups/carrier_arrivals/lookup?key.carrier=AA&at=2013-12-29T12:00&why=carrier_arrivals/count_6h",
    "/views/departure",
    "/views/departure_live/lookup?key.origin=JFK&key.dest=LAX&key.tailnum=N336AA&key.carrier=AA&at=2013-12-29T12:00",
    "/views/departure/proof?run=1",
    "/entities/airport?key.origin=JFK",
    "/lineage",
    "/jobs",
    "/audit",
    "/search?q=delay",
)

CONTRAST = """() => {
  const seen = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const color = seen(getComputedStyle(each).backgroundColor);
      if (color.length < 4 || color[3] > 0.99) return color;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("title")) continue;
    const style = getComputedStyle(element), drawn = element instanceof SVGElement;
    const box = drawn && element.parentElement.querySelector("rect");
    const back = box && element.closest(".node") ? seen(getComputedStyle(box).fill) : behind(element);
    const [a, b] = [light(seen(drawn ? style.fill : style.color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""

UNNAMED = """() => [...document.querySelectorAll("input:not([type=hidden]), select, button, a, svg[role=img], [role=region]")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.labels && each.labels.length && each.labels[0].textContent.trim()))
  .filter((each) => !each.getAttribute("aria-label") && !each.textContent.trim())
  .map((each) => each.outerHTML.slice(0, 120))"""


def url(server, path):
    return f"http://127.0.0.1:{server.port}{path}"


def screenshot(page, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def named(path):
    return re.sub(r"[^a-z0-9_]+", "-", path.partition("?")[0]).strip("-") or "home"


@pytest.mark.parametrize(("store", "paths"), [("demo", DEMO), ("small", PAGES), ("large", LARGE)])
def test_each_page_loads_and_is_legible_wide_and_narrow_light_and_dark(tab, request, store, paths):
    server, page = request.getfixturevalue(store), tab()
    for path in paths:
        if path.startswith(("/docs", "/search/hits")):  # not of the pages, and a piece of one
            continue
        page.goto(url(server, path))
        assert page.title().endswith("store"), path
        assert page.evaluate(UNNAMED) == [], path
        for width, scheme in product((1280, 400), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
            assert page.evaluate(CONTRAST) == [], (path, scheme)
            if store == "demo":
                screenshot(page, f"{named(path)}-{width}-{scheme}")


@pytest.mark.parametrize(("store", "begin"), [("small", "/"), ("demo", "/groups/arrivals")])
def test_links_hold(request, store, begin):
    server = request.getfixturevalue(store)
    todo, known = [begin], {}
    while todo and len(known) < 400:
        path = todo.pop(0)
        status, text, _ = server.get(path)
        known[path] = (status, text)
        assert status == 200, path
        for link in map(unescape, re.findall(r'<a [^>]*href="([^"]+)"', text if isinstance(text, str) else "")):
            whole = f"{path.partition('?')[0]}{link}" if link.startswith(("?", "#")) else link
            target, _, fragment = whole.partition("#")
            if fragment and target == path:
                assert f'id="{fragment}"' in text, whole
            if target not in known and target not in todo and ".sort=" not in target:
                todo.append(target)
    assert len(known) > 30


def test_search_finds_while_somebody_types(tab, large):
    page = tab()
    page.goto(url(large, "/groups"))
    page.keyboard.press("/")
    page.keyboard.type("figure 7 of process 123")
    hit = page.locator(".hits a").first
    hit.wait_for()
    assert "group_123.f123_7" in hit.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/groups/group_123#feature-f123_7")
    assert page.locator("#feature-f123_7").is_visible()


def test_search_closes_and_says_if_there_is_nothing(tab, large):
    page = tab()
    page.goto(url(large, "/"))
    page.fill(".search input", "no such thing")
    page.get_by_text("Nothing found.").wait_for()
    page.focus(".search input")
    page.keyboard.press("Escape")
    assert not page.locator(".hits").is_visible()


def test_the_console_looks_up_and_explains(tab, small):
    page = tab()
    page.goto(url(small, "/views/risk/lookup"))
    page.get_by_label("customer_id").fill("7")
    page.keyboard.press("Enter")
    row = page.locator("tr", has_text="orders")
    assert "PRESENT" in row.inner_text()
    row.get_by_text("why?").click()
    page.locator("#why").wait_for()
    assert "orders of 7 at" in page.locator("#why").inner_text()
    assert "key.customer_id=7" in page.url


def test_data_as_of_a_time_have_an_address(tab, demo):
    page = tab()
    page.goto(url(demo, "/groups/weather/data"))
    page.locator("[name=at]").fill("2013-07-01T12:00")
    page.get_by_text("Show").click()
    page.wait_for_url("**/data?at=2013-07-01T12*")
    assert "2013-07-01 12:00:00 UTC" in page.locator("tbody").inner_text()
    again = tab()
    again.goto(page.url)
    assert again.locator("tbody").inner_text() == page.locator("tbody").inner_text()
    assert again.locator("[name=at]").input_value().startswith("2013-07-01T12:00")


def test_tables_sort_in_place_and_lineage_can_be_clicked(tab, demo):
    page = tab()
    page.goto(url(demo, "/groups"))
    page.locator("th", has_text="rows").click()
    numbers = [int(text.replace(",", "")) for text in page.locator("td:nth-child(4)").all_inner_texts() if text.strip()]
    assert numbers == sorted(numbers)
    page.locator("th", has_text="rows").click()
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("rows")
    assert "sort" not in page.url
    page.goto(url(demo, "/lineage"))
    page.locator("svg.graph a", has_text="weather@1").click()
    page.wait_for_url("**/groups/weather")


def test_marks_of_charts_say_their_values(tab, demo):
    page = tab()
    page.goto(url(demo, "/groups/arrivals"))
    assert page.locator(".chart .mark title").first.text_content().startswith("arrivals@1:1: 81,617 rows")
    assert page.locator(".chart .unit").all_text_contents() == ["rows by commit", "hours behind its events"]


def test_all_works_without_scripts(tab, small):
    page = tab(java_script_enabled=False)
    page.goto(url(small, "/"))
    page.fill(".search input", "returned")
    page.keyboard.press("Enter")
    page.locator("td", has_text="spending.returned").locator("a").click()
    page.goto(url(small, "/groups"))
    page.get_by_role("link", name="rows", exact=True).click()
    assert "groups.sort=rows" in page.url
    assert page.locator(".copy").count() == page.locator(".copy[hidden]").count()


def test_pages_are_used_by_keyboard(tab, small):
    page = tab()
    page.goto(url(small, "/groups/spending"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.textContent.trim()"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    assert {"Data", "Look up", "Commits", "Versions", "Copy", "Python"} <= reached


def test_a_snippet_is_copied(tab, small):
    page = tab(permissions=["clipboard-read", "clipboard-write"])
    page.goto(url(small, "/groups/spending"))
    page.get_by_role("button", name="Copy").first.click()
    page.get_by_text("Copied").wait_for()
    assert 'store.online("spending", {"customer_id": 1})' in page.evaluate("navigator.clipboard.readText()")


def test_dark_or_light_is_remembered(tab, small):
    page = tab(color_scheme="light")
    page.goto(url(small, "/"))
    page.get_by_label("Dark or light").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto(url(small, "/groups"))
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark != "rgb(255, 255, 255)"


def test_markup_of_a_store_is_never_run(tab, small):
    page = tab()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    for path in PAGES:
        if path != "/search/hits?q=orders":  # a piece of a page
            page.goto(url(small, path))
    page.goto(url(small, "/"))
    page.fill(".search input", "alert")
    page.locator(".hits a").first.wait_for()
    page.hover(".hits a >> nth=0")
    assert page.locator(".hits script, .hits b[onmouseover]").count() == 0


@pytest.mark.parametrize("role", ["admin", "reader"])
def test_somebody_signs_in(tab, tmp_path, role):
    import asof

    folder = made(tmp_path / "store")
    with asof.open(folder) as store:
        token = store.keys.add("ana", {"*": role}).token
    server = Server(folder, ["--no-flight"])
    try:
        page = tab()
        page.goto(url(server, "/sign-in?next=/groups/spending"))
        page.get_by_label("Key").fill(token)
        page.keyboard.press("Enter")
        page.wait_for_url(url(server, "/groups/spending"))
        assert page.evaluate("document.cookie") == ""
        assert (page.get_by_role("link", name="Audit").count() == 1) == (role == "admin")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
    finally:
        server.stop()
