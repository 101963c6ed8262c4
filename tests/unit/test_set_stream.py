"""Streams of rows: shards share them, orders are drawn by lot, batches are whole."""

import copy
import importlib.util
import pickle
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.errors import MissingDependencyError, UsageError
from asof.training.sets import stream as streams
from asof.training.sets.stream import Stream, arrays, huggingface_dataset, tensors, torch_dataset


def reading(rows):
    table = pa.table({"n": pa.array(range(rows), pa.int64())})
    return lambda most: iter(table.to_batches(max_chunksize=min(most, 7)))


def numbers(stream):
    return [n for batch in stream for n in (batch["n"].tolist() if stream.batch_size else [batch["n"]])]


@given(rows=st.integers(0, 60), size=st.none() | st.integers(1, 20), many=st.integers(1, 5), shuffle=st.booleans())
def test_shards_share_the_rows(rows, size, many, shuffle):
    found = [numbers(Stream(reading(rows), size, shuffle, 3, (at, many))) for at in range(many)]
    assert sorted(n for each in found for n in each) == list(range(rows))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    if not shuffle:
        assert found == [list(range(at, rows, many)) for at in range(many)]


@given(rows=st.integers(1, 60), size=st.integers(1, 20))
def test_batches_are_whole_but_for_the_last(rows, size):
    lengths = [len(batch["n"]) for batch in Stream(reading(rows), size)]
    assert set(lengths[:-1]) <= {size}
    assert sum(lengths) == rows


def test_an_order_is_that_of_its_seed_and_epoch():
    one = Stream(reading(50), 8, shuffle=True, seed=1)
    assert numbers(one) == numbers(one) != list(range(50))
    assert numbers(one) == numbers(Stream(reading(50), None, shuffle=True, seed=1)), "whatever the batches"
    assert numbers(one) != numbers(Stream(reading(50), 8, shuffle=True, seed=2))
    assert numbers(one) != numbers(Stream(reading(50), 8, shuffle=True, seed=1, epoch=1))


def test_a_pool_gives_and_takes(monkeypatch):
    monkeypatch.setattr(streams, "POOL_ROWS", 20)
    monkeypatch.setattr(streams, "BLOCK_ROWS", 5)
    found = numbers(Stream(reading(200), 8, shuffle=True))
    assert sorted(found) == list(range(200))
    assert found[:10] != list(range(10))


def test_workers_share_a_shard():
    stream = Stream(reading(40), shard=(1, 2))
    found = [numbers(stream.of(at, 3)) for at in range(3)]
    assert sorted(n for each in found for n in each) == numbers(stream)


def test_arrays_keep_what_numpy_knows():
    found = arrays(
        pa.table({
            "e": pa.array([date(2026, 1, 1), None]),
            "i": pa.array([1, None], pa.int64()), "j": pa.array([1, 2], pa.int32()), "f": pa.array([1.5, None]),
            "v": pa.array([[1.0, 2.0, 3.0], None], pa.list_(pa.float32(), 3)), "w": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)),
            "l": [[1.0], [2.0, 3.0]], "d": pa.array([[1], [2]], pa.list_(pa.decimal128(3, 0), 1)),
            "b": [True, False], "s": ["a", None], "t": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        })
    )  # fmt: skip
    assert found["i"].dtype == np.float64
    assert np.isnan(found["i"][1])
    assert found["j"].dtype == np.int32
    assert np.isnan(found["f"][1])
    assert found["b"].dtype == bool
    assert found["s"] == ["a", None]
    assert found["t"].dtype == found["e"].dtype == "datetime64[us]"
    assert np.isnat(found["t"]).tolist() == np.isnat(found["e"]).tolist() == [False, True]
    assert found["v"].dtype == np.float32
    assert np.array_equal(found["v"], [[1.0, 2.0, 3.0], [np.nan] * 3], equal_nan=True)
    assert found["w"].dtype == np.int64
    assert found["w"].tolist() == [[1, 2], [3, 4]]
    assert found["l"] == [[1.0], [2.0, 3.0]]
    assert found["d"] == [[1], [2]]


def test_vectors_of_a_slice_are_its_own():
    table = pa.table(
        {"v": pa.array([[at, None, at] if at % 3 else None for at in range(10)], pa.list_(pa.float64(), 3))}
    )
    found = arrays(table.slice(4, 5))["v"]
    nan = np.nan
    wanted = [[4, nan, 4], [5, nan, 5], [nan] * 3, [7, nan, 7], [8, nan, 8]]
    assert np.array_equal(found, wanted, equal_nan=True)


class Tensors:
    """What stands for the module torch where it is not installed: it says what it was given."""

    @staticmethod
    def as_tensor(array):
        return ("tensor", array.dtype, array.tolist())


def test_numbers_and_times_become_tensors_and_the_rest_stays():
    batch = {
        "x": np.ones(2),
        "n": np.ones(2, np.int64),
        "b": np.ones(2, bool),
        "s": ["a"],
        "t": np.array([7, "NaT"], "M8[us]"),
    }
    found = tensors(batch, Tensors)
    assert [found[name][0] for name in "xnb"] == ["tensor"] * 3
    assert found["s"] == ["a"]
    assert found["t"] == ("tensor", np.int64, [7, np.iinfo(np.int64).min])


@pytest.mark.parametrize(
    ("words", "message"), [({"batch_size": 0}, "batch_size=0"), ({"shard": (2, 2)}, "shard"), ({"seed": -1}, "seed")]
)
def test_what_makes_no_sense_is_refused(words, message):
    with pytest.raises(UsageError, match=message):
        Stream(reading(1), **words)


@pytest.mark.parametrize(
    ("make", "package"), [(torch_dataset, "torch"), (lambda stream: huggingface_dataset(stream, "n"), "datasets")]
)
def test_what_is_not_installed_is_told_with_its_command(make, package):
    if importlib.util.find_spec(package) is None:
        with pytest.raises(MissingDependencyError, match=rf"'{package}' is not installed .*pip install \"asof\["):
            make(Stream(reading(3)))
    else:
        assert sorted(row["n"] for row in make(Stream(reading(3)))) == [0, 1, 2]


def test_what_hugging_face_hashes_is_the_name_and_the_words():
    one, other = (streams._Named(Stream(reading(3), seed=seed), "a@1") for seed in (1, 2))
    assert pickle.dumps(one) == pickle.dumps(streams._Named(Stream(reading(3), seed=1), "a@1")) != pickle.dumps(other)
    assert copy.deepcopy(one) is one
    with pytest.raises(UsageError, match="not handed to another process"):
        pickle.loads(pickle.dumps(one))
