"""Splits: which part of a training set a row is in."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asof
from asof import GroupSplit, RandomSplit, TimeSplit
from asof.clock import from_us
from asof.definitions.splits import checked_split, split_document, split_from
from asof.errors import DataError, NotFoundError, UsageError
from asof.training.sets.splitting import LEFT_OUT, Splitter, resolved

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = st.lists(st.tuples(st.sampled_from([*"abcdefgh", None]), st.integers(-3, 30)), max_size=40)
SEEDS = st.integers(0, 2**63 - 1)


def spine(rows):
    return pa.table({"k": pa.array([k for k, _ in rows], pa.string()), "n": pa.array([n for _, n in rows], pa.int64())})


def parts(split, rows, times=None):
    table = spine(rows)
    given = None if times is None else np.array(times, np.int64)
    return Splitter(split, tuple(table.column_names)).parts(table, given).tolist()


@given(rows=ROWS, seed=SEEDS, order=st.randoms(), cut=st.integers(0, 40))
def test_chance_is_of_the_row_alone_whatever_its_order_its_batch_and_later_rows(rows, seed, order, cut):
    for split in (RandomSplit((0.7, 0.3), seed), GroupSplit("k", {"a": 0.2, "b": 0.3, "c": 0.5}, seed)):
        whole = dict(zip(rows, parts(split, rows), strict=True))
        assert all(0 <= part < len(split.names) for part in whole.values())
        shuffled = list(rows)
        order.shuffle(shuffled)
        for some in (shuffled, rows[:cut], rows[cut:], rows + rows):
            assert parts(split, some) == [whole[row] for row in some]


@given(rows=ROWS, seed=SEEDS)
def test_a_group_is_in_one_part(rows, seed):
    found = parts(GroupSplit(["k"], (0.5, 0.5), seed), rows)
    assert len({(k, part) for (k, _), part in zip(rows, found, strict=True)}) == len({k for k, _ in rows})


@given(
    times=st.lists(st.integers(0, 50), max_size=40),
    cuts=st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True).map(sorted),
    gap=st.integers(0, 10),
)
def test_parts_of_time_end_at_their_cut_and_the_gap_before_it_is_left_out(times, cuts, gap):
    names = [f"p{at}" for at in range(len(cuts) + 1)]
    split = TimeSplit([from_us(cut) for cut in cuts], names=names, gap=timedelta(microseconds=gap))
    for t, part in zip(times, parts(split, [("a", 0)] * len(times), times), strict=True):
        inside = sum(cut < t for cut in cuts)
        end = cuts[inside] if inside < len(cuts) else None
        wanted = LEFT_OUT if end is not None and end - gap < t <= end else inside
        assert part == wanted


@given(times=st.lists(st.integers(0, 1000), min_size=1, max_size=60), share=st.sampled_from([0.1, 0.25, 0.5, 0.8]))
def test_shares_of_time_are_those_of_the_rows_up_to_ties(times, share):
    split = TimeSplit(shares=(share, 1 - share))
    ordered = sorted(times)
    place = max(-(-round(len(times) * share * 100) // 100), 1)
    cut = ordered[place - 1]
    if cut == ordered[-1]:
        with pytest.raises(DataError, match="cannot be parted"):
            resolved(split, np.array(times))
        return
    found = resolved(split, np.array(times))
    assert found.cuts_us == (cut,)
    first = parts(found, [("a", 0)] * len(times), times).count(0)
    assert first >= place
    assert first - place < times.count(cut)


def test_the_numbers_never_change():
    """Whoever makes a training set again, with whatever version of asof, finds the same rows in each part."""
    rows = [("JFK", 1), ("LGA", 2), ("EWR", 3), (None, 4), ("", 5), ("é", 6), ("JFK", 7), ("BOS", 8)]
    assert parts(RandomSplit((0.5, 0.5), 7), rows) == RANDOM
    assert parts(GroupSplit("k", (0.5, 0.5), 7), rows) == GROUPED


RANDOM = [1, 1, 1, 0, 1, 1, 0, 1]
GROUPED = [1, 1, 1, 1, 0, 0, 1, 0]


def test_shares_hold_on_many_rows():
    rows = [(str(at), at) for at in range(20_000)]
    counts = np.bincount(parts(RandomSplit((0.7, 0.2, 0.1), 3), rows))
    assert np.allclose(counts / len(rows), (0.7, 0.2, 0.1), atol=0.01)
    other = parts(RandomSplit((0.7, 0.2, 0.1), 4), rows)
    assert np.mean(np.array(other) == parts(RandomSplit((0.7, 0.2, 0.1), 3), rows)) < 0.6, "another seed, other parts"


@pytest.mark.parametrize(
    "split",
    [
        None,
        TimeSplit([NOON], gap="1d"),
        TimeSplit(NOON.isoformat()),
        TimeSplit(shares=(0.5, 0.5)),
        TimeSplit(shares=(0.5, 0.5)).at([5]),
        RandomSplit({"a": 0.4, "b": 0.6}, 9),
        GroupSplit(["k", "n"], (0.4, 0.3, 0.3)),
    ],
)
def test_a_split_comes_back_from_its_document(split):
    assert split_from(split_document(split)) == split
    assert checked_split(split) == split


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeSplit(), "needs cuts or shares"),
        (lambda: TimeSplit([NOON], shares=(0.5, 0.5)), "needs cuts or shares"),
        (lambda: TimeSplit([NOON, NOON]), "must rise"),
        (lambda: TimeSplit([]), "must rise"),
        (lambda: TimeSplit([NOON.replace(tzinfo=None)]), "no time zone"),
        (lambda: TimeSplit(["2026-01-01"]), "cut"),
        (lambda: TimeSplit([NOON], names=["a"]), "2 parts are named a"),
        (lambda: TimeSplit([NOON], gap="soon"), "no length of time"),
        (lambda: RandomSplit((0.5, 0.6)), "1.1 together"),
        (lambda: RandomSplit((1.0,)), "no share"),
        (lambda: RandomSplit("ab"), "no shares"),
        (lambda: RandomSplit((0.5, True)), "no share"),
        (lambda: RandomSplit((0.25, 0.25, 0.25, 0.25)), "what are the 4 parts called"),
        (lambda: RandomSplit({"Train": 0.5, "b": 0.5}), "no name for a part"),
        (lambda: RandomSplit((0.5, 0.5), -1), "no seed"),
        (lambda: GroupSplit([], (0.5, 0.5)), "needs columns"),
        (lambda: checked_split("time"), "no split"),
        (lambda: split_from({"kind": "moon"}), "no kind of split"),
        (lambda: split_from({"kind": "time"}), "no split"),
    ],
)
def test_what_is_no_split_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_group_split_needs_its_columns():
    with pytest.raises(NotFoundError, match="did you mean 'k'"):
        Splitter(GroupSplit("kk", (0.5, 0.5)), ("k", "n"))


def test_a_time_split_needs_times():
    with pytest.raises(UsageError, match="needs times"):
        parts(TimeSplit([NOON]), [("a", 1)])


def test_they_are_told_as_text():
    assert str(TimeSplit([NOON], gap="12h")) == "by time: train, test at 2026-01-01T12:00:00Z, gap 12h"
    assert str(RandomSplit((0.8, 0.2), 7)) == "by chance: train 0.8, test 0.2, seed 7"
    assert str(GroupSplit("k", (0.8, 0.2))) == "by k: train 0.8, test 0.2, seed 0"
    assert asof.TimeSplit is TimeSplit
