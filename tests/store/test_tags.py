"""A tag names the commits of the whole store."""

from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.errors import ConflictError, NotFoundError, UsageError

START = datetime(2024, 1, 1, tzinfo=UTC)
user = Entity("user", keys={"id": "int64"})
a = FeatureGroup("a", entity=user, event_time="t", features=[Feature("x", "float64")])
b = FeatureGroup("b", entity=user, features=[Feature("y", "string")])
view = FeatureView("v", features=[a["x"], b["y"]])


@pytest.fixture
def store(tmp_path, behind):
    clock = [START]
    with asof.open(tmp_path / "s", clock=lambda: clock[0]) as opened:
        opened.apply(a, b, view)
        clock[0] += timedelta(days=1)
        yield behind(opened)


def row(x, hours=0):
    return [{"id": 1, "t": START + timedelta(hours=hours), "x": x}]


SPINE = [{"id": 1, "t": START + timedelta(days=1)}]


def answer(store, **options):
    return store.historical("v", SPINE, time="t", **options).to_arrow().to_pylist()


def test_a_read_at_a_tag_sees_the_whole_store_as_it_stood(store):
    store.write("a", row(1.0))
    before = answer(store)
    tag = store.catalog.tag("2026-11", message="the model")
    assert tag.pins == {"a@1": 1, "b@1": 0}
    store.write("a", row(2.0))
    store.write("b", [{"id": 1, "y": "later"}])
    assert answer(store) != before
    assert answer(store, commits="2026-11") == before
    assert store.read("a", commits="2026-11").to_arrow().to_pydict()["x"] == [1.0]
    assert store.read("b", commits="2026-11").to_arrow().num_rows == 0
    frame = store.historical("v", SPINE, time="t", commits="2026-11")
    assert frame.commits == {"a@1": 1, "b@1": 0}


def test_compaction_and_reopening_do_not_move_a_tag(tmp_path):
    with asof.open(tmp_path / "s") as store:
        store.apply(a, b, view)
        store.write("a", row(1.0))
        store.catalog.tag("t")
        store.write("a", row(2.0))
        store.compact()
        before = answer(store, commits="t")
    with asof.open(tmp_path / "s") as store:
        assert answer(store, commits="t") == before


def test_a_tag_is_listed_forgotten_and_never_moved(store):
    store.catalog.tag("one")
    with pytest.raises(ConflictError, match="'one'"):
        store.catalog.tag("one")
    store.catalog.tag("two", message="why")
    assert [(tag.name, tag.message) for tag in store.catalog.tags()] == [("one", ""), ("two", "why")]
    assert store.catalog.tags()[0].writer
    store.catalog.untag("one")
    with pytest.raises(NotFoundError, match="did you mean 'two'"):
        answer(store, commits="twoo")


@pytest.mark.parametrize("name", ["", " ", "a/b", "-a", "a.", "a:1", "x" * 64, None, 7])
def test_a_name_that_is_none_is_refused(store, name):
    with pytest.raises(UsageError, match="no name for a tag"):
        store.catalog.tag(name)
    assert store.catalog.tags() == []


def test_a_group_that_is_younger_than_the_tag_has_no_pin(store):
    store.catalog.tag("t")
    store.apply(FeatureGroup("young", entity=user, features=[Feature("z", "int64")]))
    with pytest.raises(UsageError, match="no pin for group young@1: it was not there when the tag 't' was made"):
        store.read("young", commits="t")
    with pytest.raises(UsageError, match=r"was not there when the tag 't' was made .* -> pass a later tag"):
        store.historical("young", SPINE, time="t", commits="t")


def test_commits_are_found_by_what_their_writers_said(store, monkeypatch):
    store.write("a", row(1.0), meta={"author": "ana", "source": "nightly"})
    wrong = store.write("b", [{"id": 1, "y": "?"}], meta={"author": "bo"})
    store.retract(wrong, reason="broken export")
    assert [c.id for c in store.catalog.commits(matching="ana nightly")] == ["a@1:1"]
    assert [c.id for c in store.catalog.commits("b", matching="broken")] == ["b@1:2"]
    assert [c.id for c in store.catalog.commits(limit=2)] == ["b@1:1", "b@1:2"]
    assert all("@" in c.writer for c in store.catalog.commits())


def test_pins_that_are_none_are_refused(store):
    with pytest.raises(UsageError, match="list is no pins"):
        answer(store, commits=["a@1"])
