"""A spine that is a Spark DataFrame is answered where it lies, as one in this process is."""

from datetime import timedelta

import pyarrow as pa
import pytest
from tests.on_demand_features import feels_like, warmer_at, weather

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView
from asof.aggregates import Count, Mean
from asof.clock import from_us
from asof.engine.spark.tables import into_spark
from asof.errors import DataError, NotFoundError, UsageError
from asof.testing.played import Clock, times
from asof.testing.spark import SPARK
from asof.testing.stored import AT_US

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark_session")]

HOUR = 3_600_000_000
airport = Entity("airport", keys={"origin": "string"})
plane = Entity("plane", keys={"tailnum": "string"})
arrivals = FeatureGroup(
    "arrivals", entity=airport, event_time="at", features=[Feature("tailnum", "string"), Feature("delay", "float64")]
)
planes = FeatureGroup("planes", entity=plane, features=[Feature("seats", "int64")])
delays = FeatureGroup(
    "delays", entity=airport, source=arrivals, features=[Count(over="2h"), Mean("delay", over=["1h", "30d"])]
)
unused = FeatureGroup("unused", entity=airport, event_time="at", features=[Feature("v", "vector<float32, 2>")])
nothing = FeatureGroup("nothing", entity=airport, source=unused, features=[Count(over="2h")])

