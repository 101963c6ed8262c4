"""Transforms as views declare them: what is refused, and what documents say."""

import contextlib
import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.on_demand_features import warmer_at
from tests.on_demand_features import weather as stations

from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.definitions.chain import check_takes, step_from, transforms_from
from asof.definitions.documents import view_document, view_from, view_identity
from asof.definitions.estimator import users_codes
from asof.definitions.transform import BUILT_IN
from asof.definitions.types import parse_type
from asof.errors import NotFoundError, UsageError
from asof.registry.plan import view_change
from asof.transforms import Bucket, Clip, Hashing, Impute, Log, MinMax, OneHot, Ordinal, Robust, Standard

airport = Entity("airport", keys={"origin": "string"})
weather = FeatureGroup(
    "weather",
    entity=airport,
    event_time="time_hour",
    features=[
        Feature("temp", "float64"),
        Feature("visib", "float64"),
        Feature("code", "string"),
        Feature("gusts", "int8"),
        Feature("seen", "timestamp"),
        Feature("embedding", "vector<float32, 3>"),
        Feature("texts", "vector<string, 2>"),
        Feature("paid", "decimal(9, 2)"),
    ],
)

EVERY = [
    Standard(),
    MinMax(),
    MinMax(-1, 1, clip=True),
    Robust(),
    Robust(0.1, 0.9),
    Clip(),
    Clip(None, 0.5),
    Log(),
    Log(plus=0.5),
    Bucket([0, 15, 60]),
    Bucket(count=10),
    OneHot(),
    OneHot(20),
    OneHot(categories=["AA", "UA"]),
    Ordinal(),
    Ordinal(None),
    Ordinal(unknown=9, categories=["low", "high"]),
    Hashing(),
    Hashing(buckets=7),
    Impute(),
    Impute("median"),
    Impute("most_frequent"),
    Impute(0.0),
    Impute(0),
    Impute(False),
    Impute(value="mean"),
]


def view(transforms=None, **parts):
    return FeatureView("departure", features=[weather], transforms=transforms, **parts)


@pytest.mark.parametrize("step", EVERY, ids=str)
def test_a_transform_comes_back_from_its_document(step):
    found = step_from(json.loads(json.dumps(step.document())))
    assert found == step
    assert hash(found) == hash(step)
    assert str(found) == str(step)


def test_a_document_says_what_is_not_the_default():
    assert Standard().document() == {"kind": "standard"}
    assert Clip(0.01, 0.95).document() == {"kind": "clip", "high": 0.95}
    assert Impute(0).document() == {"kind": "impute", "strategy": "constant", "value": 0}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MinMax(1, 0), "low 1.0 is not below high 0.0"),
        (lambda: MinMax(0, float("inf")), "no finite number"),
        (lambda: MinMax(True, 2), "low is True"),
        (lambda: Clip(None, None), "no bound"),
        (lambda: Clip(0.9, 0.1), "no quantiles"),
        (lambda: Clip(1, 99), "no quantiles"),
        (lambda: Robust("a", 0.5), "low is 'a'"),
        (lambda: Log(plus=None), "plus is None"),
        (lambda: Bucket(), "one of both"),
        (lambda: Bucket([1], count=2), "one of both"),
        (lambda: Bucket([2, 1]), "edges must rise"),
        (lambda: Bucket([1, 1]), "edges must rise"),
        (lambda: Bucket([float("nan")]), "no finite number"),
        (lambda: Bucket(count=1), "no integer from 2"),
        (lambda: OneHot(0), "no integer from 1"),
        (lambda: OneHot(most=2, categories=["a"]), "says nothing"),
        (lambda: OneHot(categories="AA"), "is one text"),
        (lambda: OneHot(categories=["a", "a"]), "twice"),
        (lambda: OneHot(categories=["a", 1]), "several types"),
        (lambda: OneHot(categories=[None]), "no text, number or bool"),
        (lambda: Ordinal("x"), "no integer"),
        (lambda: Ordinal(1, categories=["a", "b"]), "place of 'b'"),
        (lambda: Hashing(buckets=1), "no integer from 2"),
        (lambda: Hashing(buckets=2.5), "no integer from 2"),
        (lambda: Impute("meen"), "'meen' is no way to impute"),
        (lambda: Impute("median", value=3.0), "no way to impute"),
        (lambda: Impute(float("nan")), "no text, number or bool"),
        (lambda: Impute(None), "no way to impute"),
        (lambda: Impute(3.0, value=4.0), "no way to impute"),
        (lambda: Impute(value=[1]), "no text, number or bool"),
        (lambda: Impute(10**400), "no text, number or bool"),
        (lambda: Log(plus=10**400), "no finite number"),
    ],
)
def test_parts_that_say_nothing_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()


