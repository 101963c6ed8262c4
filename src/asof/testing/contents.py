"""The conformance suite of the contents port of a registry: all that it holds moves, and nothing else.

class TestSqliteContents(ContentsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from asof.errors import NotFoundError, UsageError
from asof.records import ApiKey, DataFile, Draft
from asof.registry.monitors import MonitorFound
from asof.registry.port import Metadata
from asof.testing.adapters import open_adapter
from asof.testing.commit_log import published
from asof.testing.registry import NOW_US, OpensRegistry, group_of, view_of


class ContentsSuite(OpensRegistry):
    """What a registry must do to be moved; see `asof.registry.contents.Contents`."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> Iterator[Callable[[], Metadata]]:
        """Give a function that opens another registry of this kind."""
        every: list[Metadata] = []

        def opened() -> Metadata:
            every.append(self.open(tmp_path / "other"))
            return every[-1]

        yield opened
        for metadata in every:
            metadata.log.close()

    @pytest.fixture
    def filled(self, both: Metadata) -> Metadata:
        """Give a registry with something of everything that is made of several tables."""
        group = group_of("g")
        both.registry.apply([group, group_of("h"), view_of("v", group)], now_us=NOW_US, writer="ana")
        g, h = both.registry.group("g"), both.registry.group("h")
        published(both.log, Draft(g.id, "write", rows=1, files=(_file("g@1.1/a.parquet"),), min_event_us=5))
        published(both.log, Draft(h.id, "push", rows=1, payload=b"\x00\xff'\\", meta={"source": "Übung \U0001f600"}))
        published(both.log, Draft(g.id, "write", rows=1, files=(_file("g@1.1/b.parquet"),), idempotency_key="once"))
        published(both.log, Draft(g.id, "retract", target=1, reason="wrong"))
        both.tags.add("then", message="a tag", writer="ana", now_us=NOW_US)
        both.keys.add(ApiKey("0123", "bo", "ab" * 32, {"": "reader"}, NOW_US, None, "ana"))
        both.monitors.add(MonitorFound("v", "m", NOW_US, "ana", "{}"))
        return both

    def test_what_is_saved_answers_as_the_registry_does(self, filled: Metadata, tmp_path: Path) -> None:
        filled.contents.save(tmp_path / "saved.db")
        saved: Metadata = open_adapter("registry", "sqlite", f"sqlite:///{tmp_path}/saved.db")
        assert told(saved) == told(filled)
        saved.log.close()

    def test_what_is_loaded_answers_as_the_registry_does(
        self, filled: Metadata, other: Callable[[], Metadata], tmp_path: Path
    ) -> None:
        here = other()
        assert here.contents.is_empty()
        moved(filled, here, tmp_path)
        for each in (here, other()):
            found = told(each)
            assert [file.path for file, _ in found.pop("files")] == ["g@1.1/a-here.parquet", "g@1.1/b-here.parquet"]
            expected = told(filled)
            del expected["files"]
            assert found == expected
            assert not each.contents.is_empty()

    def test_a_registry_goes_on_where_the_other_one_was(
        self, filled: Metadata, other: Callable[[], Metadata], tmp_path: Path
    ) -> None:
        here = other()
        moved(filled, here, tmp_path)
        here.registry.apply([group_of("new"), view_of("w", group_of("new"))], now_us=NOW_US)
        new = here.registry.group("new")
        assert new.id > max(group.id for group in filled.registry.groups())
        assert published(here.log, Draft(new.id, "write")).number == 1
        assert published(here.log, Draft(here.registry.group("g").id, "write")).number == 4
        again = published(here.log, Draft(here.registry.group("g").id, "write", idempotency_key="once"))
        assert (again.number, again.repeated) == (2, True)
        here.monitors.add(MonitorFound("v", "m", NOW_US + 1, "ana", "{}"))
        assert len(here.monitors.of("v")) == 2

    def test_files_that_were_replaced_stay_behind(self, filled: Metadata, tmp_path: Path) -> None:
        g = filled.registry.group("g")
        merged = DataFile("g@1.1/c.parquet", 2, 10, 5, 7)
        replaced = ["g@1.1/a.parquet", "g@1.1/b.parquet"]
        filled.log.replace_files(g, removed=replaced, added=[merged], now_us=NOW_US)
        filled.contents.save(tmp_path / "saved.db")
        saved: Metadata = open_adapter("registry", "sqlite", f"sqlite:///{tmp_path}/saved.db")
        assert list(saved.log.files()) == [merged.path]
        assert sorted(filled.log.files()) == [*replaced, merged.path]
        saved.log.close()

    def test_what_was_there_goes_and_others_notice(
        self, filled: Metadata, other: Callable[[], Metadata], tmp_path: Path
    ) -> None:
        here, beside = other(), other()
        here.registry.apply([group_of("mine")], now_us=NOW_US)
        published(here.log, Draft(here.registry.group("mine").id, "write"))
        before = beside.registry.generation()
        moved(filled, here, tmp_path)
        assert beside.registry.generation() > before
        assert beside.registry.generation() > filled.registry.generation()
        assert [group.ref for group in beside.registry.groups()] == ["g@1", "h@1"]
        with pytest.raises(NotFoundError):
            beside.registry.group("mine")

    def test_all_or_nothing_is_loaded(self, filled: Metadata, other: Callable[[], Metadata], tmp_path: Path) -> None:
        here = other()
        here.registry.apply([group_of("mine")], now_us=NOW_US)
        filled.contents.save(tmp_path / "saved.db")
        with pytest.raises(KeyError, match="parquet"):
            here.contents.load(tmp_path / "saved.db", paths={})

        def check() -> None:
            assert [group.ref for group in here.registry.groups()] == ["mine@1"]
            raise UsageError("not so")

        with pytest.raises(UsageError, match="not so"):
            here.contents.load(tmp_path / "saved.db", paths={path: path for path in filled.log.files()}, check=check)
        assert [group.ref for group in here.registry.groups()] == ["mine@1"]
        published(here.log, Draft(here.registry.group("mine").id, "write"))

    def test_one_state_is_saved_while_others_write(self, filled: Metadata, tmp_path: Path) -> None:
        g, h = filled.registry.group("g"), filled.registry.group("h")
        lead = len(filled.log.commits(g)) - len(filled.log.commits(h))

        def publish() -> None:
            for _ in range(60):
                filled.log.publish([[Draft(g.id, "write"), Draft(h.id, "write")]], clock=lambda: NOW_US)

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(publish)
            for number in range(3):
                file = tmp_path / f"{number}.db"
                filled.contents.save(file)
                saved: Metadata = open_adapter("registry", "sqlite", f"sqlite:///{file}")
                assert len(saved.log.commits(g)) - len(saved.log.commits(h)) == lead
                saved.log.close()
            done.result(timeout=60)

    def test_a_registry_stays_itself_whatever_it_holds(
        self, filled: Metadata, other: Callable[[], Metadata], tmp_path: Path
    ) -> None:
        here = other()
        names = filled.contents.identity(), here.contents.identity()
        assert names[0] != names[1]
        assert here.contents.is_empty(), "it has a name, and nothing else"
        moved(filled, here, tmp_path)
        assert (filled.contents.identity(), other().contents.identity()) == names

    def test_a_file_that_is_there_or_is_not_is_refused(self, filled: Metadata, tmp_path: Path) -> None:
        (tmp_path / "mine").write_text("something else")
        with pytest.raises(UsageError, match="mine"):
            filled.contents.save(tmp_path / "mine")
        assert (tmp_path / "mine").read_text() == "something else"
        with pytest.raises(UsageError, match="nothing"):
            filled.contents.load(tmp_path / "nothing", paths={})


def moved(source: Metadata, target: Metadata, folder: Path) -> None:
    """Bring all of a registry into another one."""
    source.contents.save(folder / "saved.db")
    target.contents.load(
        folder / "saved.db", paths={path: path.replace(".parquet", "-here.parquet") for path in source.log.files()}
    )


def told(metadata: Metadata) -> dict[str, Any]:
    """Return what a registry answers."""
    groups = metadata.registry.groups()
    snapshots = [metadata.log.snapshot(group) for group in groups]
    return {
        "groups": groups,
        "views": metadata.registry.views(),
        "commits": [metadata.log.commits(group) for group in groups],
        "files": [file for snapshot in snapshots for file in snapshot.files],
        "journals": [snapshot.journal for snapshot in snapshots],
        "retracted": [snapshot.retracted for snapshot in snapshots],
        "tags": metadata.tags.all(),
        "keys": metadata.keys.all(),
        "deeds": metadata.deeds.find(""),
        "monitors": metadata.monitors.of("v"),
    }


def _file(path: str) -> DataFile:
    return DataFile(path, 1, 10, 5, 7)
