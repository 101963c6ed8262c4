"""Definitions over HTTP: the documents that the registry keeps, planned and applied, and nothing of them run."""

import msgspec
import pytest

import asof
from asof import Check, Entity, Feature, FeatureGroup, FeatureView
from asof.cli.documents import plan_document
from asof.definitions.documents import group_document, view_document
from asof.errors import UsageError
from asof.server.definitions import Definitions, GroupDefinition, ReferenceDefinition, ViewDefinition, definitions_from
from asof.server.problems import RequestError
from asof.transforms import Impute, OneHot, Standard

shop = Entity("shop", keys={"shop_id": "int64"}, description="where things are sold")
sales = FeatureGroup(
    "sales", entity=shop, event_time="at", ttl="6h", delay="1h", online=True, known="event", timezone="Europe/Paris",
    retention="90d", owner="ana", tags={"domain": "tills"}, description="what was sold", on_unchanged="skip", on_violation="warn",
    checks=[Check.between("total", 0, None), Check.one_of("kind", "a", "b"), Check.matches("kind", "^[a-z]$"), Check.not_null("total")],
    features=[Feature("total", "float64", unit="EUR", nullable=False, tags={"pii": "no"}), Feature("kind", "string", description="k"),
              Feature("best", "int64"), Feature("parts", "list<struct<a: int64>>")],
)  # fmt: skip
chain = FeatureView(
    "chain", features=[sales["total"], sales.on(shop_id="other")["total"].alias("o"), sales.on(shop_id=sales["best"])["kind"].alias("b")],
    description="d", owner="o", tags={"a": "b"}, log=0.5, log_retention="7d",
    transforms={"o": [Impute("median"), Standard()], "b": OneHot(categories=["a", "b"])},
)  # fmt: skip


def sent(*, view=chain, pins=None):
    body = {"groups": [group_document(sales)], "views": [view_document(view, {"sales": 1})]}
    return msgspec.json.encode(body).replace(b'"sales@1"', b'"sales"' if pins is None else pins)


def unknown(name):
    raise AssertionError(name)


def decoded(body):
    return definitions_from(msgspec.json.decode(body, type=Definitions), unknown, most=1000)


def test_what_the_registry_keeps_is_what_a_client_may_send():
    assert decoded(sent()) == [sales, chain]


def test_every_part_of_a_document_may_be_sent():
    assert set(GroupDefinition.__struct_fields__) == group_document(sales).keys()
    assert set(ViewDefinition.__struct_fields__) == view_document(chain, {"sales": 1}).keys()
    assert set(ReferenceDefinition.__struct_fields__) == view_document(chain, {"sales": 1})["features"][0].keys()


def test_the_least_that_can_be_said_is_a_definition_with_the_defaults():
    least = {"name": "sales", "entity": {"name": "shop", "keys": {"shop_id": "int64"}}, "features": [{"name": "total", "dtype": "float64"}]}  # fmt: skip
    (found,) = decoded(msgspec.json.encode({"groups": [least]}))
    assert found == FeatureGroup("sales", entity=Entity("shop", keys=shop.keys), features=[Feature("total", "float64")])


def deep(levels):
    reference = {"group": "sales", "feature": "total"}
    for _ in range(levels - 1):
        reference = {"group": "sales", "feature": "best", "on": {"shop_id": reference}}
    return reference


@pytest.mark.parametrize("levels", [9, 300])
def test_keys_behind_keys_behind_keys_end_somewhere(levels):
    body = {"groups": [group_document(sales)], "views": [{"name": "v", "features": [deep(levels)]}]}
    with pytest.raises(RequestError, match="8 groups"):
        decoded(msgspec.json.encode(body))


def test_so_many_features_are_one_request():
    view = {"name": "v", "features": [deep(3)] * 400}
    with pytest.raises(RequestError, match=r"1,206 definitions and features are more than the 1,000") as caught:
        decoded(msgspec.json.encode({"groups": [group_document(sales)], "views": [view]}))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "between", "column": "total"},
        {"kind": "between", "column": "total", "low": 2, "high": 1},
        {"kind": "one_of", "column": "total"},
    ],
)
def test_a_check_that_says_nothing_is_refused(check):
    body = {"groups": [group_document(sales) | {"checks": [check]}]}
    with pytest.raises(UsageError, match="check"):
        decoded(msgspec.json.encode(body))


@pytest.mark.slow
def test_apply_registers_what_plan_shows_and_its_rows_are_served_at_once(server, folder, now):
    status, planned, _ = server.post("/v1/plan", sent())
    assert status == 200, planned
    assert server.get("/v1/groups")[1]["groups"][-1]["name"] != "sales_log"
    assert server.get("/v1/describe/sales")[0] == 404
    status, applied, _ = server.post("/v1/apply", sent())
    assert (status, applied) == (200, planned)
    assert [(c["action"], c["name"]) for c in applied["changes"]] == [("create", each) for each in ("sales", "chain", "chain_log")]  # fmt: skip
    assert applied["anything"]
    record = {"shop_id": 1, "at": now.isoformat(), "total": 2.5, "kind": "a", "best": 1, "parts": [{"a": 1}]}
    assert server.post("/v1/groups/sales/push", {"records": record})[0] == 200
    answer = server.post("/v1/views/chain/online", {"keys": {"shop_id": 1, "other": None}})[1]
    assert answer["values"] == {"total": 2.5, "o": None, "b": "a"}
    again = server.post("/v1/apply", sent())[1]
    assert not again["anything"]
    with asof.open(folder) as store:
        assert store.catalog.find("sales").definition == sales
        assert store.catalog.find("chain").definition == chain
        assert plan_document(store.plan(sales, chain)) == again
    assert server.post("/v1/apply", sent(pins=b'"sales@1"'))[1] == again


