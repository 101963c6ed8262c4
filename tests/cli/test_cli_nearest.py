"""`asof nearest`."""

import json
from datetime import UTC, datetime

import pytest

import asof
from asof import Entity, Feature, FeatureGroup
from asof.cli.app import app

GROUP = FeatureGroup(
    "products",
    entity=Entity("product", keys={"id": "int64"}),
    event_time="at",
    features=[Feature("e", "vector<float32, 2>"), Feature("category", "string")],
    online=True,
)
AT = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def filled(project):
    with asof.open(project.store) as store:
        store.apply(GROUP)
        rows = [{"id": n, "at": AT, "e": [1.0, n / 4], "category": "ab"[n % 2]} for n in range(4)]
        store.backfill("products", [*rows, {"id": 9, "at": AT, "e": None, "category": "a"}])
    return project


def test_the_nearest_are_shown_and_printed_as_documented(filled, typed, document):
    found = document("nearest", filled.store, "products", "e", "[1.0, 0.0]", "--k", "2")
    assert found.keys() == app.get_command(None, "nearest").shape.keys()
    assert [row["id"] for row in found["rows"]] == [0, 1]
    assert (found["exact"], found["recall"], found["compared"], found["commits"]) == (True, 1.0, 4, {"products@1": 1})
    shown = typed("nearest", filled.store, "products", "e", "[1.0, 0.0]").stdout
    assert "distance" in shown
    assert "of 4 rows, exact" in shown


def test_a_key_stands_for_its_vector_and_conditions_choose_rows(filled, document):
    like = document("nearest", filled.store, "products", "e", "--like", "id=3", "--where", "category=a")
    assert [row["id"] for row in like["rows"]] == [2, 0]
    chosen = document(
        "nearest", filled.store, "products", "e", "[1, 0]", "--where", "id=3", "--where", "id=1", "--columns", "e",
        "--metric", "l2", "--approximate",
    )  # fmt: skip
    assert [(row["id"], row["distance"]) for row in chosen["rows"]] == [(1, 0.25), (3, 0.75)]
    assert chosen["rows"][0].keys() == {"id", "distance", "e"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--like KEY=VALUE"),
        (["[1, 0]", "--like", "id=1"], "--like KEY=VALUE"),
        (["[1, 0"], "is no vector"),
        (["[1]"], "has 1 numbers, not 2"),
        (["--like", "id=9"], "e of this key is NULL"),
        (["--like", "id=77"], "e of this key is MISSING"),
        (["[1, 0]", "--where", "colour=red"], "unknown key or feature 'colour'"),
        (["[1, 0]", "--where", "id=x"], "is no int64"),
        (["[1, 0]", "--k", "0"], "k=0 is no number of neighbours"),
    ],
    ids=lambda each: json.dumps(each)[:20] if isinstance(each, list) else "",
)
def test_a_mistake_is_one_line(filled, typed, words, message):
    code = 1 if message.startswith("unknown") else 2
    done = typed("nearest", filled.store, "products", "e", *words, code=code)
    assert message in " ".join(done.stderr.split())
