"""A process that knows an older definition of a group than the rows were written with: other processes add features."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

import asof
from asof import Entity, Feature, FeatureGroup
from asof.erasure.history import erase_in_history
from asof.erasure.target import Holding
from asof.parts import pinned_rows

AT = datetime(2024, 1, 1, tzinfo=UTC)


def group(count):
    return FeatureGroup(
        "g",
        entity=Entity("thing", {"k": "int64"}),
        event_time="t",
        online=True,
        features=[Feature(f"f{number}", "int64") for number in range(count)],
    )


@pytest.fixture(params=["backfill", "push"])
def store(request, tmp_path):
    """Give a store with a row from before a feature was added, and one with it; `before` is what was known first."""
    with asof.open(tmp_path / "features") as store:
        store.apply(group(1))
        verb = getattr(store, request.param)
        verb("g", [{"k": 1, "t": AT, "f0": 1}])
        store.before = store._parts.registry.group("g")
        store.apply(group(2))
        verb("g", [{"k": 2, "t": AT, "f0": 2, "f1": 22}])
        yield store


def assert_all_is_there(store):
    rows = store.read("g", columns=["k", "f0", "f1"]).to_arrow().to_pylist()
    assert rows == [{"k": 1, "f0": 1, "f1": None}, {"k": 2, "f0": 2, "f1": 22}]
    assert store.online("g", {"k": 2}).values == {"f0": 2, "f1": 22}
    store._writer.upkeep.close()
    assert store.quality.doctor().findings == ()


def test_compaction_loses_no_feature_that_was_added_meanwhile(store):
    store._writer.upkeep.compact(store.before, now_us=store._parts.now_us())
    assert_all_is_there(store)


def test_sealing_loses_no_feature_that_was_added_meanwhile(store):
    store._writer.upkeep.seal(store.before)
    assert_all_is_there(store)


def test_forgetting_a_key_loses_no_feature_that_was_added_meanwhile(store):
    store.backfill("g", [{"k": k, "t": AT, "f0": k, "f1": 11 * k} for k in (3, 4)])
    store._writer.upkeep.close()
    erase_in_history(store._parts, Holding(store.before, pa.table({"k": pa.array([1, 3], pa.int64())})))
    rows = store.read("g", columns=["k", "f1"]).to_arrow().to_pylist()
    assert rows == [{"k": 2, "f1": 22}, {"k": 4, "f1": 44}]


def test_catching_up_loses_no_feature_that_was_added_meanwhile(store):
    for work in (store._writer.feed.catch_up, store._writer.feed.rebuild):
        store._parts.online.clear(store.before.id)
        work(store.before)
        assert_all_is_there(store)


def test_a_read_that_began_before_sees_the_features_of_then(store):
    rows, _ = pinned_rows(store._parts, store.before)
    found = store._parts.engine.newest(rows).read_all()
    assert found.column("f0").to_pylist() == [1, 2]
