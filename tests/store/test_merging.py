"""Small files are merged in the background: few are left, no answer changes, and what happened can be seen."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asof
from asof.errors import PermanentError, UsageError
from asof.ingest import merge, upkeep
from asof.ingest.merge import FILES, MOST_BYTES, SIZES, SOON_BYTES, mergeable
from asof.parts import rewriting
from asof.records import DataFile

KIB, MIB = 1024, 1024**2


@pytest.fixture
def by_hand(monkeypatch):
    """Let upkeep wait until the test does it."""
    monkeypatch.setattr(upkeep, "BACKGROUND", False)


@pytest.fixture
def many(by_hand, store, weather, hourly):
    """Give a store of 16 commits, a file each."""
    store.apply(weather())
    for hour in range(16):
        store.backfill("weather", hourly(hour + 1))
    return store


def live(store):
    snapshot = store._parts.log.snapshot(store._parts.registry.group("weather"))
    return [file for file, _ in snapshot.files]


def file_of(size_bytes, *, rows=1, number=0):
    return DataFile(f"{number}", rows, size_bytes, 0, 0)


def total(files):
    return sum(file.size_bytes for file in files)


# ---- the rule


def test_sixteen_files_of_one_size_are_merged_with_all_that_are_smaller_and_fewer_are_not():
    small, middling = [file_of(KIB)] * FILES, [file_of(MIB)] * FILES
    assert mergeable(small[1:] + middling[1:]) == []
    assert mergeable(small + middling[1:]) == small
    assert mergeable(small[1:] + middling) == small[1:] + middling


def test_confirmations_and_rows_are_merged_apart():
    rows = [file_of(KIB)] * (FILES - 1)
    confirmations = [replace(file_of(KIB), confirms=True)] * FILES
    assert mergeable(rows + confirmations[1:]) == []
    assert mergeable(rows + confirmations) == confirmations


def test_large_files_stay_as_they_are():
    assert mergeable([file_of(SIZES[-1])] * 100) == []
    assert mergeable([file_of(MIB, rows=3_000_000)] * 100) == []


def test_a_merge_stays_within_its_bytes_and_a_store_that_closes_waits_for_little():
    files = [file_of(60 * MIB)] * 2 + [file_of(6 * MIB)] * FILES
    assert len(mergeable(files)) > 2
    assert total(mergeable(files)) <= MOST_BYTES
    assert 0 < total(mergeable(files, most_bytes=SOON_BYTES)) <= SOON_BYTES


@given(st.lists(st.sampled_from([8 * KIB, 100 * KIB, MIB, 9 * MIB]), min_size=1, max_size=600))
def test_however_many_commits_there_are_files_stay_few_and_rows_are_seldom_written_anew(sizes):
    files, written = [], 0
    for number, size in enumerate(sizes):
        files.append(file_of(size, number=number))
        while chosen := mergeable(files):
            merged = file_of(total(chosen), number=number)
            files = [file for file in files if file not in chosen] + [merged]
            written += total(chosen)
    assert sum(file.size_bytes < SIZES[-1] for file in files) < FILES * len(SIZES)
    small = sum(FILES * SIZES[0] / 2 for size in sizes if size < SIZES[0])  # the smallest are merged among themselves
    assert written <= sum(sizes) * (len(SIZES) + 1) + small


# ---- in a store


def test_many_small_commits_leave_few_files_and_the_same_answers(many, at):
    spine = {"origin": ["JFK"] * 40, "t": [at(hour / 2) for hour in range(40)]}
    before = many.historical("weather", spine, time="t", known="served")
    pinned = many.historical("weather", spine, time="t", commits={"weather": 7})
    assert len(live(many)) == 16
    many._writer.upkeep.work()
    (file,) = live(many)
    assert (file.rows, file.stamped, file.first_commit, file.last_commit) == (2 * sum(range(1, 17)), True, 1, 16)
    assert many.historical("weather", spine, time="t", known="served").to_arrow().equals(before.to_arrow())
    again = many.historical("weather", spine, time="t", commits={"weather": 7})
    assert again.to_arrow().equals(pinned.to_arrow())
    assert many.quality.doctor().healthy


def test_commits_that_keep_coming_are_merged_while_the_store_is_open(store, weather, hourly, monkeypatch):
    monkeypatch.setattr(upkeep, "REST_SECONDS", 0.0)
    store.apply(weather())
    for _ in range(64):
        store.backfill("weather", hourly(2))
    for _ in range(500):
        thread = store._writer.upkeep._thread
        if thread is None:
            break
        thread.join(0.02)
    assert len(live(store)) < FILES
    assert store.read("weather").to_arrow().num_rows == 64 * 4


def test_a_store_that_is_closed_merges_what_waits(by_hand, folder, clock, weather, hourly):
    with asof.open(folder, clock=clock) as store:
        store.apply(weather())
        for _ in range(16):
            store.backfill("weather", hourly(2))
    with asof.open(folder, clock=clock) as again:
        assert len(live(again)) == 1


def test_merging_can_be_switched_off_and_nothing_else_can_be_said(by_hand, folder, clock, weather, hourly, monkeypatch):
    with asof.open(folder, clock=clock) as store:
        store.apply(weather())
    settings = folder / "asof.toml"
    settings.write_text(settings.read_text().replace('compaction = "auto"', 'compaction = "off"'))
    with asof.open(folder, clock=clock) as store:
        for _ in range(20):
            store.backfill("weather", hourly(2))
        store._writer.upkeep.work()
        assert len(live(store)) == 20
        store.compact()
        assert len(live(store)) == 1
    monkeypatch.setenv("ASOF_COMPACTION", "sometimes")
    with pytest.raises(UsageError, match="use auto or off"):
        asof.open(folder)


def test_while_others_write_files_anew_nothing_is_merged_and_the_next_write_merges(many, hourly):
    with rewriting(many._parts.root) as ours:
        assert ours
        many._writer.upkeep.work()
        assert len(live(many)) == 16
    many.backfill("weather", hourly(1))
    many._writer.upkeep.work()
    assert len(live(many)) == 1


def test_a_merge_that_another_process_was_faster_with_changes_nothing_and_is_no_failure(many, folder, clock):
    merger = many._writer.upkeep
    staged = threading.Event()

    class Slow:
        """A history whose first merge is staged while another store compacts."""

        def __getattr__(self, name):
            return getattr(many._parts.history, name)

        def stage(self, table, batches):
            files = many._parts.history.stage(table, batches)
            if not staged.is_set():
                staged.set()
                with asof.open(folder, clock=clock) as other:
                    other._writer.upkeep._compact(other._parts.registry.group("weather"), other._parts.now_us())
            return files

    parts = merger._parts
    merger._parts = replace(parts, history=Slow())
    merger.work()
    merger._parts = parts
    assert staged.is_set()
    assert len(live(many)) == 1
    assert merger.failures == {}
    assert many.quality.doctor().healthy


def test_what_was_merged_and_what_failed_is_said(many, monkeypatch, hourly):
    def refuse(*_, **__):
        raise PermanentError("no space for the history")

    history = many._parts.history
    with monkeypatch.context() as patch:
        patch.setattr(history, "stage", refuse)
        many._writer.upkeep.work()
        found = many.quality.doctor()
        assert [f.what for f in found.findings if f.where == "upkeep"] == [
            "merging small files of weather@1: no space for the history"
        ]
    assert "16 files" in dict(many.catalog.describe("weather").facts)["stored"]
    many.backfill("weather", hourly(1))
    many._writer.upkeep.work()
    found = many.quality.doctor()
    assert found.healthy
    assert found.merged == {"weather@1": upkeep.Merged(1, 17, 2 * sum(range(1, 17)) + 2)}
    assert "weather@1: 17 small files were merged in 1 step" in str(found)


def test_journal_files_are_merged_too(by_hand, store, weather, at, monkeypatch):
    monkeypatch.setattr(upkeep, "JOURNAL_ROWS", 2)
    monkeypatch.setattr(merge, "FILES", 4)
    store.apply(weather())
    for hour in range(8):
        store.push("weather", {"origin": "JFK", "time_hour": at(hour), "temp": float(hour), "visib": None})
        store._writer.upkeep.work()
    assert len(live(store)) == 1
    assert store.read("weather").to_arrow()["temp"].to_pylist() == [float(hour) for hour in range(8)]


@pytest.mark.parametrize("short", [False, True])
def test_a_journal_that_many_processes_fill_is_moved_though_none_pushed_so_many(
    short, tmp_path, weather, at, monkeypatch
):
    monkeypatch.setattr(upkeep, "JOURNAL_ROWS", 12)
    with asof.open(tmp_path) as store, asof.open(tmp_path) as other:
        store.apply(weather())
        for hour in range(16):
            record = {"origin": "JFK", "time_hour": at(hour), "temp": float(hour), "visib": None}
            if short:
                with asof.open(tmp_path) as third:
                    third.push("weather", record)
            else:
                (store, other)[hour % 2].push("weather", record)
        for each in (store, other):
            each._writer.upkeep.work()
        snapshot = store._parts.log.snapshot(store._parts.registry.group("weather"))
        assert len(snapshot.journal) < 12
        assert sum(file.rows for file, _ in snapshot.files) == 16 - len(snapshot.journal)
