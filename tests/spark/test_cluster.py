"""A cluster of processes: a worker that is killed in the middle of a read changes no answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asof.testing.spark import spark_missing

pytestmark = [pytest.mark.long, pytest.mark.skipif(spark_missing() is not None, reason="Spark is not installed")]

READ = """
import sys, threading, time
from pathlib import Path

import numpy as np
import pyarrow as pa

from asof.arrow.types import TIMESTAMP
from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.duckdb import DuckDBEngine
from asof.engine.port import TIME_COLUMN
from asof.engine.spark.engine import SparkEngine
from asof.engine.spark.sessions import master_of, open_session
from asof.testing.spark import SparkCluster
from asof.testing.stored import AT_US, stored_as
from asof.windows.aggregation import Aggregation
from asof.windows.kinds import Window

folder, asked = Path(sys.argv[1]), sys.argv[2]
random, many = np.random.default_rng(7), 400_000


def frame(**columns):
    at = pa.array(AT_US + random.permutation(many) * 1000).cast(TIMESTAMP)
    return pa.table({"k": np.where(random.random(many) < 0.3, 0, random.integers(1, 1000, many)), "at": at, **columns})


group = FeatureGroup("g", entity=Entity("e", keys={"k": "int64"}), features=[Feature("x", "float64")], event_time="at")
rows = stored_as(group, frame(x=random.random(many)), folder, "file", at_us=AT_US + many * 1000)
spine = frame().rename_columns(["k", TIME_COLUMN]).slice(0, many // 2)
total = [Aggregation("total", "sum", Window("exact", 1_000_000), "x")]


def answer(engine):
    if asked == "windows":
        return engine.aggregate(spine, rows, on=["k"], aggregations=total, known="event")
    return engine.look_up(spine, rows, columns=["x"], known="event", ttl_us=None)


cluster = SparkCluster(folder / "cluster")
cluster.start()
try:
    url = f"spark:{cluster.url}?spark.executor.memory=512m&spark.driver.host=127.0.0.1"
    engine, context = SparkEngine(url), open_session(*master_of(url)).sparkContext
    while context._jsc.sc().getExecutorMemoryStatus().size() < 3:  # the driver, and two
        time.sleep(0.2)
    found = []
    asking = threading.Thread(target=lambda: found.append(answer(engine)))
    asking.start()
    tracker = context.statusTracker()

    def is_reading():
        stages = [tracker.getStageInfo(each) for each in tracker.getActiveStageIds()]
        return any(stage and stage.numActiveTasks for stage in stages)

    while not is_reading():
        assert asking.is_alive()
        time.sleep(0.01)
    time.sleep(float(sys.argv[3]))
    assert asking.is_alive()
    cluster.kill_worker()
    asking.join()
    while context._jsc.sc().getExecutorMemoryStatus().size() > 2:
        time.sleep(0.2)
    assert found[0].equals(answer(DuckDBEngine()))
    print("the same")
finally:
    cluster.stop()
"""


@pytest.mark.parametrize("asked", ["look-ups", "windows"])
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_worker_killed_in_the_middle_of_a_read_changes_nothing(tmp_path: Path, asked: str, seconds: float) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path), asked, str(seconds)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"},
        timeout=600,
    )
    assert done.stdout.endswith("the same\n"), done.stderr[-3000:]