@pytest.mark.slow
def test_a_view_may_read_registered_groups(server):
    view = {"name": "fresh", "features": [{"group": "spending", "feature": "orders"}]}
    assert server.post("/v1/plan", {"views": [view]})[1]["changes"][0]["details"] == ["1 feature: spending@1.orders"]
    assert server.post("/v1/apply", {"views": [view]})[0] == 200
    assert server.post("/v1/views/fresh/online", {"keys": {"customer_id": 3}})[1]["values"] == {"orders": 3}


def transformed(feature, step):
    reads = [{"group": "spending", "feature": "orders"}]
    return {"views": [{"name": "v", "features": reads, "transforms": [{"features": [feature], "steps": [step]}]}]}


GROUP = {"name": "g", "entity": {"name": "e", "keys": {"k": "int64"}}, "features": [{"name": "f", "dtype": "int64"}]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"group": []}, 400, "group"),
        ({"groups": [GROUP | {"code": "os:system"}]}, 400, "code"),
        ({"groups": [GROUP | {"name": "../x"}]}, 400, "name for a group"),
        ({"groups": [GROUP | {"features": []}]}, 400, "at least one feature"),
        ({"groups": [GROUP | {"features": [{"name": "f", "dtype": "list<" * 100_000}]}]}, 400, "no type"),
        (
            {"groups": [GROUP | {"features": [{"name": "f", "dtype": "list<" * 500 + "int8" + ">" * 500}]}]},
            400,
            "no type",
        ),
        ({"groups": [GROUP | {"features": [{"name": "f", "dtype": f"vector<int8, {10**30}>"}]}]}, 400, "no type"),
        ({"groups": [GROUP | {"features": [{"name": "f", "dtype": f"vector<int8, {'9' * 5000}>"}]}]}, 400, "no type"),
        ({"groups": [GROUP | {"features": [{"name": "f", "dtype": "struct<>: int8>"}]}]}, 400, "no type"),
        ({"groups": [GROUP | {"features": [{"name": "f", "dtype": "struct<a: int8, A: int8>"}]}]}, 400, "no type"),
        ({"groups": [GROUP | {"ttl_us": 10**30, "event_time": "at"}]}, 400, "ttl_us"),
        ({"groups": [GROUP | {"ttl_us": -1, "event_time": "at"}]}, 400, "ttl_us"),
        ({"groups": [GROUP | {"timezone": "America"}]}, 400, "time zone"),
        ({"groups": [GROUP | {"timezone": "a" * 300}]}, 400, "time zone"),
        ({"groups": [GROUP | {"checks": [{"kind": "function", "code": "os:system"}]}]}, 422, "not taken from a client"),
        ({"groups": [GROUP, GROUP | {"owner": "eve"}]}, 400, "declared twice"),
        ({"groups": [GROUP | {"name": "risk"}]}, 409, "name of a view"),
        ({"views": [{"name": "v", "features": []}]}, 400, "at least one feature"),
        ({"views": [{"name": "v", "features": [{"group": "nobody", "feature": "f"}]}]}, 404, "nobody"),
        ({"views": [{"name": "v", "features": [{"group": "risk", "feature": "f"}]}]}, 400, "is a view"),
        ({"views": [{"name": "v", "features": [{"group": "spending@7", "feature": "orders"}]}]}, 404, "spending@1"),
        (
            {"groups": [GROUP], "views": [{"name": "v", "features": [{"group": "g@1", "feature": "f"}]}]},
            404,
            "write 'g'",
        ),
        ({"views": [{"name": "v", "features": [{"group": "spending", "feature": "order"}]}]}, 404, "did you mean"),
        (
            {"views": [{"name": "v", "features": [{"group": "spending", "feature": "orders", "on": {"x": "y"}}]}]},
            404,
            "unknown key 'x'",
        ),
        ({"views": [{"name": "v", "log": 2, "features": []}]}, 400, "log"),
        (transformed("ordres", {"kind": "standard"}), 404, "did you mean 'orders'"),
        (transformed("orders", {"kind": "standart"}), 404, "did you mean 'standard'"),
        (transformed("orders", {"kind": "clip", "low": "a"}), 400, "low is 'a'"),
        (transformed("orders", {"kind": "sklearn"}), 400, "no transformer"),
        (
            transformed("orders", {"kind": "sklearn", "class": "os:system", "params": {}}),
            422,
            "not taken from a client",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_registered(shared, body, status, says):
    for path in ("/v1/plan", "/v1/apply"):
        found, problem, _ = shared.post(path, body)
        assert (found, says in problem["detail"]) == (status, True), problem
        assert len(problem["detail"]) < 1000
    assert shared.get("/v1/describe/g")[0] == 404