VIEWS = [
    FeatureView(
        "departure",
        features=[
            weather["temp"],
            weather["wind"],
            weather.on(origin="dest")["temp"].alias("dest_temp"),
            planes.on(tailnum=arrivals["tailnum"])["seats"],
        ],
    ),
    FeatureView("windows", features=[delays, nothing]),
    FeatureView("made", features=[feels_like, warmer_at]),
    FeatureView("empty", features=[unused]),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "store"
    clock = Clock(AT_US)
    asof.open(folder, create=True, clock=clock).close()
    text = (folder / "asof.toml").read_text().replace('engine = "duckdb"', f'engine = "{SPARK}"')
    (folder / "asof.toml").write_text(text)
    with asof.open(folder, clock=clock) as store:
        store.apply(weather, arrivals, planes, delays, unused, nothing, *VIEWS)
        filled(store, clock)
        yield store


def filled(store, clock: Clock) -> None:
    at = [AT_US - hours * HOUR for hours in (20, 8, 4, 1)]
    keys = ["JFK", "JFK", "LGA", "JFK"]
    columns = {"temp": [50.0, 60.0, None, 61.0], "wind": [4, 9, 1, 16], "note": ["a", None, "b", "c"]}
    store.backfill("weather", pa.table({"origin": keys, "time_hour": times(at), **columns}))
    store.backfill("arrivals", {"origin": keys, "at": times(at), "tailnum": ["N1", "N2", None, "N9"],
                                "delay": [1.0, 2.5, 4.0, 0.1]})  # fmt: skip
    store.write("planes", {"tailnum": ["N1", "N2"], "seats": [100, 200]})
    clock.now_us += HOUR
    store.retire("weather", {"origin": "LGA"}, event_time=from_us(AT_US))
    store.push("weather", [{"origin": "EWR", "time_hour": from_us(AT_US), "temp": 1.5, "wind": 1, "note": None}])


SPINE = pa.table(
    {
        "id": [1, 2, 3, 4, 5, 5],
        "origin": ["JFK", "LGA", "EWR", None, "zz", "JFK"],
        "dest": ["LGA", "JFK", "JFK", "JFK", "EWR", "JFK"],
        "when": times([AT_US - HOUR, AT_US + HOUR, AT_US, AT_US, AT_US, AT_US - 5 * HOUR]),
        "hour": pa.array([3, None, 5, 6, 7, 8], pa.int64()),
        "Temp Out": [[1], None, [], [2], [3], [4]],
    }
)


ASKED = [
    ("departure", "served", True),
    ("departure", "event", False),
    ("departure", from_us(AT_US + HOUR // 2), False),
    ("windows", "served", False),
    ("windows", "event", True),
    ("made", "served", True),
    ("made", "event", False),
    ("empty", "served", True),
]


@pytest.mark.parametrize(("view", "known", "statuses"), ASKED, ids=lambda each: str(each))
def test_a_spark_dataframe_is_answered_as_a_table_is(store, spark_session, view: str, known, statuses: bool) -> None:
    options = {"time": "when", "known": known, "statuses": statuses}
    wanted = store.historical(view, SPINE, **options)
    far = store.historical(view, into_spark(spark_session, SPINE), **options)
    table = far.to_arrow()
    assert table.schema == wanted.to_arrow().schema
    assert sorted(map(repr, table.to_pylist())) == sorted(map(repr, wanted.to_arrow().to_pylist()))
    assert far.commits == wanted.commits
    assert far.to_native() is far.to_spark()
    assert far.to_spark().columns == table.column_names
    if statuses:
        assert far.report == wanted.report
        assert len(far) == 6


def test_one_time_for_all_rows(store, spark_session) -> None:
    spine, moment = SPINE.select(["id", "origin", "dest"]), from_us(AT_US) + timedelta(hours=1)
    wanted = store.historical("departure", spine, time=moment).to_arrow()
    found = store.historical("departure", into_spark(spark_session, spine), time=moment).to_arrow()
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, wanted.to_pylist()))


def test_what_does_not_fit_is_refused(store, spark_session) -> None:
    spine = into_spark(spark_session, SPINE)
    with pytest.raises(NotFoundError, match=r"unknown spine column 'whenn'.*did you mean 'when'"):
        store.historical("departure", spine, time="whenn")
    with pytest.raises(NotFoundError, match="unknown spine column 'dest'"):
        store.historical("departure", spine.drop("dest"), time="when")
    with pytest.raises(UsageError, match="already has a column 'temp'"):
        store.historical("departure", spine.withColumnRenamed("Temp Out", "temp"), time="when")
    with pytest.raises(UsageError, match="batch_rows and explain"):
        store.historical("departure", spine, time="when", batch_rows=10)
    with pytest.raises(DataError, match="null time in row"):
        missing = spine.selectExpr("*", "CAST(NULL AS TIMESTAMP) AS at")
        store.historical("departure", missing, time="at").to_arrow()
    with pytest.raises(DataError, match="naive"):
        naive = spine.selectExpr("*", "CAST(when AS TIMESTAMP_NTZ) AS at")
        store.historical("departure", naive, time="at").to_arrow()
    with pytest.raises(DataError, match="key origin of group weather"):
        store.historical("departure", spine.selectExpr("id", "dest", "when", "id AS origin"), time="when").to_arrow()


def test_nothing_is_computed_before_rows_are_asked_for(store, spark_session) -> None:
    spine = into_spark(spark_session, SPINE).selectExpr("*", "raise_error('computed') AS bad")
    frame = store.historical("departure", spine, time="when")
    assert repr(frame).startswith("<rows on many machines x 11 columns: id, origin, dest, when, hour, Temp Out, bad, ")
    assert frame.to_spark().columns[-1] == "seats"


def test_a_spark_dataframe_that_is_written_is_collected_and_stored_once(store, spark_session) -> None:
    columns = "'SFO' AS origin, TIMESTAMP '2023-12-31 12:00:00+00:00' AS at, 'N7' AS tailnum, 1.5D AS delay"
    frame = spark_session.sql(f"SELECT {columns}")
    first = store.backfill("arrivals", frame, idempotency_key="from spark")
    assert store.backfill("arrivals", frame, idempotency_key="from spark").id == first.id
    found = [row for row in store.read("arrivals").to_arrow().to_pylist() if row["origin"] == "SFO"]
    assert [(row["at"].isoformat(), row["tailnum"], row["delay"]) for row in found] == [
        ("2023-12-31T12:00:00+00:00", "N7", 1.5)
    ]
