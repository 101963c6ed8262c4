"""`asof import csv`: proposals that people can overrule, and nothing half-loaded."""

import pytest

import asof
from asof.errors import BackendError
from asof.store import Store

HOURS = "".join(f"{a},2025-01-0{d}T00:00:00Z,{t}\n" for d in (1, 2, 3) for a, t in (("JFK", 1.5), ("LGA", 2.5)))
GOOD = {
    "Weather Hourly.csv": "Origin,time_hour,Air Temp\n" + HOURS,
    "planes.csv": "tailnum,seats,built\nN1,100,NA\nN2,100,1999\n",
}
BAD = {
    "broken.csv": ("id,time,x\n1,2025-01-01T00:00:00Z\n", "Expected 3 columns, got 2"),
    "double.csv": ("id,time,x\n1,2025-01-01T00:00:00Z,1\n1,2025-01-01T00:00:00Z,2\n", "no columns are unique"),
    "empty.csv": ("", "the file is empty"),
    "future.csv": ("id,time,x\n1,2999-01-01T00:00:00Z,1\n", "lies in the future"),
    "header.csv": ("a,b\n", "there are no rows"),
    "keyless.csv": ("time,x\n2025-01-01T00:00:00Z,1.5\n2025-01-02T00:00:00Z,2.5\n", "no column looks like a key"),
    "latin.csv": (b"id,name\n1,caf\xe9\n", "is no UTF-8 text"),
    "naive.csv": ("id,time,x\n1,2025-01-01 00:00:00,1\n", "have no zone"),
    "only_keys.csv": ("id,time\n1,2025-01-01T00:00:00Z\n", "no column left for a feature"),
    "twice.csv": ("id,x,x\n1,2,3\n", "names 'x' twice"),
}


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "csv"
    place.mkdir()
    return place


@pytest.fixture
def fill(folder):
    def filled(files):
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    return filled


@pytest.fixture
def proposed(fill, document, tmp_path):
    """The proposal for one file, of a dry run."""

    def propose(content, *options, name="f.csv", code=0):
        found = document("import", "csv", fill({name: content}), tmp_path / "s", *options, code=code)
        return next(file for file in found["files"] if file["file"] == name)

    return propose


def test_the_dry_run_is_the_default_and_loads_nothing(typed, document, fill, tmp_path):
    shown = typed("import", "csv", fill(GOOD), tmp_path / "s").stdout
    assert "nothing was loaded yet: --yes loads 2 of 2 files, 8 rows, into the new store" in shown
    assert not (tmp_path / "s").exists()
    found = document("import", "csv", fill(GOOD), tmp_path / "s")
    assert (found["dry_run"], found["new_store"]) == (True, True)
    weather, planes = found["files"]
    assert weather["group"] == "weather_hourly"
    assert weather["keys"] == {"origin": "string"}
    assert weather["event_time"] == "time_hour"
    assert weather["features"] == {"air_temp": "float64"}
    assert weather["renamed"] == {"Origin": "origin", "Air Temp": "air_temp"}
    assert (planes["keys"], planes["event_time"]) == ({"tailnum": "string"}, None)
    assert planes["features"] == {"seats": "int64", "built": "int64"}
    for words in (("Weather Hourly.csv", "Air Temp", "air_temp"), ("planes", "int64 seats, built")):
        assert any(all(word in line for word in words) for line in shown.splitlines())


def test_yes_loads_what_was_shown(typed, document, fill, tmp_path):
    shown = typed("import", "csv", fill(GOOD), tmp_path / "s", "--yes").stdout
    assert "loaded 2 of 2 files, 8 rows" in shown
    groups = document("ls", tmp_path / "s")["groups"]
    assert [(g["name"], g["rows"], g["online"]) for g in groups] == [
        ("planes", 2, False),
        ("weather_hourly", 6, False),
    ]
    assert document("read", tmp_path / "s", "planes")["data"][0] == {"tailnum": "N1", "seats": 100, "built": None}
    with asof.open(tmp_path / "s") as store:
        (commit,) = store.catalog.commits("weather_hourly")
        assert (commit.kind, commit.meta) == ("backfill", {"file": "Weather Hourly.csv"})


