"""What the pages read of a store: the same as its own words give, in less."""

from datetime import timedelta
from itertools import product

import pytest
from sklearn.linear_model import LinearRegression
from tests.ui.conftest import NOW

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.access import Caller
from asof.access.caller import EVERYBODY
from asof.catalog.search import Index
from asof.clock import to_us
from asof.errors import NotFoundError
from asof.ui.page import Asked
from asof.ui.pages.model import model
from asof.ui.sight import MOST_ROLES, Sight

SHOP = Entity("shop", keys={"country": "string", "number": "int64"})
SALES = FeatureGroup("sales", entity=SHOP, event_time="at", features=[Feature("paid", "float64")], online=True)
STAFF = FeatureGroup("staff", entity=SHOP, event_time="at", features=[Feature("people", "int64")], online=True)


def rows(hours, keys, **columns):
    return [
        {"country": country, "number": number, "at": NOW - timedelta(hours=hours), **columns}
        for country, number in keys
    ]


KEYS = [(country, number) for country in ("at", "be", "it's") for number in range(30)]


@pytest.fixture
def store(tmp_path):
    with asof.open(tmp_path / "store", clock=lambda: NOW) as opened:
        opened.apply(SALES, STAFF)
        opened.backfill("sales", rows(9, KEYS, paid=1.0) + rows(8, KEYS[:50], paid=2.0))
        opened.write("sales", rows(3, KEYS[20:], paid=None))
        ended = [{"country": country, "number": number} for country, number in KEYS[:25]]
        opened.retire("sales", ended, event_time=NOW - timedelta(hours=1))
        opened.push("sales", rows(2, KEYS[70:75], paid=4.0))
        opened.retract(opened.write("sales", rows(0.5, KEYS, paid=-1.0)), reason="wrong")
        yield opened


def test_a_preview_begins_as_a_read_of_the_newest_rows(store):
    group, sight = store._parts.registry.group("sales"), Sight(store)
    for back, known in product((None, 0, 2.5, 8.5, 9, 10), (None, NOW - timedelta(hours=7), NOW)):
        at = None if back is None else NOW - timedelta(hours=back)
        every = store.read("sales", end=at, known=known, latest=True, clocks=True).to_arrow()
        for limit in (1, 7, 65, 66, 200):
            shown, more = sight.rows(group, limit=limit, at=at, known=known)
            assert shown.to_pylist() == every.slice(0, limit).to_pylist()
            assert more == (every.num_rows > limit)


def test_a_preview_of_no_rows_is_empty(store):
    shown, more = Sight(store).rows(store._parts.registry.group("staff"), limit=5, at=None, known=None)
    assert (shown.num_rows, more) == (0, False)


def test_groups_looked_up_together_are_as_each_alone_and_of_one_moment(store):
    store.push("staff", rows(1, KEYS[28:29], people=3))
    sight = Sight(store)
    key = {"country": "at", "number": 28}
    both = sight.look_up(["sales", "staff"], key)
    for name, found in zip(("sales", "staff"), both, strict=True):
        alone = store.online(name, key)
        assert (found.values, found.statuses, found.event_times) == (alone.values, alone.statuses, alone.event_times)
    assert both[0].receipt.clock == both[1].receipt.clock
    assert sight.look_up([], key) == []
    with pytest.raises(NotFoundError):
        sight.look_up(["sales", "nothing"], key)


def test_a_new_definition_is_looked_up_at_once(store):
    sight = Sight(store)
    key = {"country": "at", "number": 28}
    sight.seen(EVERYBODY)
    assert set(sight.look_up(["sales"], key)[0].values) == {"paid"}
    wider = FeatureGroup(
        "sales", entity=SHOP, event_time="at", features=[*SALES.features, Feature("tax", "float64")], online=True
    )
    store.apply(wider)
    sight.seen(EVERYBODY)
    assert set(sight.look_up(["sales"], key)[0].values) == {"paid", "tax"}


def test_callers_with_the_same_roles_see_the_same_and_others_do_not(store):
    store.apply(FeatureGroup("own", entity=SHOP, event_time="at", features=[Feature("x", "int64")], project="a"))
    sight = Sight(store)
    seen = [sight.seen(Caller(f"key:{each}", {"a": "reader"})) for each in range(2)]
    assert seen[0] is seen[1]
    assert [*seen[0].newest_groups] == ["own"]
    assert [*sight.seen(Caller("key:b", {"": "reader"})).newest_groups] == ["sales", "staff"]
    for each in range(2 * MOST_ROLES):
        assert [*sight.seen(Caller("key:c", {"a": "writer", f"p{each}": "reader"})).newest_groups] == ["own"]
    store.catalog.remove("own")
    assert not sight.seen(Caller("key:0", {"a": "reader"})).groups


