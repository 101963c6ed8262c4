"""Answers as columns hold what the same answers hold one by one: rows of floats, of all types, old, null, missing."""

import math
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.serving.columns import columns

T = datetime(2026, 1, 1, tzinfo=UTC)
KEYS = range(6)
WIDTHS = {"three": 3, "sixteen": 16, "mixed": 4}
USER = Entity("user", keys={"k": "int64"})
MIXED = ("float32", "string", "float64", "timestamp")


def group(name, more=0):
    types = MIXED if name == "mixed" else ("float64", "float32") * 8
    features = [Feature(f"{name}_{at}", types[at % 2] if at >= len(types) else types[at]) for at in range(WIDTHS[name])]
    features += [Feature(f"{name}_new", "float64")] * more
    return FeatureGroup(name, entity=USER, event_time="t", features=features, ttl="2h", online=True)


def value(dtype):
    if dtype == "string":
        return st.sampled_from(["", "x", "\xcb" * 9])
    if dtype == "timestamp":
        return st.sampled_from([T, T - timedelta(days=9)])
    return st.sampled_from([0.0, 1.5, -2.0, math.nan, math.inf])


@st.composite
def puts(draw):
    found = []
    for name in draw(st.lists(st.sampled_from(list(WIDTHS)), max_size=12)):
        made = {f.name: draw(st.none() | value(f.dtype.name)) for f in group(name).features}
        row = {"k": draw(st.sampled_from(KEYS)), "t": T - timedelta(hours=draw(st.sampled_from([0, 1, 2, 3]))), **made}
        found.append((name, row, draw(st.sampled_from(["put", "put", "put", "retire", "add"]))))
    return found


def shown(values):
    return ["nan" if isinstance(v, float) and math.isnan(v) else v for v in values]


@pytest.mark.slow
@given(puts())
def test_columns_hold_what_vectors_hold(made):
    with TemporaryDirectory() as folder, asof.open(folder, clock=lambda: T) as store:
        store.apply(*(group(name) for name in WIDTHS))
        store.apply(FeatureView("all", features=[group(name) for name in WIDTHS]))
        wider = set()
        for name, row, how in made:
            if how == "retire":
                store.retire(name, {"k": row["k"]}, event_time=row["t"])
                continue
            if how == "add":
                store.apply(group(name, 1))
                wider.add(name)
            store.push(name, row | ({f"{name}_new": 1.0} if name in wider else {}))
        vectors = store.online("all", [{"k": k} for k in (*KEYS, *KEYS)])
        arrays, letters = columns(
            vectors[0]._plan,
            vectors[0]._plan.schema.types,
            [v._rows for v in vectors],
            [v._t_us for v in vectors],
            [v._given for v in vectors],
        )
        assert [shown(row) for row in zip(*(a.to_pylist() for a in arrays), strict=True)] == [
            shown(v.values.values()) for v in vectors
        ]
        assert [bytes(row).decode() for row in letters] == ["".join(s[0] for s in v.statuses.values()) for v in vectors]
        assert vectors.to_arrow().schema == vectors[0]._plan.schema


def test_no_answers_make_empty_columns_of_the_right_types(tmp_path):
    with asof.open(tmp_path / "s", clock=lambda: T) as store:
        store.apply(group("three"), group("mixed"))
        store.apply(FeatureView("all", features=[group("three"), group("mixed")]))
        none = store.online("all", [])
        assert none.to_arrow().num_rows == 0
        assert none.to_arrow().schema.names == [f"three_{n}" for n in range(3)] + [f"mixed_{n}" for n in range(4)]
        assert store.online("three", []).to_numpy().shape == (0, 3)


def test_a_matrix_has_nan_where_a_number_or_a_truth_is_null(tmp_path):
    flags = FeatureGroup(
        "flags", entity=USER, event_time="t", online=True, features=[Feature("b", "bool"), Feature("n", "int64")]
    )
    with asof.open(tmp_path / "s", clock=lambda: T) as store:
        store.apply(flags)
        store.push("flags", {"k": 1, "t": T, "b": True, "n": 7})
        store.push("flags", {"k": 2, "t": T, "b": None, "n": 2**62 + 1})
        got = store.online("flags", [{"k": 1}, {"k": 2}, {"k": 3}]).to_numpy()
        assert np.array_equal(got, [[1, 7], [math.nan, float(2**62 + 1)], [math.nan, math.nan]], equal_nan=True)
