"""The nearest vectors over HTTP: the store's own answers, as JSON."""

import pytest

pytestmark = pytest.mark.slow  # a process each

PATH = "/v1/groups/everything/nearest"


def test_the_nearest_are_those_of_the_store_with_values_as_json_has_them(shared):
    status, found, _ = shared.post(PATH, {"feature": "vector", "vector": [1, 0.0], "metric": "l2", "k": 3})
    assert status == 200, found
    assert (found["exact"], found["recall"], found["compared"], found["commits"]) == (True, 1.0, 1, {"everything@1": 1})
    (row,) = found["rows"]
    assert (row["distance"], row["name"], row["f32"], row["born"]) == (0.5, "Zoë", "-Infinity", "1969-12-31")
    assert "vector" not in row


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"day": "2026-01-02", "open": True}, 1),
        ({"born": ["1969-12-31", "1970-01-01"], "code": "/wA="}, 1),
        ([{"text": "x"}, {"price": "-123456789012345678901234567890123456.78"}], 1),
        ({"f64": "NaN"}, 1),
        ({"i8": 1}, 0),
        ([], 0),
    ],
)
def test_conditions_are_read_by_the_types_of_their_columns(shared, where, rows):
    asked = {"feature": "vector", "vector": [1, 0], "where": where, "columns": ["i8"]}
    status, found, _ = shared.post(PATH, asked)
    assert status == 200, found
    assert len(found["rows"]) == rows


@pytest.mark.parametrize(
    ("asked", "status", "title"),
    [
        ({"feature": "vector", "vector": [1]}, 400, "has 1 numbers"),
        ({"feature": "vector", "vector": "x"}, 400, "vector"),
        ({"feature": "vector", "vector": [1, None]}, 400, "vector"),
        ({"feature": "text", "vector": [1, 2]}, 400, "no vector of numbers"),
        ({"feature": "other", "vector": [1, 2]}, 404, "unknown feature"),
        ({"feature": "vector", "vector": [1, 2], "k": 0}, 400, "k=0"),
        ({"feature": "vector", "vector": [1, 2], "metric": "x"}, 400, "metric"),
        ({"feature": "vector", "vector": [1, 2], "where": {"day": "soon"}}, 400, "day='soon'"),
        ({"feature": "vector", "vector": [1, 2], "where": {"i8": 300}}, 400, "does not fit"),
        ({"feature": "vector", "vector": [1, 2], "where": {"i8": None}}, 400, "null"),
    ],
)
def test_what_makes_no_sense_is_a_problem(shared, asked, status, title):
    got, problem, _ = shared.post(PATH, asked)
    assert got == status, problem
    assert title in str(problem)


def test_an_unknown_group_is_not_found(shared):
    status, problem, _ = shared.post("/v1/groups/nothing/nearest", {"feature": "vector", "vector": [1, 2]})
    assert (status, "unknown" in problem["title"]) == (404, True)
