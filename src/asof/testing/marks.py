"""The conformance suites of the tags and erasures ports, which a registry's adapter opens too.

class TestSqliteTags(TagsSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from asof.errors import ConflictError, NotFoundError
from asof.records import Draft
from asof.registry.port import Erasures, Metadata, Tags
from asof.testing.processes import in_processes
from asof.testing.registry import NOW_US, OpensRegistry, group_of


class TagsSuite(OpensRegistry):
    """What tags must do; see `asof.registry.port.Tags`."""

    @pytest.fixture
    def tags(self, both: Metadata) -> Tags:
        """Give no tags, over the groups g (two commits) and h (none)."""
        both.registry.apply([group_of("g"), group_of("h")], now_us=NOW_US)
        _commit(both, "g", 2)
        return both.tags

    def test_a_tag_names_the_last_commit_of_every_group_version(self, both: Metadata, tags: Tags) -> None:
        tag = tags.add("2026-11", message="the release", writer="ana", now_us=NOW_US)
        assert (tag.name, tag.message, tag.writer, tag.created_at_us) == ("2026-11", "the release", "ana", NOW_US)
        assert tag.pins == {"g@1": 2, "h@1": 0}
        assert tags.get("2026-11") == tag
        assert tags.all() == [tag]
        del both

    def test_a_tag_stays_where_it_is(self, both: Metadata, tags: Tags) -> None:
        tag = tags.add("a", message="", writer="", now_us=NOW_US)
        _commit(both, "g", 1)
        both.registry.apply([group_of("later")], now_us=NOW_US)
        assert tags.get("a") == tag

    def test_a_name_is_given_once(self, tags: Tags) -> None:
        tag = tags.add("a", message="first", writer="", now_us=NOW_US)
        with pytest.raises(ConflictError, match="'a'"):
            tags.add("a", message="second", writer="", now_us=NOW_US + 1)
        assert tags.all() == [tag]

    def test_tags_come_the_oldest_first_and_can_be_removed(self, tags: Tags) -> None:
        for number, name in enumerate("bac"):
            tags.add(name, message="", writer="", now_us=NOW_US + number)
        assert [tag.name for tag in tags.all()] == ["b", "a", "c"]
        tags.remove("a")
        assert [tag.name for tag in tags.all()] == ["b", "c"]
        for gone in (tags.get, tags.remove):
            with pytest.raises(NotFoundError):
                gone("a")
        tags.add("a", message="", writer="", now_us=NOW_US)

    def test_a_name_that_is_close_is_told(self, tags: Tags) -> None:
        tags.add("nightly", message="", writer="", now_us=NOW_US)
        with pytest.raises(NotFoundError, match="nightly"):
            tags.get("nightli")

    def test_pins_of_a_removed_group_go(self, both: Metadata, tags: Tags) -> None:
        tags.add("a", message="", writer="", now_us=NOW_US)
        both.registry.remove("g")
        assert tags.get("a").pins == {"h@1": 0}

    def test_tags_are_there_after_reopening(self, tags: Tags, opened: Callable[[], Metadata]) -> None:
        tag = tags.add("a", message="", writer="", now_us=NOW_US)
        assert opened().tags.all() == [tag]

    def test_of_processes_that_give_one_name_one_does(self, tags: Tags, tmp_path: Path) -> None:
        answers = in_processes(_add, [(type(self), str(tmp_path), worker) for worker in range(3)])
        assert sorted(answers) == [False, False, True]
        assert len(tags.all()) == 1


class ErasuresSuite(OpensRegistry):
    """What erasures must do; see `asof.registry.port.Erasures`."""

    @pytest.fixture
    def erasures(self, both: Metadata) -> Erasures:
        """Give no erasures."""
        return both.erasures

    def test_keys_are_remembered_until_the_end_and_not_longer(self, erasures: Erasures) -> None:
        begun = erasures.begin("user", b"\x00one two", reason="asked", writer="ana", now_us=NOW_US)
        assert (begun.entity, begun.reason, begun.writer, begun.started_at_us) == ("user", "asked", "ana", NOW_US)
        assert erasures.all() == [begun]
        assert begun.pending == b"\x00one two"
        assert erasures.of("user", b"two") is None
        erasures.finish(begun, "the certificate", keys=[b"two"])
        (done,) = erasures.all()
        assert (done.id, done.pending, done.certificate) == (begun.id, b"", "the certificate")
        erasures.close(begun)
        assert [each.pending for each in erasures.all()] == [None]

    def test_what_is_not_finished_cannot_be_closed(self, erasures: Erasures) -> None:
        begun = erasures.begin("user", b"one", reason="", writer="", now_us=NOW_US)
        erasures.close(begun)
        assert erasures.all() == [begun]

    def test_an_erased_key_is_known_again(self, erasures: Erasures) -> None:
        for number, keys in enumerate(([b"one", b"two"], [b"two"])):
            begun = erasures.begin("user", b"keys", reason="", writer="", now_us=NOW_US + number)
            erasures.finish(begun, f"certificate {number}", keys=keys)
        found = {key: erasures.of("user", key) for key in (b"one", b"two", b"three")}
        assert {key: each and each.certificate for key, each in found.items()} == {
            b"one": "certificate 0",
            b"two": "certificate 1",
            b"three": None,
        }
        assert erasures.of("airport", b"one") is None

    def test_finishing_twice_keeps_the_first_certificate(self, erasures: Erasures) -> None:
        begun = erasures.begin("user", b"one", reason="", writer="", now_us=NOW_US)
        erasures.finish(begun, "first", keys=[b"one", b"one"])
        erasures.finish(begun, "second", keys=[])
        assert [each.certificate for each in erasures.all()] == ["first"]
        assert erasures.of("user", b"one") is not None

    def test_what_was_begun_is_there_after_reopening(self, erasures: Erasures, opened: Callable[[], Metadata]) -> None:
        begun = erasures.begin("user", b"one", reason="", writer="", now_us=NOW_US)
        assert opened().erasures.all() == [begun]

    def test_scrub_leaves_no_bytes_of_what_is_gone(self, erasures: Erasures, both: Metadata, tmp_path: Path) -> None:
        needle = b"needle-in-a-haystack"
        both.registry.apply([group_of("g")], now_us=NOW_US)
        group = both.registry.group("g")
        drafts = [Draft(group.id, "push", rows=1, payload=b"%d " % n + needle * n) for n in range(1, 300)]
        both.log.publish([[draft] for draft in drafts], clock=lambda: NOW_US)
        begun = erasures.begin("user", needle, reason="", writer="", now_us=NOW_US)
        both.log.replace_files(group, removed=(), added=(), sealed=range(1, 300), now_us=NOW_US)
        erasures.finish(begun, "done", keys=[needle])
        erasures.scrub()
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or needle not in file.read_bytes(), file


def _commit(both: Metadata, name: str, count: int) -> None:
    group = both.registry.group(name)
    both.log.publish([[Draft(group.id, "push", rows=1, payload=b"1")] for _ in range(count)], clock=lambda: NOW_US)


def _add(suite: type[OpensRegistry], root: str, worker: int) -> bool:
    metadata = suite().open(Path(root))
    try:
        metadata.tags.add("same", message=str(worker), writer="", now_us=NOW_US)
    except ConflictError:
        return False
    finally:
        metadata.log.close()
    return True