@pytest.mark.parametrize(
    ("transforms", "error", "said"),
    [
        ({"tmep": Standard()}, NotFoundError, "did you mean 'temp'"),
        ({("temp", "vsib"): Standard()}, NotFoundError, "did you mean 'visib'"),
        ({"code": Standard()}, UsageError, "Standard.* takes .*, and this is string"),
        ({"seen": Standard()}, UsageError, "this is timestamp"),
        ({"embedding": Standard()}, UsageError, "this is vector"),
        ({"temp": OneHot()}, UsageError, "this is float64"),
        ({"code": [OneHot(), Hashing(), Impute(value="x")]}, UsageError, "takes string, and this is int64"),
        ({"code": Impute(0.0)}, UsageError, "this is string"),
        ({"gusts": Impute(0.5)}, UsageError, "this is int8"),
        ({"gusts": Impute(128)}, UsageError, "128 is beyond int8"),
        ({"gusts": OneHot(categories=["a"])}, UsageError, "another type than int8"),
        ({"temp": []}, UsageError, "no transform"),
        ({"temp": Standard}, UsageError, "an object, not its class"),
        ({"temp": "standard"}, UsageError, "is no transform"),
        ({"temp": Standard(), ("visib", "temp"): Standard()}, UsageError, "'temp' has two transforms"),
        ({(): Standard()}, UsageError, "names no features"),
        ({1: Standard()}, UsageError, "names no features"),
        ([("temp", Standard())], UsageError, "no mapping"),
    ],
)
def test_a_view_refuses_what_does_not_fit(transforms, error, said):
    with pytest.raises(error, match=said) as raised:
        view(transforms)
    assert "view departure" in str(raised.value)


def test_numbers_of_all_types_are_taken():
    found = view({"paid": Standard(), "gusts": [Impute("median"), Bucket(count=3), OneHot()]})
    assert [chain.features for chain in found.transforms] == [("gusts",), ("paid",)]


def test_aliases_are_the_names_that_count():
    refs = [weather["temp"].alias("here"), weather.on(origin="dest")["temp"].alias("there")]
    assert FeatureView("v", features=refs, transforms={"there": Standard()}).transforms[0].features == ("there",)
    with pytest.raises(NotFoundError):
        FeatureView("v", features=refs, transforms={"temp": Standard()})


def test_a_view_comes_back_from_its_document_with_its_transforms():
    made = view({("temp", "visib"): [Impute(), Standard()], "code": OneHot(5)})
    document = json.loads(json.dumps(view_document(made, {"weather": 1})))
    assert view_from(document, lambda _: weather) == made


def test_transforms_are_part_of_the_identity_and_their_order_in_the_mapping_is_not():
    def identity(transforms):
        return view_identity(view_document(view(transforms), {"weather": 1}))

    none = view_document(view(), {"weather": 1})
    older = {name: value for name, value in none.items() if name != "transforms"}
    assert identity(None) == identity({}) == view_identity(none) == view_identity(older)
    one, two = {"temp": Standard(), "code": OneHot()}, {"code": OneHot(), "temp": Standard()}
    assert identity(one) == identity(two) != identity(None)
    assert identity({"temp": Standard()}) != identity({"temp": Robust()})


