"""Messages in each format become rows, and bytes that are none become reasons."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from asof import Check, Entity, Feature, FeatureGroup
from asof.errors import NotFoundError, UsageError
from asof.registry.registered import RegisteredGroup
from asof.streams.formats import decoder_of
from asof.streams.formats.port import Decoding
from asof.streams.intake import MOST_BODY_BYTES, Intake
from asof.streams.port import Message

AT = datetime(2024, 1, 1, 12, 30, 0, 250, tzinfo=UTC)
NOW_US = int(datetime(2024, 1, 2, tzinfo=UTC).timestamp() * 1e6)

group = FeatureGroup(
    "g",
    entity=Entity("e", keys={"k": "string"}),
    event_time="at",
    features=[
        Feature("n", "int64", nullable=False),
        Feature("x", "float64"),
        Feature("price", "decimal(9, 2)"),
        Feature("tags", "list<string>"),
    ],
    checks=[Check.between("n", 0, 100)],
)
ROW = {"k": "a", "at": AT, "n": 7, "x": 0.5, "price": Decimal("12.30"), "tags": ["u", "ü"]}
AVRO = {
    "type": "record",
    "name": "r",
    "fields": [
        {"name": "k", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "n", "type": "long"},
        {"name": "x", "type": ["null", "double"]},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
        {"name": "tags", "type": ["null", {"type": "array", "items": "string"}]},
    ],
}


def sort(kind, *values, schema=None, message=None, time_unit=None, definition=group, ignore_extra=False):
    decode = decoder_of(Decoding(definition, kind, schema=schema, message=message, time_unit=time_unit))
    registered = RegisteredGroup(1, 1, definition, "event", 0, tuple(f.name for f in definition.features))
    messages = [Message("0", str(number), value) for number, value in enumerate(values)]
    found = Intake("s", decode, ignore_extra=ignore_extra).sort(messages, registered, now_us=NOW_US)
    return found.rows.to_pylist(), [(each.place, each.row, each.reason) for each in found.letters]


def as_json(**other):
    row = ROW | {"at": AT.isoformat(), "price": "12.30"} | other
    return json.dumps({name: value for name, value in row.items() if value != "-"}).encode()


def test_json_is_an_object_or_lines_or_an_array():
    one = as_json()
    rows, letters = sort("json", one, one + b"\n" + one + b"\n", b"[" + one + b"," + one + b"]", b"[]")
    assert (rows, letters) == ([ROW] * 5, [])


def test_null_and_absent_features_are_null():
    rows, letters = sort("json", as_json(x=None, tags="-"), as_json(x="-"))
    assert rows == [ROW | {"x": None, "tags": None}, ROW | {"x": None}]
    assert letters == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "DecodeError"),
        (b"{", "DecodeError"),
        (b"7", "an object is wanted"),
        (b"\xff\xfe", "DecodeError"),
        (as_json(n="-"), "'n' is missing"),
        (as_json(n=None), "null value"),
        (as_json(n=1.5), "no int64"),
        (as_json(n=True), "no int64"),
        (as_json(n=1 << 70), "cannot be stored"),
        (as_json(n=101), "breaks 'n between 0 and 100'"),
        (as_json(k=None), "null key"),
        (as_json(k=5), "no string"),
        (as_json(at="yesterday"), "not of its type"),
        (as_json(at=AT.replace(tzinfo=None).isoformat()), "naive times"),
        (as_json(at=1704112200), "not of its type"),
        (as_json(at="2030-01-01T00:00:00Z"), "in the future"),
        (as_json(price=12.3), "not of its type"),
        (as_json(more=1), "'more' is not declared"),
        (as_json(k="x" * 20_000), "16,000 are allowed"),
        (None, "no content"),
    ],
)
def test_a_bad_message_is_told_why_and_costs_no_good_one(value, reason):
    rows, letters = sort("json", as_json(n=1), value, as_json(n=2), as_json(n=3))
    assert [row["n"] for row in rows] == [1, 2, 3]
    ((place, row, said),) = letters
    assert (place, row) == ("1", None)
    assert reason in said


def test_a_bad_row_costs_no_other_of_its_message():
    rows, letters = sort("json", as_json(n=1) + b"\n" + as_json(n=-1) + b"\n" + as_json(n=3))
    assert [row["n"] for row in rows] == [1, 3]
    assert [(place, row) for place, row, _ in letters] == [("0", 1)]


def test_many_bad_rows_among_good_ones_are_found():
    values = [as_json(n=number % 100 if number % 7 else -1) for number in range(500)]
    rows, letters = sort("json", *values)
    assert [row["n"] for row in rows] == [number % 100 for number in range(500) if number % 7]
    assert [int(place) for place, _, _ in letters] == list(range(0, 500, 7))


def test_extra_fields_are_left_out_where_that_is_wanted():
    assert sort("json", as_json(more=1, other={"a": []}), ignore_extra=True) == ([ROW], [])


@pytest.mark.parametrize(
    ("unit", "value", "at"),
    [
        ("s", 1704112200, datetime(2024, 1, 1, 12, 30, tzinfo=UTC)),
        ("ms", 1704112200001, datetime(2024, 1, 1, 12, 30, 0, 1000, tzinfo=UTC)),
        ("us", 1704112200000250, AT),
        ("ns", 1704112200000250000, AT),
    ],
)
def test_times_may_come_as_integers_of_a_unit(unit, value, at):
    rows, letters = sort("json", as_json(at=value), as_json(), time_unit=unit)
    assert ([row["at"] for row in rows], letters) == ([at, AT], [])
    assert sort("json", as_json(at=value * 10**12), time_unit=unit)[0] == []


def test_a_time_finer_than_a_microsecond_is_not_cut():
    rows, letters = sort("json", as_json(at=1704112200000250001), time_unit="ns")
    assert rows == []
    assert "no whole microsecond" in letters[0][2]


def test_a_long_message_is_not_kept_itself():
    decode = decoder_of(Decoding(group, "json"))
    registered = RegisteredGroup(1, 1, group, "event", 0, ())
    values = [b"x" * MOST_BODY_BYTES, b"x" * (MOST_BODY_BYTES + 1)]
    messages = [Message("0", str(number), value) for number, value in enumerate(values)]
    found = Intake("s", decode).sort(messages, registered, now_us=NOW_US)
    assert [len(each.body) for each in found.letters] == [MOST_BODY_BYTES, 0]


# ---- Avro


@pytest.fixture
def avro(tmp_path):
    (tmp_path / "schema.avsc").write_text(json.dumps(AVRO))
    return tmp_path / "schema.avsc"


def as_avro(row):
    import fastavro

    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, AVRO, row)
    return sink.getvalue()


def test_avro_with_a_schema(avro):
    rows, letters = sort("avro", as_avro(ROW), as_avro(ROW | {"x": None}), schema=avro)
    assert (rows, letters) == ([ROW, ROW | {"x": None}], [])


def test_avro_behind_the_header_of_confluent(avro):
    rows, letters = sort("confluent-avro", b"\0\0\0\0\7" + as_avro(ROW), as_avro(ROW), b"", schema=avro)
    assert rows == [ROW]
    assert ["header" in reason for _, _, reason in letters] == [True, True]


def test_avro_in_container_files_needs_no_schema():
    import fastavro

    sink = io.BytesIO()
    fastavro.writer(sink, AVRO, [ROW, ROW | {"n": 8}])
    rows, letters = sort("avro", sink.getvalue(), b"no", sink.getvalue()[:-9])
    assert rows == [ROW, ROW | {"n": 8}]
    assert [place for place, _, _ in letters] == ["1", "2"]


def test_no_bytes_of_avro_stop_the_others(avro):
    whole = as_avro(ROW)
    broken = [whole[:end] for end in range(len(whole))] + [whole + b"\0", b"\xff" * 20, b"\x01" * 50]
    rows, letters = sort("avro", *broken, whole, schema=avro)
    assert rows == [ROW]
    assert len(letters) == len(broken)


def test_a_schema_that_is_none_is_refused(tmp_path):
    (tmp_path / "bad").write_bytes(b"\xff{")
    for kind in ("avro", "protobuf"):
        with pytest.raises(UsageError, match="this is no"):
            decoder_of(Decoding(group, kind, schema=tmp_path / "bad", message="R"))
        with pytest.raises(UsageError, match="cannot be read"):
            decoder_of(Decoding(group, kind, schema=tmp_path / "none", message="R"))
    with pytest.raises(UsageError, match="need a schema"):
        decoder_of(Decoding(group, "confluent-avro"))
    with pytest.raises(NotFoundError, match="json"):
        Decoding(group, "jsn")
    with pytest.raises(UsageError, match="time_unit"):
        Decoding(group, "json", time_unit="minutes")


# ---- Protobuf

typed = FeatureGroup(
    "typed",
    entity=Entity("e", keys={"k": "string"}),
    event_time="at",
    features=[
        Feature("n", "int64"),
        Feature("opt", "float64"),
        Feature("wrapped", "int64"),
        Feature("tags", "list<string>"),
        Feature("kind", "string"),
        Feature("inner", "struct<a: int32>"),
    ],
)


@pytest.fixture(scope="module")
def descriptors():
    """Give what protoc would compile."""
    from google.protobuf import descriptor_pb2, timestamp_pb2, wrappers_pb2

    field = descriptor_pb2.FieldDescriptorProto
    made = descriptor_pb2.FileDescriptorProto(
        name="r.proto",
        package="p",
        syntax="proto3",
        dependency=["google/protobuf/timestamp.proto", "google/protobuf/wrappers.proto"],
    )
    inner = made.message_type.add(name="Inner")
    inner.field.add(name="a", number=1, type=field.TYPE_INT32, label=1)
    kinds = made.enum_type.add(name="Kind")
    for number, name in enumerate(("NONE", "SOME")):
        kinds.value.add(name=name, number=number)
    record = made.message_type.add(name="R")
    record.oneof_decl.add(name="_opt")
    record.field.add(name="k", number=1, type=field.TYPE_STRING, label=1)
    record.field.add(name="at", number=2, type=field.TYPE_MESSAGE, label=1, type_name=".google.protobuf.Timestamp")
    record.field.add(name="n", number=3, type=field.TYPE_INT64, label=1)
    record.field.add(name="opt", number=4, type=field.TYPE_DOUBLE, label=1, proto3_optional=True, oneof_index=0)
    record.field.add(
        name="wrapped", number=5, type=field.TYPE_MESSAGE, label=1, type_name=".google.protobuf.Int64Value"
    )
    record.field.add(name="tags", number=6, type=field.TYPE_STRING, label=3)
    record.field.add(name="kind", number=7, type=field.TYPE_ENUM, label=1, type_name=".p.Kind")
    record.field.add(name="inner", number=8, type=field.TYPE_MESSAGE, label=1, type_name=".p.Inner")
    files = descriptor_pb2.FileDescriptorSet()
    for module in (timestamp_pb2, wrappers_pb2):
        module.DESCRIPTOR.CopyToProto(files.file.add())
    files.file.append(made)
    return files


@pytest.fixture
def compiled(tmp_path, descriptors):
    (tmp_path / "r.pb").write_bytes(descriptors.SerializeToString())
    return tmp_path / "r.pb"


@pytest.fixture
def record(descriptors):
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.R"))


def test_protobuf_by_a_descriptor_set(compiled, record):
    full = record(k="a", n=7, opt=0.0, tags=["u"], kind=1, inner={"a": 3})
    full.at.FromDatetime(AT)
    full.wrapped.value = 0
    bare = record(k="b")
    bare.at.FromDatetime(AT)
    values = [full.SerializeToString(), bare.SerializeToString(), b"\xff\xff"]
    rows, letters = sort("protobuf", *values, schema=compiled, message="p.R", definition=typed)
    full_row = {"k": "a", "at": AT, "n": 7, "opt": 0.0, "wrapped": 0, "tags": ["u"], "kind": "SOME", "inner": {"a": 3}}
    bare_row = {"k": "b", "at": AT, "n": 0, "opt": None, "wrapped": None, "tags": [], "kind": "NONE", "inner": None}
    assert rows == [full_row, bare_row]
    assert [place for place, _, _ in letters] == ["2"]


def test_what_protobuf_does_not_say_is_told(compiled, record):
    fine = record(k="a", kind=5)
    fine.at.FromDatetime(AT)
    odd = record(k="a")
    odd.at.FromDatetime(AT)
    odd.at.nanos += 1
    values = [fine.SerializeToString(), odd.SerializeToString(), record(k="a").SerializeToString()]
    rows, letters = sort("protobuf", *values, schema=compiled, message="p.R", definition=typed)
    assert rows == []
    for (_, _, reason), expected in zip(
        letters, ("none of Kind", "no whole microsecond", "null event time"), strict=True
    ):
        assert expected in reason
    with pytest.raises(NotFoundError, match=r"p\.R"):
        decoder_of(Decoding(typed, "protobuf", schema=compiled, message="p.S"))
    with pytest.raises(UsageError, match="which message"):
        decoder_of(Decoding(typed, "protobuf", schema=compiled))


# ---- Arrow


def as_arrow(*rows, columns=None):
    table = pa.Table.from_pylist(list(rows))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.select(columns or table.column_names))
    return sink.getvalue().to_pybytes()


def test_arrow_messages_hold_many_rows():
    many = [ROW | {"n": number} for number in range(60)]
    other = [{"at": AT + timedelta(seconds=1), "k": "b", "n": 1}]
    rows, letters = sort("arrow", as_arrow(*many), as_arrow(*other), as_arrow(*many[:2]), as_arrow(ROW)[:-100], b"")
    assert rows[:60] == many
    assert rows[60:] == [
        {"k": "b", "at": AT + timedelta(seconds=1), "n": 1, "x": None, "price": None, "tags": None},
        *many[:2],
    ]
    assert [place for place, _, _ in letters] == ["3", "4"]


def test_bad_rows_of_arrow_are_told_by_their_number():
    many = [ROW | {"n": number if number % 10 else 1000} for number in range(60)]
    rows, letters = sort("arrow", as_arrow(*many), as_arrow(*many))
    assert len(rows) == 108
    assert [(place, row) for place, row, _ in letters] == [(p, row) for p in "01" for row in range(0, 60, 10)]
