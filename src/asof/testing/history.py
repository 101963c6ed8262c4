"""The conformance suite of the history port.

class TestDelta(HistorySuite):
    adapter = "delta"
    url = "history/"

    def read_mirror(self, history, table): ...
"""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.request import urlopen

import pyarrow as pa
import pytest

from asof.arrow.layout import stored_rows, stored_schema
from asof.definitions import Entity, Feature, FeatureGroup
from asof.engine.port import Engine, Rows
from asof.errors import PermanentError
from asof.offline.port import History, Table
from asof.records import DataFile, Stamp
from asof.testing.adapters import open_adapter
from asof.testing.played import times
from asof.testing.processes import exit_code_of, in_processes

HOUR_US = 3_600_000_000
MOST_BYTES = 20_000


def group_of(name: str = "g", *, static: bool = False) -> FeatureGroup:
    """Return a group whose rows the tests store."""
    features = [Feature("x", "float64"), Feature("s", "string")]
    return FeatureGroup(
        name, entity=Entity("e", keys={"k": "string"}), features=features, event_time=None if static else "at"
    )


def table_of(name: str = "g@1.1", *, static: bool = False) -> Table:
    """Return where its files lie."""
    group = group_of(static=static)
    sort = ("k",) if static else ("k", "at")
    return Table(name, stored_schema(group), sort, group.event_time)


def rows_of(count: int, *, start: int = 0, static: bool = False) -> pa.Table:
    """Return rows in the order of storage: keys k0000000, k0000001, ... one an hour."""
    numbers = range(start, start + count)
    columns: dict[str, pa.Array] = {"k": pa.array([f"k{n:07}" for n in numbers], pa.string())}
    if not static:
        columns["at"] = times(n * HOUR_US for n in numbers)
    columns["x"] = pa.array([None if n % 3 == 0 else n / 7 for n in numbers], pa.float64())
    columns["s"] = pa.array([f"some text of row {n * 2654435761 % 4294967296}" for n in numbers], pa.string())
    return stored_rows(group_of(static=static), pa.table(columns))


