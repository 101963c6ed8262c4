"""The remote store with keys: the roles of HTTP hold for Flight, and connections may be encrypted."""

import os
import ssl
import subprocess
import sys

import pytest
from tests.server.test_keys import certified

import asof
import asof.aggregates
from asof.errors import DataWarning, DeniedError, NotFoundError, UnknownCallerError, UnsupportedError

pytestmark = pytest.mark.slow


@pytest.fixture
def keys(folder):
    """Give keys of a store that has a group and a view of the project fraud."""
    with asof.open(folder) as store:
        spending = store.catalog.find("spending").definition
        moved = asof.FeatureGroup(
            "payments",
            entity=spending.entity,
            event_time="at",
            features=spending.features,
            online=True,
            project="fraud",
        )
        store.apply(moved, asof.FeatureView("fraud_risk", features=[moved["orders"]], project="fraud"))
        return {
            "fraud": store.keys.add("fraud", {"fraud": "writer"}).token,
            "default": store.keys.add("default", {"": "reader"}).token,
            "admin": store.keys.add("admin", {"*": "admin"}).token,
        }


def opened(server, key=None):
    return asof.open(f"asof://127.0.0.1:{server.port}", key=key)


def test_who_has_no_key_is_refused_everywhere(serve, keys, now):
    server = serve()
    for key in (None, "asof_0_0", keys["fraud"] + "x"):
        with opened(server, key) as store:
            for ask in (
                lambda store=store: store.online("risk", {"customer_id": 1}),
                lambda store=store: store.read("spending"),
                lambda store=store: store.write("spending", [{"customer_id": 1, "at": now, "orders": 1}]),
                lambda store=store: store.historical("risk", [{"customer_id": 1}], time=now),
                lambda store=store: store.catalog.groups(),
            ):
                with pytest.raises(UnknownCallerError):
                    ask()


def test_explain_shows_no_events_to_who_may_only_read_what_is_made_of_them(serve, keys, now, folder):
    with asof.open(folder) as store:
        source = store.catalog.find("payments").definition
        orders = asof.aggregates.Count(over="1h", name="orders_1h")
        made = {"entity": source.entity, "source": source, "features": [orders], "online": True}
        store.apply(asof.FeatureGroup("open_orders", project="fraud", shared_with=[""], **made))
    server = serve()
    with opened(server, keys["default"]) as store:
        assert store.online("open_orders", {"customer_id": 1}).values == {"orders_1h": 0}
        with pytest.raises(DeniedError, match="in project 'fraud'"):
            store.quality.explain("open_orders", {"customer_id": 1})
    with opened(server, keys["fraud"]) as store:
        assert store.quality.explain("open_orders", {"customer_id": 1}).lookups[0].made_of == "payments@1"


def test_training_sets_are_those_of_their_views(serve, keys, now, folder):
    server = serve()
    spine = [{"customer_id": 1, "t": now}]
    with opened(server, keys["fraud"]) as store:
        made = store.training_set("risk-1", "fraud_risk", spine, time="t")
        assert store.training_set("risk-1").rebuild().digest == made.digest
        assert [each.ref for each in store.catalog.training_sets()] == ["risk-1@1"]
        assert store.catalog.lineage("fraud_risk").read_by == ("risk-1@1",)
        assert store.catalog.describe("risk-1").kind == "training set"
        with pytest.raises(DeniedError, match="'admin'"):
            store.catalog.remove_training_set("risk-1")
        spending = asof.FeatureGroup(
            "spending", entity=asof.Entity("customer", keys={"customer_id": "int64"}), event_time="at",
            features=[asof.Feature("orders", "int64")],
        )  # fmt: skip
        with pytest.raises(NotFoundError):  # the group is not there for him, so neither is its label
            store.training_set("risk-2", "fraud_risk", spine, time="t", label=spending["orders"].after("1h"))
    with opened(server, keys["default"]) as store:
        assert store.catalog.training_sets() == []
        for ask in (
            lambda: store.training_set("risk-1"),
            lambda: store.catalog.describe("risk-1"),
            lambda: store.training_set("mine", "risk", spine, time="t"),
        ):
            with pytest.raises(DeniedError):
                ask()
    with opened(server, keys["admin"]) as store:
        assert store.catalog.remove_training_set("risk-1") == ["risk-1@1"]


