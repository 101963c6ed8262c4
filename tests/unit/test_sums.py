"""Columns of sums come to the floats that Python's integers come to."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from asof.engine.sums import Sums
from asof.windows.exact import rounded

MOST = 10**38 - 1

halfway = st.builds(
    lambda kept, shift, off: min((2 * kept + 1 << shift) + off, MOST),
    st.integers(2**52, 2**53 - 1),
    st.integers(0, 72),
    st.integers(-1, 1),
)
magnitudes = st.one_of(st.integers(0, MOST), st.integers(0, 126).map(lambda bits: min(2**bits, MOST)), halfway)
sums = st.builds(lambda magnitude, sign: magnitude * sign, magnitudes, st.sampled_from([1, -1]))
columns = st.lists(st.none() | sums, max_size=8)
exponents = st.sampled_from([-1000, -999, -970, -56, 0, 3, 850, 950, 999])


def column(values: list[int | None]) -> pa.ChunkedArray:
    decimals = pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))
    return pa.chunked_array([decimals[:2], decimals[2:]])


def quotient(value: int, exponent: int, by: int) -> float:
    return rounded(value << max(exponent, 0), by << max(-exponent, 0))


@given(values=columns, exponent=exponents)
@example(values=[0, -1, MOST, -MOST, 2**63, -(2**63), 2**64, 2**64 - 1], exponent=0)
def test_sums_are_rounded_once(values: list[int | None], exponent: int) -> None:
    plain = [value or 0 for value in values]
    made = Sums.of(column(values))
    assert [made[at] for at in range(len(values))] == plain
    assert made.floats(exponent).tolist() == [quotient(value, exponent, 1) for value in plain]
    assert made.fit().tolist() == [-(2**63) <= value < 2**63 for value in plain]
    assert [fit for fit, fits in zip(made.integers().tolist(), made.fit(), strict=True) if fits] == [
        value for value in plain if -(2**63) <= value < 2**63
    ]


@given(
    values=columns,
    exponent=exponents,
    counts=st.lists(st.integers(1, 2**62) | st.integers(1, 10), min_size=8, max_size=8),
    scale=st.sampled_from([0, 0, 2, 27]),
)
def test_quotients_are_rounded_once(values: list[int | None], exponent: int, counts: list[int], scale: int) -> None:
    found = Sums.of(column(values)).quotients(np.array(counts[: len(values)]), exponent, scale=scale).tolist()
    wanted = [quotient(value or 0, exponent, count * 10**scale) for value, count in zip(values, counts, strict=False)]
    assert found == wanted
    assert [*map(str, found)] == [*map(str, wanted)]  # no -0.0


def test_a_column_of_no_type_is_of_zeros_and_no_count_is_no_quotient() -> None:
    nothing = Sums.of(pa.chunked_array([pa.nulls(2)]))
    assert nothing.floats(-5).tolist() == [0.0, 0.0]
    assert np.isnan(nothing.quotients(np.array([0, 1]), -5)).tolist() == [True, False]
