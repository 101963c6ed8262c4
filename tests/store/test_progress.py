"""How far long operations are: told to a callable, or shown on a terminal and in a notebook."""

import os
import pty
import subprocess
import sys
import types
from itertools import pairwise

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import asof
from asof import FeatureView, progress
from asof.errors import DataError
from asof.ingest import load, write


class Told(list):
    """What a callable was told."""

    def __call__(self, done, total):
        self.append((done, total))

    def check(self):
        """Hold it to what `asof.Progress` says; return the last total."""
        assert all(done <= total for done, total in self)
        assert all(one[0] <= other[0] for one, other in pairwise(self))
        assert self[-1][0] == self[-1][1]
        return self[-1][1]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def table(hourly):
    """Give 48 rows that are read as 16 batches."""
    return pa.Table.from_batches(
        [batch for row in range(0, 48, 3) for batch in pa.Table.from_pylist(hourly()[row : row + 3]).to_batches()]
    )


@pytest.fixture
def filled(store, weather, hourly):
    store.apply(weather())
    store.backfill("weather", hourly())
    return store


def reader(table):
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def frames(table, folder):
    """Give the table in ways of which the length is known, or not."""
    pq.write_table(table, folder / "weather.parquet")
    known = {
        "path": str(folder / "weather.parquet"),
        "parquet file": pq.ParquetFile(folder / "weather.parquet"),
        "dataset": ds.dataset(folder / "weather.parquet"),
    }
    unknown = {"reader": reader(table), "scanner": ds.dataset(folder / "weather.parquet").scanner(batch_size=3)}
    return known, unknown


@pytest.mark.parametrize("parts", [False, True], ids=["one part", "parts"])
def test_a_load_tells_the_rows_that_were_read(store, weather, table, tmp_path, monkeypatch, parts):
    if parts:
        for module in (load, write):
            monkeypatch.setattr(module, "PART_ROWS", 10)
    monkeypatch.setattr("asof.arrow.streams.BATCH_ROWS", 3)
    store.apply(weather())
    known, unknown = frames(table, tmp_path)
    for how, frame in (known | unknown).items():
        told = Told()
        store.backfill("weather", frame, progress=told)
        assert told.check() == 48, how
        assert len(told) > 2, how
        if how in known:
            assert {total for _, total in told} == {48}, how
    assert len(store.read("weather", latest=True)) == 2


def test_a_load_from_memory_tells_its_end(store, weather, hourly, told):
    store.apply(weather())
    store.write("weather", hourly(), progress=told)
    assert told == [(48, 48)]


def test_a_group_is_inferred_from_what_is_read(store, table, told):
    with pytest.warns(UserWarning, match="inferred"):
        store.write("fresh", reader(table), keys=["origin"], event_time="time_hour", progress=told)
    assert told.check() == 48
    assert len(store.read("fresh")) == 48


def test_what_is_wrong_with_a_file_is_said_as_without(store, weather, tmp_path, told):
    store.apply(weather())
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match="the file cannot be read"):
        store.backfill("weather", tmp_path / "torn.parquet", progress=told)


@pytest.mark.parametrize("batch_rows", [None, 1, 2, 7])
def test_a_historical_read_tells_rows_of_the_spine(filled, weather, at, told, batch_rows):
    group = weather()
    features = [group["temp"], group.on(origin="dest")["temp"].alias("there")]
    filled.apply(FeatureView("both", features=features))
    spine = [{"origin": "JFK", "dest": "LGA", "time": at(24)}] * 7
    frame = filled.historical("both", spine, time="time", batch_rows=batch_rows, progress=told)
    assert sum(batch.num_rows for batch in frame.batches()) == 7
    assert told.check() == 7
    assert len(told) == (2 if batch_rows is None else -(-7 // batch_rows))


def test_an_empty_spine_is_done_at_once(filled, at, told):
    filled.historical("weather", pa.table({"origin": pa.array([], pa.string())}), time=at(24), progress=told)
    assert told.check() == 0


def test_compact_tells_rows(filled, weather, hourly, told):
    filled.backfill("weather", hourly(3))
    filled.compact(progress=told)
    assert told.check() == 54


def test_opening_tells_the_groups(filled, folder, clock, told):
    filled.close()
    asof.open(folder, clock=clock, repair=True, progress=told).close()
    assert told == [(0, 1), (1, 1)]


def test_verify_and_forget_tell_their_steps(filled, told):
    filled.verify("weather", instants=3, progress=told)
    told.check()
    steps = Told()
    filled.forget("airport", {"origin": "JFK"}, progress=steps)
    assert steps.check() > 2


def test_doctor_tells_rows_and_keys(filled, told):
    found = filled.quality.doctor(progress=told)
    stored = sum(commit.rows for commit in filled.catalog.commits("weather"))
    assert told.check() == stored + found.keys


def test_nobody_is_told_what_is_shown_to_nobody(store, weather, table, at, capfd):
    store.apply(weather())
    store.backfill("weather", reader(table), progress=True)
    store.historical("weather", [{"origin": "JFK"}], time=at(24), progress=True)
    store.compact(progress=True)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_with_a_rate_that_goes_away(tmp_path):
    code = """
import sys, time
from asof.progress import showing
assert "rich" not in sys.modules
with showing("loading [weather]", progress=True, unit="rows") as advance:
    for done in range(5):
        advance(done * 1000, 4000)
        time.sleep(0.15)
sys.stderr.write("the end")
"""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], stderr=follower, env=environment, timeout=60, check=False)
    os.close(follower)
    shown = os.read(leader, 1 << 20).decode()
    os.close(leader)
    assert done.returncode == 0, shown
    assert "loading [weather]" in shown
    assert "1,000/4,000 rows, " in shown
    assert "/s" in shown
    assert "the end" in shown.rpartition("\x1b[2K")[2]  # the line of the bar was cleared before


def test_a_notebook_shows_a_line_that_goes_away(monkeypatch, capsys):
    kernel = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setattr(progress, "TICK_SECONDS", 0)
    with progress.showing("loading weather", progress=True, unit="rows") as advance:
        advance(1_000, 4_000)
        advance(4_000, 4_000)
    shown = capsys.readouterr().err
    first, second, cleared, end = shown.split("\r")[1:]
    assert first.startswith("loading weather 1,000/4,000 rows, ")
    assert second.startswith("loading weather 4,000 rows, ")
    assert (cleared.strip(), end) == ("", "")
    assert len(cleared) >= max(len(first), len(second))
