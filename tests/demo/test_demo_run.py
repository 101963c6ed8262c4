"""The demo runs, and what it shows is true."""

from io import StringIO

import pytest
from rich.console import Console

from asof.demo import run
from asof.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "demo-store"


@pytest.fixture(scope="module")
def shown(folder):
    text = StringIO()
    result = run(folder, quick=True, console=Console(file=text, width=100))
    return result, text.getvalue()


def test_online_equals_history(shown):
    result, text = shown
    assert result.compared > 0
    assert result.differences == 0
    assert "0 differences" in text


def test_every_answer_of_the_report_is_counted_once_per_row(shown):
    result, _ = shown
    for counts in result.statuses.values():
        assert sum(counts.values()) % result.training_rows == 0


def test_the_leak_promises_more_and_keeps_less_than_the_point_in_time_model(shown):
    result, _ = shown
    assert result.auc_promised > result.auc_honest + 0.05
    assert result.auc_kept < result.auc_honest
    assert all(leaked > 0 for leaked in result.leaked.values())


def test_the_screen_shows_the_seven_steps_and_three_commands(shown):
    _, text = shown
    assert [line[:3] for line in text.splitlines() if line[1:3] == "/7"] == [f"{n}/7" for n in range(1, 8)]
    assert text.count("  asof ") == 3


def test_lines_fit_the_screen(shown):
    _, text = shown
    assert max(map(len, text.splitlines())) <= 100


def test_the_store_of_an_earlier_demo_is_replaced_and_nothing_else(shown, folder, tmp_path):
    from asof.demo.flow import _clear

    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="will not overwrite"):
        run(tmp_path, quick=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    _clear(folder)
    assert not folder.exists()
