"""What `asof import feast` understands of a repository, and that it names whatever it does not."""

import pytest

from asof.errors import NotFoundError, UsageError
from asof.feast.functions import taken_over
from asof.feast.reading import read_repository
from asof.feast.static import Place

OLD = """
    from feast import Entity, Feature, FeatureView, FileSource, RedshiftSource, ValueType
    from feast.data_source import RequestSource
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.request_feature_view import RequestFeatureView
    from google.protobuf.duration_pb2 import Duration

    zipcode = Entity(name="zipcode", value_type=ValueType.INT64, description="where")
    zipcode_features = FeatureView(
        name="zipcode_features",
        entities=["zipcode"],
        ttl=Duration(seconds=86400),
        features=[Feature(name="city", dtype=ValueType.STRING), Feature("wages", ValueType.FLOAT),
                  Feature(name="areas", dtype=ValueType.INT64_LIST)],
        online=False,
        batch_source=RedshiftSource(query="SELECT * FROM zipcodes", event_timestamp_column="event_timestamp"),
    )
    request = RequestSource(name="vals", schema={"val": ValueType.INT64})

    @on_demand_feature_view(
        inputs={"zipcode_features": zipcode_features, "vals": request},
        features=[Feature(name="wages_plus", dtype=ValueType.DOUBLE)],
    )
    def plus(frame):
        df = pd.DataFrame()
        df["wages_plus"] = frame["wages"] + frame["val"]
        return df

    age = RequestFeatureView(name="age", request_source=RequestSource(name="age", schema={"age": ValueType.INT64}))
"""


def test_a_template_becomes_groups_and_views(template, remarked):
    found = read_repository(template)
    assert found.project == "rides"
    assert [group.name for group in found.groups] == ["driver_trips", "driver_trips_fresh"]
    group, fresh = found.groups
    assert dict(group.entity.keys) == {"driver_id": "int64"}  # the fresh one's schema says it
    assert [(each.name, each.dtype) for each in group.features] == [
        ("conv_rate", "float64"), ("trips", "int64"), ("embedding", "vector<float32, 2>")
    ]  # fmt: skip
    assert (group.ttl, group.online, group.owner, dict(group.tags)) == (
        "1d6h",
        True,
        "ana@example.com",
        {"team": "rides"},
    )
    assert group.rows.file == template / "data/trips.parquet"
    assert "created" not in group.rows.columns
    assert (fresh.ttl, fresh.rows.written, fresh.rows.file) == (None, True, template / "data/trips.parquet")
    assert [(view.name, len(view.features), view.log) for view in found.views] == [
        ("scored", 2, 0.0), ("ranking", 3, 0.5), ("driver_trips_view", 3, 0.0)
    ]  # fmt: skip
    assert group.place == Place("features.py", 15)
    for text in (
        "'extra' of type Map is left out",
        "'embedding' is not indexed for search",
        "'created' is left out, by which Feast takes the row made last",
        "push source 'trips_push' is the group 'driver_trips_fresh'",
        "odd must be written by hand",
        "listed must be written by hand",
        "listed is left out of it",
        "FeatureService 'driver_trips' is the view 'driver_trips_view'",
        "its answers are logged elsewhere",
        "'in_python': singleton= is not taken over",
        "OnDemandFeatureView 'in_python': none of its features is there",
    ):
        assert len({each.place for each in remarked(found, text)}) >= 1, text
    assert all(each.place.file == "features.py" and each.place.line > 1 for each in found.remarks)


def test_arithmetic_of_frames_is_taken_over(template):
    score, good, odd, listed = read_repository(template).functions
    assert (score.body, [*score.inputs]) == (["return conv_rate * 2 + bonus"], ["conv_rate", "bonus"])
    assert (good.body, [*good.inputs]) == (
        ["return (conv_rate * 2 + bonus - more / 4).clip(0, 100)"], ["conv_rate", "bonus", "more"]
    )  # fmt: skip
    assert (odd.body, listed.body) == ([], [])
    assert [*listed.inputs] == ["trips"]