class HistorySuite:
    """What every history must do; see `asof.offline.port.History`.

    Attributes:
        adapter: Name of the entry point.
        url: What a store's settings would say.
        engine: Name of the engine that reads the files.
    """

    adapter: ClassVar[str]
    url: ClassVar[str]
    engine: ClassVar[str] = "duckdb"

    def open(self, root: Path) -> History:
        """Open the history in a folder."""
        return open_adapter("history", self.adapter, self.url, root=str(root))

    def read_mirror(self, history: History, table: Table) -> pa.Table:
        """Read the table that others can read, around the port; no rows if it is not there yet."""
        raise NotImplementedError

    def names(self, root: Path) -> list[str]:
        """Return the names of all files that a history keeps, around the port."""
        return [str(path.relative_to(root)) for path in root.rglob("*")]

    def stored(self, history: History, file: DataFile) -> bytes:
        """Return the bytes of a file, around the port."""
        return Path(history.location(file.path)).read_bytes()

    def damage(self, history: History, file: DataFile, content: bytes | None) -> None:
        """Give a file another content, or none: delete it, around the port."""
        place = Path(history.location(file.path))
        place.unlink()
        if content is not None:
            place.write_bytes(content)

    def data_files(self, root: Path) -> int:
        """Count what may be a data file, finished or not."""
        return sum(".parquet" in name and "_delta_log" not in name for name in self.names(root))

    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Callable[[], History]]:
        """Give a function that opens the history under test."""
        every: list[History] = []

        def opened() -> History:
            every.append(self.open(tmp_path))
            return every[-1]

        yield opened
        for history in every:
            history.close()

    @pytest.fixture
    def history(self, opened: Callable[[], History]) -> History:
        """Give an empty history."""
        return opened()

    def read(self, history: History, files: list[DataFile], *, static: bool = False) -> pa.Table:
        """Read files as a store does, through an engine."""
        engine: Engine = open_adapter("engine", self.engine, self.engine)
        try:
            group = group_of(static=static)
            stamp = Stamp(1, 10**9 * HOUR_US, "commit")
            with history.near(files) as places:
                located = tuple((places[file.path], file, stamp) for file in files)
                rows = Rows(stored_schema(group), group.keys, group.event_time, 0, 1, ("x", "s"), located)
                return engine.scan(rows, columns=list(group.columns)).read_all()
        finally:
            engine.close()

    # ---- stage

    @pytest.mark.parametrize("static", [False, True])
    def test_staged_rows_are_read_as_they_were_given(
        self,
        history: History,
        static: bool,  # noqa: FBT001 - pytest passes it by name
    ) -> None:
        rows = rows_of(1000, static=static)
        files = history.stage(table_of(static=static), rows)
        found = self.read(history, files, static=static)
        assert found.equals(rows.select(found.column_names))

    def test_a_stream_of_batches_is_stored_like_a_table(self, history: History) -> None:
        rows = rows_of(1000)
        files = history.stage(table_of(), rows.to_reader(max_chunksize=64))
        found = self.read(history, files)
        assert found.equals(rows.select(found.column_names))
        assert sum(file.rows for file in files) == 1000

    def test_a_data_file_knows_its_rows_its_size_and_its_bounds(self, history: History) -> None:
        (file,) = history.stage(table_of(), rows_of(100, start=50))
        assert (file.rows, file.min_event_us, file.max_event_us) == (100, 50 * HOUR_US, 149 * HOUR_US)
        assert file.size_bytes == len(self.stored(history, file))
        assert (file.stamped, file.first_commit, file.last_commit) == (False, 0, 0)
        (file,) = history.stage(table_of("s@1.2", static=True), rows_of(5, static=True))
        assert (file.min_event_us, file.max_event_us) == (0, 0)

    def test_no_rows_make_no_file(self, history: History, tmp_path: Path) -> None:
        assert history.stage(table_of(), rows_of(0)) == []
        assert history.stage(table_of(), rows_of(0).to_reader()) == []
        assert self.data_files(tmp_path) == 0

    def test_every_stage_makes_new_files(self, history: History) -> None:
        files = [file for _ in range(3) for file in history.stage(table_of(), rows_of(5))]
        assert len({file.path for file in files}) == 3
        assert len({history.location(file.path) for file in files}) == 3

    def test_staged_files_are_not_in_the_mirror(self, history: History) -> None:
        history.stage(table_of(), rows_of(5))
        assert self.read_mirror(history, table_of()).num_rows == 0

    def test_a_failing_stream_leaves_nothing_behind(self, history: History, tmp_path: Path) -> None:
        def batches() -> Iterator[pa.RecordBatch]:
            yield from rows_of(5).to_batches()
            raise ZeroDivisionError

        reader = pa.RecordBatchReader.from_batches(table_of().schema, batches())
        with pytest.raises(ZeroDivisionError):
            history.stage(table_of(), reader)
        assert self.data_files(tmp_path) == 0

    def test_no_space_is_a_permanent_error_and_leaves_nothing_behind(self, tmp_path: Path) -> None:
        assert exit_code_of(_stage_without_space, type(self), str(tmp_path)) == 0

    # ---- near

    def test_files_are_near_under_the_paths_that_they_were_staged_with(self, history: History) -> None:
        files = [history.stage(table_of(), rows_of(5, start=start))[0] for start in (0, 5)]
        with history.near(files) as places, history.near(files[:1]) as again:
            assert {path: Path(place).read_bytes() for path, place in places.items()} == {
                file.path: self.stored(history, file) for file in files
            }
            assert set(again) == {files[0].path}
        with history.near([]) as none:
            assert not none

    def test_copies_of_other_files_are_let_go_of_and_the_files_stay(self, history: History) -> None:
        one, other = (history.stage(table_of(), rows_of(5, start=start))[0] for start in (0, 5))
        for known in ([one.path, other.path], [one.path], []):
            history.keep_only(known)
        assert self.read(history, [one, other]).num_rows == 10

    # ---- links

    def test_a_link_gives_the_bytes_of_its_file_to_whoever_has_it(self, history: History) -> None:
        files = [history.stage(table_of(), rows_of(5, start=start))[0] for start in (0, 5)]
        links = history.links(files, seconds=60)
        assert set(links) == ({file.path for file in files} if history.remote else set())
        for file in files:
            if file.path in links:
                with urlopen(links[file.path]) as answer:  # noqa: S310 - a link that the history gave
                    assert answer.read() == self.stored(history, file)
        assert not history.links([], seconds=60)

    # ---- check, discard, debris, drop

    @pytest.fixture
    def foreign(self, tmp_path: Path) -> tuple[DataFile, Path]:
        """Give a data file of a history in another folder, and where it lies."""
        history: History = open_adapter("history", "delta", "history/", root=str(tmp_path / "elsewhere"))
        (file,) = history.stage(table_of(), rows_of(1000))
        history.close()
        return file, tmp_path / "elsewhere" / "history" / file.path

    def test_a_file_of_another_history_is_taken_over_byte_for_byte(
        self, history: History, foreign: tuple[DataFile, Path]
    ) -> None:
        file, place = foreign
        here = replace(file, path=history.adopt(file.path, str(place)))
        assert self.stored(history, here) == place.read_bytes()
        assert history.check(here.path) == ""
        rows = rows_of(1000)
        found = self.read(history, [here])
        assert found.equals(rows.select(found.column_names))

    def test_a_file_is_taken_over_once_and_mended_if_it_was_damaged(
        self, history: History, foreign: tuple[DataFile, Path], tmp_path: Path
    ) -> None:
        file, place = foreign
        here = replace(file, path=history.adopt(file.path, str(place)))
        before = sorted(self.names(tmp_path))
        assert history.adopt(file.path, str(place)) == here.path
        assert sorted(self.names(tmp_path)) == before
        self.damage(history, here, b"torn")
        assert history.adopt(file.path, str(place)) == here.path
        assert self.stored(history, here) == place.read_bytes()

    def test_a_file_that_was_taken_over_may_go_back_under_its_name(
        self, history: History, foreign: tuple[DataFile, Path], tmp_path: Path
    ) -> None:
        file, place = foreign
        path = history.adopt(file.path, str(place))
        back: History = open_adapter("history", "delta", "history/", root=str(tmp_path / "back"))
        with history.near([replace(file, path=path)]) as near:
            assert back.adopt(path, near[path]) == path
        assert back.check(path) == ""
        back.close()

    def test_a_file_that_is_gone_there_is_not_found_and_leaves_nothing_here(
        self, history: History, tmp_path: Path
    ) -> None:
        before = self.data_files(tmp_path)
        with pytest.raises(FileNotFoundError):
            history.adopt("g@1.1/0123456789ab-0123456789ab.parquet", str(tmp_path / "gone.parquet"))
        assert self.data_files(tmp_path) == before

    def test_a_sound_file_has_no_fault(self, history: History) -> None:
        (file,) = history.stage(table_of(), rows_of(1000))
        assert history.check(file.path) == ""

    def test_a_file_that_is_gone_cut_off_or_changed_has_a_fault_that_names_it(self, history: History) -> None:
        for number, damage in enumerate((_remove, _cut, _change_a_byte, _empty)):
            (file,) = history.stage(table_of(), rows_of(1000, start=number))
            self.damage(history, file, damage(self.stored(history, file)))
            assert Path(file.path).name in history.check(file.path), damage.__name__

    def test_discarded_files_are_gone_and_absent_ones_do_not_matter(self, history: History) -> None:
        one, other = (history.stage(table_of(), rows_of(5))[0] for _ in range(2))
        history.discard([one.path, one.path, "g@1.1/never-there.parquet"])
        assert history.check(one.path) != ""
        assert history.check(other.path) == ""

    def test_files_of_a_living_writer_are_no_debris(self, opened: Callable[[], History]) -> None:
        history, other = opened(), opened()
        (file,) = history.stage(table_of(), rows_of(5))
        assert history.debris(()) == []
        assert other.debris(()) == []
        assert history.check(file.path) == ""

    def test_files_of_a_writer_that_ended_are_debris_unless_they_are_known(self, opened: Callable[[], History]) -> None:
        history = opened()
        one, other = (history.stage(table_of(name), rows_of(5))[0] for name in ("g@1.1", "h@1.2"))
        history.close()
        again = opened()
        assert sorted(again.debris(())) == sorted([one.path, other.path])
        assert again.debris([other.path]) == [one.path]
        assert again.debris([one.path, other.path]) == []
        again.discard([one.path])
        assert again.debris(()) == [other.path]

    def test_files_of_a_killed_process_are_debris_finished_or_not(self, history: History, tmp_path: Path) -> None:
        assert exit_code_of(_stage_and_die, type(self), str(tmp_path)) == -signal.SIGKILL
        debris = history.debris(())
        assert len(debris) == self.data_files(tmp_path) > 0
        history.discard(debris)
        assert self.data_files(tmp_path) == 0

    def test_a_dropped_table_is_gone_with_its_files_and_others_stay(self, history: History) -> None:
        (one,) = history.stage(table_of("g@1.1"), rows_of(5))
        (other,) = history.stage(table_of("h@1.2"), rows_of(5))
        for table, file in ((table_of("g@1.1"), one), (table_of("h@1.2"), other)):
            history.mirror(table, live=[file])
        history.drop(table_of("g@1.1"))
        history.drop(table_of("never@1.3"))
        assert history.check(one.path) != ""
        assert self.read_mirror(history, table_of("g@1.1")).num_rows == 0
        assert self.read_mirror(history, table_of("h@1.2")).num_rows == 5

    # ---- mirror

    def test_the_mirror_holds_exactly_the_live_files(self, history: History) -> None:
        table = table_of()
        files = [history.stage(table, rows_of(5, start=start))[0] for start in (0, 5, 10)]
        for live in ([files[0]], files, [files[2]], [files[2]], [], files[:2]):
            history.mirror(table, live=live)
            found = sorted(self.read_mirror(history, table).column("k").to_pylist())
            expected = self.read(history, live).column("k").to_pylist() if live else []
            assert found == expected

    def test_a_mirror_of_nothing_is_nothing(self, history: History) -> None:
        history.mirror(table_of(), live=[])
        assert self.read_mirror(history, table_of()).num_rows == 0

    def test_a_feature_that_was_added_is_in_the_mirror(self, history: History) -> None:
        table = table_of()
        (old,) = history.stage(table, rows_of(5))
        history.mirror(table, live=[old])
        wide = Table(table.name, table.schema.insert(4, pa.field("y", pa.int64())), table.sort, table.event_time)
        rows = rows_of(5, start=5)
        (new,) = history.stage(wide, rows.add_column(4, "y", pa.array(range(5), pa.int64())))
        history.mirror(wide, live=[old, new])
        found = self.read_mirror(history, wide).sort_by("k")
        assert found.column("y").to_pylist() == [None] * 5 + list(range(5))

    def test_threads_and_processes_mirror_at_the_same_time(self, history: History, tmp_path: Path) -> None:
        table = table_of()
        files = [history.stage(table, rows_of(5, start=5 * n))[0] for n in range(6)]
        with ThreadPoolExecutor(3) as pool:
            tries = [pool.submit(history.mirror, table, live=files[: count + 1]) for count in range(3)]
            for each in tries:
                each.result(timeout=60)
        in_processes(_mirror, [(type(self), str(tmp_path), files) for _ in range(2)])
        assert self.read_mirror(history, table).num_rows == 30

    # ---- use

    def test_threads_stage_at_the_same_time(self, history: History) -> None:
        with ThreadPoolExecutor(4) as pool:
            tries = [pool.submit(history.stage, table_of(), rows_of(20, start=start)) for start in range(16)]
            files = [file for each in tries for file in each.result(timeout=60)]
        assert len({file.path for file in files}) == 16
        assert [history.check(file.path) for file in files] == [""] * 16

    def test_files_are_there_after_reopening(self, opened: Callable[[], History]) -> None:
        history = opened()
        (file,) = history.stage(table_of(), rows_of(5))
        history.close()
        history.close()
        assert self.read(opened(), [file]).num_rows == 5


def _remove(content: bytes) -> None:
    del content


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _change_a_byte(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 3] ^= 0x55
    return bytes(changed)


def _empty(content: bytes) -> bytes:
    return content[:0]


def _stage_without_space(suite: type[HistorySuite], root: str) -> None:
    history = suite().open(Path(root))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    with pytest.raises(PermanentError):
        history.stage(table_of(), rows_of(50_000))
    assert suite().data_files(Path(root)) == 0
    (file,) = history.stage(table_of(), rows_of(5))
    assert history.check(file.path) == ""


def _stage_and_die(suite: type[HistorySuite], root: str) -> None:
    history = suite().open(Path(root))
    history.stage(table_of(), rows_of(5))

    def batches() -> Iterator[pa.RecordBatch]:
        yield from rows_of(5).to_batches()
        os.kill(os.getpid(), signal.SIGKILL)

    history.stage(table_of(), pa.RecordBatchReader.from_batches(table_of().schema, batches()))


def _mirror(suite: type[HistorySuite], root: str, files: list[DataFile]) -> None:
    history = suite().open(Path(root))
    for _ in range(3):
        history.mirror(table_of(), live=files)
    history.close()
