"""Files and tables that somebody else writes: whatever is wrong with them is said with the file and the column."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from tests.external.conftest import Table, airport, hour, rows, spine, temps, weather

import asof
from asof import Feature, FeatureGroup
from asof.errors import (
    DataError,
    MissingDependencyError,
    NotFoundError,
    PermanentError,
    TransientError,
    UnsupportedError,
    UsageError,
)

DAY = rows(("JFK", 1, 10.0), ("LGA", 2, 20.0))


@pytest.fixture
def applied(store, files):
    """Give a store whose group lies in the folder of the files."""
    store.apply(weather(f"parquet:{files}"))
    return store


def test_a_folder_has_the_files_below_it_that_are_no_debris(applied, files):
    (files / "2024" / "01").mkdir(parents=True)
    pq.write_table(DAY, files / "2024" / "01" / "a.parquet")
    pq.write_table(rows(("JFK", 3, 30.0)), files / "_unfinished.parquet")
    pq.write_table(rows(("JFK", 3, 30.0)), files / ".hidden.parquet")
    (files / "_temporary").mkdir()
    pq.write_table(rows(("JFK", 3, 30.0)), files / "_temporary" / "part.parquet")
    (files / "notes.txt").write_text("none of it")
    assert temps(applied, ("JFK", 5), ("LGA", 5)) == [10.0, 20.0]


def test_a_place_may_be_a_glob_or_a_file_and_lie_in_the_store(store, tmp_path, files):
    for name in ("a1", "a2", "b1", "it's [odd]"):
        pq.write_table(rows((name[0], 1, 1.0)), files / f"{name}.parquet")
    asked = [("a", 2), ("b", 2), ("i", 2)]
    for place, found in (
        (f"parquet:{files}/a*.parquet", [1.0, None, None]),
        (f"parquet:{files}/b1.parquet", [None, 1.0, None]),
        (f"parquet:{files}/it's [odd].parquet", [None, None, 1.0]),
        ("parquet:../files/a1.parquet", [1.0, None, None]),
    ):
        store.apply(weather(place))
        assert temps(store, *asked) == found


def test_a_truncated_file_is_named(applied, files):
    pq.write_table(DAY, files / "a.parquet")
    whole = (files / "a.parquet").read_bytes()
    (files / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PermanentError, match=r"a\.parquet"):
        temps(applied, ("JFK", 5))


def test_a_file_damaged_within_is_no_answer(applied, files):
    pq.write_table(DAY, files / "a.parquet", compression="none", write_page_checksum=True)
    whole = bytearray((files / "a.parquet").read_bytes())
    whole[8:60] = b"\xff" * 52
    (files / "a.parquet").write_bytes(whole)
    with pytest.raises(PermanentError):
        temps(applied, ("JFK", 5))


def test_a_column_of_another_type_in_one_file_is_named_with_the_file(applied, files):
    pq.write_table(DAY, files / "a.parquet")
    pq.write_table(DAY.set_column(2, "temp", pa.array(["1", "2"])), files / "b.parquet")
    with pytest.raises(DataError, match=r"'temp' is string.*b\.parquet|b\.parquet.*'temp' is string"):
        temps(applied, ("JFK", 5))
    pq.write_table(DAY.drop(["temp"]), files / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet"):
        temps(applied, ("JFK", 5))


def test_files_may_hold_the_same_values_in_other_types_orders_and_columns(applied, files):
    pq.write_table(DAY, files / "a.parquet")
    other = rows(("JFK", 3, 30), ("LGA", 3, 31), temp=pa.int8()).select(["temp", "t", "origin"])
    other = other.set_column(2, "origin", other.column("origin").dictionary_encode())
    pq.write_table(other.append_column("more", pa.array([1, 2])), files / "b.parquet")
    large = rows(
        ("JFK", 4, 40.0), origin=pa.large_string(), t=pa.timestamp("ms", "America/New_York"), temp=pa.float32()
    )
    pq.write_table(large, files / "c.parquet")
    assert temps(applied, ("JFK", 2), ("JFK", 3), ("JFK", 4), ("LGA", 4)) == [10.0, 30.0, 40.0, 31.0]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_naive_times_are_refused_unless_they_are_declared_as_utc(store, files, unit):
    pq.write_table(rows(("JFK", 1, 10.0), t=pa.timestamp(unit)), files / "a.parquet")
    store.apply(weather(f"parquet:{files}"))
    with pytest.raises(DataError, match=r"naive.*timezone=\"UTC\""):
        temps(store, ("JFK", 5))
    store.apply(weather(f"parquet:{files}", timezone="UTC"))
    assert temps(store, ("JFK", 0), ("JFK", 1)) == [None, 10.0]


def test_times_of_spark_are_read_where_they_are_declared_as_utc(store, files):
    pq.write_table(rows(("JFK", 1, 10.0)), files / "a.parquet", use_deprecated_int96_timestamps=True)
    store.apply(weather(f"parquet:{files}", timezone="UTC"))
    assert temps(store, ("JFK", 0), ("JFK", 1)) == [None, 10.0]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_finer_than_a_microsecond_are_refused(store, files, zone):
    fine = pa.table({"origin": ["JFK"], "t": pa.array([1], pa.int64()).cast(pa.timestamp("ns", zone)), "temp": [1.0]})
    pq.write_table(fine, files / "a.parquet")
    store.apply(weather(f"parquet:{files}", timezone="UTC"))
    with pytest.raises(DataError, match="finer than a microsecond"):
        temps(store, ("JFK", 5))
    whole = fine.set_column(1, "t", pa.array([3_600_000_000_000], pa.int64()).cast(pa.timestamp("ns", zone)))
    pq.write_table(whole, files / "a.parquet")
    assert temps(store, ("JFK", 5)) == [1.0]


@pytest.mark.parametrize("statistics", [True, False])
def test_nulls_where_none_may_be_are_refused_with_their_number(store, files, statistics):
    table = rows(("JFK", 1, 10.0, 1), (None, 2, 20.0, 2), ("LGA", 3, None, None), ("LGA", 4, 1.0, 4))
    columns = ["origin", "t", "known_at", "temp"]
    group = weather(f"parquet:{files}", available_at="known_at", features=[Feature("temp", "float64", nullable=False)])
    store.apply(group)
    for drop, name in ((None, "origin"), ("origin", "temp"), ("temp", "known_at")):
        if drop is not None:
            fill = {"origin": "JFK", "temp": 5.0}[drop]
            at = table.column_names.index(drop)
            table = table.set_column(
                at, drop, pa.array([fill if v is None else v for v in table.column(drop).to_pylist()])
            )
        pq.write_table(table.select(columns), files / "a.parquet", write_statistics=statistics)
        with pytest.raises(DataError, match=f"1 rows have a null value in column '{name}'"):
            temps(store, ("JFK", 5))


def test_files_without_statistics_answer_the_same(applied, files):
    pq.write_table(DAY, files / "a.parquet", write_statistics=False)
    assert temps(applied, ("JFK", 0), ("JFK", 1), ("LGA", 5)) == [None, 10.0, 20.0]


def test_files_later_than_the_spine_are_not_opened_by_the_query(applied, files):
    pq.write_table(DAY, files / "a.parquet")
    pq.write_table(rows(("JFK", 9, 90.0)), files / "b.parquet")
    frame = applied.historical("weather", spine(("JFK", 5)), time="at", explain=True)
    profile = frame.report.plan.profiles["weather"]
    assert (profile.files, profile.files_read, profile.rows) == (2, 1, 3)


def test_a_folder_that_is_gone_and_one_that_is_empty_are_not_the_same(applied, files):
    assert temps(applied, ("JFK", 5)) == [None]
    files.rmdir()
    with pytest.raises(NotFoundError, match="no such file or folder"):
        temps(applied, ("JFK", 5))


def test_a_delta_table_is_not_read_as_a_folder_of_files(applied, files):
    write_deltalake(str(files), DAY)
    with pytest.raises(UsageError, match='write "delta:"'):
        temps(applied, ("JFK", 5))


def test_rows_deleted_from_a_delta_table_are_gone_and_vacuumed_versions_say_so(store, files):
    from deltalake import DeltaTable

    write_deltalake(str(files), DAY)
    store.apply(weather(f"delta:{files}"))
    before = store.historical("weather", spine(("JFK", 5)), time="at").commits
    DeltaTable(str(files)).delete("origin = 'JFK'")
    assert temps(store, ("JFK", 5), ("LGA", 5)) == [None, 20.0]
    assert temps(store, ("JFK", 5), commits=before) == [10.0]
    table = DeltaTable(str(files))
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(asof.errors.ConflictError, match="vacuumed"):
        temps(store, ("JFK", 5), commits=before)


def test_delta_tables_whose_files_do_not_say_what_they_hold_are_refused(store, files):
    write_deltalake(str(files), DAY, configuration={"delta.enableDeletionVectors": "true"})
    log = files / "_delta_log" / "00000000000000000000.json"
    text = log.read_text()
    if "deletionVectors" not in text.split('"metaData"')[0]:
        import json

        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            if "protocol" in line:
                features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
                line["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
        log.write_text("\n".join(map(json.dumps, lines)) + "\n")
    store.apply(weather(f"delta:{files}"))
    with pytest.raises(UnsupportedError, match="deletionVectors"):
        temps(store, ("JFK", 5))


def test_partitions_of_every_type_are_columns(store, files):
    from datetime import date
    from decimal import Decimal

    values = {
        "b": (True, pa.bool_(), "bool"),
        "d": (date(2024, 1, 1), pa.date32(), "date"),
        "n": (7, pa.int16(), "int64"),
        "s": ("it's", pa.string(), "string"),
        "c": (Decimal("1.50"), pa.decimal128(5, 2), "decimal(5, 2)"),
    }
    table = pa.table({"k": [1, 2]} | {name: pa.array([value, None], kind) for name, (value, kind, _) in values.items()})
    write_deltalake(str(files), table, partition_by=[*values])
    entity = asof.Entity("thing", keys={"k": "int64"})
    features = [Feature(name, declared) for name, (_, _, declared) in values.items()]
    store.apply(FeatureGroup("parts", entity=entity, features=features, external=f"delta:{files}"))
    found = store.historical("parts", [{"k": 1}, {"k": 2}]).to_arrow().select([*values]).to_pylist()
    assert found == [{name: value for name, (value, _, _) in values.items()}, dict.fromkeys(values)]


def test_partitions_must_hold_what_is_declared(store, files):
    table = DAY.append_column("day", pa.array(["x", None]))
    write_deltalake(str(files), table, partition_by=["day"])
    for feature, said in (
        (Feature("day", "int64"), "'day' is string"),
        (Feature("day", "string", nullable=False), "null"),
    ):
        store.apply(weather(f"delta:{files}", features=[feature]))
        with pytest.raises(DataError, match=said):
            store.historical("weather", spine(("JFK", 5)), time="at")


def test_nested_features_are_read_in_place(store, files):
    table = pa.table(
        {
            "origin": ["JFK", "LGA"],
            "v": pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
            "l": pa.array([[1, None], []], pa.list_(pa.int32())),
            "s": pa.array([{"a": 1}, None], pa.struct([("a", pa.int64())])),
        }
    )
    pq.write_table(table, files / "a.parquet")
    kinds = {"v": "vector<float32, 2>", "l": "list<int64>", "s": "struct<a: int64>"}
    features = [Feature(name, kind) for name, kind in kinds.items()]
    store.apply(FeatureGroup("nested", entity=airport, features=features, external=f"parquet:{files}"))
    found = store.historical("nested", [{"origin": "JFK"}, {"origin": "LGA"}]).to_arrow().to_pylist()
    assert [list(line.values())[1:] for line in found] == [[[1.0, 2.0], [1, None], {"a": 1}], [None, [], None]]


# ---- tables of a server


def test_a_server_that_is_down_is_said_and_answers_again_when_it_is_up(store, own_postgres):
    table = Table(own_postgres.url, "outside")
    table.put(DAY, "origin text, t timestamptz, temp float8")
    store.apply(weather(table.external()))
    assert temps(store, ("JFK", 5)) == [10.0]
    own_postgres.stop()
    with pytest.raises(TransientError, match="does not answer"):
        temps(store, ("JFK", 5))
    own_postgres.start()
    assert temps(store, ("JFK", 5)) == [10.0]


def test_only_what_the_spine_can_reach_is_fetched(store, table, tmp_path):
    many = [(f"k{at % 100}", at // 100, float(at)) for at in range(1000)]
    table.put(rows(*many), "origin text, t timestamptz, temp float8")
    store.apply(weather(table.external()))
    frame = store.historical("weather", spine(("k7", 3), ("k8", 2), ("none", 3)), time="at", explain=True)
    assert frame.to_arrow().column("temp").to_pylist() == [307.0, 208.0, None]
    assert frame.report.plan.profiles["weather"].rows == 8
    assert not list((tmp_path / "features" / "tmp").glob("*/rows.parquet"))


def test_keys_of_every_type_find_their_rows_of_a_server(store, table):
    from datetime import date

    keys = {
        "b": ("bool", "boolean", [True, False]),
        "i": ("int32", "int2", [1, -2]),
        "s": ("string", "varchar(20)", ["it's \"{,}\\", "NULL"]),
        "d": ("date", "date", [date(1999, 12, 31), date(2024, 2, 29)]),
        "t": ("timestamp", "timestamptz", [hour(1), hour(2, microseconds=1)]),
        "y": ("bytes", "bytea", [b"\x00\\x", b""]),
    }
    data = pa.table({name: values for name, (_, _, values) in keys.items()} | {"x": [1, 2]})
    table.put(data, ", ".join(f"{name} {sql}" for name, (_, sql, _) in keys.items()) + ", x int4")
    entity = asof.Entity("all", keys={name: declared for name, (declared, _, _) in keys.items()})
    store.apply(FeatureGroup("g", entity=entity, features=[Feature("x", "int64")], external=table.external()))
    asked = data.drop(["x"])
    assert store.historical("g", asked).to_arrow().column("x").to_pylist() == [1, 2]


def test_columns_that_are_not_declared_may_be_of_any_type(store, table):
    table.put(DAY, "origin text, t timestamptz, temp float8")
    table.run("ALTER TABLE outside.weather ADD a jsonb, ADD b inet, ADD c tsvector, ADD d int4range")
    store.apply(weather(table.external()))
    assert temps(store, ("JFK", 5)) == [10.0]


def test_a_naive_column_of_a_server_has_the_declared_zone(store, table):
    table.put(DAY, "origin text, t timestamp, temp float8")
    store.apply(weather(table.external()))
    with pytest.raises(DataError, match="naive"):
        temps(store, ("JFK", 5))
    for zone, first in (("UTC", 1), ("Europe/Paris", 0)):
        store.apply(weather(table.external(), timezone=zone))
        assert temps(store, ("JFK", first - 1), ("JFK", first)) == [None, 10.0]


def test_a_refusal_of_the_server_is_told_without_a_password(store, table, monkeypatch):
    table.put(DAY, "origin text, t timestamptz, temp float8")
    table.run("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN")
    monkeypatch.setenv("PGPASSWORD", "secret")
    store.apply(weather(table.external().replace("asof@", "stranger@")))
    with pytest.raises((PermanentError, NotFoundError)) as refused:
        temps(store, ("JFK", 5))
    assert "secret" not in str(refused.value)


def test_a_removed_external_group_leaves_its_rows(store, files):
    pq.write_table(DAY, files / "a.parquet")
    store.apply(weather(f"parquet:{files}"))
    assert temps(store, ("JFK", 5)) == [10.0]
    assert store.catalog.remove("weather") == ["weather@1"]
    assert (files / "a.parquet").exists()


def test_the_package_that_is_missing_is_named():
    assert "asof[external]" in str(MissingDependencyError("ibis", extra="external"))


def test_names_of_files_and_folders_are_no_patterns_and_no_columns(store, files):
    (files / "temp=99").mkdir()
    for name, temp in (("a*b", 1.0), ("axb", 2.0), ("q[x]", 3.0), ("qx", 4.0), ("temp=99/z", 5.0)):
        pq.write_table(rows((name, 1, temp)), files / f"{name}.parquet")
    store.apply(weather(f"parquet:{files}"))
    asked = [(name, 2) for name in ("a*b", "axb", "q[x]", "qx", "temp=99/z")]
    assert temps(store, *asked) == [1.0, 2.0, 3.0, 4.0, 5.0]
    for name, found in (("a*b", [1.0, None]), ("q[x]", [None, 3.0])):
        store.apply(weather(f"parquet:{files}/{name}.parquet"))
        assert temps(store, ("a*b", 2), ("q[x]", 2)) == found


FORKS = """
import os, sys, warnings
import asof
from asof.errors import UnsupportedError
from tests.external.conftest import hour, temps
warnings.simplefilter("ignore")
store = asof.open(sys.argv[1])
assert temps(store, ("JFK", 5)) == [10.0]
child = os.fork()
if child == 0:
    try:
        temps(store, ("JFK", 5))
    except UnsupportedError as error:
        os._exit(7 if "forked" in str(error) else 8)
    os._exit(9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
store.close()
"""


@pytest.mark.slow
def test_a_forked_child_is_told_that_it_cannot_read_delta_tables(store, files, tmp_path):
    write_deltalake(str(files), DAY)
    store.apply(weather(f"delta:{files}"))
    store.close()
    command = [sys.executable, "-c", FORKS, tmp_path / "features"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
