"""Groups whose rows are taken from files: what is new, what is remembered, and what bad files do."""

import os
import threading
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

import asof
from asof import SQL, Check, Entity, Feature, FeatureGroup, Files
from asof.errors import ConflictError, DataError, NotFoundError, UnsupportedError, UsageError
from asof.wire.definitions import declared, definition_of

airport = Entity("airport", keys={"origin": "string"})
HEAD = "origin,time_hour,temp\n"

pytestmark = pytest.mark.embedded("definitions that name files are applied where the store is")


def weather(path="../exports", **parts):
    given = {"entity": airport, "event_time": "time_hour", "features": [Feature("temp", "float64")]}
    return FeatureGroup("weather", **(given | {"source": Files(path)} | parts))


def line(origin, hour, temp):
    return f"{origin},2024-01-01T{hour:02}:00:00Z,{temp}\n"


def table(*given):
    origins, hours, temps = zip(*given, strict=True)
    times = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in hours]
    return pa.table({"origin": origins, "time_hour": times, "temp": temps})


@pytest.fixture
def put(tmp_path):
    """Give what writes a file of the folder, a second after the one before."""
    (tmp_path / "exports").mkdir()
    seconds = iter(range(1_700_000_000, 1_700_100_000))

    def write(name, text):
        file = tmp_path / "exports" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, str):
            file.write_text(text)
        elif isinstance(text, bytes):
            file.write_bytes(text)
        else:
            {".parquet": pq.write_table, ".arrow": feather.write_feather}[file.suffix](text, file)
        os.utime(file, (next(seconds),) * 2)
        return file

    return write


@pytest.fixture
def taken(store, put):
    """Give a store that took a file of two rows."""
    put("a.csv", HEAD + line("JFK", 1, 5.0) + line("LGA", 1, 6.0))
    store.apply(weather())
    (commit,) = store.materialize("weather")
    assert commit.rows == 2
    return store


def temps(store, **options):
    found = store.read("weather", **options).to_arrow().to_pylist()
    return [(row["origin"], row["time_hour"].hour, row["temp"]) for row in found]


def test_each_file_is_a_commit_that_names_it_and_a_rerun_does_nothing(taken, put):
    (commit,) = taken.catalog.commits("weather")
    assert (commit.kind, commit.availability, commit.meta["source"]) == ("write", "commit", "a.csv")
    assert taken.materialize("weather") == []
    put("b.parquet", table(("JFK", 2, 7.0)))
    put("sub/c.arrow", table(("JFK", 3, 8.0), ("JFK", 4, 9.0)))
    assert [(c.meta["source"], c.rows) for c in taken.materialize("weather")] == [("b.parquet", 1), ("sub/c.arrow", 2)]
    assert temps(taken) == [("JFK", 1, 5.0), ("JFK", 2, 7.0), ("JFK", 3, 8.0), ("JFK", 4, 9.0), ("LGA", 1, 6.0)]
    assert taken.materialize("weather") == []


def test_what_was_taken_is_remembered_by_the_next_process(taken, folder, clock):
    taken.close()
    with asof.open(folder, clock=clock) as again:
        assert again.materialize("weather") == []
        assert again.catalog.find("weather").definition == weather()


def test_rows_are_known_since_they_were_taken(taken, at):
    (commit,) = taken.catalog.commits("weather")
    found = taken.read("weather", clocks=True).to_arrow()
    assert set(found.column("__available_at").to_pylist()) == {commit.committed_at}
    spine = [{"origin": "JFK", "t": commit.committed_at}, {"origin": "JFK", "t": at(5)}]
    answers = taken.historical("weather", spine, time="t", known="served").to_arrow()
    assert answers.column("temp").to_pylist() == [5.0, None]


def test_history_is_known_since_event_time_and_delay(store, put, at):
    put("a.csv", HEAD + line("JFK", 1, 5.0))
    store.apply(weather(delay="2h"))
    (commit,) = store.materialize("weather", backfill=True)
    assert (commit.kind, commit.availability) == ("backfill", "delay")
    assert store.read("weather", clocks=True).to_arrow().column("__available_at").to_pylist() == [at(3)]


