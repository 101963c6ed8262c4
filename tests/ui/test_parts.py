"""What pages are made of: charts, graphs, tables, and how numbers and times are written."""

import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asof.ui import shown
from asof.ui.charts import HEIGHT, WIDTH, Bar, Point, bars, line, sparkline
from asof.ui.graph import HIGH, WIDE, Graph, Node, drawn
from asof.ui.tables import Cell, Column, table_of

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
COLUMNS = [
    Column("name", "name", lambda each: Cell(each[0], each[0] or None)),
    Column("size", "size", lambda each: Cell(str(each[1]), each[1]), numeric=True),
]


def parsed(picture):
    return ET.fromstring(str(picture).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def inside(picture):
    """Return whether all that is drawn lies in the box of a picture."""
    root = parsed(picture)
    width, height = map(float, root.get("viewBox").split()[2:])
    for each in root.iter():
        for name, most in (("x", width), ("y", height), ("x1", width), ("y1", height), ("cx", width), ("cy", height)):
            if each.get(name) is not None:
                assert -0.1 <= float(each.get(name)) <= most + 0.1, ET.tostring(each)
    return True


@given(st.lists(st.floats(0, 1e12), max_size=80))
@example([5e-324])
def test_any_bars_lie_in_their_box(heights):
    assert inside(bars([Bar(str(at), height) for at, height in enumerate(heights)], unit="rows", about="rows"))


@given(
    st.lists(st.tuples(st.integers(0, 4_000_000_000_000_000), st.none() | NUMBERS), max_size=60), st.none() | NUMBERS
)
def test_any_line_lies_in_its_box(points, level):
    points = [Point(at_us, value) for at_us, value in sorted(points, key=lambda each: each[0])]
    assert inside(line(points, unit="rows", about="rows", level=level, named="limit"))


@given(st.lists(st.floats(0, 1e12), max_size=60))
def test_any_sparkline_is_a_picture(values):
    parsed(sparkline(values, about="rows"))


def test_bars_have_axes_with_units_and_say_their_values():
    root = parsed(
        bars([Bar("mon", 40.0), Bar("tue", 95_000.0, "tue: many"), Bar("wed", 0)], unit="rows <by> day", about="&")
    )
    texts = ["".join(each.itertext()) for each in root if each.tag.endswith("text")]
    assert texts == ["rows <by> day", "0", "50k", "100k", "mon", "tue", "wed"]
    assert [each.text for each in root.iter() if each.tag.endswith("title")] == [
        "mon: 40 rows <by> day",
        "tue: many",
        "wed: 0 rows <by> day",
    ]
    assert root.get("aria-label") == "&"
    assert tuple(map(int, root.get("viewBox").split()[2:])) == (WIDTH, HEIGHT)


NAMES = st.sampled_from("abcdefgh")


@given(st.sets(st.tuples(NAMES, NAMES).filter(lambda edge: edge[0] < edge[1]), max_size=20))
def test_any_graph_is_laid_out_so_that_edges_go_right_and_boxes_do_not_overlap(edges):
    nodes = {name: Node(name, "group", f"/groups/{name}") for name in "abcdefgh"}
    picture = drawn(Graph(nodes, frozenset(edges)), "a")
    assert inside(picture)
    root = parsed(picture)
    places = {}
    for link in (each for each in root if each.tag.endswith("}a")):
        box = next(each for each in link.iter() if each.tag.endswith("rect"))
        places[link.get("aria-label").split()[1]] = (int(box.get("x")), int(box.get("y")))
    assert places.keys() == nodes.keys()
    assert all(places[start][0] < places[end][0] for start, end in edges)
    corners = sorted(places.values())
    for at, (x, y) in enumerate(corners):
        for other_x, other_y in corners[at + 1 :]:
            assert abs(x - other_x) >= WIDE or abs(y - other_y) >= HIGH


def test_a_graph_with_a_circle_is_drawn_all_the_same():
    nodes = {name: Node(name, "view") for name in "ab"}
    parsed(drawn(Graph(nodes, frozenset({("a", "b"), ("b", "a")}))))


def test_around_is_what_leads_there_and_what_comes_of_it():
    nodes = {name: Node(name, "group") for name in "abcdx"}
    graph = Graph(nodes, frozenset({("a", "b"), ("b", "c"), ("a", "d"), ("x", "d")}))
    assert set(graph.around("b").nodes) == {"a", "b", "c"}
    assert set(graph.around("d").nodes) == {"a", "d", "x"}


@given(st.lists(st.tuples(st.text(max_size=3), st.none() | st.integers(-5, 5)), max_size=30), st.booleans())
def test_a_table_is_ordered_as_asked_and_what_has_no_key_comes_last(rows, backwards):
    query = {"t.sort": "-size" if backwards else "size"}
    table = table_of(rows, COLUMNS, id_="t", caption="t", query=query, page_rows=100)
    keys = [row[1].key for row in table.rows]
    known = [key for key in keys if key is not None]
    assert known == sorted(known, reverse=backwards)
    assert keys[: len(known)] == known


def test_pages_of_a_table_hold_each_row_once():
    rows = [(f"n{number:03}", number) for number in range(120)]
    found = []
    for page in range(1, 4):
        table = table_of(rows, COLUMNS, id_="t", caption="t", query={"t.page": str(page), "q": "<x>"}, page_rows=50)
        found += [row[1].key for row in table.rows]
        assert all("q=%3Cx%3E" in href for _, href in table.links if href)
    assert found == list(range(120))
    assert (table.pages, table.whole, table.links[1]) == (3, False, ("next", ""))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (0.0005, "0.5 ms"), (1, "1 s"), (90, "1.5 min"), (7200, "2 h"), (86_400 * 12, "12 d"), (4e8, "13 y")],
)
def test_a_length_of_time_is_said_by_its_largest_unit(seconds, said):
    assert shown.span(seconds) == said


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "null"),
        (True, "true"),
        (1.0, "1.0"),
        (float("nan"), "nan"),
        (b"\x00\xff", "0x00ff"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02 03:04:05.000006 UTC"),
        ("x" * 500, "x" * 159 + "…"),
        ([1, None], "[1, None]"),
    ],
)
def test_a_value_is_a_line(given, said):
    assert shown.value(given) == said


@pytest.mark.parametrize("number", [0, 1, 999.4, 9_999, 12_345, 1e6, 7.5e9, -20_000, 1e-9])
def test_numbers_at_axes_are_short(number):
    assert len(shown.short(number)) <= 7


def test_without_its_packages_the_command_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['jinja2'] = None; import asof.cli; sys.argv = ['asof', 'ui', '.']; asof.cli.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert re.search(r"'jinja2' is not installed.*asof\[ui\]", done.stderr.replace("\n", " "))