def test_the_same_file_is_loaded_once_and_a_new_one_added(typed, document, fill, tmp_path):
    words = ("import", "csv", fill(GOOD), tmp_path / "s", "--yes")
    typed(*words)
    again = typed(*words).stdout
    assert "was loaded before" in again
    assert "loaded 0 of 2 files, 0 rows" in again
    fill({"planes.csv": "tailnum,seats,built\nN3,9,\n"})
    assert "add rows" in typed(*words[:-1]).stdout
    assert document(*words)["files"][1]["commit"] == "planes@1:2"
    assert document("read", tmp_path / "s", "planes")["rows"] == 3


def test_bad_files_are_listed_and_leave_nothing_while_the_others_are_loaded(document, fill, tmp_path):
    folder = fill(GOOD | {name: content for name, (content, _) in BAD.items()})
    for options in ((), ("--yes",)):
        found = document("import", "csv", folder, tmp_path / "s", *options, code=1)
        problems = {file["file"]: file["problem"] for file in found["files"]}
        for name, (_, message) in BAD.items():
            assert message in problems[name]
        assert all(problems[name] is None for name in GOOD)
    assert [g["name"] for g in document("ls", tmp_path / "s")["groups"]] == ["planes", "weather_hourly"]


def test_a_folder_of_bad_files_makes_no_store(document, fill, tmp_path):
    document("import", "csv", fill({"broken.csv": BAD["broken.csv"][0]}), tmp_path / "s", "--yes", code=1)
    assert not (tmp_path / "s").exists()


def test_a_failure_while_loading_takes_the_group_away_again(document, fill, tmp_path, monkeypatch):
    backfill = Store.backfill

    def failing(self, group, *rest, **options):
        if group == "planes":
            raise BackendError("disk full")
        return backfill(self, group, *rest, **options)

    monkeypatch.setattr(Store, "backfill", failing)
    found = document("import", "csv", fill(GOOD), tmp_path / "s", "--yes", code=1)
    assert found["files"][1]["problem"] == "disk full"
    assert [g["name"] for g in document("ls", tmp_path / "s")["groups"]] == ["weather_hourly"]


@pytest.mark.parametrize(
    ("content", "keys", "event_time"),
    [
        # the best name of a time, then the leftmost
        ("id,seen,updated_at,x\n1,2025-01-01T00:00Z,2025-01-02T00:00Z,1\n", ["id"], "updated_at"),
        ("id,updated_at,time,x\n1,2025-01-01T00:00Z,2025-01-02T00:00Z,1\n", ["id"], "time"),
        # a time with gaps is no event time
        ("id,time,x\n1,2025-01-01T00:00Z,1\n2,,1\n", ["id"], None),
        # few columns, id-like ones first, then texts, then whole numbers
        ("n,name,shop_id,x\n1,a,7,1.5\n2,b,8,1.5\n", ["shop_id"], None),
        ("n,name,x\n1,a,1.5\n2,b,1.5\n", ["name"], None),
        ("n,x\n1,1.5\n2,1.5\n", ["n"], None),
        ("a,b,x\nu,1,1.5\nu,2,1.5\nv,1,1.5\nv,2,1.5\n", ["a", "b"], None),
        # of two ids the one that comes again at other times
        (
            "event_id,user_id,time,x\n1,7,2025-01-01T00:00Z,1\n2,8,2025-01-01T00:00Z,1\n3,7,2025-01-02T00:00Z,1\n",
            ["user_id"],
            "time",
        ),
        # one series: what is the same in every row says what the rows are about
        ("place,time,x\nhome,2025-01-01T00:00Z,1\nhome,2025-01-02T00:00Z,1\n", ["place"], "time"),
        # rows that are equal throughout count once
        ("id,x\n1,2.5\n1,2.5\n2,1.5\n", ["id"], None),
        # nulls and fractions are no keys
        ("ref_id,name,x\n1,a,1\n,b,1\n", ["name"], None),
    ],
)
def test_keys_and_event_time_are_proposed(proposed, content, keys, event_time):
    found = proposed(content)
    assert (list(found["keys"]), found["event_time"]) == (keys, event_time)


def test_types_are_found_without_losing_what_is_text(proposed):
    found = proposed(
        "id,zip,at,gap,when\n1,01234,10:05,,2025-01-06\n2,94000,11:00,,2025-01-07\n", "--event-time", "f.csv="
    )
    assert found["features"] == {"zip": "string", "at": "string", "gap": "string", "when": "date"}