def test_a_column_may_say_since_when_each_row_was_known(store, put, at):
    put("a.csv", "origin,time_hour,temp,seen\nJFK,2024-01-01T01:00:00Z,5.0,2024-01-01T04:00:00Z\n")
    store.apply(weather(available_at="seen"))
    (commit,) = store.materialize("weather")
    assert (commit.kind, commit.availability) == ("backfill", "column")
    assert store.read("weather", clocks=True).to_arrow().column("__available_at").to_pylist() == [at(4)]
    with pytest.raises(UsageError, match="each row says itself"):
        store.materialize("weather", backfill=True)


def test_a_changed_file_is_taken_again_and_a_touched_one_is_not(taken, put):
    put("a.csv", HEAD + line("JFK", 1, 5.5) + line("JFK", 2, 7.0))
    (commit,) = taken.materialize("weather")
    assert commit.rows == 2
    assert temps(taken, latest=True) == [("JFK", 2, 7.0), ("LGA", 1, 6.0)]  # a row that a file lacks now stays
    file = put("a.csv", HEAD + line("JFK", 1, 5.5) + line("JFK", 2, 7.0))
    assert taken.materialize("weather") == []
    put("b.csv", HEAD + line("JFK", 3, 7.0))
    taken.materialize("weather")
    place = taken._parts.streams.positions(taken.catalog.find("weather"))["files", "a.csv"]
    assert place.startswith(f"{file.stat().st_size}-{file.stat().st_mtime_ns}-"), "so that it is not read each time"


def test_of_two_files_with_the_same_row_the_one_changed_later_counts(store, put):
    put("b.csv", HEAD + line("JFK", 1, 1.0))
    put("a.csv", HEAD + line("JFK", 1, 2.0))
    store.apply(weather(online=True))
    assert [commit.rows for commit in store.materialize("weather")] == [1, 1]
    assert store.online("weather", {"origin": "JFK"}).values == {"temp": 2.0}
    store.materialize("weather", full=True)
    assert store.online("weather", {"origin": "JFK"}).values == {"temp": 2.0}


def test_names_of_unfinished_files_are_left_out(taken, put):
    for name in ("_b.csv", ".c.csv", "_tmp/d.csv", "notes.txt"):
        put(name, HEAD + line("JFK", 9, 9.0))
    assert taken.materialize("weather") == []


def test_a_place_may_be_a_path(put, tmp_path):
    assert Files(tmp_path / "exports") == Files(str(tmp_path / "exports"))
    assert len({Files("x"), Files("x"), Files("x", columns={"a": "int64"})}) == 2


def test_a_glob_and_a_single_file_and_an_absolute_path(store, put, tmp_path):
    put("2024/one.csv", HEAD + line("JFK", 1, 1.0))
    put("2024/other.parquet", table(("JFK", 2, 2.0)))
    put("2023/one.csv", HEAD + line("JFK", 3, 3.0))
    for path, rows in (
        ("../exports/*/one.csv", 2),
        (str(tmp_path / "exports" / "**" / "*.csv"), 2),
        ("../exports/2024/other.parquet", 1),
    ):
        store.apply(weather(path))
        assert sum(commit.rows for commit in store.materialize("weather")) == rows
        store.catalog.remove("weather")


