"""A record that is encoded without a table is what the table makes of it."""

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asof import Check, Entity, Feature, FeatureGroup
from asof.arrow.rows import encode_block
from asof.checks import Checking, NoStore
from asof.clock import from_us
from asof.errors import AsofError
from asof.ingest.feed import encode_online, newest_of
from asof.ingest.prepare import SKEW_US, Options, prepare
from asof.ingest.record import RecordEncoder
from asof.online.port import version_head
from asof.parts.pinned import journal_schema
from asof.registry.registered import RegisteredGroup

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
CHECKS = [
    Check.between("f", -1.5, None),
    Check.between("i", 0.5, 100),
    Check.one_of("s", "a", "ä", ""),
    Check.not_null("b"),
    Check.matches("s", "^a"),
    Check.length("s", 1, 3),
    Check.max_null_share("s", 0.5),
    Check.sql("k is not null"),
]
ODD = [
    None, True, False, 0, 1, -1, 100, 2**31, 2**53 + 1, 2**63, -(2**63), 0.0, -0.0, 0.5, -1.5, -2.0, 1e300, math.nan, math.inf,
    "", "a", "ä", "b", "\ud800", "x" * 20_000, b"a", date(2026, 1, 1), NOW, NOW.replace(tzinfo=None), [1], {"a": 1},
    NOW + timedelta(microseconds=SKEW_US), NOW + timedelta(microseconds=SKEW_US + 1), datetime.max.replace(tzinfo=UTC),
    datetime(2025, 12, 31, 19, tzinfo=timezone(timedelta(hours=-5))), datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
]  # fmt: skip


@st.composite
def groups(draw):
    static = draw(st.booleans())
    types = {"f": "float64", "g": "float32", "i": "int32", "l": "int64", "s": "string", "b": "bool", "d": "date",
             "y": "bytes", "m": "decimal(9,2)", "t2": "timestamp"}  # fmt: skip
    names = draw(st.lists(st.sampled_from(list(types)), unique=True, min_size=1))
    features = [Feature(name, types[name], nullable=draw(st.booleans())) for name in names]
    checks = draw(
        st.lists(st.sampled_from([c for c in CHECKS if c.column in names] or [Check.not_null(names[0])]), max_size=2)
    )
    entity = Entity(
        "e", keys=draw(st.sampled_from([{"k": "string"}, {"k": "int16", "k2": "date"}, {"k": "timestamp"}]))
    )
    mode = draw(st.sampled_from(["strict", "off"]))
    time = None if static else "at"
    group = FeatureGroup(
        "g", entity=entity, event_time=time, features=features, checks=checks, on_violation=mode, online=True
    )
    layout = tuple(draw(st.permutations(names)))
    return RegisteredGroup(1, 1, group, "served", 0, layout)


FIT = {
    "float64": st.floats() | st.integers(-(2**60), 2**60),
    "float32": st.floats(width=32) | st.floats() | st.integers(-(2**30), 2**30),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 120),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "string": st.text(max_size=5) | st.sampled_from(["a", "ä", "b\0c"]),
    "bool": st.booleans(),
    "date": st.dates(),
    "bytes": st.binary(max_size=4),
    "decimal": st.decimals(-100, 100, places=2),
    "timestamp": st.integers(-(10**16), NOW_US).map(from_us),
}  # fmt: skip


@st.composite
def records(draw, group):
    columns = {**group.definition.entity.keys, **{f.name: f.dtype for f in group.definition.features}}
    types = {name: str(dtype) for name, dtype in columns.items()} | (
        {"at": "timestamp"} if group.definition.event_time else {}
    )
    record = {name: draw(FIT[dtype.partition("(")[0]] | (st.sampled_from(ODD) if draw(st.integers(0, 9)) == 0 else st.nothing()))
              for name, dtype in types.items()}  # fmt: skip
    if draw(st.integers(0, 19)) == 0:
        record |= {"more": 1}
    if draw(st.integers(0, 19)) == 0:
        record.pop(draw(st.sampled_from(list(record))))
    return record


@given(data=st.data())
def test_a_record_is_what_the_table_makes_of_it(data):
    group = data.draw(groups())
    record = data.draw(records(group))
    encoder = RecordEncoder(group)
    found = encoder.encode(record, now_us=NOW_US)
    if found is None:
        return
    options = Options(idempotency_key="once")
    checks = Checking(group.definition, NoStore(), now_us=NOW_US, whole=False)
    prepared = prepare(group, [record], "push", options, now_us=NOW_US, checking=checks)
    assert found.block == encode_block(prepared.rows.select(journal_schema(group).names))
    assert (found.event_us, found.event_us) == (prepared.draft.min_event_us, prepared.draft.max_event_us)
    assert encoder.digest(found) == prepared.draft.digest
    keys, rows = encode_online(newest_of(prepared.rows, group, 7), group)
    assert [found.key] == keys
    assert [version_head(found.event_us or 0, 7) + found.payload] == rows


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "string", "bool", "date", "timestamp"])
def test_what_the_table_refuses_is_not_encoded(dtype, value):
    group = FeatureGroup("g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("x", dtype)])
    registered = RegisteredGroup(1, 1, group, "served", 0, ("x",))
    try:
        checks = Checking(registered.definition, NoStore(), now_us=NOW_US, whole=False)
        prepare(registered, [{"k": 1, "x": value}], "push", Options(), now_us=NOW_US, checking=checks)
    except AsofError:
        assert RecordEncoder(registered).encode({"k": 1, "x": value}, now_us=NOW_US) is None


def test_plain_records_are_encoded_without_a_table():
    features = [
        Feature("f", "float64"),
        Feature("i", "int64"),
        Feature("s", "string"),
        Feature("b", "bool"),
        Feature("d", "date"),
    ]
    group = FeatureGroup("g", entity=Entity("e", keys={"k": "string"}), event_time="at", features=features,
                         checks=[Check.between("f", 0, 1), Check.one_of("s", "x"), Check.not_null("i")])  # fmt: skip
    registered = RegisteredGroup(1, 1, group, "served", 0, ("f", "i", "s", "b", "d"))
    record = {"k": "a", "at": NOW, "f": 0.5, "i": 3, "s": "x", "b": None, "d": date(2026, 1, 1)}
    assert RecordEncoder(registered).encode(record, now_us=NOW_US) is not None
    assert RecordEncoder(registered).encode(record | {"f": 2.0}, now_us=NOW_US) is None