def test_names_are_mended_and_kept_apart(proposed):
    found = proposed("id,Arr Delay,arr_delay,2013,日本\n1,2,3,4,5\n")
    assert found["renamed"] == {
        "Arr Delay": "arr_delay",
        "arr_delay": "arr_delay_2",
        "2013": "c_2013",
        "日本": "column_5",
    }


def test_people_overrule_what_is_proposed(proposed):
    content = "a,b,t,u\n1,x,2025-01-01T00:00Z,2025-01-01T00:00Z\n2,y,2025-01-01T00:00Z,2025-01-01T00:00Z\n"
    found = proposed(content, "--keys", "f.csv=b,a", "--event-time", "f.csv=u", "--name", "f.csv=other")
    assert (list(found["keys"]), found["event_time"], found["group"]) == (["b", "a"], "u", "other")
    assert proposed(content, "--event-time", "f.csv=")["event_time"] is None
    assert "did you mean" in proposed(content, "--keys", "f.csv=bb", code=1)["problem"]


def test_naive_times_take_the_zone_of_the_call(proposed, typed, document, folder, tmp_path):
    day = "id,date,x\n1,2025-01-06,1\n"
    assert proposed(day, "--timezone", "America/New_York")["timezone"] == "America/New_York"
    assert proposed(day, "--timezone", "f.csv=UTC", "--timezone", "Europe/Berlin")["timezone"] == "UTC"
    assert proposed("id,time,x\n1,2025-01-06T00:00Z,1\n", "--timezone", "UTC")["timezone"] is None
    assert "unknown time zone" in proposed(day, "--timezone", "Mars", code=1)["problem"]
    (folder / "f.csv").write_text(day)
    typed("import", "csv", folder, tmp_path / "s", "--timezone", "America/New_York", "--yes")
    assert document("read", tmp_path / "s", "f")["data"][0]["date"] == "2025-01-06T05:00:00Z"


def test_conflicts_are_kept_last_on_request(proposed):
    content, _ = BAD["double.csv"]
    assert "with different values" in proposed(content, "--keys", "f.csv=id", code=1)["problem"]
    assert proposed(content, "--keys", "f.csv=id", "--on-conflict", "last")["problem"] is None


def test_two_files_of_one_name_do_not_meet(document, fill, tmp_path):
    folder = fill({"a b.csv": "id,x\n1,1.5\n", "A_b.csv": "id,x\n1,1.5\n"})
    first, second = document("import", "csv", folder, tmp_path / "s", code=1)["files"]
    assert first["problem"] is None
    assert f"{first['file']} has this name too" in second["problem"]


def test_rows_for_a_group_must_fit_it(document, project, tmp_path):
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "weather.csv").write_text("origin,time_hour,temp,visib\nJFK,2025-02-01T00:00:00Z,NA,3\n")
    (file,) = document("import", "csv", folder, project.store)["files"]
    assert (file["exists"], file["features"]) == (True, {"temp": "float64", "visib": "float64"})
    (file,) = document("import", "csv", folder, project.store, "--keys", "weather.csv=temp", code=1)["files"]
    assert "the group exists with keys origin" in file["problem"]
    document("import", "csv", folder, project.store, "--yes")
    assert document("online", project.store, "weather", "origin=JFK")["statuses"] == {
        "temp": "NULL",
        "visib": "PRESENT",
    }
    (folder / "weather.csv").write_text("origin,time_hour,temp\nJFK,2025-02-01T00:00:00Z,1\n")
    assert (
        "column 'visib' is missing" in document("import", "csv", folder, project.store, code=1)["files"][0]["problem"]
    )


def test_options_name_files_that_are_there(error, fill, tmp_path):
    folder = fill(GOOD)
    assert "did you mean 'planes.csv'" in error(
        "import", "csv", folder, tmp_path / "s", "--keys", "plane.csv=a", code=2
    )
    assert "write it as FILE.csv=" in error("import", "csv", folder, tmp_path / "s", "--keys", "a", code=2)


def test_a_folder_without_csv_is_said(error, folder, tmp_path):
    assert "there is no CSV file" in error("import", "csv", folder, tmp_path / "s")
