"""`store.nearest`: what may answer, in which order, and what every way of changing a row does to it."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count
from asof.arrow.keys import encode_keys
from asof.clock import to_us
from asof.errors import MissingDependencyError, NotFoundError, UnsupportedError, UsageError
from asof.online.port import Change, version_head
from asof.serving.nearest import reader as nearest_reader
from asof.serving.nearest import search

shop = Entity("product", keys={"country": "string", "id": "int64"})


def products(**parts):
    features = [
        Feature("e", "vector<float32, 2>"),
        Feature("d", "vector<int64, 2>"),
        Feature("category", "string"),
        Feature("price", "float64"),
        Feature("names", "vector<string, 2>"),
    ]
    given = {"entity": shop, "event_time": "at", "features": features, "online": True}
    return FeatureGroup("products", **(given | parts))


def row(at, number, vector, category="shoes", country="de", hour=1, **values):
    rest = {"d": None, "price": None, "names": None}
    return {"country": country, "id": number, "at": at(hour), "e": vector, "category": category, **rest, **values}


def ids(found):
    return found.to_arrow().column("id").to_pylist()


@pytest.fixture
def filled(store, at):
    store.apply(products())
    rows = [row(at, n, [1.0, n / 10]) for n in range(5)]
    store.backfill("products", [*rows, row(at, 0, [1.0, 0.05], "hats", "fr"), row(at, 9, None), row(at, 8, [0.0, 0.0])])
    return store


def test_the_nearest_come_first_with_keys_distance_and_features(filled, clock):
    found = filled.nearest("products", "e", [1.0, 0.0], 3)
    table = found.to_arrow()
    assert table.column_names == ["country", "id", "distance", "d", "category", "price", "names"]
    assert table.schema.field("distance").type == pa.float64()
    assert [(r["country"], r["id"]) for r in table.to_pylist()] == [("de", 0), ("fr", 0), ("de", 1)]
    assert table.column("distance")[0].as_py() == 0.0
    assert (found.exact, found.recall, found.compared, found.applying) == (True, 1.0, 6, False)
    assert found.commits == {"products@1": 1}
    assert found.clock == clock.now
    assert found.to_pandas()["category"].tolist() == ["shoes", "hats", "shoes"]


def test_metrics_are_those_of_the_textbook(filled):
    def first(metric, vector):
        (found,) = filled.nearest("products", "e", vector, 1, metric=metric).to_arrow().to_pylist()
        return found["id"], found["distance"]

    assert first("l2", [1.0, 0.25]) == (2, pytest.approx(0.05))
    assert first("dot", [0.0, 2.0]) == (4, pytest.approx(-0.8))
    assert first("cosine", [10.0, 0.0]) == (0, 0.0)
    assert 8 in ids(filled.nearest("products", "e", [1.0, 0.0], metric="l2"))  # zeros have no angle, but a place
    assert 8 not in ids(filled.nearest("products", "e", [1.0, 0.0]))


def test_equal_distances_are_in_the_order_of_keys(store, at):
    store.apply(products())
    store.backfill("products", [row(at, n, [1.0, 1.0], country=c) for n in (5, -1, 3) for c in ("b", "a")])
    found = store.nearest("products", "e", [1.0, 0.0], 4).to_arrow()
    assert list(zip(found.column(0).to_pylist(), found.column(1).to_pylist(), strict=True)) == [
        ("a", -1), ("a", 3), ("a", 5), ("b", -1),
    ]  # fmt: skip


def test_a_vector_may_be_a_list_or_an_array_of_any_kind(filled):
    wanted = ids(filled.nearest("products", "e", [1.0, 0.2]))
    given = np.array([1.0, 0.2], np.float32)
    for vector in ((1, 0.2), np.array([1.0, 0.2]), pa.array([1.0, 0.2]), pa.scalar([1.0, 0.2]), list(given)):
        assert ids(filled.nearest("products", "e", vector)) == wanted


def test_columns_choose_the_features_of_the_answer(filled):
    assert filled.nearest("products", "e", [1.0, 0.0], columns=[]).column_names == ["country", "id", "distance"]
    found = filled.nearest("products", "e", [1.0, 0.0], 1, columns=["e", "category"])
    assert found.to_arrow().to_pylist() == [
        {"country": "de", "id": 0, "distance": 0.0, "e": [1.0, 0.0], "category": "shoes"}
    ]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"country": "fr"}, [("fr", 0)]),
        ({"id": [3, 4, 99]}, [("de", 3), ("de", 4)]),
        ({"id": {4}}, [("de", 4)]),
        ({"category": "hats"}, [("fr", 0)]),
        ({"category": ["hats", "shoes"], "id": 0}, [("de", 0), ("fr", 0)]),
        ([{"country": "fr", "id": 0}, {"country": "de", "id": 4}], [("fr", 0), ("de", 4)]),
        ({"price": 1.0}, []),
        ({"id": []}, []),
        ([], []),
    ],
)
def test_a_filter_chooses_the_rows_before_the_nearest_are_chosen(filled, where, expected):
    for exact in (True, False):
        found = filled.nearest("products", "e", [1.0, 0.0], where=where, exact=exact)
        table = found.to_arrow()
        assert list(zip(table.column(0).to_pylist(), table.column(1).to_pylist(), strict=True)) == expected
        assert found.exact
        assert found.compared == len(expected)


def test_whatever_changes_a_row_changes_the_next_answer(filled, at, clock):
    near = [1.0, 0.0]
    assert ids(filled.nearest("products", "e", near, 2)) == [0, 0]
    filled.push("products", row(at, 7, near, country="aa", hour=2))
    assert filled.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["aa"]
    late = filled.backfill("products", [row(at, 7, [0.0, 1.0], country="aa", hour=1)])  # late: not the newest
    assert ids(filled.nearest("products", "e", near, 1)) == [7]
    moved = filled.write("products", [row(at, 7, [-1.0, 0.0], country="aa", hour=3), row(at, 4, near, hour=3)])
    assert ids(filled.nearest("products", "e", near, 3)) == [0, 4, 0]
    filled.retract(moved, reason="wrong")
    assert ids(filled.nearest("products", "e", near, 2)) == [7, 0]
    filled.retract(late, reason="wrong")
    filled.retire("products", {"country": "aa", "id": 7}, event_time=at(4))
    filled.write("products", [row(at, 7, near, country="aa", hour=3)])  # late: retired since
    assert ids(filled.nearest("products", "e", near, 2)) == [0, 0]
    filled.write("products", [row(at, 0, None, hour=5)])  # null wins
    assert filled.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["fr"]
    filled.compact("products")
    assert filled.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["fr"]


def test_expired_rows_are_not_there(store, at, clock):
    store.apply(products(ttl="6h"))
    store.write("products", [row(at, 1, [1.0, 0.0], hour=20), row(at, 2, [1.0, 1.0], hour=23)])
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [1, 2]
    clock.move(hours=2)
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [2]
    clock.move(hours=-2)
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [1, 2]


def test_forgotten_keys_are_gone_from_memory_too(filled):
    near = [1.0, 0.0]
    assert filled.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["de"]
    filled.forget("product", {"country": "de", "id": 0})
    assert filled.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["fr"]


@pytest.mark.embedded("looks at what this process holds")
def test_forget_drops_what_is_held(filled):
    filled.nearest("products", "e", [1.0, 0.0])
    (index,) = filled._nearest._indexes.values()
    assert index._state is not None
    filled.forget("product", {"country": "de", "id": 0})
    assert index._state is None


@pytest.mark.embedded("two stores on one folder")
def test_another_store_on_the_folder_sees_what_is_written_and_forgotten(filled, folder, clock, at):
    with asof.open(folder, clock=clock) as other:
        near = [1.0, 0.0]
        assert ids(other.nearest("products", "e", near, 2)) == [0, 0]
        filled.push("products", row(at, 7, near, country="aa", hour=2))
        assert ids(other.nearest("products", "e", near, 1)) == [7]
        filled.forget("product", {"country": "aa", "id": 7})
        assert ids(other.nearest("products", "e", near, 2)) == [0, 0]
        assert other.nearest("products", "e", near, 1).to_arrow().column("country").to_pylist() == ["de"]


@pytest.mark.embedded("the online store is emptied beneath it")
def test_the_online_store_may_be_built_anew(filled):
    near = [1.0, 0.0]
    wanted = filled.nearest("products", "e", near).to_arrow()
    group = filled._parts.registry.group("products")
    filled._writer.feed.rebuild(group)
    assert filled.nearest("products", "e", near).to_arrow() == wanted
    filled._parts.online.clear(group.id)
    assert ids(filled.nearest("products", "e", near)) == []
    filled._writer.feed.catch_up(group)
    assert filled.nearest("products", "e", near).to_arrow() == wanted


@pytest.mark.embedded("asks within a state of the online store that is held open")
def test_an_index_that_is_ahead_of_a_question_is_kept(filled, at):
    filled.nearest("products", "e", [1.0, 0.0])
    (index,) = filled._nearest._indexes.values()
    parts = filled._parts
    group = parts.registry.group("products")
    with parts.online.snapshot() as snapshot:
        before = snapshot.applied[group.id].commit
        filled.push("products", row(at, 7, [1.0, 0.0], country="aa", hour=2))
        filled.nearest("products", "e", [1.0, 0.0])
        state = index._state
        assert state.commit > before
        assert index.at(before, frozenset()) is state
    assert ids(filled.nearest("products", "e", [1.0, 0.0], 1)) == [7]
    assert index._state is state


@pytest.mark.embedded("a step of a load is applied by hand")
def test_a_load_that_is_half_applied_is_told_and_answers_as_online_does(filled, at):
    near = [1.0, 0.0]
    assert ids(filled.nearest("products", "e", near, 2)) == [0, 0]
    parts = filled._parts
    group = parts.registry.group("products")
    keys = encode_keys(pa.table({"country": ["de", "fr"], "id": pa.array([0, 0], pa.int64())}))
    head = version_head(to_us(at(2)), 2)
    half = [head + msgspec.msgpack.encode([[-1.0, 0.0], None, "hats", None, None]), head]  # moved, and retired
    parts.online.apply([Change(group.id, 1, 2, to_us(at(3)), keys, half, final=False)])
    assert filled.online("products", {"country": "de", "id": 0}).receipt.applying
    found = filled.nearest("products", "e", near, 2)
    assert found.applying
    assert ids(found) == [1, 2]
    (last,) = filled.nearest("products", "e", [-1.0, 0.0], 1).to_arrow().to_pylist()
    assert (last["country"], last["id"], last["category"], last["distance"]) == ("de", 0, "hats", 0.0)


def test_a_group_without_rows_has_no_neighbours(store, at):
    store.apply(products())
    found = store.nearest("products", "e", [1.0, 0.0])
    assert (len(found), found.compared) == (0, 0)
    store.write("products", [])
    assert len(store.nearest("products", "e", [1.0, 0.0], where={"category": "x"})) == 0
    store.push("products", row(at, 1, [1.0, 0.0]))
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [1]


def test_a_static_group_and_one_that_skips_unchanged_rows(store, at):
    store.apply(products(event_time=None))
    rows = [row(at, n, [1.0, float(n)]) for n in range(3)]
    for each in rows:
        del each["at"]
    store.backfill("products", rows)
    assert ids(store.nearest("products", "e", [1.0, 2.0], 2)) == [2, 1]
    store.write("products", [rows[2] | {"e": [1.0, -2.0]}])
    assert ids(store.nearest("products", "e", [1.0, 2.0], 2)) == [1, 0]


def test_confirmed_rows_answer(store, at):
    store.apply(products(on_unchanged="skip", ttl="6h"))
    store.write("products", [row(at, n, [1.0, float(n)], hour=19) for n in range(3)])
    store.write("products", [row(at, n, [1.0, float(n)], hour=23) for n in range(2)])
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [0, 1, 2]
    store.write("products", [row(at, n, [1.0, float(n)], hour=23.5) for n in range(2)])
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [0, 1, 2]


def test_a_feature_that_is_added_later_is_found(store, at):
    store.apply(products())
    store.backfill("products", [row(at, 1, [1.0, 0.0])])
    assert ids(store.nearest("products", "e", [1.0, 0.0])) == [1]
    store.apply(products(features=[*products().features, Feature("f", "vector<float64, 1>"), Feature("tag", "bool")]))
    assert ids(store.nearest("products", "f", [1.0], metric="l2")) == []
    store.push("products", row(at, 2, [1.0, 1.0], f=[2.0], tag=True))
    assert ids(store.nearest("products", "f", [1.0], metric="l2", where={"tag": True})) == [2]
    assert ids(store.nearest("products", "e", [1.0, 0.0], where={"tag": True})) == [2]


def test_integers_are_vectors_too(store, at):
    store.apply(products())
    store.backfill("products", [row(at, n, None, d=[n, 2**53 + n]) for n in range(3)])
    found = store.nearest("products", "d", [1, 2**53], 1, metric="l2").to_arrow().to_pylist()
    assert [(each["id"], each["distance"]) for each in found] == [(1, 0.0)]  # 2**53 + 1 is rounded


def test_many_small_commits_are_put_together(store, at):
    store.apply(products())
    store.backfill("products", [row(at, n, [1.0, float(n)]) for n in range(40)])
    for n in range(60):
        store.push("products", row(at, n % 45, [1.0, float(n)], hour=2 + n / 100))
        found = store.nearest("products", "e", [1.0, float(n)], 1, metric="l2")
        assert ids(found) == [n % 45]
        assert found.compared == max(40, min(n + 1, 45))


VECTORS = [
    ([1.0], "has 1 numbers, not 2"),
    ([1.0, 2.0, 3.0], "has 3 numbers"),
    ([1.0, float("nan")], "element 1 is nan, which cannot be compared"),
    ([float("inf"), 0.0], "cannot be compared"),
    ([1e101, 0.0], "cannot be compared.*up to 1e.100"),
    ([10**400, 0], "cannot be compared"),
    ([1.0, None], "element 1 is None, no number"),
    ([1.0, "2"], "no number"),
    ([True, 1.0], "element 0 is True, no number"),
    ("12", "str is no vector"),
    (None, "NoneType is no vector"),
    ({"a": 1}, "dict is no vector"),
    ([0.0, 0.0], "zeros.*no direction"),
]


@pytest.mark.parametrize(("vector", "message"), VECTORS, ids=[str(each[0])[:12] for each in VECTORS])
def test_a_vector_that_makes_no_sense_is_refused(filled, vector, message):
    with pytest.raises(UsageError, match=message):
        filled.nearest("products", "e", vector)


def test_a_matrix_is_no_vector(filled):
    with pytest.raises(UsageError, match=r"is no vector|has 1 numbers"):
        filled.nearest("products", "e", np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"k": 0}, UsageError, "k=0 is no number of neighbours.*1 to 10,000"),
        ({"k": 10_001}, UsageError, "no number of neighbours"),
        ({"k": 2.0}, UsageError, "no number of neighbours"),
        ({"k": True}, UsageError, "no number of neighbours"),
        ({"metric": "euclid"}, UsageError, "metric='euclid' is not known.*cosine or l2 or dot"),
        ({"exact": 1}, UsageError, "neither True nor False"),
        ({"feature": "embedding"}, NotFoundError, "unknown feature"),
        ({"feature": "category"}, UsageError, "'category' of type string is no vector of numbers.*name one of e, d"),
        ({"feature": "names"}, UsageError, "no vector of numbers"),
        ({"group": "product"}, NotFoundError, "unknown group.*products"),
        ({"columns": ["colour"]}, NotFoundError, "unknown feature 'colour'"),
        ({"columns": "category"}, UsageError, "is a text"),
        ({"where": {"colour": 1}}, NotFoundError, "unknown key or feature 'colour'"),
        ({"where": {"at": 1}}, NotFoundError, "unknown key or feature 'at'"),
        ({"where": {"e": [1.0, 0.0]}}, UsageError, "cannot be compared"),
        ({"where": {"category": None}}, UsageError, "null is equal to nothing"),
        ({"where": {"category": ["a", None]}}, UsageError, "null is equal to nothing"),
        ({"where": {"id": "x"}}, UsageError, "'x' does not fit.*int64"),
        ({"where": {"id": [1, "x"]}}, UsageError, "does not fit"),
        ({"where": {"price": True}}, UsageError, "does not fit"),
        ({"where": "id"}, UsageError, "is no filter"),
        ({"where": [1]}, UsageError, "is no filter"),
        ({"where": [{}] * 1001}, UsageError, "more than the 1,000"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(filled, words, error, message):
    asked = {"group": "products", "feature": "e", "vector": [1.0, 0.0]} | words
    with pytest.raises(error, match=message):
        filled.nearest(**asked)


def test_groups_that_cannot_be_searched_are_refused(store, at):
    events = products()
    counts = FeatureGroup("counts", entity=shop, source=events, features=[Count("category", over="6h")], online=True)
    offline = FeatureGroup("old", entity=shop, event_time="at", features=[Feature("e", "vector<float32, 2>")])
    store.apply(events, counts, offline, FeatureView("all", features=[events["category"]]))
    with pytest.raises(UnsupportedError, match="is not online"):
        store.nearest("old", "e", [1.0, 0.0])
    with pytest.raises(UnsupportedError, match="made of windows"):
        store.nearest("counts", "count_6h", [1.0, 0.0])
    with pytest.raises(NotFoundError, match="unknown group 'all'"):
        store.nearest("all", "category", [1.0, 0.0])
    named = FeatureGroup(
        "far", entity=shop, event_time="at", online=True,
        features=[Feature("e", "vector<float32, 2>"), Feature("distance", "float64")],
    )  # fmt: skip
    store.apply(named)
    with pytest.raises(UsageError, match="two columns 'distance'"):
        store.nearest("far", "e", [1.0, 0.0])
    assert len(store.nearest("far", "e", [1.0, 0.0], columns=[])) == 0
    store.catalog.remove("far")
    with pytest.raises(NotFoundError):
        store.nearest("far", "e", [1.0, 0.0])


def big(count, width=8):
    random = np.random.default_rng(7)
    centres = random.standard_normal((50, width))
    return (centres[random.integers(50, size=count)] + 0.3 * random.standard_normal((count, width))).astype(np.float32)


@pytest.fixture
def many(store, at):
    group = FeatureGroup(
        "many", entity=Entity("item", keys={"id": "int64"}), event_time="at", online=True, ttl="6h",
        features=[Feature("e", "vector<float32, 8>"), Feature("parity", "int8")],
    )  # fmt: skip
    store.apply(group)
    vectors = big(6000)
    times = pa.array([at(23) if n % 10 else at(19) for n in range(6000)], pa.timestamp("us", "UTC"))
    columns = {"id": range(6000), "at": times, "parity": [n % 2 for n in range(6000)]}
    store.write("many", pa.table(columns).append_column("e", pa.FixedSizeListArray.from_arrays(vectors.ravel(), 8)))
    return store, vectors


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_likely_neighbours_state_their_recall_and_keep_every_rule(many, at, clock, metric):
    store, vectors = many
    clock.move(hours=2)  # a tenth is expired
    hits = wanted = 0
    for at_row in range(1, 100, 10):
        exact = ids(store.nearest("many", "e", vectors[at_row], metric=metric))
        found = store.nearest("many", "e", vectors[at_row], metric=metric, exact=False)
        assert not found.exact
        assert 0.95 <= found.recall <= 1.0
        assert not any(n % 10 == 0 for n in ids(found))
        assert len(found) == 10
        hits, wanted = hits + len(set(exact) & set(ids(found))), wanted + 10
    assert hits / wanted >= 0.9
    store.push("many", {"id": -1, "at": at(24), "e": (10 * vectors[1]).tolist(), "parity": None})
    assert ids(store.nearest("many", "e", (10 * vectors[1]).tolist(), 1, metric=metric, exact=False)) == [-1]
    filtered = store.nearest("many", "e", vectors[1], where={"parity": 0}, exact=False, metric=metric)
    assert filtered.exact
    assert filtered.to_arrow() == store.nearest("many", "e", vectors[1], where={"parity": 0}, metric=metric).to_arrow()


@pytest.mark.embedded("looks at what this process holds")
def test_questions_at_once_make_lists_once(many, monkeypatch):
    store, vectors = many
    made = []

    class Counted(search.Lists):
        def __init__(self, *given):
            made.append(given[0])
            super().__init__(*given)

    monkeypatch.setattr(search, "Lists", Counted)
    everyone = threading.Barrier(4)

    def ask(n):
        everyone.wait(20)
        return store.nearest("many", "e", vectors[n], 1, exact=False)

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(1, 5)))
    assert [ids(each) for each in answers] == [[1], [2], [3], [4]]
    assert not any(each.exact for each in answers)
    assert made == ["cosine"]


@pytest.mark.embedded("looks at what this process holds")
def test_what_was_asked_longest_ago_goes_when_memory_is_short(filled, at, monkeypatch):
    filled.apply(products(features=[*products().features, Feature("f", "vector<float64, 1>")]))
    filled.push("products", row(at, 2, [1.0, 1.0], hour=2, d=[1, 1], f=[2.0]))

    def asked(feature, vector):
        assert 2 in ids(filled.nearest("products", feature, vector, metric="l2"))
        return [each for _, each in filled._nearest._indexes]

    asked("e", [1.0, 1.0])
    asked("d", [1, 1])
    assert asked("e", [1.0, 1.0]) == ["d", "e"]
    reader = filled._nearest
    assert all(each > 8 * 40 for each in reader._bytes.values())
    monkeypatch.setattr(nearest_reader, "LARGEST_BYTES", sum(reader._bytes.values()) + 1)
    assert asked("f", [2.0]) == ["e", "f"]
    monkeypatch.setattr(nearest_reader, "LARGEST_BYTES", 1)
    assert asked("d", [1, 1]) == ["d"]
    assert asked("d", [1, 1]) == ["d"]


def test_an_approximate_question_without_faiss_names_the_extra(many, monkeypatch):
    store, vectors = many
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingDependencyError, match=r"asof\[vectors\]"):
        store.nearest("many", "e", vectors[0], exact=False)
    assert len(store.nearest("many", "e", vectors[0])) == 10