def test_an_old_repository_is_read(read, remarked):
    found = read(features=OLD)
    (group,) = found.groups
    assert dict(group.entity.keys) == {"zipcode": "int64"}
    assert [(each.name, each.dtype) for each in group.features] == [
        ("city", "string"), ("wages", "float32"), ("areas", "list<int64>")
    ]  # fmt: skip
    assert (group.ttl, group.online, group.event_time, group.rows.file) == ("1d", False, "event_timestamp", None)
    assert [each.name for each in found.functions] == ["wages_plus"]
    assert remarked(found, "its rows are in a RedshiftSource (SELECT * FROM zipcodes), which is not read")
    assert remarked(found, "RequestFeatureView age has no counterpart")


def test_several_files_import_each_other(read, remarked):
    found = read(
        entities="""
            from feast import *
            driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.STRING)
            customer = Entity(name="customer")
        """,
        sources__kafka="""
            from feast import FileSource, KafkaSource
            from feast.data_format import JsonFormat
            BATCH = FileSource(path="s3://bucket/driver.parquet", timestamp_field="t")
            stream = KafkaSource(
                name="s", kafka_bootstrap_servers="broker:9092", topic="drivers", timestamp_field="t", batch_source=BATCH,
                message_format=JsonFormat(schema_json="driver_id string"),
            )
        """,
        features="""
            from datetime import timedelta
            import feast.types as types
            from feast import FeatureView as View, Field, BatchFeatureView
            from feast.stream_feature_view import stream_feature_view
            from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
            from entities import *
            from sources.kafka import stream
            import entities

            DAY = timedelta(days=1)
            NAMES = ["a", "b"]

            @stream_feature_view(
                entities=[driver], ttl=2 * DAY, mode="spark", schema=[Field(name=n, dtype=types.Float32) for n in NAMES],
                timestamp_field="t", source=stream,
            )
            def driver_stream(df):
                return df

            orders = BatchFeatureView(
                name="Order-Stats", entities=[customer, entities.driver], udf=driver_stream,
                schema=[Field(name="O_TOTALPRICE", dtype=types.Float64), Field(name="customer", dtype=types.Int64)],
                source=PostgreSQLSource(name="p", table="orders"), ttl=timedelta(0),
            )
        """,
    )  # fmt: skip
    stream, orders = found.groups
    assert (stream.name, [each.name for each in stream.features], stream.ttl) == ("driver_stream", ["a", "b"], "2d")
    assert stream.rows.file is None
    assert (orders.name, orders.entity.name, orders.ttl) == ("order_stats", "customer_driver", None)
    assert dict(orders.entity.keys) == {"customer": "int64", "driver_id": "string"}
    assert [(each.name, each.column) for each in orders.features] == [("o_totalprice", "O_TOTALPRICE")]
    assert "kafka://broker:9092/drivers" in remarked(found, "its rows come from Kafka")[0].todo
    for text in (
        "group driver_stream: what makes its rows is not taken over",
        "s3://bucket/driver.parquet is no path on this machine",
        "'Order-Stats' is the group 'order_stats'",
        "the column 'O_TOTALPRICE' is the feature 'o_totalprice'",
        "group order_stats: its event time is not said",
    ):
        assert remarked(found, text), text


