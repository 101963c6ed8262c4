"""What docs/server.md shows is what happens."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
CALL = re.compile(r"curl -s localhost:8765(\S+)[\s\\]+-d '(.*?)'", re.DOTALL)

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, now):
    """Give the store that the page speaks of."""
    features = [Feature("temp", "float64"), Feature("visib", "float64")]
    airport = Entity("airport", keys={"origin": "string"})
    weather = FeatureGroup("weather", entity=airport, event_time="time_hour", features=features, ttl="6h", online=True)
    temp, there = weather["temp"], weather.on(origin="dest")["temp"].alias("dest_temp")
    with asof.open(tmp_path / "store") as store:
        store.apply(weather, FeatureView("departure", features=[temp, there]))
        rows = [{"origin": o, "time_hour": now, "temp": t, "visib": 10.0} for o, t in (("JFK", 61.0), ("BOS", 48.0))]
        store.write("weather", rows)
    return tmp_path / "store"


def test_the_calls_of_the_page_are_answered(serve, now):
    server = serve()
    answers = []
    for path, body in CALL.findall(PAGE.read_text()):
        later = (now + timedelta(seconds=1)).isoformat()
        status, answer, _ = server.post(path, re.sub(r"2026-11-21T17:00:00Z", later, body).encode())
        assert status == 200, answer
        answers.append(answer)
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    assert {**answers[0], "receipt": {}} == shown
    assert answers[1]["columns"]["temp"] == [61.0, 48.0]
    assert answers[2]["meta"] == {"source": "metar"}
    assert len(answers) == 3
