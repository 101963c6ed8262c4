"""The example of many series: it forecasts from what was published, and says honestly what that is worth."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import asof
from asof.demo.source import example

pytestmark = pytest.mark.slow
FOLDER = example("flights").parent / "jobs"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the store's folder, and what the example printed."""
    folder = tmp_path_factory.mktemp("jobs") / "store"
    done = subprocess.run(
        [sys.executable, FOLDER / "forecast.py", folder], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return folder, done.stdout


def errors(text):
    rows = [line.replace("%", "").split() for line in text.splitlines() if line[:4].isdigit()]
    return {int(year): [float(error) for error in errors] for year, *errors in rows}


def test_the_model_beats_no_change_and_comes_near_the_rule_that_growth_goes_on(made):
    found = errors(made[1])
    assert set(found) == set(range(2010, 2016))
    still, again, model = (sum(each) / len(each) for each in zip(*found.values(), strict=True))
    assert model < 0.7 * still
    assert 0.9 * again < model < 1.1 * again  # as docs/pipelines.md says: no better, and not by a leak


def test_nothing_that_a_backtest_learnt_from_was_published_after_its_cut(made):
    with asof.open(made[0], create=False) as store:
        for year in range(2010, 2016):
            backtest = store.training_set(f"jobs-{year}")
            cut = datetime(year, 1, 1, tzinfo=UTC)
            days = backtest.to_arrow("train")["day"].to_pylist()
            assert max(days) + timedelta(days=132) <= cut
            assert min(backtest.to_arrow("test")["day"].to_pylist()) > cut


def test_the_newest_figure_of_a_day_is_the_one_that_was_published_by_then(made):
    with asof.open(made[0], create=False) as store:
        rows = store.training_set("jobs").to_arrow().to_pylist()
        figures = {
            (row["industry"], row["month"]): row["jobs"] for row in store.read("employment").to_arrow().to_pylist()
        }
    published = {}
    for (industry, month), jobs in sorted(figures.items()):
        published.setdefault(industry, []).append((month + timedelta(days=40), jobs))
    for row in rows:
        known = [jobs for at, jobs in published[row["industry"]] if at <= row["day"]]
        assert row["newest"] == known[-1]
        assert row["growth_3m"] == known[-1] / known[-4] - 1
        later = datetime(row["day"].year + (row["day"].month > 9), (row["day"].month + 2) % 12 + 1, 1, tzinfo=UTC)
        assert row["outcome"] == figures[row["industry"], later]


def test_the_forecasts_are_rows_of_a_group_that_name_their_model(made):
    with asof.open(made[0], create=False) as store:
        rows = store.read("forecasts").to_arrow().to_pylist()
    assert len(rows) == 22
    assert {row["model"] for row in rows} == {"jobs@1"}
    assert all(row["jobs"] > 0 for row in rows)
