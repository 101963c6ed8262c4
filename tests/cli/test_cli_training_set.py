"""`asof training-set`."""

import pyarrow as pa
import pytest
from pyarrow import parquet


def test_it_is_made_listed_shown_rebuilt_examined_exported_and_removed(typed, document, project, made_spine):
    view, file, time = made_spine
    words = (
        project.store,
        "first-1",
        view,
        file,
        "--time",
        time,
        "--split",
        "random",
        "--shares",
        "train=0.5,test=0.5",
    )
    made = document("training-set", "make", *words)
    assert (made["name"], made["version"], made["rows"]) == ("first-1", 1, made["given"])
    assert sum(made["parts"].values()) == made["rows"]
    assert document("training-set", "make", *words)["version"] == 1
    (listed,) = document("training-set", "ls", project.store)["training_sets"]
    assert listed == made == document("training-set", "show", project.store, "first-1@1")
    assert document("training-set", "rebuild", project.store, "first-1") == made
    assert "is the same" in typed("training-set", "rebuild", project.store, "first-1").stdout
    report = document("training-set", "leakage", project.store, "first-1")
    assert {leak["kind"] for leak in report["leaks"]} >= {"self-event", "late value"}
    assert report["method"]
    out = project.path("train.parquet")
    done = document("training-set", "export", project.store, "first-1", out, "--split", "train")
    assert done["rows"] == parquet.read_table(out).num_rows == made["parts"]["train"]
    for name in ("ls", "show first-1", "leakage first-1"):
        verb, *rest = name.split()
        assert "first-1" in typed("training-set", verb, project.store, *rest).stdout or verb == "leakage"
    assert document("training-set", "rm", project.store, "first-1") == {"removed": ["first-1@1"]}
    assert "no training sets yet" in typed("training-set", "ls", project.store).stdout


@pytest.fixture
def made_spine(document, project, tmp_path):
    """Give the view of the project, and a spine of keys that it has."""
    import asof

    with asof.open(project.store) as store:
        view = store.catalog.views()[0]
        group = next(iter(view.groups.values())).definition
        rows = store.read(group.name).to_arrow()
        frame = rows.select([*group.keys, group.event_time]).rename_columns([*group.keys, "when"])
    parquet.write_table(frame, tmp_path / "spine.parquet")
    return group.name, str(tmp_path / "spine.parquet"), "when"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--shares", "train=0.5"), 2, "how are the rows parted"),
        (("--split", "random", "--shares", "train"), 2, "is no share"),
        (("--split", "random", "--shares", "train=x"), 2, "no part with its share"),
        (("--split", "group", "--shares", "a=0.5,b=0.5"), 2, "needs columns"),
        (("--after", "3h"), 2, "needs both"),
        (("--label", "a.b"), 2, "needs both"),
        (("--label", "nowhere", "--after", "3h"), 1, "nowhere"),
        (("--known", "soon"), 2, "soon"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(error, project, made_spine, words, code, message):
    view, file, time = made_spine
    said = error("training-set", "make", project.store, "a", view, file, "--time", time, *words, code=code)
    assert message in said


def test_an_unknown_one_is_told(error, project):
    assert "training set 'nothing'" in error("training-set", "show", project.store, "nothing")


def test_a_spine_may_be_csv_and_labels_and_cuts_come_by_options(document, project, made_spine):
    import asof

    view, file, time = made_spine
    with asof.open(project.store) as store:
        group = next(iter(store.catalog.views()[0].groups.values())).definition
    feature = group.features[0].name
    frame = parquet.read_table(file)
    from pyarrow import csv

    texts = frame.set_column(frame.column_names.index("when"), "when", frame.column("when").cast(pa.string()))
    csv.write_csv(texts, project.path("spine.csv"))
    middle = sorted(frame.column("when").to_pylist())[frame.num_rows // 2].isoformat()
    made = document(
        "training-set", "make", project.store, "labelled", view, project.path("spine.csv"), "--time", time,
        "--label", f"{group.name}.{feature}", "--after", "1h", "--split", "time", "--cut", middle, "--gap", "1h",
        "--on", f"{group.keys[0]}={group.keys[0]}",
    )  # fmt: skip
    assert made["label"] == f"{feature}_after_1h", "the group has a feature of its name"
    assert set(made["left_out"]) <= {"label not mature", "gap"}
    assert made["given"] == frame.num_rows