def test_what_only_running_tells_is_named_with_its_line(read, remarked):
    found = read(
        features="""
            from feast import Entity, FeatureView, Field, FileSource
            from feast.types import Int64, String

            user = Entity(name="user", value_type=Int64)
            known = FeatureView(name="known", entities=[user, other()], source=make(), ttl=length(),
                                schema=[Field(name="x", dtype=Int64), Field(name=some(), dtype=Int64),
                                        Field(name="y", dtype=guess())])
            def made(name):
                return FeatureView(name=name, entities=[user], schema=[])
            for name in ("a", "b"):
                FeatureView(name=name, entities=[user], schema=[Field(name="x", dtype=String)])
            bare = FeatureView(name="bare", entities=[], schema=[Field(name="x", dtype=Int64)])
            again = FeatureView(name="known", entities=[user], schema=[Field(name="x", dtype=Int64)])
            empty = FeatureView(name="empty", entities=[user], source=FileSource(path="none.parquet"))
            nameless = FeatureView(name=call(), entities=[user])
        """,
        broken="def (",
        ignored="from feast import Entity\nEntity(name=oops())",
    )
    assert [group.name for group in found.groups] == ["known"]
    assert [each.name for each in found.groups[0].features] == ["x"]
    lines = {
        "FeatureView(name=name, entities=[user], schema=[]) is not read": 10,
        "FeatureView(name=name, entities=[user], schema=[Field(nam... is not read": 12,
        "FeatureView 'bare' has no entity, and is left out": 13,
        "a second FeatureView is named 'known', and is left out": 14,
        "group empty: no feature of it is known, and it is left out": 15,
        "FeatureView: its name call() is not understood": 16,
        "its entity 'other()' is not found": 6,
        "its source is not understood: make()": 6,
        "ttl=length() is not understood": 6,
        "'y' of type guess() is left out": 8,
        "the file cannot be read": 1,
    }
    for text, line in lines.items():
        (remark, *_) = remarked(found, text) or pytest.fail(text)
        assert remark.place.line == line, text


def test_a_file_that_is_no_python_costs_no_other(read, remarked):
    found = read(
        a="""
            from feast import Entity, FeatureView, Field
            from feast.types import Int64
            from broken import user, source
            from datetime import timedelta
            mine = Entity(name="mine", value_type=Int64)
            view = FeatureView(name="v", entities=[mine, user], schema=[Field(name="x", dtype=Int64)], source=source,
                               ttl=timedelta(days=10**30) * 10)
            more = FeatureView(name="w", entities=[mine], schema=[Field(name="x", dtype=Int64)],
                               ttl=timedelta(days=999999999) * 1e9)
        """,
        broken="def (",
    )
    assert [(group.name, group.ttl) for group in found.groups] == [("v", None), ("w", None)]
    assert remarked(found, "the file cannot be read")[0].place == Place("broken.py", 1)
    assert remarked(found, "its entity 'from broken import user, source' is not found")
    assert len(remarked(found, "is not understood")) >= 3


def test_entities_of_one_name_and_other_keys_are_kept_apart(read, remarked):
    found = read(
        features="""
            from feast import Entity, FeatureView, Field
            from feast.types import Int64
            one = Entity(name="user", join_keys=["id"], value_type=Int64)
            two = Entity(name="user", join_keys=["user_id"], value_type=Int64)
            three = Entity(name="user", join_keys=["user_id"], value_type=Int64)
            views = [FeatureView(name=name, entities=[entity], schema=[Field(name="x", dtype=Int64)])
                     for name, entity in []]
            a = FeatureView(name="a", entities=[one], schema=[Field(name="x", dtype=Int64)])
            b = FeatureView(name="b", entities=[two], schema=[Field(name="x", dtype=Int64)])
            c = FeatureView(name="c", entities=[three], schema=[Field(name="x", dtype=Int64)])
        """
    )
    assert [(g.entity.name, [*g.entity.keys]) for g in found.groups] == [
        ("user", ["id"]), ("user_entity", ["user_id"]), ("user_entity", ["user_id"])
    ]  # fmt: skip
    assert remarked(found, "the entity 'user' is 'user_entity' for FeatureView b")
    assert remarked(found, "FeatureView(name=name, entities=[entity]")


def test_ignored_files_are_not_read(tmp_path, read):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/.feastignore").write_text("old/\nscratch.py  # not yet\n")
    view = """
        from feast import Entity, FeatureView, Field
        from feast.types import Int64
        user = Entity(name="user", value_type=Int64)
        view = FeatureView(name="{}", entities=[user], schema=[Field(name="x", dtype=Int64)])
    """
    found = read(features=view.format("a"), old__features=view.format("b"), scratch=view.format("c"))
    assert [group.name for group in found.groups] == ["a"]