BAD = [
    ("b.csv", HEAD + "JFK,2024-01-01T01:00:00Z\n", "Expected 3 columns, got 2"),
    ("b.csv", HEAD + "JFK,2024-01-01T01:00:00Z,warm\n", "'warm', which is no double"),
    ("b.csv", HEAD + "JFK,2024-01-01 01:00,5.0\n", "naive times"),
    ("b.csv", HEAD + ",2024-01-01T01:00:00Z,5.0\n", "null key in row 0"),
    ("b.csv", HEAD + line("JFK", 1, 5.0) + line("JFK", 1, 6.0), "differ"),
    ("b.csv", "origin,time_hour\nJFK,2024-01-01T01:00:00Z\n", "column 'temp' is missing"),
    ("b.csv", HEAD.strip() + ",wind\nJFK,2024-01-01T01:00:00Z,5.0,3\n", "wind"),
    ("b.csv", HEAD + "JFK,2025-01-01T01:00:00Z,5.0\n", "future|after"),
    ("b.csv", "", "the file is empty"),
    ("b.csv", "\xff\xfe\x00".encode("latin-1"), "b.csv"),
    ("b.parquet", b"PAR1 and nothing else", "cannot be read as Parquet"),
    ("b.arrow", b"ARROW1\x00\x00 and nothing else", "cannot be read as Arrow"),
]


