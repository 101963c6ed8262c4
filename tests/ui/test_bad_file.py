"""The example of a bad file: stopped, seen on its page, mended, replayed; and a drifted month that a monitor finds."""

import pytest
from tests.ui.conftest import Ui

import asof
from asof.demo.source import load

pytestmark = pytest.mark.slow


def test_a_bad_file_is_stopped_seen_mended_and_replayed_and_a_drifted_month_is_found(tmp_path):
    example, clock, said, pages = load("bad_file"), load("bad_file").Clock(), [], []
    folder = tmp_path / "weather"

    def say(line):
        said.append(line)
        if line.startswith("weather@1:2: 2,009 rows stored"):
            ui = Ui(folder)
            pages.extend(ui.get(f"/groups/weather/{tab}")[1] for tab in ("quarantine", "checks"))
            assert ui.stop() == 0

    with asof.open(folder, clock=clock) as store:
        example.story(store, clock, load("features"), load("data").published_weather(), say)
        assert len(store.quality.quarantine("weather")) == 0
        (run,) = store.quality.monitor_runs("weather")
    assert said[1] == "weather@1:2: 2,009 rows stored, 1 in quarantine"
    assert "1 row breaks 'wind_speed between 0 and 200' (row 272 holds 1048.36058)" in said[2]
    assert said[3] == "weather@1:3: 1 mended and replayed, 0 left"
    assert [(alert.what, alert.of, alert.commit) for alert in run.alerts] == [("drift", "temp", "weather@1:5")]
    assert "moved by weather@1:5" in said[-1]
    assert "file=weather-2013-04.csv" in said[-1]
    assert all("wind_speed between 0 and 200" in page for page in pages)
    assert "1048" in pages[0].replace(",", "")