def test_files_tell_what_a_schema_does_not(template, read):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"id": pa.array(["a"]), "when": pa.array([0], pa.timestamp("us")), "x": [1.5], "Note": ["b"]})
    pq.write_table(table, template / "data/users.parquet")
    found = read(
        features="""
            from feast import Entity, FeatureView, FileSource, Field
            from feast.types import Float32
            user = Entity(name="user", join_keys=["id"])
            source = FileSource(path="data/users.parquet", field_mapping={"x": "score"})
            view = FeatureView(name="users", entities=[user], source=source)
            few = FeatureView(name="few", entities=[user], source=source,
                              schema=[Field(name="score", dtype=Float32), Field(name="gone", dtype=Float32)])
        """
    )
    users, few = found.groups
    assert (users.event_time, dict(users.entity.keys)) == ("when", {"id": "string"})
    assert [(each.name, each.dtype) for each in users.features] == [("score", "float64"), ("note", "string")]
    assert users.rows.written  # `Note` is no name that Files could say
    assert [(each.name, each.dtype) for each in few.features] == [("score", "float64"), ("gone", "float32")]
    assert dict(few.rows.renamed) == {"x": "score"}
    texts = [each.what for each in found.remarks]
    assert "group few: 'x' is float32 there and float64 in the file: float64 is declared" in texts
    assert "group few: the file has no column 'gone'" in texts


def test_a_view_under_other_keys_has_them_in_its_service(read, remarked):
    found = read(
        features="""
            from feast import Entity, FeatureService, FeatureView, Field
            from feast.types import Int64
            place = Entity(name="place", join_keys=["place_id"], value_type=Int64)
            view = FeatureView(name="heat", entities=[place], schema=[Field(name="temp", dtype=Int64)])
            trip = FeatureService(name="trip", features=[
                view.with_name("start").with_join_key_map({"place_id": "start_id"}), view, gone, view[["hum"]]])
        """
    )
    first, second = found.views[0].features
    assert (first.alias, dict(first.keys), second.alias) == ("start_temp", {"place_id": "start_id"}, "")
    assert remarked(found, "gone is not found, and left out")
    assert remarked(found, "group heat has no feature 'hum'")


def test_what_a_request_brings_has_its_name_for_itself(read, remarked):
    found = read(
        features="""
            from feast import Entity, FeatureService, FeatureView, Field, RequestSource
            from feast.on_demand_feature_view import on_demand_feature_view
            from feast.types import Float64, Int64, String
            who = Entity(name="who", value_type=String)
            person = FeatureView(name="person", entities=[who], schema=[Field(name="income", dtype=Int64)])
            form = RequestSource(name="form", schema=[Field(name="income", dtype=Int64), Field(name="debt", dtype=Int64)])
            @on_demand_feature_view(sources=[person, form], schema=[Field(name="ratio", dtype=Float64)])
            def ratios(df):
                out = pd.DataFrame()
                out["ratio"] = df["debt"] / df["income"]
                return out
            both = FeatureService(name="both", features=[person, ratios])
        """
    )
    assert [each.group for each in found.functions[0].inputs.values()] == [None, None]
    assert [each.alias for each in found.views[1].features] == ["person_income", ""]
    assert remarked(found, "'income' is a feature, and is brought by the request")
    assert remarked(found, "'income' of person is named 'person_income'")


