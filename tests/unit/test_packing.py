"""Packed versions compare as (event time, commit) do, in 64 bits and in 128."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof.engine.point_in_time import SMALL, Packing
from asof.engine.port import NO_TIME, Rows
from asof.records import DataFile

US = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
NEAR = st.integers(1_700_000_000_000_000, 1_700_000_000_000_009)


def rows_of(events, pin, *, static=False):
    file = DataFile("f", len(events), 1, min(events), max(events))
    return Rows(pa.schema([]), ("k",), None if static else "t", 0, pin, files=(("f", file, None),))


def literals(packed):
    return [f"({version})::{'BIGINT' if version < SMALL else 'HUGEINT'}" for version in packed]


def evaluated(expressions):
    return duckdb.sql(f"SELECT {', '.join(expressions)}").fetchall()[0]


@given(
    versions=st.lists(st.tuples(st.one_of(US, NEAR), st.integers(1, 9)), min_size=1, max_size=8),
    times=st.lists(st.one_of(US, NEAR), min_size=1, max_size=8),
    pin=st.sampled_from([9, 1000, (1 << 40) - 1]),
)
def test_versions_and_bounds_compare_as_event_times_and_commits(versions, times, pin) -> None:
    packing = Packing.of(rows_of([event for event, _ in versions], pin))
    packed = evaluated([packing.version().replace("__e", f"({e})::BIGINT").replace("__c", str(c)) for e, c in versions])
    bounds = evaluated([packing.bound(f"({time})::BIGINT") for time in times])
    told = evaluated([f"({packing.event(place)}, {packing.commit(place)})" for place in literals(packed)])
    assert list(told) == versions
    for one, version in zip(versions, packed, strict=True):
        assert [one < other for other in versions] == [version < other for other in packed]
        assert [one[0] <= time for time in times] == [version <= bound for bound in bounds]


def test_a_static_history_packs_its_commits_alone() -> None:
    packing = Packing.of(rows_of([0], 5, static=True))
    low, high, bound = evaluated(
        [
            packing.version().replace("__e", f"({NO_TIME})::BIGINT").replace("__c", "1"),
            packing.version().replace("__e", f"({NO_TIME})::BIGINT").replace("__c", "5"),
            packing.bound("(-62135596800000000)::BIGINT"),
        ]
    )
    assert low < high <= bound


@pytest.mark.parametrize(("greatest", "small"), [(SMALL // 16 - 1, False), (SMALL // 16 - 2, True)])
def test_64_bits_are_used_where_every_version_fits(greatest, small) -> None:
    assert Packing(0, greatest, 16).is_small is small
