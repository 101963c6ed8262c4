"""The demo runs, and what it shows is true."""

import re
import shlex
import subprocess
from io import StringIO

import pytest
from rich.console import Console

import asof
from asof.demo import run
from asof.demo.context import NOW, Hands
from asof.demo.live import DAY
from asof.errors import UsageError

pytestmark = pytest.mark.slow

COLUMNS = 80


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "demo-store"


@pytest.fixture(scope="module")
def shown(folder):
    text = StringIO()
    result = run(folder, quick=True, console=Console(file=text, width=COLUMNS))
    return result, text.getvalue()


def commands(text):
    return [line.strip().split("  ")[0] for line in text.splitlines()[-3:]]


def test_online_equals_history(shown):
    result, text = shown
    assert result.compared > 0
    assert result.differences == 0
    assert "0 differences" in text


def test_every_value_of_the_report_is_counted_once_per_row(shown):
    result, _ = shown
    for counts in result.statuses.values():
        assert sum(counts.values()) % result.training_rows == 0


def test_the_leak_promises_more_and_keeps_less_than_the_point_in_time_model(shown):
    result, _ = shown
    assert result.auc_promised > result.auc_honest + 0.05
    assert result.auc_kept < result.auc_honest
    assert all(leaked > 0 for leaked in result.leaked.values())


def test_pandas_joined_on_the_time_when_a_row_was_known_agrees_with_the_store(shown):
    result, text = shown
    assert result.pandas_differs == 0
    assert "agrees with the store everywhere" in " ".join(text.split())


def test_windows_over_the_timetable_promise_more_and_keep_less_than_those_over_actual_landings(shown):
    result, _ = shown
    assert result.windows_auc_promised > result.windows_auc_honest + 0.05
    assert result.windows_auc_kept < result.windows_auc_honest
    assert result.windows_unknown.keys() == {"carrier_arrivals", "route_arrivals"}
    assert all(unknown > 0 for unknown in result.windows_unknown.values())


def test_windows_by_hand_over_what_was_known_agree_with_the_store(shown):
    result, text = shown
    assert result.windows_differ == 0
    assert "agree with the store everywhere" in " ".join(text.split())


def test_a_late_message_counts_once_and_a_repeated_one_changes_nothing(shown):
    result, _ = shown
    late, again = result.live_counts
    assert late[1] == late[0] + 1
    assert again[1] == again[0]
    assert result.live_messages > 500
    assert result.live_wrong == 0


def test_a_window_is_explained_and_replayed_as_it_was_served(folder, shown):
    assert shown
    keys = {"carrier": "UA", "origin": "JFK", "dest": "LAX", "tailnum": "N3ALAA"}
    with asof.open(folder, clock=Hands(NOW + DAY)) as store:
        vector = store.online("departure_live", keys)
        assert store.replay(vector.receipt).values == vector.values
        clock, commits = vector.receipt.clock, vector.receipt.commits
        for name in ("count_24h", "late_6h", "late_7d"):
            told = store.quality.explain(
                "departure_live", keys, feature=name, at=clock, known="served", commits=commits
            )
            (window,) = [window for each in told.lookups for window in each.windows]
            assert window.count == window.value == vector.values[name] > 0


def test_the_screen_shows_ten_steps(shown):
    _, text = shown
    headings = [line.split()[0] for line in text.splitlines() if "/10 " in line[:6]]
    assert headings == [f"{n}/10" for n in range(1, 11)]


def test_it_ends_with_a_model_a_batch_and_online_predictions_that_are_the_same_to_the_bit(shown):
    result, text = shown
    said = result.pipelines["inference_pipeline.py"]
    same, of = re.findall(r"(\d+) of (\d+) are the same online, to the bit", said)[0]
    assert same == of != "0"
    for line in "".join(result.pipelines.values()).splitlines():
        assert " ".join(line.split()) in " ".join(text.split())


def test_the_figures_of_the_result_are_those_on_the_screen(shown):
    result, text = shown
    for figure in (
        f"{result.training_rows:,} departures",
        f"{result.load_rows_per_second:,.0f} rows/s",
        f"{sum(result.leaked.values()):,}",
        f"{result.auc_honest:.3f}",
        f"{result.auc_promised:.3f}",
        f"{result.auc_kept:.3f}",
        f"p50 {result.p50_us:.0f} µs, p99 {result.p99_us:.0f} µs",
        f"{result.windows_auc_honest:.3f}",
        f"{result.windows_auc_promised:.3f}",
        f"{result.windows_auc_kept:.3f}",
        f"{result.windows_auc_without:.3f}",
        f"p50 {result.windows_p50_us:.0f} µs, p99 {result.windows_p99_us:.0f} µs",
        f"{result.live_messages} messages",
        f"p50 {result.live_p50_ms:.0f} ms, at most {result.live_worst_ms:.0f} ms",
        f"{result.compared:,} values compared",
    ):
        assert figure in " ".join(text.split())


def test_lines_fit_a_screen_of_80_columns(shown, folder):
    _, text = shown
    lines = [line for line in text.splitlines() if str(folder) not in line]  # a long path may not be broken
    assert max(map(len, lines)) <= COLUMNS


def test_what_is_no_terminal_gets_no_bars_and_no_colours(shown):
    _, text = shown
    assert not set("\x1b\r") & set(text)


def test_the_three_commands_of_the_end_work_as_they_stand(shown):
    _, text = shown
    assert [shlex.split(command)[1] for command in commands(text)] == ["describe", "search", "read"]
    for command in commands(text):
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_only_the_store_of_an_earlier_demo_is_replaced(tmp_path):
    from asof.demo.flow import MARK, _clear

    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="will not overwrite"):
        run(tmp_path, quick=True)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / MARK).touch()
    _clear(earlier)
    assert not earlier.exists()