def test_hits_are_made_when_they_are_asked_for_and_are_the_same(store):
    store.apply(FeatureView("sold", features=[SALES["paid"]], description="what was paid, and where"))
    index = Index(store._parts.registry.groups(), store._parts.registry.views())
    for words in ("", "paid", "PAID", "shop", "paid where", "sales paid", "s", "nothing"):
        found = index.found(words)
        assert [*found] == index.search(words) == store.catalog.search(words)
        assert [*found[1:3]] == index.search(words)[1:3]
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    (best, *_) = index.found("paid")
    assert (best.name, best.where, best.kind) == ("sales.paid", "name", "feature")
    assert to_us(NOW) == Sight(store).now_us


def test_who_may_not_read_the_outcomes_sees_no_quality_and_who_may_not_read_the_view_no_model(tmp_path):
    moment = [NOW]
    hidden = FeatureGroup("ends", entity=SHOP, event_time="at", features=[Feature("y", "float64")], project="hidden")
    with asof.open(tmp_path / "models", clock=lambda: moment[0]) as opened:
        opened.apply(SALES, hidden, FeatureView("shops", features=[SALES]))
        opened.backfill("sales", [row for hour in range(2, 9) for row in rows(hour, KEYS[:2], paid=float(hour))])
        opened.backfill("ends", [row for hour in range(1, 9) for row in rows(hour - 0.5, KEYS[:2], y=2.0 * hour)])
        spine = [row for hour in range(3, 9) for row in rows(hour, KEYS[:2])]
        made = opened.training_set("shops", view="shops", spine=spine, time="at", label=hidden["y"].after("1h"))
        opened.models.register("shops-model", LinearRegression().fit(*made.xy()), training_set=made, log=1.0)
        opened.models.load("shops-model").predict_one({"country": "at", "number": 0})
        sight = Sight(opened)
        asked = {"url": "/models/shops-model", "path": {"name": "shops-model"}, "query": {}, "sight": sight}
        ((_, data),) = model(Asked(caller=Caller("key:a", {"": "reader"}), **asked), tab="quality").data["sections"]
        assert "may not read" in data["problem"]
        assert not data["charts"]
        ((_, data),) = model(Asked(caller=Caller("key:b", {"*": "reader"}), **asked), tab="quality").data["sections"]
        assert data["charts"]
        with pytest.raises(NotFoundError, match="shops-model"):
            model(Asked(caller=Caller("key:c", {"hidden": "reader"}), **asked))


def test_only_versions_whose_views_are_seen_are_measured(tmp_path):
    lent = FeatureGroup(
        "sales", entity=SHOP, event_time="at", features=SALES.features, online=True, shared_with=["hidden"]
    )
    views = FeatureView("shops", features=[lent]), FeatureView("others", features=[lent], project="hidden")
    with asof.open(tmp_path / "models", clock=lambda: NOW) as opened:
        opened.apply(lent, *views)
        opened.backfill("sales", [row for hour in range(2, 9) for row in rows(hour, KEYS[:2], paid=float(hour))])
        spine = [{**row, "y": 2.0 * hour} for hour in range(3, 9) for row in rows(hour, KEYS[:2])]
        for view in ("shops", "others"):
            made = opened.training_set(view, view=view, spine=spine, time="at", label="y")
            fitted = LinearRegression(fit_intercept=view == "shops").fit(*made.xy())
            opened.models.register("shared", fitted, training_set=made, log=1.0)
        for ref in ("shared@1", "shared@2"):
            opened.models.load(ref).predict_one({"country": "at", "number": 0})
        sight = Sight(opened)
        for roles, seen in (({"": "reader"}, {"shared@1"}), ({"*": "reader"}, {"shared@1", "shared@2"})):
            asked = Asked("/models/shared", {"name": "shared"}, {}, Caller("key:a", roles), sight)
            ((_, data),) = model(asked, tab="quality").data["sections"]
            assert {row[0].text for row in data["table"].rows} == seen
