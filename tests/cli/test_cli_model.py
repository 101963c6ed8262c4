"""`asof model` and `asof predict`."""

import os
import shutil
import subprocess

import psycopg
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet
from tests.predictions import another, made, spine

import asof


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store with models that nobody opens."""
    return made(tmp_path_factory.mktemp("models") / "store")


@pytest.fixture
def store(kept, tmp_path):
    """A store with models for one test to change."""
    return str(shutil.copytree(kept, tmp_path / "store"))


@pytest.fixture
def asked(tmp_path):
    """A spine, as a file."""
    parquet.write_table(spine(count=90, seed=1), tmp_path / "spine.parquet")
    return str(tmp_path / "spine.parquet")


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A model that was saved by its maker, and a module that loads it."""
    (tmp_path / "constant.txt").write_text("12.5")
    (tmp_path / "constant_loader.py").write_text(
        "class Constant:\n"
        "    def __init__(self, value):\n"
        "        self.value = value\n"
        "    def predict(self, frame):\n"
        "        return [self.value] * len(frame)\n"
        "def load(path):\n"
        "    with open(path) as file:\n"
        "        return Constant(float(file.read()))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return str(tmp_path / "constant.txt")


@pytest.mark.slow
def test_models_are_listed_shown_staged_and_removed(typed, document, error, store):
    listed = document("model", "ls", store)["models"]
    assert [(each["name"], each["version"], each["stage"]) for each in listed] == [
        ("classes", 1, "none"),
        ("linear", 1, "none"),
        ("trees", 1, "production"),
    ]
    shown = document("model", "show", store, "linear@1")
    assert shown == listed[1]
    assert (shown["view"], shown["training_set"], shown["metrics"]) == ("departure@1", "departure-1@1", {"mae": 9.5})
    assert shown["outputs"] == {"prediction": "float64"}
    assert "departure-1@1" in typed("model", "ls", store).stdout
    assert "departure@1" in typed("model", "show", store, "linear").stdout
    with asof.open(store) as opened:
        another(opened)
    assert document("model", "stage", store, "linear@1", "production")["moved"] == [
        {"model": "linear@1", "stage": "production"}
    ]
    assert document("model", "stage", store, "linear@2", "production")["moved"] == [
        {"model": "linear@1", "stage": "archived"},
        {"model": "linear@2", "stage": "production"},
    ]
    assert "already" in typed("model", "stage", store, "linear@2", "production").stdout
    said = error("model", "rm", store, "linear@2")
    assert "asof model stage STORE linear@2 archived" in said
    said = error("training-set", "rm", store, "departure-1")
    assert "asof model stage STORE" in said
    typed("model", "stage", store, "linear@2", "archived")
    assert document("model", "rm", store, "linear")["removed"] == ["linear@1", "linear@2"]
    assert "did you mean" in error("model", "show", store, "tres")
    assert "which version" in error("model", "stage", store, "trees", "none", code=2)
    assert "no models yet" not in typed("model", "ls", store).stdout


@pytest.mark.slow
def test_a_saved_model_is_registered_with_its_loader(document, error, store, saved, asked, tmp_path):
    words = ("constant", "--training-set", "departure-1", "--path", saved, "--loader", "constant_loader:load")
    shown = document("model", "register", store, *words, "--metric", "mae=3", "--stage", "staging", "--log", "0.5")
    assert (shown["loader"], shown["stage"], shown["metrics"], shown["log"]) == (
        "constant_loader:load",
        "staging",
        {"mae": 3.0},
        0.5,
    )
    kept = ("--log", "0.5", "--log-retention", "90d", "--metric", "mae=4")
    document("model", "register", store, *words, *kept)
    with asof.open(store) as opened:
        assert opened.models.get("constant").said.log_retention_us == 90 * 24 * 3600 * 1_000_000
    assert "log_retention= needs log=" in error("model", "register", store, *words, *kept[2:4], code=2)
    out = tmp_path / "out.arrow"
    document("predict", store, "constant@staging", asked, "--time", "at", "--out", out)
    assert set(feather.read_table(out)["prediction"].to_pylist()) == {12.5}
    assert "no number" in error("model", "register", store, *words, "--metric", "mae=x", code=2)
    assert "cannot be imported" in error("model", "register", store, *words[:-1], "nowhere:load", code=2)
    assert "nothing" in error("model", "register", store, *words[:1], "--training-set", "nothing", *words[3:])


def expected(store, name, table, **options):
    with asof.open(store) as opened:
        return opened.models.load(name).predict(table, time="at", **options).to_arrow()


@pytest.mark.slow
def test_predictions_into_files_are_those_of_the_library(typed, document, store, asked, tmp_path):
    table = parquet.read_table(asked)
    wanted = expected(store, "trees@production", table, features=True)
    out = tmp_path / "out.parquet"
    words = ("predict", store, "trees@production", asked, "--time", "at", "--batch-rows", 17)
    said = document(*words, "--features", "--out", out)
    assert (said["model"], said["rows"], said["out"]) == ("trees@1", 90, str(out))
    assert said["columns"] == {field.name: str(field.type) for field in wanted.schema}
    assert said["commits"]
    assert parquet.read_table(out).equals(wanted)
    feather.write_feather(table, tmp_path / "spine.arrow")
    csv.write_csv(table, tmp_path / "spine.csv")
    for name in ("spine.arrow", "spine.csv"):
        again = tmp_path / f"{name}.parquet"
        typed("predict", store, "trees", tmp_path / name, "--time", "at", "--features", "--out", again)
        assert parquet.read_table(again).select(wanted.column_names).cast(wanted.schema).equals(wanted)
    text = typed(*words, "--out", tmp_path / "out.csv").stdout
    assert "90 predictions of trees@1" in text


@pytest.mark.slow
def test_a_file_is_there_only_when_it_is_whole(error, store, tmp_path):
    table = spine(count=40, seed=3)
    origins = pa.array([*table["origin"].to_pylist()[:-1], None])
    times = table["at"].to_pylist()[:-1]
    parquet.write_table(
        pa.table({"origin": origins, "at": pa.array([*times, None], table["at"].type), "hour": table["hour"]}),
        tmp_path / "spine.parquet",
    )
    out = tmp_path / "out.parquet"
    out.write_bytes(b"before")
    words = ("predict", store, "linear", tmp_path / "spine.parquet", "--time", "at", "--batch-rows", 10)
    assert "null time" in error(*words, "--out", out)
    assert out.read_bytes() == b"before"
    assert "null time" in error(*words, "--group", "late")
    with asof.open(store) as opened:
        assert "late" not in {group.definition.name for group in opened.catalog.groups()}
    assert not list(tmp_path.glob(".*.part"))


def test_answers_are_not_written_over_their_spine(error, store, asked, tmp_path):
    before = parquet.read_table(asked)
    (tmp_path / "link.parquet").symlink_to(asked)
    for out in (asked, tmp_path / "link.parquet", tmp_path / "." / "spine.parquet"):
        assert "is the spine itself -> name another file" in error(
            "predict", store, "trees", asked, "--time", "at", "--out", out, code=2
        )
        assert "is the spine itself" in error("historical", store, "plain", asked, "--time", "at", "--out", out, code=2)
    assert parquet.read_table(asked).equals(before)


@pytest.mark.slow
def test_a_spine_with_a_column_of_the_features_is_refused_with_what_to_do(error, store, asked, tmp_path):
    table = parquet.read_table(asked)
    parquet.write_table(table.append_column("temp", pa.array([1.0] * table.num_rows)), tmp_path / "more.parquet")
    said = error(
        "predict", store, "trees", tmp_path / "more.parquet", "--time", "at", "--out", tmp_path / "o.csv", code=2
    )
    assert "the spine has a column 'temp', which is a feature [model trees@1] -> leave it out" in said
    assert "full_names" not in said


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
def test_a_full_disk_is_told_with_the_file(error, store, asked, tmp_path, suffix):
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        out = place / f"out.{suffix}"
        said = error("predict", store, "trees", asked, "--time", "at", "--features", "--out", out)
        assert said == f"No space left on device [{out}]"
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_predictions_are_features_of_a_group_and_stored_once(typed, document, store, asked):
    words = ("predict", store, "trees", asked, "--time", "at", "--group", "late", "--batch-rows", 25)
    first = typed(*words)
    assert "inferred and registered" in first.stderr
    assert "90 predictions of trees@1 in late" in first.stdout
    again = document(*words)
    assert (again["group"], again["repeated"], again["rows"]) == ("late", True, 90)
    assert "there before" in typed(*words).stdout
    typed("retract", store, again["commit"], "--reason", "a try")
    assert document(*words)["repeated"] is False
    assert document(*words)["repeated"] is True
    wanted = expected(store, "trees", parquet.read_table(asked))
    with asof.open(store) as opened:
        assert len(opened.catalog.commits("late")) == 3
        group = opened.catalog.find("late").definition
        assert (group.entity.name, group.event_time, group.online) == ("airport", "at", True)
        stored = opened.read("late").to_arrow()
        assert set(stored["model"].to_pylist()) == {"trees@1"}
        key = lambda row: (row["origin"], row["at"])  # noqa: E731
        plain = stored.select(["origin", "at", "prediction"]).to_pylist()
        given = {key(row): row["prediction"] for row in wanted.to_pylist()}
        assert {key(row): row["prediction"] for row in plain} == given
        latest = max(plain, key=lambda row: row["at"])
        assert opened.online("late", {"origin": latest["origin"]}).values["prediction"] == latest["prediction"]
        another(opened, "trees", stage="production")
    other = document(*words[:2], "trees@production", *words[3:])
    assert (other["model"], other["repeated"]) == ("trees@2", False)
    with asof.open(store) as opened:
        assert len(opened.catalog.commits("late")) == 4


@pytest.mark.slow
def test_a_group_that_does_not_fit_is_refused_with_the_difference(document, error, store, asked):
    words = ("predict", store, "classes", asked, "--time", "at")
    said = error(*words, "--group", "weather", code=2)
    assert "it has no feature prediction_" in said
    assert "its feature temp is not among them" in said
    assert "is a view" in error(*words, "--group", "plain", code=2)
    asked_for = document(*words, "--group", "chance")
    assert asked_for["columns"]["prediction_True"] == "double"
    with asof.open(store) as opened:
        group = opened.catalog.find("chance").definition
        assert [each.name for each in group.features] == ["prediction_false", "prediction_true", "model"]
    assert "no name for a" in error(*words[:2], "linear", *words[3:], "--group", "Late!", code=2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "where do the predictions go"),
        (("--out", "a.parquet", "--group", "b"), "where do the predictions go"),
        (("--sql", "postgresql://host/db"), "needs both"),
        (("--group", "b", "--table", "c"), "needs both"),
        (("--group", "b"), "--time"),
        (("--out", "a.parquet", "--known", "soon"), "soon"),
        (("--sql", "postgresql://ann:secret@host/db", "--table", "t", "--time", "at"), "holds a password"),
        (("--sql", "postgresql://host/db?sslmode=x", "--table", "t", "--time", "at"), "sslmode"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(error, kept, asked, words, message):
    code = 1 if "sslmode" in message else 2
    said = error("predict", kept, "linear", asked, *words, code=code)
    assert message in said
    assert "secret" not in said


def test_other_databases_are_refused(error, kept, asked):
    said = error("predict", kept, "linear", asked, "--time", "at", "--sql", "mysql://host/db", "--table", "t")
    assert "no database that rows are written to" in said


@pytest.fixture
def place(postgres_server, monkeypatch):
    """A schema of its own in PostgreSQL."""
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS predicted CASCADE; CREATE SCHEMA predicted")
        yield connection, f"{postgres_server.url}?schema=predicted"


def test_predictions_into_a_table_are_all_there_or_none(document, error, store, asked, place, tmp_path):
    connection, url = place
    words = ("predict", store, "trees", asked, "--time", "at", "--sql", url, "--table", "late", "--batch-rows", 20)
    said = document(*words, "--features")
    assert said["table"].startswith("table predicted.late of postgresql://127.0.0.1")
    columns = "origin, at, hour, late, temp, wind, sky, warmer_at, prediction, model"
    found = connection.execute(f"SELECT {columns} FROM predicted.late").fetchall()
    wanted = expected(store, "trees", parquet.read_table(asked), features=True).to_pylist()
    assert found == [(*row.values(), "trees@1") for row in wanted]
    assert "is there already" in error(*words, "--features")
    assert "its column temp is not among" in error(*words, "--if-exists", "append")
    assert document(*words, "--features", "--if-exists", "append")["rows"] == 90
    assert connection.execute("SELECT count(*) FROM predicted.late").fetchone() == (180,)
    assert document(*words, "--features", "--if-exists", "replace")["rows"] == 90
    assert connection.execute("SELECT count(*) FROM predicted.late").fetchone() == (90,)
    table = parquet.read_table(asked)
    times = pa.array([*table["at"].to_pylist()[:-1], None], table["at"].type)
    parquet.write_table(table.set_column(1, "at", times), tmp_path / "broken.parquet")
    broken = [tmp_path / "broken.parquet" if word == asked else word for word in words]
    assert "null time" in error(*broken, "--features", "--if-exists", "replace")
    assert connection.execute("SELECT count(*) FROM predicted.late").fetchone() == (90,)
    other = [word if word != "late" else "fresh" for word in broken]
    assert "null time" in error(*other)
    tables = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'predicted'")
    assert tables.fetchall() == [("late",)]
    connection.execute("ALTER TABLE predicted.late ALTER prediction TYPE real")
    assert "prediction is float32, not float64" in error(*words, "--features", "--if-exists", "append")
    nobody = ["postgresql://asof@127.0.0.1:1/db" if word == url else word for word in words]
    assert "does not answer" in error(*nobody)
    assert "is no URL" in error(*["postgresql://host:99999/db" if word == url else word for word in words], code=2)
