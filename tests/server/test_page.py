"""What docs/server.md shows is what happens."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

import asof
from asof import Entity, Feature, FeatureGroup, FeatureView

PAGE = Path(__file__).parents[2] / "docs" / "server.md"
CALL = re.compile(
    r"curl -s '?localhost:8765([^\s']+)'?(?:[\s\\]+-d '(.*?)'$| -H '(\S+): (\S+)' \S+ \S+$|$)", re.DOTALL | re.MULTILINE
)

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
    for path, body, header, value in CALL.findall(PAGE.read_text()):
        later = (now + timedelta(seconds=1)).isoformat()
        sent = re.sub(r"2026-11-21T17:[03]0:00Z", later, body).encode()
        status, answer, _ = server.request("POST" if body else "GET", path, sent, {header: value} if header else {})
        assert status == 200, answer
        answers.append(answer)
    online, columns, pushed, historical, rows, counted, parquet, applied = answers
    shown = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])
    assert {**online, "receipt": {}} == shown
    assert columns["columns"]["temp"] == [61.0, 48.0]
    assert pushed["meta"] == {"source": "metar"}
    (row,) = historical["rows"]
    assert (row["temp"], row["dest_temp"], row["label"], row["temp__status"]) == (57.5, 48.0, 1, "PRESENT")
    assert [row["temp"] for row in rows["rows"]] == [48.0, 57.5]
    assert counted["columns"]["temp"]["count"] == counted["rows"]
    assert parquet.startswith(b"PAR1")
    assert [change["name"] for change in applied["changes"]] == ["pressure", "landing"]
