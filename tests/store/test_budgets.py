"""Budgets of views: what is declared, registered and shown. What they do is in tests/online_servers/test_slow.py."""

from datetime import timedelta

import pytest

from asof import FeatureView
from asof.definitions.documents import view_document, view_from, view_identity
from asof.errors import UsageError
from asof.serving.receipt import Receipt


@pytest.mark.parametrize(
    "budget", ["0s", "999us", "11s", timedelta(0), "soon", -1, 20, True, timedelta(seconds=-1), ""]
)
def test_a_budget_is_a_length_of_time_in_bounds(weather, budget):
    with pytest.raises(UsageError, match="budget"):
        FeatureView("departure", features=[weather()], budget=budget)


@pytest.mark.parametrize("on_slow", ["null", "", None, 1, "STALE"])
def test_what_a_view_does_is_one_of_three(weather, on_slow):
    with pytest.raises(UsageError, match=r"on_slow=.* is not known \[view departure\] -> use fail, stale, default"):
        FeatureView("departure", features=[weather()], budget="20ms", on_slow=on_slow)


@pytest.mark.parametrize("on_slow", ["stale", "default"])
def test_what_is_answered_instead_needs_a_budget(weather, on_slow):
    with pytest.raises(UsageError, match=r"needs budget= \[view departure\] -> add one, such as budget=\"20ms\""):
        FeatureView("departure", features=[weather()], on_slow=on_slow)


def test_a_budget_is_registered_shown_and_changed_in_place(store, weather):
    plain = FeatureView("departure", features=[weather()])
    made = FeatureView("departure", features=[weather()], budget="20ms", on_slow="stale")
    assert "    budget: 20ms, then stale" in str(store.plan(weather(), made))
    store.apply(weather(), plain)
    plan = store.apply(made)
    assert "~ view departure@1: amend" in str(plan)
    assert "budget_us: None -> 20000" in str(plan)
    assert "on_slow: 'fail' -> 'stale'" in str(plan)
    assert not store.apply(made)
    assert ("budget", "20ms, then stale") in store.catalog.describe("departure").facts
    assert store.catalog.find("departure").definition == made
    store.apply(plain)
    assert "budget" not in dict(store.catalog.describe("departure").facts)


def test_documents_hold_budgets_and_versions_do_not(weather):
    plain = FeatureView("departure", features=[weather()])
    made = FeatureView("departure", features=[weather()], budget="1s", on_slow="default")
    document = view_document(made, {"weather": 1})
    assert view_from(document, lambda _: weather()) == made
    assert view_identity(document) == view_identity(view_document(plain, {"weather": 1}))
    older = {
        name: part
        for name, part in view_document(plain, {"weather": 1}).items()
        if name not in {"budget_us", "on_slow"}
    }
    assert view_from(older, lambda _: weather()) == plain


def test_the_log_of_a_view_that_does_not_fail_has_two_more_columns(store, weather):
    store.apply(weather(), FeatureView("departure", features=[weather()], log=1.0))
    made = FeatureView("departure", features=[weather()], log=1.0, budget="20ms", on_slow="default")
    assert "~ group departure_log@1: amend" in str(store.apply(made))
    names = [name for name, _, _, _ in store.catalog.describe("departure_log").features]
    assert names[-2:] == ["late", "read_at"]


def test_stores_that_wait_for_nobody_answer_as_ever(store, weather, at):
    store.apply(weather(), FeatureView("departure", features=[weather()], log=1.0, budget="1ms", on_slow="stale"))
    store.push("weather", {"origin": "JFK", "time_hour": at(24), "temp": 1.0, "visib": None})
    vector = store.online("departure", {"origin": "JFK"})
    assert vector.statuses == {"temp": "PRESENT", "visib": "NULL"}
    assert vector.late is None
    assert "late" not in vector.receipt.to_dict()
    assert not store.verify("departure", instants=2, keys=2).differences


@pytest.mark.parametrize(
    "parts",
    [
        {"late": "soon"},
        {"late": 1},
        {"late": "stale"},
        {"late": "stale", "read_at": "noon"},
        {"late": "default", "read_at": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_receipt_that_is_late_says_how_and_since_when(parts):
    made = Receipt("departure@1", {"origin": "JFK"}, None, 0, {}).to_dict()
    assert Receipt.from_dict(made).late is None
    with pytest.raises(UsageError, match="this is no receipt"):
        Receipt.from_dict(made | parts)