def test_a_role_holds_for_its_project_only(serve, keys, now, folder):
    row = {"customer_id": 1, "at": now, "orders": 1, "returned": 0.0}
    server = serve()
    with opened(server, keys["fraud"]) as store:
        assert store.push("payments", row).rows == 1
        assert store.online("fraud_risk", {"customer_id": 1}).values == {"orders": 1}
        assert [group.ref for group in store.catalog.groups()] == ["payments@1"]
        assert [view.ref for view in store.catalog.views()] == ["fraud_risk@1"]
        assert {commit.group for commit in store.catalog.commits()} == {"payments@1"}
        assert {hit.name.partition(".")[0] for hit in store.catalog.search("orders")} == {"payments", "fraud_risk"}
        customer = asof.Entity("customer", keys={"customer_id": "int64"})
        more = asof.FeatureGroup("more", entity=customer, features=[asof.Feature("x", "int64")])
        for ask in (
            lambda: store.push("spending", row),
            lambda: store.write("spending", [row]),
            lambda: store.read("spending"),
            lambda: store.online("risk", {"customer_id": 1}),
            lambda: store.historical("risk", [{"customer_id": 1}], time=now),
            lambda: store.quality.explain("risk", {"customer_id": 1}),
            lambda: store.quality.statistics("spending"),
            lambda: store.verify("risk"),
            lambda: store.retire("spending", {"customer_id": 1}, event_time=now),
            lambda: store.retract("spending@1:1", reason="x"),
            lambda: store.catalog.remove("risk"),
            lambda: store.catalog.remove("fraud_risk"),
            lambda: store.forget("customer", {"customer_id": 1}),
            lambda: store.compact(),
            lambda: store.quality.doctor(),
            lambda: store.catalog.audit(),
            lambda: store.catalog.erasures(),
            lambda: store.apply(more),
            lambda: store.write("fresh", [row], keys=["customer_id"], event_time="at"),
        ):
            with pytest.raises(DeniedError):
                ask()
        with pytest.raises(UnsupportedError, match="keys are not managed over the network"):
            store.keys.all()
    server.stop()
    with asof.open(folder) as store:
        assert store.catalog.commits("payments")[-1].writer == "key:fraud@127.0.0.1"
        denied = {(each.writer, each.what) for each in store.catalog.audit() if each.outcome == "denied"}
        assert {("key:fraud@127.0.0.1", "write"), ("key:fraud@127.0.0.1", "forget")} <= denied


def test_features_are_found_among_what_the_caller_may_read(serve, keys, now):
    server = serve()
    spine = [{"customer_id": 1}]
    with opened(server, keys["default"]) as store:
        mine = store.get_features(["orders"], {"customer_id": 1})  # payments has one too, in a project that is not his
        assert mine.receipt.view == "spending@1:orders"
        for asked in (["payments:orders"], ["orders", "payments:orders"], "spending:orders,payments:orders"):
            for ask in (
                lambda asked=asked, store=store: store.online(asked, {"customer_id": 1}),
                lambda asked=asked, store=store: store.online(asked, [{"customer_id": 1}] * 2000),
                lambda asked=asked, store=store: store.historical(asked, spine, time=now),
                lambda asked=asked, store=store: store.verify(asked if isinstance(asked, str) else asked[-1]),
            ):
                with pytest.raises(DeniedError, match="in project 'fraud'"):
                    ask()
        with pytest.raises(DeniedError, match="in project 'fraud'"):
            store.replay({**mine.receipt.to_dict(), "view": "payments@1:orders"})
    with opened(server, keys["admin"]) as store:
        with pytest.raises(asof.errors.UsageError, match="'payments:orders' or 'spending:orders'"):
            store.get_features(["orders"], {"customer_id": 1})
        assert store.get_features(["payments:orders"], {"customer_id": 1}).statuses == {"orders": "MISSING"}
    figures = str(server.request("GET", "/metrics", None, {"Authorization": f"Bearer {keys['admin']}"})[1])
    assert 'asof_online_seconds_count{view="features"}' in figures.replace("\\", "")
    assert "spending@1:orders" not in figures


def test_an_admin_of_all_projects_may_do_everything(serve, keys, now):
    with opened(serve(), keys["admin"]) as store:
        row = {"customer_id": 1, "at": now, "orders": 1, "returned": 0.0}
        with pytest.warns(DataWarning, match="inferred"):
            assert store.write("fresh", [row], keys=["customer_id"], event_time="at").rows == 1
        assert store.catalog.commits("fresh")[0].writer == "key:admin@127.0.0.1"
        assert store.quality.doctor().healthy
        assert len(store.catalog.groups()) > 2
        assert "fresh@1" in {each.about.partition(":")[0] for each in store.catalog.audit()}


def test_connections_may_be_encrypted(server_of, folder, keys, tmp_path):
    cert, key = certified(tmp_path)
    server = server_of(folder, "--tls-cert", cert, "--tls-key", key, context=ssl.create_default_context(cafile=cert))
    script = (
        "import asof\n"
        f"with asof.open('asof+tls://localhost:{server.port}', key={keys['admin']!r}) as store:\n"
        "    print(store.online('risk', {'customer_id': 3}).values['orders'], len(store.read('spending')))\n"
    )
    trusted = os.environ | {"SSL_CERT_FILE": cert, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": cert}
    done = subprocess.run([sys.executable, "-c", script], env=trusted, capture_output=True, text=True, check=False)
    assert done.stdout == "3 10\n", done.stderr
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr
