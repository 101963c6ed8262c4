"""The conformance suites of the keys and deeds ports, which a registry's adapter opens too.

class TestSqliteKeys(KeysSuite):
    adapter = "sqlite"
    url = "sqlite:///{root}/registry.db"
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from asof.errors import ConflictError, NotFoundError
from asof.records import ApiKey, Deed, Draft
from asof.registry.port import Deeds, Keys, Metadata
from asof.testing.processes import in_processes
from asof.testing.registry import NOW_US, OpensRegistry, group_of, view_of


def key_of(name: str = "nightly", id_: str = "", *, at_us: int = NOW_US, expires_at_us: int | None = None) -> ApiKey:
    """Return a key of a writer of the project fraud."""
    return ApiKey(id_ or name, name, "d" * 64, {"fraud": "writer", "": "reader"}, at_us, expires_at_us, "ana@host")


class KeysSuite(OpensRegistry):
    """What keys must do; see `asof.registry.port.Keys`."""

    @pytest.fixture
    def keys(self, both: Metadata) -> Keys:
        """Give no keys."""
        return both.keys

    def test_a_key_is_kept_as_it_was_made(self, keys: Keys, opened: Callable[[], Metadata]) -> None:
        assert keys.all() == []
        key = key_of(expires_at_us=NOW_US + 1)
        keys.add(key)
        assert keys.all() == [key] == opened().keys.all()

    def test_keys_come_the_oldest_first_revoked_and_expired_ones_too(self, keys: Keys) -> None:
        for number, name in enumerate("bac"):
            keys.add(key_of(name, at_us=NOW_US + number, expires_at_us=NOW_US + 10))
        keys.revoke("a", writer="ben@host", now_us=NOW_US + 5)
        assert [key.name for key in keys.all()] == ["b", "a", "c"]
        assert [key.valid(NOW_US + 6) for key in keys.all()] == [True, False, True]
        assert [key.valid(NOW_US + 10) for key in keys.all()] == [False, False, False]

    def test_a_name_belongs_to_one_valid_key(self, keys: Keys) -> None:
        keys.add(key_of("a", "1", expires_at_us=NOW_US + 10))
        with pytest.raises(ConflictError, match="'a'"):
            keys.add(key_of("a", "2", at_us=NOW_US + 9))
        keys.add(key_of("a", "2", at_us=NOW_US + 10))  # the first has expired
        with pytest.raises(ConflictError):
            keys.add(key_of("a", "3", at_us=NOW_US + 11))
        keys.revoke("a", writer="", now_us=NOW_US + 12)
        keys.add(key_of("a", "3", at_us=NOW_US + 13))
        assert [key.id for key in keys.all()] == ["1", "2", "3"]

    def test_a_key_is_revoked_once_by_its_name_or_id(self, keys: Keys) -> None:
        for name in ("nightly", "hourly"):
            keys.add(key_of(name, f"id_{name}"))
        for at_us, name in enumerate(("nightly", "id_hourly", "nightly", "hourly")):
            assert all(not key.valid(NOW_US) for key in keys.revoke(name, writer="ben@host", now_us=NOW_US + at_us))
        assert {key.name: key.revoked_at_us for key in keys.all()} == {"nightly": NOW_US, "hourly": NOW_US + 1}
        with pytest.raises(NotFoundError, match="nightly"):
            keys.revoke("nightli", writer="", now_us=NOW_US)

    def test_the_last_use_never_goes_back(self, keys: Keys) -> None:
        keys.add(key_of("a"))
        keys.add(key_of("b"))
        keys.used({"a": 20, "nobody": 20})
        keys.used({"a": 10, "b": 5})
        assert {key.name: key.used_at_us for key in keys.all()} == {"a": 20, "b": 5}
        keys.used({})

    def test_keys_are_deeds_without_their_secrets(self, keys: Keys, both: Metadata) -> None:
        keys.add(key_of())
        for _ in range(2):
            keys.revoke("nightly", writer="ben@host", now_us=NOW_US + 1)
        made, revoked = both.deeds.find("")
        assert (made.what, made.writer, made.at_us) == ("keys add", "ana@host", NOW_US)
        assert (revoked.what, revoked.writer, revoked.at_us) == ("keys revoke", "ben@host", NOW_US + 1)
        assert "nightly" in made.about
        assert "nightly" in revoked.about
        assert "writer of fraud" in made.note
        assert "dddd" not in f"{made} {revoked}"

    def test_of_processes_that_give_one_name_one_does(self, keys: Keys, tmp_path: Path) -> None:
        answers = in_processes(_add, [(type(self), str(tmp_path), worker) for worker in range(3)])
        assert sorted(answers) == [False, False, True]
        assert len(keys.all()) == 1


class DeedsSuite(OpensRegistry):
    """What deeds must do; see `asof.registry.port.Deeds`."""

    @pytest.fixture
    def deeds(self, both: Metadata) -> Deeds:
        """Give no deeds."""
        return both.deeds

    def test_what_was_denied_is_kept_and_found_by_words(self, deeds: Deeds, opened: Callable[[], Metadata]) -> None:
        tried = [
            Deed(NOW_US + number, f"key:k{number}@::1", "push", "weather", "denied", "No Role") for number in range(3)
        ]
        deeds.denied(tried)
        assert deeds.find("") == tried == opened().deeds.find("")
        assert deeds.find("K1 role") == [tried[1]]
        assert deeds.find("role nothing") == []
        assert deeds.find("weather", limit=2) == tried[1:]
        deeds.denied([])

    def test_denied_tries_never_push_out_what_was_done(self, deeds: Deeds, both: Metadata) -> None:
        both.registry.apply([group_of("g")], now_us=NOW_US, writer="ana@host")
        for start in range(0, 12_000, 3000):
            deeds.denied([Deed(NOW_US + start + n, "", "push", str(start + n), "denied") for n in range(3000)])
        found = deeds.find("")
        assert found[0].what == "apply"
        assert len(found) <= 10_001
        assert found[-1].about == "11999"

    def test_a_change_of_definitions_is_a_deed_of_its_writer(self, deeds: Deeds, both: Metadata) -> None:
        group = group_of("g")
        for at_us in (1, 2):  # the second time nothing changes
            both.registry.apply([group, view_of("v", group)], now_us=at_us, writer="ana@host")
        both.registry.apply([group_of("g", owner="ops")], now_us=3, writer="ben@host")
        both.registry.remove("v", now_us=4, writer="key:x@::1")
        found = [(each.at_us, each.writer, each.what, each.about) for each in deeds.find("")]
        assert found == [
            (1, "ana@host", "apply", "g@1"),
            (1, "ana@host", "apply", "v@1"),
            (3, "ben@host", "apply", "g@1"),
            (4, "key:x@::1", "remove", "v@1"),
        ]
        assert "ops" in deeds.find("ben")[0].note

    def test_who_wrote_to_a_removed_group_stays_known(self, deeds: Deeds, both: Metadata) -> None:
        both.registry.apply([group_of("g")], now_us=NOW_US)
        drafts = [[Draft(both.registry.group("g").id, "push", rows=1, payload=b"1", writer=name)] for name in "ab"]
        both.log.publish(drafts, clock=lambda: NOW_US, writer="c")
        assert deeds.find("push") == []  # the commits say it themselves
        both.registry.remove("g", now_us=NOW_US + 9, writer="d")
        assert [(each.writer, each.what, each.about) for each in deeds.find("g@1")][1:] == [
            ("a", "push", "g@1:1"),
            ("b", "push", "g@1:2"),
            ("d", "remove", "g@1"),
        ]

    def test_a_draft_says_who_writes_if_it_is_not_who_publishes(self, both: Metadata) -> None:
        both.registry.apply([group_of("g")], now_us=NOW_US)
        group = both.registry.group("g")
        drafts = [[Draft(group.id, "push", rows=1, payload=b"1", writer=name)] for name in ("a", "")]
        both.log.publish(drafts, clock=lambda: NOW_US, writer="b")
        assert [commit.writer for commit in both.log.commits(group)] == ["a", "b"]

    def test_tags_are_deeds(self, deeds: Deeds, both: Metadata) -> None:
        both.tags.add("t", message="why", writer="ana@host", now_us=1)
        both.tags.remove("t", writer="ben@host", now_us=2)
        assert [(each.writer, each.what, each.about) for each in deeds.find("")] == [
            ("ana@host", "tag", "t"),
            ("ben@host", "untag", "t"),
        ]


def _add(suite: type[OpensRegistry], root: str, worker: int) -> bool:
    metadata = suite().open(Path(root))
    try:
        metadata.keys.add(key_of("same", str(worker)))
    except ConflictError:
        return False
    finally:
        metadata.log.close()
    return True
