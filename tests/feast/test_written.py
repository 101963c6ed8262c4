"""The file that `asof import feast` writes: it applies, loads, answers, and changes nothing when it is applied again."""

import sys

import pytest
from tests.feast.conftest import written

import asof
from asof.feast.reading import read_repository
from asof.feast.writing import definitions_text


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Give what writes the file of a repository, and a store that it was applied to."""
    stores = []

    def make(folder, name):
        file = tmp_path / f"{name}.py"
        file.write_text(definitions_text(read_repository(folder)))
        monkeypatch.syspath_prepend(str(tmp_path))
        stores.append(asof.open(tmp_path / name))
        stores[-1].apply(file)
        assert not any(change.action != "unchanged" for change in stores[-1].plan(file))
        return stores[-1], file.read_text()

    yield make
    for store in stores:
        store.close()
    for name in [each for each in sys.modules if each.startswith("imported_")]:
        del sys.modules[name]


def test_a_template_is_applied_loaded_and_read(template, imported, at):
    store, text = imported(template, "imported_template")
    (commit,) = store.materialize("driver_trips", backfill=True)
    assert commit.rows == 2
    assert store.materialize("driver_trips", backfill=True) == []
    spine = [{"driver_id": key, "t": at(2), "bonus": 3, "more": 8.0} for key in (1, 2, 3)]
    frame = store.historical("ranking", spine, time="t", statuses=True).to_arrow()
    assert frame["conv_rate"].to_pylist() == [0.5, None, None]
    assert frame["score"].to_pylist() == [4.0, None, None]
    assert frame["good"].to_pylist() == [2.0, None, None]
    assert frame["conv_rate__status"].to_pylist() == ["PRESENT", "NULL", "MISSING"]
    vector = store.online("ranking", {"driver_id": 1}, request={"bonus": 3, "more": 8.0})
    assert vector.statuses["conv_rate"] == "EXPIRED"  # of 2024
    assert store.historical("driver_trips", spine, time="t").to_arrow()["embedding"].to_pylist()[0] == [1.0, 2.0]
    store.push("driver_trips_fresh", {"driver_id": 1, "event_timestamp": at(5), "conv_rate": 0.75})
    assert store.get_features(["driver_trips_fresh:conv_rate"], {"driver_id": 1}).values == {"conv_rate": 0.75}
    assert "# def odd(" in text
    assert "# its history: store.backfill(" in text


def test_the_history_of_a_pushed_group_is_loaded_as_the_file_says(template, imported, at):
    store, text = imported(template, "imported_history")
    said = text.partition("# its history: ")[2].partition("\ndriver_trips_fresh")[0].replace("\n# ", " ")
    import pyarrow.parquet

    exec(said, {"store": store, "pyarrow": pyarrow})
    assert store.read("driver_trips_fresh").to_arrow().num_rows == 2


def test_columns_of_other_names_are_renamed_while_they_are_taken(template, imported):
    folder = written(
        template,
        features="""
            from feast import Entity, FeatureView, FileSource, Field
            from feast.types import Float64, Int32
            who = Entity(name="who", join_keys=["id"])
            source = FileSource(path="data/trips.parquet", timestamp_field="event_timestamp",
                                field_mapping={"driver_id": "id", "conv_rate": "rate"})
            view = FeatureView(name="rates", entities=[who], source=source, schema=[Field(name="rate", dtype=Float64)])
        """,
    )
    store, text = imported(folder, "imported_renamed")
    assert "driver_id AS id" in text
    store.materialize("rates", backfill=True)
    assert store.read("rates").to_arrow().column_names == ["id", "event_timestamp", "rate"]
    assert sorted(store.read("rates").to_arrow()["id"].to_pylist()) == [1, 2]


def test_text_that_could_break_a_file_is_quoted(template, imported):
    folder = written(
        template,
        settings='project: \'x"""y\'\n',
        features="""
            from feast import Entity, FeatureView, Field
            from feast.types import Int64
            who = Entity(name="class", value_type=Int64, description="a \\"quoted\\" one\\n\\\\ and more")
            view = FeatureView(name="Import", entities=[who], description="é \\u2028 \\n#", tags={"a'b": 'c"d'},
                               schema=[Field(name="lambda", dtype=Int64), Field(name="Ünïcode name", dtype=Int64)])
        """,
    )
    store, _ = imported(folder, "imported_quoted")
    group = store.catalog.find("import").definition
    assert group.description == "é \u2028 \n#"
    assert group.features[0].name == "lambda"
    assert group.entity.description == 'a "quoted" one\n\\ and more'


def test_no_name_becomes_code(tmp_path, imported):
    folder = written(
        tmp_path / "repo",
        features="""
            from feast import Entity, FeatureView, Field, RequestSource
            from feast.on_demand_feature_view import on_demand_feature_view
            from feast.types import Int64, String, Struct
            who = Entity(name="who\\nraise OSError", value_type=Int64)
            odd = Struct({"a>\\nraise OSError": String})
            view = FeatureView(name="v\\nraise OSError", entities=[who], schema=[
                Field(name="x\\nraise OSError", dtype=Int64), Field(name="s", dtype=odd)])
            form = RequestSource(name="form", schema=[Field(name="n\\nraise OSError", dtype=Int64)])
            @on_demand_feature_view(sources=[view, form], schema=[Field(name="o\\nraise OSError", dtype=Int64)])
            def made(df):
                return df
        """,
    )
    store, text = imported(folder, "imported_names")
    assert [each.definition.name for each in store.catalog.groups()] == ["v_raise_oserror"]
    assert "\nraise" not in text
