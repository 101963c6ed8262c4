"""External rows are answered as the oracle answers the same rows, in every knowledge mode and at every kind of place."""

from collections import defaultdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from asof import Entity, Feature, FeatureGroup
from asof.clock import from_us
from asof.testing.reference import Group, Reference, Row

BASE_US = 1_704_067_200_000_000
HOUR_US = 3_600_000_000
NOW_US = BASE_US + 1000 * HOUR_US
TIMES = [BASE_US + hour * HOUR_US + off for hour in range(4) for off in (0, 1, -1)]
pytestmark = pytest.mark.filterwarnings("ignore::asof.errors.DataWarning")

STAMP = pa.timestamp("us", "UTC")
FEATURES = {"x": "float64", "n": "int64", "s": "string"}
SCHEMA = pa.schema(
    [
        ("k", pa.string()),
        ("m", pa.int64()),
        ("t", STAMP),
        ("known_at", STAMP),
        ("x", pa.float64()),
        ("n", pa.int64()),
        ("s", pa.string()),
    ]
)
COLUMNS = "k text, m int8, t timestamptz, known_at timestamptz, x float8, n int8, s text"
KINDS = {
    f"g{at}": (ttl_us, delay_us, arrivals, static)
    for at, (ttl_us, delay_us, arrivals, static) in enumerate(
        [
            (None, 0, False, False),
            (HOUR_US, 0, False, False),
            (1, HOUR_US, False, False),
            (None, 1, False, False),
            (None, 0, True, False),
            (2 * HOUR_US, 0, True, False),
            (None, 0, False, True),
        ]
    )
}
KEYS = st.tuples(st.sampled_from(["a", "b", "", "é\"\\'"]), st.sampled_from([1, 11]))
VALUES = st.fixed_dictionaries(
    {
        "x": st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5, float("inf")]),
        "n": st.sampled_from([None, 0, -1, 2**53 + 1]),
        "s": st.sampled_from([None, "", "a"]),
    }
)
LINES = st.lists(st.tuples(KEYS, st.sampled_from(TIMES), st.sampled_from(TIMES), VALUES), max_size=12)
SPINES = st.lists(
    st.tuples(st.one_of(KEYS, st.tuples(st.none(), st.just(1))), st.sampled_from(TIMES)), min_size=1, max_size=10
)
MODES = st.sampled_from(["event", "served", *TIMES])


def declared(name, external):
    ttl_us, delay_us, arrivals, static = KINDS[name]
    return FeatureGroup(
        name,
        entity=Entity("thing", keys={"k": "string", "m": "int64"}),
        event_time=None if static else "t",
        features=[Feature(feature, kind) for feature, kind in FEATURES.items()],
        ttl=None if ttl_us is None else from_us(ttl_us) - from_us(0),
        delay=from_us(delay_us) - from_us(0),
        available_at="known_at" if arrivals else None,
        external=external,
    )


def one_for_each_version(lines, *, arrivals, static):
    """Return the lines whose order is defined; some of them twice."""
    kept = {}
    for key, t, known, values in lines:
        version = (key, None if static else t, known if arrivals else None)
        kept.setdefault(version, (key, t, known, values))
    return list(kept.values())


def oracle(name, lines):
    """Return the oracle's history of the lines: those known later are later commits."""
    ttl_us, delay_us, arrivals, static = KINDS[name]
    reference = Reference(Group(tuple(FEATURES), static=static, ttl_us=ttl_us, delay_us=delay_us))
    commits = defaultdict(list)
    for key, t, known, values in lines:
        row = Row(key, None if static else t, values, arrival=known if arrivals else None)
        commits[known if arrivals else 0].append(row)
    for _, rows in sorted(commits.items()):
        reference.commit("backfill", rows, now=NOW_US)
    return reference


def as_table(lines):
    parts = [
        [*key, from_us(t), from_us(known), values["x"], values["n"], values["s"]] for key, t, known, values in lines
    ]
    return (
        pa.table([pa.array(list(c), f.type) for c, f in zip(zip(*parts, strict=True), SCHEMA, strict=True)], SCHEMA)
        if parts
        else SCHEMA.empty_table()
    )


@pytest.fixture
def put(place):
    """Give what replaces the rows of a place, by those of two files if it has files."""

    def replace(lines):
        table = as_table(lines)
        middle = len(table) // 2
        if place.kind == "parquet":
            for name, part in (("one", table.slice(0, middle)), ("two", table.slice(middle))):
                pq.write_table(part, place.folder / f"{name}.parquet", row_group_size=2)
        elif place.kind == "delta":
            write_deltalake(str(place.folder), table.slice(0, middle), mode="overwrite", partition_by=["m"])
            write_deltalake(str(place.folder), table.slice(middle), mode="append", partition_by=["m"])
        else:
            place.table.put(table, COLUMNS)

    return replace


@pytest.fixture
def plan(request, monkeypatch):
    """Have the store answer by one plan, if one is named."""
    monkeypatch.setenv("ASOF_ENGINE", request.param)


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        ("duckdb", "parquet"),
        ("duckdb:as-of", "parquet"),
        ("duckdb:numbered", "parquet"),
        ("duckdb", "delta"),
        ("duckdb", "postgresql"),
    ],
    indirect=True,
)
def test_every_answer_is_that_of_the_oracle(plan, store, place, put):
    put([])
    store.apply(*(declared(name, place.external) for name in KINDS))

    @given(st.sampled_from([*KINDS]), LINES, SPINES, MODES, st.integers(0, 3))
    def check(name, lines, asked, known, twice):
        _, _, arrivals, static = KINDS[name]
        lines = one_for_each_version(lines, arrivals=arrivals, static=static)
        put(lines + lines[:twice])  # equal rows are one
        spine = pa.table(
            {
                "k": pa.array([key[0] for key, _ in asked], pa.string()),
                "m": pa.array([key[1] for key, _ in asked], pa.int64()),
                "at": pa.array([t for _, t in asked], pa.int64()).cast(STAMP),
            }
        )
        mode = from_us(known) if isinstance(known, int) else known
        found = store.historical(name, spine, time="at", known=mode, statuses=True).to_arrow()
        reference = oracle(name, lines)
        for row, (key, t) in zip(found.to_pylist(), asked, strict=True):
            for feature, answer in reference.answer(key, t, known=known).items():
                assert row[f"{feature}__status"] == answer.status
                assert repr(row[feature]) == repr(answer.value)

    check()