@pytest.mark.parametrize(("name", "text", "said"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_named_and_the_others_are_taken(taken, put, name, text, said):
    put(name, text)
    put("z.csv", HEAD + line("JFK", 5, 7.0))
    with pytest.raises(DataError, match=rf"1 file could not be taken: {name}: .*(?s:{said})") as caught:
        taken.materialize("weather")
    assert list(caught.value.data["failed"]) == [name]
    assert temps(taken)[-2:] == [("JFK", 5, 7.0), ("LGA", 1, 6.0)]
    with pytest.raises(DataError, match=name):  # it is told again
        taken.materialize("weather")
    put(name, table(("JFK", 6, 8.0)) if not name.endswith(".csv") else HEAD + line("JFK", 6, 8.0))
    assert [commit.rows for commit in taken.materialize("weather")] == [1]


def test_a_truncated_parquet_file_is_named(taken, put, tmp_path):
    whole = put("b.parquet", table(*[("JFK", hour, float(hour)) for hour in range(20)])).read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 4):
        put("b.parquet", whole[:size])
        with pytest.raises(DataError, match=r"b.parquet: the file cannot be read as Parquet"):
            taken.materialize("weather")
    put("b.parquet", whole)
    assert [commit.rows for commit in taken.materialize("weather")] == [20]


def test_a_csv_whose_last_line_is_not_written_yet_waits(taken, put, tmp_path):
    file = tmp_path / "exports" / "b.csv"
    file.write_text(HEAD + line("JFK", 2, 7.25)[:-3])
    with pytest.raises(DataError, match=r"b.csv: the file's last line has no end"):
        taken.materialize("weather")
    put("b.csv", HEAD + line("JFK", 2, 7.25).strip())  # changed long ago: it ends so
    assert [commit.rows for commit in taken.materialize("weather")] == [1]


def test_a_file_that_grows_while_it_is_read_is_not_taken(taken, put, monkeypatch):
    from asof.ingest.sources import files

    file = put("b.csv", HEAD + line("JFK", 2, 7.0))
    look = files.File.still

    def meanwhile(self):
        with file.open("a") as opened:
            opened.write(line("JFK", 3, 7.0))
        return look(self)

    monkeypatch.setattr(files.File, "still", meanwhile)
    with pytest.raises(DataError, match=r"b.csv: the file is still being written"):
        taken.materialize("weather")
    monkeypatch.undo()
    assert [commit.rows for commit in taken.materialize("weather")] == [2]


def test_a_place_that_is_not_there_is_an_error_and_a_glob_without_files_is_not(store, put):
    for path, said in (("../export", "'../export'"), ("../exports/a.csv", "a.csv"), ("../export/*.csv", "export/")):
        store.apply(weather(path))
        with pytest.raises(NotFoundError, match=said):
            store.materialize("weather")
    store.apply(weather("../exports/*.csv"))
    assert store.materialize("weather") == []


def test_more_bad_files_than_an_error_shows_are_counted(store, put):
    for number in range(8):
        put(f"{number}.csv", "no header\n")
    store.apply(weather())
    with pytest.raises(DataError, match=r"8 files could not be taken: 0.csv: .*; and 3 more"):
        store.materialize("weather")


def test_everything_can_be_taken_again_in_one_step(taken, put):
    put("b.csv", HEAD + line("JFK", 2, 7.0))
    taken.materialize("weather")
    put("a.csv", HEAD + line("JFK", 1, 9.0))
    again = taken.materialize("weather", full=True)
    assert [(commit.kind, commit.rows) for commit in again] == [("write", 1), ("write", 1), ("retract", 0), ("retract", 0)]  # fmt: skip
    assert temps(taken) == [("JFK", 1, 9.0), ("JFK", 2, 7.0)]
    assert taken.materialize("weather") == []
    put("b.csv", HEAD + "JFK,nonsense,1\n")
    with pytest.raises(DataError, match="nonsense"):
        taken.materialize("weather", full=True)
    assert temps(taken) == [("JFK", 1, 9.0), ("JFK", 2, 7.0)]


def test_nothing_is_taken_anew_without_files_that_are_gone(taken, put, tmp_path):
    put("b.csv", HEAD + line("JFK", 2, 7.0))
    taken.materialize("weather")
    (tmp_path / "exports" / "a.csv").unlink()
    assert taken.materialize("weather") == []
    with pytest.raises(ConflictError, match=r"1 files that were taken are gone.*a.csv"):
        taken.materialize("weather", full=True)
    assert len(temps(taken)) == 3


def test_times_can_be_taken_again(taken, put, at):
    (part,) = taken.materialize("weather", at(0), at(1))
    assert part.rows == 2
    assert taken.materialize("weather", at(1), at(5)) == []
    put("b.csv", HEAD + line("JFK", 4, 7.0))
    assert [commit.rows for commit in taken.materialize("weather", at(3), at(5))] == [1]
    assert [commit.rows for commit in taken.materialize("weather")] == [1], "a part is not the file"


def test_the_first_run_may_leave_times_out(store, put, at):
    put("a.csv", HEAD + line("JFK", 1, 5.0) + line("JFK", 2, 6.0))
    store.apply(weather())
    assert [commit.rows for commit in store.materialize("weather", at(1))] == [1]
    assert store.materialize("weather") == []


def test_a_file_is_undone_by_retracting_its_commit(taken, put):
    put("b.csv", HEAD + line("JFK", 2, 7.0))
    (wrong,) = taken.materialize("weather")
    taken.retract(wrong, reason="wrong file")
    assert len(temps(taken)) == 2
    assert taken.materialize("weather") == [], "it is taken; unless it is corrected"
    put("b.csv", HEAD + line("JFK", 2, 8.0))
    assert [commit.rows for commit in taken.materialize("weather")] == [1]


def test_nobody_else_writes_to_it(taken, at):
    row = [{"origin": "JFK", "time_hour": at(1), "temp": 1.0}]
    for write in (
        lambda: taken.write("weather", row),
        lambda: taken.backfill("weather", row),
        lambda: taken.push("weather", row[0]),
        lambda: taken.retire("weather", {"origin": "JFK"}, event_time=at(1)),
    ):
        with pytest.raises(UsageError, match=r"taken from files ../exports.*then materialize 'weather'"):
            write()


def test_a_transformation_makes_rows_of_the_columns_that_are_named(store, put):
    put("a.csv", "Origin,When,Celsius,Station\nJFK,2024-01-01T01:00:00Z,10,x\nLGA,2024-01-01T01:00:00Z,-,y\n")
    put("b.parquet", pa.table({"origin": ["JFK"], "when": [datetime(2024, 1, 1, 2, tzinfo=UTC)], "celsius": [20]}))
    text = SQL("""
        SELECT origin, "when" AS time_hour, celsius * 1.8::DOUBLE + 32 AS temp FROM source WHERE celsius IS NOT NULL
    """)
    columns = {"origin": "string", "when": "timestamp", "celsius": "int64"}
    store.apply(weather(source=Files("../exports", columns=columns), transform=text))
    assert [commit.rows for commit in store.materialize("weather")] == [1, 1]
    assert temps(store) == [("JFK", 1, 50.0), ("JFK", 2, 68.0)]


def test_only_the_named_columns_are_read(store, put):
    put("a.csv", HEAD.strip() + ",wind\nJFK,2024-01-01T01:00:00Z,5.0,strong\n")
    columns = {"origin": "string", "time_hour": "timestamp", "temp": "float64"}
    store.apply(weather(source=Files("../exports", columns=columns)))
    assert [commit.rows for commit in store.materialize("weather")] == [1]


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: Files(""), "no path"),
        (lambda: Files(3), "no path"),
        (lambda: Files("a\0b"), "no path"),
        (lambda: Files("s3://bucket/x"), "no path on this machine"),
        (lambda: Files("x", columns={}), "are no columns"),
        (lambda: Files("x", columns=["a"]), "are no columns"),
        (lambda: Files("x", columns={"a": "number"}), "no type"),
        (lambda: weather(transform=SQL("SELECT 1 FROM source")), "which columns"),
        (lambda: weather(source=Files("x", columns={"origin": "string"})), "time_hour"),
        (lambda: weather(source_keys={"origin": "o"}), "source_keys="),
        (lambda: weather(external="parquet:x"), "source= is not for rows that stay outside"),
        (lambda: weather(available_at="temp"), "declared as another column"),
        (lambda: weather(available_at="seen", delay="1h"), "stands in place of a delay"),
        (lambda: weather(source=5), "cannot be imported by a name"),
        (lambda: weather(source="exports/*.csv"), r'no module:function.*files as Files\("exports'),
    ],
)
def test_declarations_that_do_not_fit_are_refused(declare, said):
    with pytest.raises((UsageError, NotFoundError), match=said):
        declare()


