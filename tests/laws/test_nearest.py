"""`nearest` is held to the oracle on histories of all kinds, over every online store."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asof.serving.nearest.distance import METRICS
from asof.testing.nearest import nearest
from asof.testing.played import Played
from asof.testing.strategies import HOUR_US, History, histories, instants
from asof.testing.values import canonical

pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

few = settings(max_examples=settings().max_examples // (5 if settings().max_examples > 100 else 10))

# Ties, near ties that float32 cannot tell apart, lengths of every size, and vectors that cannot be compared.
POINTS = [
    [0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 2.0], [-1.0, 0.0], [3.0, 4.0], [1.0, 1.0 + 2.0**-23],
    [1e-30, 0.0], [1e30, 1e30], [3.0e38, -3.0e38], [0.1, 0.2], None, [None, 1.0], [float("nan"), 0.0], [float("inf"), 1.0],
]  # fmt: skip
VECTORS = st.sampled_from([[1.0, 0.0], [1.0, 1.0], [0.1, 0.2], [-3.0, 4.0], [1e-120, 1e-130], [1e60, -1.0]])
TINY = st.just([1e-200, 1e-200])
WIDTH = {"e": "vector<float32, 2>", "w": "vector<float64, 2>"}


def rounded(point):
    """Return a vector as float32 holds it."""
    return None if point is None else [x if x is None else struct.unpack("f", struct.pack("f", x))[0] for x in point]


def with_vectors(history: History, places: list[int]) -> History:
    """Return a history whose rows have vectors besides: equal rows have equal ones."""
    seen: dict[str, int] = {}

    def values(row):
        if row.retired:
            return row.values
        at = places[
            seen.setdefault(
                repr(sorted((name, repr(canonical(value))) for name, value in row.values.items())), len(seen)
            )
            % len(places)
        ]
        return {**row.values, "e": rounded(POINTS[at]), "w": POINTS[-at]}

    ops = [replace(op, rows=tuple(replace(row, values=values(row)) for row in op.rows)) for op in history.ops]
    return replace(history, ops=tuple(ops))


def check(played: Played, data) -> None:
    keys = list(dict.fromkeys(row.key for op in played.history.ops for row in op.rows))
    answers = {key: played.reference.online(key, played.clock.now_us)[1] for key in keys}
    feature, metric = data.draw(st.sampled_from(list(WIDTH))), data.draw(st.sampled_from(METRICS))
    vector, k = data.draw(VECTORS if metric == "cosine" else VECTORS | TINY), data.draw(st.integers(1, 4))
    numbers = sorted({each["n"].value for each in answers.values() if each["n"].value is not None})
    where = data.draw(st.sampled_from([None, {"n": numbers[:2]}, [{"n": n} for n in numbers]] if numbers else [None]))
    sets = [{}] if where is None else [where] if isinstance(where, dict) else [{"n": [each["n"]]} for each in where]
    expected = nearest(answers, feature, vector, k, metric=metric, where=sets)
    found = played.store.nearest(played.ref, feature, vector, k, metric=metric, where=where)
    rows = found.to_arrow().to_pylist()
    assert [(row["distance"], tuple(row[key] for key in played.definition.keys)) for row in rows] == expected
    for row, (_, key) in zip(rows, expected, strict=True):
        assert (row["n"], row["s"]) == (answers[key]["n"].value, answers[key]["s"].value)
    assert (found.exact, found.recall, found.applying) == (True, 1.0, False)
    assert found.commits == {played.ref: len(played.commits)}


@few
@given(
    history=histories(max_ops=8),
    places=st.lists(st.integers(0, len(POINTS) - 1), min_size=1, max_size=6),
    compacted=st.booleans(),
    data=st.data(),
)
def test_the_nearest_are_those_of_the_oracle_after_every_commit(bench, history, places, compacted, data) -> None:
    with bench.groups(with_vectors(history, places)) as (played,):
        definition = played.amended(features=WIDTH)
        bench.store.apply(definition)
        played.adopt(definition)
        check(played, data)
        for op in played.history.ops:
            played.step(op)
            if data.draw(st.booleans()):  # else several commits are read at a time
                check(played, data)
        if compacted:
            bench.store.compact(played.ref)
        check(played, data)
        bench.clock.now_us = max(bench.clock.now_us, *instants(history)) + data.draw(st.sampled_from([0, HOUR_US]))
        check(played, data)