def test_a_plan_says_what_changes():
    old = view_document(view({"temp": Standard()}), {"weather": 1})
    new = view_document(view({"temp": Robust(), "code": OneHot(5)}), {"weather": 1})
    assert "transforms of temp: Standard()" in str(view_change(old, None, 0))
    change = view_change(new, old, 1)
    assert change.action == "new version"
    assert change.details == (
        "- transforms of temp: Standard()",
        "+ transforms of temp: Robust()",
        "+ transforms of code: OneHot(most=5)",
    )
    before = {name: value for name, value in view_document(view(), {"weather": 1}).items() if name != "transforms"}
    assert view_change(view_document(view(), {"weather": 1}), before, 1).action == "unchanged"
    assert view_change(view_document(view(), {"weather": 1}), old, 1).action == "new version"


def test_unknown_kinds_and_parts_in_a_document_are_refused():
    with pytest.raises(NotFoundError, match="did you mean 'standard'"):
        step_from({"kind": "standart"})
    for parts in ({"kind": "standard", "mean": 1}, {"kind": "bucket", "edges": 5}, {"kind": "onehot", "categories": 5}):
        with pytest.raises(UsageError, match="no transform"):
            step_from(parts)
    for parts in (
        {},
        {"class": "sklearn.preprocessing:Binarizer"},
        {"class": "a:B", "params": {}},
        {"class": 1, "params": 2},
    ):
        with pytest.raises(UsageError, match=r"no (transformer|hash)"):
            step_from({"kind": "sklearn", **parts})
    with pytest.raises(UsageError, match="two transforms"):
        transforms_from([{"features": ["temp"], "steps": [{"kind": "standard"}]}] * 2)
    deep = {}
    for _ in range(100_000):
        deep = {"dict": [deep]}
    with pytest.raises(UsageError, match="RecursionError"):
        step_from({"kind": "sklearn", "class": "sklearn.preprocessing:Binarizer", "params": {"threshold": deep}})
    assert users_codes([deep, {"class": "a:B"}]) == ["a:B"]


def test_on_demand_features_may_be_transformed_as_others():
    found = FeatureView("v", features=[warmer_at], transforms={"warmer_at": [Impute(), Standard()]})
    assert {name: str(dtype) for name, dtype in found.types.items()} == {"warmer_at": "float64"}
    with pytest.raises(UsageError, match="this is float64"):
        FeatureView("v", features=[warmer_at], transforms={"warmer_at": OneHot()})
    document = json.loads(json.dumps(view_document(found, {"weather": 1})))
    assert view_from(document, lambda _: stations).transforms == found.transforms


def test_a_view_of_a_view_has_its_features_and_transforms_of_its_own():
    base = view({"temp": Standard()})
    assert FeatureView("wider", features=[base, warmer_at]).transforms == ()
    assert FeatureView("wider", features=[base["temp"]], transforms={"temp": Robust()}).transforms[0].steps == (
        Robust(),
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text("ab", max_size=2) | st.sampled_from(["mean", "constant"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["class", "params", "float", "a"]), inner, max_size=2),
    max_leaves=5,
)  # fmt: skip
PARTS = sorted({f.name for kind in BUILT_IN.values() for f in fields(kind)} | {"class", "params", "digest"})


@settings(max_examples=500, deadline=None)
@given(kind=st.sampled_from([*BUILT_IN, "sklearn"]), parts=st.dictionaries(st.sampled_from(PARTS), JSON, max_size=3))
def test_whatever_a_document_says_is_a_transform_or_refused(kind, parts):
    own = {f.name for f in fields(BUILT_IN[kind])} if kind in BUILT_IN else {"class", "params", "digest"}
    document = {"kind": kind} | {name: value for name, value in parts.items() if name in own}
    try:
        found = step_from(document)
    except UsageError:
        return
    assert step_from(json.loads(json.dumps(found.document()))) == found
    assert hash(found) == hash(step_from(found.document()))
    assert str(found)
    for dtype in ("float64", "int8", "string", "bool"):
        with contextlib.suppress(UsageError):
            check_takes(found, parse_type(dtype), where="x")