def test_sql_is_tried_when_it_is_applied(store):
    columns = {"origin": "string", "time_hour": "timestamp", "temp": "float64"}
    for text, said in (("SELECT origin FROM source", "missing"), ("SELECT * FROM files", "files")):
        with pytest.raises((UsageError, DataError), match=said):
            store.apply(weather(source=Files("../exports", columns=columns), transform=SQL(text)))


def test_a_static_group_takes_files_too(store, put, at):
    put("a.csv", "origin,name\nJFK,Kennedy\n")
    group = FeatureGroup("airports", entity=airport, features=[Feature("name", "string")], source=Files("../exports"))
    store.apply(group)
    assert [commit.rows for commit in store.materialize("airports")] == [1]
    put("a.csv", "origin,name\nJFK,John F. Kennedy\n")
    store.materialize("airports")
    assert store.read("airports", latest=True).to_arrow().column("name").to_pylist() == ["John F. Kennedy"]
    with pytest.raises(UsageError, match="no event times"):
        store.materialize("airports", at(1))


def test_checks_apply_to_a_file_as_to_a_write(store, put):
    put("a.csv", HEAD + line("JFK", 1, 500.0))
    put("b.csv", HEAD + line("JFK", 2, 50.0))
    store.apply(weather(checks=[Check.between("temp", -60, 140)]))
    with pytest.raises(DataError, match=r"a.csv: .*temp"):
        store.materialize("weather")
    assert len(temps(store)) == 1


def test_unchanged_rows_are_skipped(store, put):
    put("a.csv", HEAD + line("JFK", 1, 5.0))
    put("b.csv", HEAD + line("JFK", 2, 5.0))
    store.apply(weather(on_unchanged="skip"))
    assert [commit.unchanged for commit in store.materialize("weather")] == [0, 1]


def test_the_catalog_shows_the_source(taken):
    plan = taken.plan(weather(path="../other/*.csv"))
    assert [(change.action, change.version) for change in plan] == [("amend", 1)]
    assert "source: files ../exports -> files ../other/*.csv" in str(plan)
    assert "taken from files ../exports" in str(taken.plan(renamed()))
    facts = dict(taken.catalog.describe("weather").facts)
    assert (facts["source"], facts["materialized"]) == ("files ../exports", "1 files")
    assert taken.catalog.lineage("weather").reads == ("files ../exports",)
    assert "weather" in {hit.name for hit in taken.catalog.search("exports")}


