"""The steps that orchestrators call, on a store behind a server: workers that share no folder."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.store.conftest import Behind

import asof
from asof import pipelines
from asof.clock import system_clock
from asof.errors import DataError

FEATURES = Path(__file__).parents[2] / "examples" / "orchestration" / "features.py"


@pytest.fixture
def url(folder, http):
    with asof.open(folder) as opened:
        opened.apply(FEATURES)
        served = Behind(opened, http)
        yield f"asof://127.0.0.1:{http.port}"
        served.leave()


@pytest.mark.slow
def test_the_steps_answer_as_they_do_on_a_folder(url, tmp_path):
    file = tmp_path / "weather.csv"
    hour = (system_clock() - timedelta(hours=1)).isoformat()
    file.write_text(f"origin,time_hour,temp,visib\nJFK,{hour},41.0,10.0\n")
    assert pipelines.validate(url, "weather", str(file))["passed"]
    tries = [pipelines.write(url, "weather", str(file), idempotency_key="run 1") for _ in range(2)]
    assert [(each["commit"], each["repeated"]) for each in tries] == [("weather@1:1", False), ("weather@1:1", True)]
    assert [pipelines.materialize(url, "comfort")["rows"] for _ in range(2)] == [1, 0]
    assert pipelines.verify(url, "departure")["passed"]
    assert pipelines.monitor(url, {"fresh": {"view": "weather", "max_age": "3h"}})["passed"]
    file.write_text(f"origin,time_hour,temp,visib\nJFK,{hour},410.0,10.0\n")
    assert not pipelines.validate(url, "weather", str(file))["passed"]
    with pytest.raises(DataError, match="temp between"):
        pipelines.write(url, "weather", str(file))