@pytest.mark.parametrize(
    ("said", "settings", "text"),
    [
        ("online_store:\n    type: redis\n    connection_string: 'h:1,ssl=true,password=x'", "rediss://h:1", "redis"),
        (
            "online_store:\n  type: postgres\n  host: h\n  port: 1\n  database: d\n  user: u\n  password: secret",
            "postgresql://u@h:1/d",
            "postgres",
        ),
        ("online_store:\n    type: dynamodb\n    region: x", None, "online store dynamodb has no counterpart"),
        ("offline_store:\n    type: bigquery", None, "offline store bigquery has no counterpart"),
        ("registry: s3://bucket/registry.db", None, "the registry is not taken over"),
        ("auth:\n  type: oidc", None, "auth: has no counterpart"),
    ],
)
def test_settings_are_those_of_asof_toml(read, remarked, said, settings, text):
    found = read(features=OLD, settings=f"project: p  # mine\n{said}\n")
    assert (found.project, found.settings.get("online")) == ("p", settings)
    (remark,) = remarked(found, text)
    assert remark.place.line > 0
    assert not any("secret" in each.what or "password=x" in each.what for each in found.remarks)


@pytest.mark.parametrize(
    ("said", "line", "fault"),
    [
        ("online_store:\n    type: redis\n  password: secret", 4, "no line above is indented so far"),
        ("online_store:\n\ttype: redis", 3, "a tab indents it"),
        ("online_store:\n  password secret", 3, "it has no `name: value`"),
        ("provider:local", 2, "it has no `name: value`"),
        ("provider: local\n  password: secret", 3, "it is below provider, which has a value"),
        ('provider: "local\nflags: x', 2, '" is missing'),
        ("flags: {a: true,\nprovider: local", 2, "} is missing"),
    ],
)
def test_a_line_that_is_no_yaml_is_told_with_its_place_and_not_with_its_text(read, remarked, said, line, fault):
    found = read(features=OLD, settings=f"project: p\n{said}\nregistry: s3://bucket/registry.db\n")
    (remark,) = remarked(found, "the line is no YAML")
    assert remark.place == Place("feature_store.yaml", line)
    assert remark.what == f"the line is no YAML: {fault}"
    assert found.project == "p"
    assert remarked(found, "the registry is not taken over"), "what follows is read"
    assert not any("secret" in each.what for each in found.remarks)


def test_what_yaml_may_look_like_is_read(read, remarked):
    settings = """---
# of our team
project: p
"provider": local
registry:
    path: data/registry.db
    sqlalchemy_config_kwargs: {echo: false,
        pool: true}
online_store:
    type: redis
    hosts:
      - a
      - name: b
        port: 1
    - c
    connection_string: "h:1,
      ssl=true"
notes: |
  any : text
\tat all
more: a text
  that goes on
"""
    found = read(features=OLD, settings=settings.replace("\\t", "  "))
    assert remarked(found, "the line is no YAML") == []
    assert (found.project, found.settings) == ("p", {"online": "redis://h:1"})


def test_a_folder_without_feature_views_is_refused(tmp_path, read):
    with pytest.raises(NotFoundError, match="there is no folder"):
        read_repository(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"no feature view is defined there.*broken.py:1: the file cannot be read"):
        read(broken="def (")
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"there is no feature_store\.yaml"):
        read_repository(tmp_path / "other")


def test_nothing_of_a_repository_is_run(read, tmp_path):
    found = read(features=OLD + f"\n    open({str(tmp_path / 'run')!r}, 'w').write('x')\n")
    assert found.groups
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "lines",
    [
        "return df * 2",
        "out = df.copy()\n    out['x'] = df['a']\n    return out",
        "out = pd.DataFrame()\n    if True:\n        out['x'] = df['a']\n    return out",
        "out = pd.DataFrame()\n    out['x'] = df['a'].fillna(0)\n    return out",
        "out = pd.DataFrame()\n    out['x'] = df['a'].astype(int)\n    return out",
        "out = pd.DataFrame()\n    out['x'] = np.log(df['a'])\n    return out",
        "out = pd.DataFrame()\n    out['x'] = 1\n    return out",
        "out = pd.DataFrame(df)\n    out['x'] = df['a']\n    return out",
    ],
)
def test_more_than_arithmetic_is_left_to_people(lines):
    import ast

    (function,) = ast.parse(f"def f(df):\n    {lines}").body
    assert taken_over(function, ["x"]) == {}