def renamed():
    features = [Feature("temp", "float64")]
    return FeatureGroup("other", entity=airport, event_time="t", features=features, source=Files("../exports"))


def test_another_place_of_the_same_files_is_no_other_version(taken, tmp_path):
    (tmp_path / "exports").rename(tmp_path / "moved")
    taken.apply(weather("../moved/*.csv"))
    assert taken.materialize("weather") == []
    columns = {"origin": "string", "time_hour": "timestamp", "temp": "float64"}
    assert [change.action for change in taken.plan(weather(source=Files("../moved", columns=columns)))] == [
        "new version"
    ]


def test_a_new_version_takes_all_files_and_can_be_killed_between_two(taken, put):
    put("b.csv", HEAD + line("JFK", 2, 7.0))
    taken.materialize("weather")
    taken.apply(weather(delay="1h"))
    told = []

    def stop(done, total):
        told.append((done, total))
        if done and done < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken.materialize("weather", backfill=True, progress=stop)
    assert len(temps(taken)) == 2
    assert [commit.rows for commit in taken.materialize("weather", backfill=True)] == [1]
    assert told[0][0] == 0
    assert len(temps(taken)) == 3
    assert len(taken.read("weather@1").to_arrow()) == 3


def test_progress_counts_bytes(store, put):
    sizes = [put(f"{n}.csv", HEAD + line("JFK", n, 1.0)).stat().st_size for n in range(3)]
    store.apply(weather())
    told = []
    store.materialize("weather", progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, sum(sizes))
    assert told[-1] == (sum(sizes), sum(sizes))
    assert told == sorted(told)


def test_two_runs_at_once_take_each_file_once(taken, put, folder, clock):
    for number in range(20):
        put(f"n{number}.csv", HEAD + line(f"A{number}", 1, float(number)))
    errors = []

    def run():
        try:
            with asof.open(folder, clock=clock) as other:
                other.materialize("weather")
        except BaseException as error:  # noqa: BLE001 - for the test to see
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [commit.rows for commit in taken.catalog.commits("weather")] == [2] + [1] * 20
    assert len(temps(taken)) == 22


def test_two_runs_that_begin_anew_leave_each_row_once(taken, put, folder, clock):
    put("b.csv", HEAD + line("JFK", 2, 7.0))
    taken.materialize("weather")

    def run():
        with asof.open(folder, clock=clock) as other:
            other.materialize("weather", full=True)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(temps(taken)) == 3
    kinds = [commit.kind for commit in taken.catalog.commits("weather")]
    assert kinds.count("write") - kinds.count("retract") == 2


def test_what_is_forgotten_stays_in_the_files_and_the_certificate_says_so(taken):
    certificate = taken.forget("airport", {"origin": "LGA"})
    assert temps(taken) == [("JFK", 1, 5.0)]
    assert any("weather@1 (files ../exports)" in note for note in certificate.notes)


def test_files_are_not_taken_from_a_client():
    message = declared(weather())
    with pytest.raises(UnsupportedError, match="not taken from a client"):
        definition_of(message)


def test_a_long_path_is_remembered_by_its_hash(taken, put):
    name = "/".join(["d" * 60] * 3) + "/x.csv"
    put(name, HEAD + line("JFK", 7, 7.0))
    assert [commit.meta["source"] for commit in taken.materialize("weather")] == [name]
    assert taken.materialize("weather") == []


def test_a_large_file_is_one_commit_of_parts(store, put, monkeypatch):
    from asof.ingest import take

    monkeypatch.setattr(take, "PART_ROWS", 1000)
    rows = 5000
    put("a.parquet", pa.table({
        "origin": [f"A{n}" for n in range(rows)], "time_hour": [datetime(2024, 1, 1, tzinfo=UTC)] * rows,
        "temp": [float(n) for n in range(rows)],
    }))  # fmt: skip
    store.apply(weather())
    assert [commit.rows for commit in store.materialize("weather")] == [rows]
